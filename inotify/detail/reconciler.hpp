// SPDX-License-Identifier: MIT
// The reconciler: what a look at the disk does to the picture.
#pragma once

#include <inotify/detail/agenda.hpp>
#include <inotify/detail/disk.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/picture.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/rename_reader.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace inotify::detail {

/// Makes the picture agree with what was seen. One routine serves the first scan, new directories,
/// directories that were moved in, overflows and rechecks alike.
///
/// A name that records of the same look are about is left to these: whether it was seen before or
/// after its change cannot be known.
class Reconciler {
public:
    Reconciler(Kernel& kernel, RecordQueue& queue, Disk& disk, RenameReader& renames,
               Picture& picture, Agenda& agenda, const TreeOptions& options)
        : kernel_(kernel),
          queue_(queue),
          disk_(disk),
          renames_(renames),
          picture_(picture),
          agenda_(agenda),
          options_(options) {}

    /// Applies what was seen for a task.
    void apply(Task task, Sight sight);

    /// All has been looked at: what was not found is gone. True when there was something.
    bool end_round();

    /// Forgets the directories that have left their places and were not found at another.
    void drop_detached();

private:
    // The window of records that were queued during a look.
    struct Window {
        Position since = 0;
        Position until = 0;
    };
    struct Detached {
        NodeRef node;
        Taken taken;
    };

    void add_rest(Task task, std::vector<std::string> names);
    void apply_lookup(const Task& task, Lookup& lookup, Window window);
    bool confirm(const Task& task, NodeId held, const Lookup& lookup);
    void miss(NodeId held);
    void apply_file(NodeId node, NodeId held, const DirectoryEntry& file);
    void apply_unwatched(const Task& task, NodeId held, const Lookup& lookup);
    void apply_directory(const Task& task, NodeId held, Lookup& lookup, Directory& seen,
                         Window window);
    void apply_new(const Task& task, NodeId held, Lookup& lookup, Directory& seen, Window window);
    void apply_elsewhere(const Task& task, NodeId held, NodeId owner, Lookup& lookup,
                         Directory& seen, Window window);
    void apply_alias(const Task& task, NodeId held, const Lookup& lookup, int wd);
    void apply_contents(NodeId node, Listing& listing, const Task& task, Window window);
    void apply_listing(NodeId node, Listing& listing, const Task& task, Window window);
    void compare_children(NodeId node, const Listing& listing);
    void compare_files(NodeId node, const Listing& listing, const Task& task, bool is_known);
    void leave_to_records(NodeId node, Listing& listing, Window window);

    [[nodiscard]] bool has_changed(NodeId node, std::string_view name, Window window);
    NodeId create(NodeId node, const Lookup& lookup, Report how);
    NodeId replace(NodeId node, NodeId held, const Lookup& lookup);
    void detach(NodeId node);
    void unreachable(Task task, int error, Window window);
    void lost_root(Task task);
    [[nodiscard]] bool has_missing_ancestor(NodeId node) const;
    void fail(NodeId node, int error);
    [[nodiscard]] bool may_be_directory(const DirectoryEntry& entry) const {
        return entry.type == FileType::directory ||
               (entry.type == FileType::symlink && options_.follow_symlinks);
    }

    Kernel& kernel_;
    RecordQueue& queue_;
    Disk& disk_;
    RenameReader& renames_;
    Picture& picture_;
    Agenda& agenda_;
    const TreeOptions& options_;

    // Until the round ends, what is not at its place may be found at another.
    std::vector<Detached> detached_;  // something else is at their places
    std::vector<NodeRef> missing_;
    std::uint32_t next_cookie_ = 0xffff'ffff;  // of synthetic moves; the kernel's count up from 1
};

}  // namespace inotify::detail
