// SPDX-License-Identifier: MIT
// What the events of a batch have changed, entry by entry.
#pragma once

#include <inotify/detail/node_index.hpp>
#include <inotify/detail/source.hpp>
#include <inotify/event.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace inotify::detail {

/// The entries that events were about, in two places each: where they were before the batch and
/// where they are now. Pure data.
///
/// An entry is a file or directory, not a name. One that was there before has a `before` place,
/// {directory, name} as the batch found it; one that is there now lies in a directory, by the name
/// that it has now. A directory keeps what is in it when it is renamed, so that a rename costs one
/// relink.
///
///                 not there now            there now
///     not before  made and removed         added
///     before      removed                  unchanged, modified or renamed
///
/// Names are tried in a directory's own list, in which what was removed stays until something else
/// takes its name: that the name is free is known then.
class ChangeTree {
public:
    struct Entry {
        std::string name;
        std::string name_before;  // in `before`, once it has another place
        NodeId parent = no_node;  // the directory it lies in, or lay in when it was removed
        NodeId before = no_node;  // the directory it lay in before the batch; no_node: in none
        NodeId first_child = no_node;
        NodeId next = no_node;
        NodeId previous = no_node;
        NodeId covers = no_node;  // what was presumed to be at its name
        bool is_dir = false;
        bool is_there = false;
        bool is_linked = false;     // found by {parent, name}
        bool has_moved = false;     // its place is not what it was, or was not for a while
        bool has_contents = false;  // they were changed
        bool has_attributes = false;
        bool has_arrived = false;  // in this batch, at the place it has
        bool was_emptied = false;  // a directory that held nothing when it was removed
        bool is_self_deleted = false;
        bool is_presumed = false;  // nobody knows whether it was there

        [[nodiscard]] bool was_there() const noexcept { return before != no_node; }
    };

    /// The directory that all paths begin in; it has no name and never changes.
    static constexpr NodeId top = 0;

    ChangeTree() { clear(); }

    /// False for what is no change.
    bool add(const Event& event, Arrival arrival);
    /// Events were lost: until clear() it is not certain that a directory which is removed held
    /// nothing more.
    void overflow() noexcept { has_lost_events_ = true; }
    /// True between the halves of a rename; the second need not come.
    [[nodiscard]] bool is_renaming() const noexcept { return !leaving_.empty(); }
    /// True when all that was added comes to nothing.
    [[nodiscard]] bool empty() const noexcept { return changed_ == 0; }
    /// What has left and came back at no other place has left for good.
    void close();
    void clear();

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] Entry& operator[](NodeId id) noexcept { return entries_[id]; }
    [[nodiscard]] const Entry& operator[](NodeId id) const noexcept { return entries_[id]; }
    /// The entry by a name, or the one that had it last and was removed; no_node: none is known.
    [[nodiscard]] NodeId find(NodeId directory, std::string_view name) const;
    /// Makes an entry that was renamed two: one that was removed, and one that was added.
    void split(NodeId id);

private:
    // Half of a rename: the entry lies nowhere until the other half comes.
    struct Leaving {
        NodeId entry;
        std::uint32_t cookie;
        std::string path;
    };

    void apply(const Event& event, Arrival arrival);
    NodeId directory(const std::string& path, bool revives);
    NodeId walk(std::string_view path, bool revives);
    NodeId step(NodeId parent, std::string_view name, bool revives);
    NodeId make(NodeId parent, std::string_view name, bool is_dir, bool was_there);
    void link(NodeId id, NodeId parent, std::string_view name);
    void unlink(NodeId id);
    void remove(NodeId id, bool was_emptied);
    void leave(NodeId id, const Event& event);
    NodeId take_leaving(const Event& event);
    void arrive(NodeId id, NodeId parent, std::string_view name);
    void presume(NodeId id, NodeId parent, std::string_view name, bool is_certain);
    void touch(NodeId id, Mask mask);
    [[nodiscard]] bool is_kept(NodeId directory) const noexcept {
        return directory == top || entries_[directory].was_there();
    }
    // A link that is followed is a file that holds entries.
    [[nodiscard]] bool may_hold_entries(NodeId id) const noexcept {
        return entries_[id].is_dir || entries_[id].first_child != no_node;
    }
    [[nodiscard]] static bool is_change(const Entry& entry) noexcept;
    template <typename Action>
    void change(NodeId id, Action action);

    std::vector<Entry> entries_;
    NodeIndex index_;  // of those that are linked, by {parent, name}
    std::vector<Leaving> leaving_;
    std::vector<NodeId> scratch_;
    std::size_t changed_ = 0;
    bool has_lost_events_ = false;

    // Events in a row are often of one directory.
    std::string last_path_;
    NodeId last_directory_ = no_node;
};

}  // namespace inotify::detail
