// SPDX-License-Identifier: MIT
// A client's picture of a tree, kept from events alone, that objects to any event it cannot apply.
#pragma once

#include <inotify/inotify_tree.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace test {

/// What promise 1 to 6 of InotifyTree say, from the client's side.
class Picture {
public:
    /// Full path → whether it is a directory; the root itself is not an entry.
    using Entries = std::map<std::string, bool>;

    /// `follows_links`: what is no directory may be a link to one.
    explicit Picture(std::string root, Entries entries = {}, bool follows_links = false)
        : root_(std::move(root)), entries_(std::move(entries)), follows_links_(follows_links) {}

    /// With `follow_roots` a root may go, and come again.
    [[nodiscard]] bool has_root() const { return has_root_; }
    void set_has_root(bool has_root) { has_root_ = has_root; }

    [[nodiscard]] const Entries& entries() const { return entries_; }

    /// Applies one event as far as it can be; returns what is wrong with it, or nothing.
    std::string apply(const inotify::Event& event) {
        namespace IN = inotify::IN;
        if (event.mask.intersects(IN::Q_OVERFLOW))
            return event.wd == -1 ? "" : "an overflow with a watch descriptor";
        const bool is_dir = event.is_dir();
        if (event.path != root_) {
            const auto directory = entries_.find(event.path);
            if (directory == entries_.end())
                return "an event in a directory that was not reported";
            if (!directory->second && !follows_links_)
                return "an event in what is no directory";
        }
        if (event.error)
            return "";
        if (event.filename.empty() && event.path == root_)
            return apply_root(event);
        if (!has_root_)
            return "an event below a root that is not there";
        if (event.filename.empty())
            return apply_own(event);
        const std::string path = event.full_path().native();
        const auto held = entries_.find(path);
        const bool known = held != entries_.end();
        if (event.mask.intersects(IN::CREATE | IN::MOVED_TO)) {
            // What moves replaces a file: one that it is renamed over, or changes places with.
            const bool replaces = event.mask.intersects(IN::MOVED_TO) && known && !held->second;
            const bool twice = known && !replaces;
            entries_.insert_or_assign(path, is_dir);
            const std::string wrong = event.moved_from.empty() ? "" : carry(event, path);
            return twice ? "reported twice" : wrong;
        }
        if (!known)
            return "an event about an entry that was not reported";
        if (held->second != is_dir)
            return "a file taken for a directory, or the other way round";
        if (event.mask.intersects(IN::DELETE | IN::MOVED_FROM))
            remove(path, event.mask.intersects(IN::MOVED_FROM) ? event.cookie : 0);
        return "";
    }

    /// Goes on with what is below a directory, which is the root from now on.
    void narrow(const std::string& root) {
        root_ = root;
        std::erase_if(entries_,
                      [&](const auto& entry) { return !entry.first.starts_with(root + '/'); });
    }

    /// Takes over what has left another root by a rename to this one.
    void adopt(Picture& other, std::uint32_t cookie) {
        moved_.insert(other.moved_.extract(cookie));
    }

    /// Drops all that is below a directory.
    void forget(const std::string& path) {
        std::erase_if(entries_,
                      [&](const auto& entry) { return entry.first.starts_with(path + '/'); });
    }

private:
    // A root ends with IGNORED, and comes again with CREATE.
    std::string apply_root(const inotify::Event& event) {
        namespace IN = inotify::IN;
        const bool comes = event.mask.contains(IN::CREATE | IN::ISDIR);
        if (comes == has_root_)
            return comes ? "a root comes twice" : "an event about a root that is not there";
        if (comes || event.mask.intersects(IN::IGNORED)) {
            has_root_ = comes;
            entries_.clear();
        }
        return apply_own(event);
    }

    // What a directory's own watch reports changes nothing: its parent's reports the same.
    std::string apply_own(const inotify::Event& event) {
        namespace IN = inotify::IN;
        if (event.mask.intersects(IN::DELETE_SELF))
            return deleted_.insert(event.wd).second ? "" : "deleted twice";
        if (event.mask.intersects(IN::IGNORED) && deleted_.erase(event.wd) == 0 &&
            event.path != root_)
            return "the end of a watch on a directory that was not deleted";
        return "";
    }

    void remove(const std::string& path, std::uint32_t cookie) {
        Entries gone;
        const auto below = entries_.lower_bound(path + '/');
        auto end = below;
        while (end != entries_.end() && end->first.starts_with(path + '/'))
            ++end;
        for (auto i = below; i != end; ++i)
            gone.emplace(i->first.substr(path.size()), i->second);
        entries_.erase(below, end);
        const auto entry = entries_.find(path);
        gone.emplace("", entry->second);
        entries_.erase(entry);
        if (cookie != 0)
            moved_.insert_or_assign(cookie, std::pair(path, std::move(gone)));
    }

    std::string carry(const inotify::Event& event, const std::string& to) {
        const auto moved = moved_.find(event.cookie);
        if (moved == moved_.end() || moved->second.first != event.moved_from)
            return "moved_from names what did not leave";
        const Entries& entries = moved->second.second;
        if (entries.at("") != event.is_dir())
            return "moved_from names something of another type";
        for (const auto& [name, directory] : entries)
            entries_.insert_or_assign(to + name, directory);
        moved_.erase(moved);
        return "";
    }

    std::string root_;
    Entries entries_;
    bool follows_links_;
    bool has_root_ = true;
    std::map<std::uint32_t, std::pair<std::string, Entries>> moved_;  // by cookie
    std::set<int> deleted_;  // by watch descriptor, until their IGNORED
};

}  // namespace test
