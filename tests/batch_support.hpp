// SPDX-License-Identifier: MIT
// What the tests of batches share: batches that can be read, and a client that applies them.
#pragma once

#include "support.hpp"

#include <inotify/batch.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

inline std::string to_string(const inotify::Change& change) {
    static constexpr std::string_view kinds[] = {"added ", "modified ", "attributes ", "renamed ",
                                                 "removed "};
    const std::string slash = change.is_dir ? "/" : "";
    std::string result(kinds[static_cast<std::size_t>(change.kind)]);
    result += change.path + slash;
    if (!change.moved_from.empty())
        result += " < " + change.moved_from + slash;
    return result;
}

/// `overflow; removed a; renamed c/ < b/`
inline std::string to_string(const inotify::Batch& batch) {
    std::string result = batch.overflow ? "overflow" : "";
    for (const inotify::Change& change : batch.changes)
        result += (result.empty() ? "" : "; ") + to_string(change);
    return result;
}

/// What a client holds that applies batches as `Batch::changes` says, and objects to any change
/// that cannot be applied.
template <typename What>
class BatchClient {
public:
    /// Full path → what is there; the root itself is no entry.
    using Entries = std::map<std::string, What>;

    BatchClient(std::string root, Entries entries)
        : root_(std::move(root)), entries_(std::move(entries)) {}

    [[nodiscard]] const Entries& entries() const { return entries_; }

    /// Applies one batch, where `look` says what is at a path now; returns what is wrong.
    template <typename Look>
    std::string apply(const std::vector<inotify::Change>& changes, Look look) {
        std::string wrong;
        std::map<std::string, Entries>
            aside;  // what is replaced: a rename may still come from there
        const auto set_aside = [&](const std::string& path) {
            aside.insert_or_assign(path, take(entries_, path));
        };
        const auto take_moving = [&](const std::string& from) {
            if (const auto held = aside.find(from); held != aside.end() && !held->second.empty())
                return std::exchange(held->second, {});
            // What has been put somewhere is not taken from there again.
            if (!aside.contains(from))
                if (Entries moving = take(entries_, from); !moving.empty())
                    return moving;
            for (auto& [path, entries] : aside)
                if (from.starts_with(path + '/'))
                    if (Entries moving = take(entries, from.substr(path.size())); !moving.empty())
                        return moving;
            return Entries{};
        };
        for (const inotify::Change& change : changes) {
            const std::string& path = change.path;
            const bool is_known = entries_.contains(path);
            const std::size_t slash = path.rfind('/');
            const bool puts = change.kind == inotify::ChangeKind::added ||
                              change.kind == inotify::ChangeKind::renamed;
            if (puts && path.substr(0, slash) != root_ && !entries_.contains(path.substr(0, slash)))
                wrong += to_string(change) + ": its directory is not there; ";
            switch (change.kind) {
            case inotify::ChangeKind::removed:
                if (!is_known)
                    wrong += to_string(change) + ": it is not there; ";
                take(entries_, path);
                break;
            case inotify::ChangeKind::renamed: {
                Entries moving = take_moving(change.moved_from);
                if (moving.empty())
                    wrong += to_string(change) + ": it was not there; ";
                set_aside(path);
                for (auto& [name, entry] : moving)
                    entries_.insert_or_assign(path + name, entry);
                break;
            }
            case inotify::ChangeKind::added:
                set_aside(path);
                entries_.insert_or_assign(path, look(path));
                break;
            default:
                if (!is_known)
                    wrong += to_string(change) + ": it is not there; ";
                entries_.insert_or_assign(path, look(path));
            }
        }
        return wrong;
    }

private:
    static Entries take(Entries& from, const std::string& path) {
        Entries taken;
        const auto is_below = [&](const auto& entry) {
            return entry.first.starts_with(path + '/') || entry.first == path;
        };
        for (const auto& entry : from)
            if (is_below(entry))
                taken.emplace(entry.first.substr(path.size()), entry.second);
        std::erase_if(from, is_below);
        return taken;
    }

    std::string root_;
    Entries entries_;
};

}  // namespace test
