// SPDX-License-Identifier: MIT
// The disk: what directories hold now, and the watches that make it known what changes there.
#pragma once

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/picture.hpp>
#include <inotify/detail/probe.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/task.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace inotify::detail {

// What there was at a name. A symbolic link is a file, unless it is followed to a directory.
struct Absent {};
struct File {
    FileType type = FileType::unknown;
};
struct Unreadable {
    int error = 0;
};
struct Pruned {};  // a directory that is not to be watched
struct Directory {
    int wd = -1;                // its watch, which is in place
    bool was_known = false;     // the model had it, here or elsewhere
    bool is_elsewhere = false;  // it is at another place of the model as well
    bool is_leaf = false;       // it has no subdirectory
    bool is_sure = true;        // false: the link that leads to it led elsewhere a moment later
    std::optional<Listing> listing = {};
};

/// One name that was looked up.
struct Lookup {
    std::string name;
    bool via_link = false;
    std::variant<Absent, File, Unreadable, Pruned, Directory> found = {};
};

/// What was seen of one directory; a value that the reconciler applies to the picture.
struct Sight {
    int error = 0;         // why the directory could not be seen, or be listed
    bool is_sure = true;   // false: paths may have led elsewhere meanwhile
    Listing listing = {};  // of a task that lists: all that is not excluded
    std::vector<Lookup> lookups = {};
    std::vector<std::string> left = {};        // names that are still to be looked up
    std::vector<std::string> left_to_fd = {};  // the same, by descriptors only
    bool is_done = true;                       // false: nothing was done of the task
    std::string root_path = {};  // of a task that finds a root; empty: it is not there
    // The records that were queued meanwhile begin here, and end there.
    Position since = 0;
    Position until = 0;

    /// True when nothing of what was seen has to be looked at again.
    [[nodiscard]] bool is_plain() const noexcept {
        return error == 0 && is_sure && left_to_fd.empty();
    }
};

/// Looks at directories: opens, watches and lists them. It reads the picture and changes nothing
/// of it.
///
/// A directory is opened first and then watched and listed by its descriptor, so that all three
/// speak of one inode, whatever its path comes to mean. Everything that was queued before has to be
/// handled; what was queued during a look has been read when it returns.
class Disk {
public:
    Disk(Kernel& kernel, RecordQueue& queue, Picture& picture, const TreeOptions& options)
        : kernel_(kernel), queue_(queue), picture_(picture), options_(options) {}

    /// Carries out a task. Of many names it looks up some, and says which are left.
    Sight see(const Task& task);

    /// True for a task of a first scan that many can be carried out of at once.
    [[nodiscard]] bool is_batched(const Task& task) const;
    /// Carries out such tasks, as many as there is room for, on this thread once `meanwhile` has
    /// returned, and on those of the workers, if there are any. What was queued during any of the
    /// looks has been read when it returns.
    std::vector<Sight> see_all(const std::vector<Task>& tasks, Workers* workers,
                               const std::function<void()>& meanwhile);

    /// Waits until the system calls that are changing a directory have queued all their records,
    /// and reads these. False when the directory cannot be reached.
    bool await_changes(NodeId node);

    /// Calls `read` with a watched directory that is open. What has changed before it reads has
    /// been queued when this returns. False when the directory cannot be reached.
    bool visit(NodeId node, const std::function<void(int directory)>& read);

    /// Watches a root: its descriptor, or −errno.
    int watch_root(const std::string& path);
    /// What a root is watched for.
    [[nodiscard]] std::uint32_t root_mask() const;

    /// An absolute path of the directory that is watched by `wd`, which no change of the working
    /// directory makes lead elsewhere. Where there is none that can be used, `path` itself.
    std::string resolve_root(const std::string& path, int wd);

    /// Watches a directory for IN_ATTRIB as well: rights that are given to an entry are an ATTRIB
    /// of it, for which most masks do not ask. False when that is not possible now.
    bool watch_attributes(NodeId node);

    /// The descriptors that were got since the last call; those that no node has are not wanted.
    std::vector<int> take_obtained() noexcept { return std::exchange(obtained_, {}); }

private:
    void find_root(const Task& task, Sight& sight);
    void see_directory(const Task& task, Sight& sight);
    void look_up(int directory, const Task& task, const std::string& path,
                 std::vector<std::string> names, Sight& sight);
    void look_up_name(int directory, const Task& task, const std::string& path, Lookup& lookup);
    bool still_leads(int directory, const std::string& path, const Lookup& lookup, int wd);
    void confirm_file(int directory, Lookup& lookup);
    void obtain_all(ProbeBatch& batch);
    [[nodiscard]] bool left_its_place(NodeRef directory, const std::vector<Record>& moves) const;
    Probe make_probe(const Task& task);
    Sight make_sight(Probe& probe, NodeRef directory);
    [[nodiscard]] bool is_other_device(int directory, int inside);

    OpenDirectory open_in_place(NodeId node, std::string& path);
    bool is_in_place(NodeId node);
    int list(int directory, Listing& listing) {
        return list_with_types(kernel_, directory, listing);
    }
    int obtain(int wd);
    void read_records(Position since, Position& until);

    [[nodiscard]] std::uint32_t watch_mask() const;
    [[nodiscard]] std::uint32_t entry_mask() const;

    Kernel& kernel_;
    RecordQueue& queue_;
    Picture& picture_;
    const TreeOptions& options_;
    std::vector<int> obtained_;
};

}  // namespace inotify::detail
