// SPDX-License-Identifier: MIT
// What the tests of trees on the real kernel share: options, and a client that keeps a picture.
#pragma once

#include "picture.hpp"
#include "support.hpp"

#include <inotify/inotify_tree.hpp>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// What makes, removes and renames entries.
inline constexpr inotify::Mask names =
    inotify::IN::CREATE | inotify::IN::DELETE | inotify::IN::MOVE;

/// Options that ask for `mask` and never wait.
inline inotify::TreeOptions asking(inotify::Mask mask, bool track_files = false) {
    inotify::TreeOptions options;
    options.mask = mask;
    options.block_duration = inotify::Duration::zero();
    options.track_files = track_files;
    return options;
}

inline Picture::Entries on_disk(const fs::path& root) {
    Picture::Entries entries;
    for (const auto& entry : fs::recursive_directory_iterator(root))
        entries.emplace(entry.path().native(), entry.is_directory() && !entry.is_symlink());
    return entries;
}

/// The watched paths without the root's, sorted; the root itself is ".".
inline Lines watched(const inotify::InotifyTree& tree, const TempDir& dir) {
    Lines result;
    for (const inotify::Watch& watch : tree.watches())
        result.push_back(watch.path == dir.str() ? "." : watch.path.substr(dir.str().size() + 1));
    std::ranges::sort(result);
    return result;
}

inline bool has_overflow(const std::vector<inotify::Event>& events) {
    return std::ranges::any_of(
        events, [](const inotify::Event& event) { return event.mask == inotify::IN::Q_OVERFLOW; });
}

/// A tree and the picture that its client keeps of it.
struct Client {
    explicit Client(const fs::path& path, inotify::TreeOptions options = {})
        : root(path), picture(path.native(), on_disk(path)), tree(path, std::move(options)) {
        tree.set_block_duration(inotify::Duration::zero());
    }

    /// All events up to the empty value, each applied to the picture.
    std::vector<inotify::Event> cycle() {
        auto events = drain(tree);
        overflowed = overflowed || has_overflow(events);
        for (const inotify::Event& event : events) {
            if (const std::string wrong = picture.apply(event); !wrong.empty())
                FAIL_CHECK(wrong << ": " << event);
        }
        return events;
    }

    /// The picture is the disk, and a file made in any directory is reported once, at its path.
    void check() {
        cycle();
        CAPTURE(overflowed);
        const auto disk = on_disk(root);
        for (const auto& [path, is_directory] : disk)
            CHECK_MESSAGE(picture.entries().contains(path), "not reported: " << path);
        for (const auto& [path, is_directory] : picture.entries())
            CHECK_MESSAGE(disk.contains(path), "not reported to be gone: " << path);
        std::multiset<std::string> made{(root / "probe").native()};
        for (const auto& [path, is_directory] : disk)
            if (is_directory)
                made.insert(path + "/probe");
        CHECK(tree.watches().size() == made.size());
        CHECK(tree.coverage().watched == made.size());
        for (const auto& path : made)
            touch(path);
        std::multiset<std::string> reported;
        for (const inotify::Event& event : cycle())
            if (event.mask == inotify::IN::CREATE)
                reported.insert(event.full_path().native());
        CHECK(reported == made);
        for (const auto& path : made)
            fs::remove(path);
        cycle();
    }

    fs::path root;
    Picture picture;
    inotify::InotifyTree tree;
    bool overflowed = false;
};

}  // namespace test
