// SPDX-License-Identifier: MIT
// A simulated kernel behind the seam: an in-memory file system, and inotify as Linux really is.
#pragma once

#include <inotify/detail/kernel.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sim {

/// An inode of a World; never used twice, and 0 is none.
using Id = std::uint32_t;

/// A file system that begins with an empty "/", and the inotify instances that look at it.
///
/// The operations are what another process would do: paths are absolute, the result is 0 or −errno,
/// and the records of each are queued before it returns. A copy has the files, the settings and the
/// hook, but none of the kernels; copy a world while no directory is open.
class World {
public:
    World();
    World(const World&) = default;
    World& operator=(const World&) = default;
    ~World() = default;

    /// A new inotify instance with the directory calls beside it; the world has to outlive it.
    std::unique_ptr<inotify::detail::Kernel> make_kernel();

    int mkdir(std::string_view path);
    int rmdir(std::string_view path);
    int mkfifo(std::string_view path);
    int create(std::string_view path);     // open(O_CREAT | O_WRONLY), close; O_NONBLOCK all three
    int write(std::string_view path);      // open(O_WRONLY), write one byte, close
    int read_file(std::string_view path);  // open(O_RDONLY), read, close
    int unlink(std::string_view path);
    int rename(std::string_view from, std::string_view to);
    int exchange(std::string_view one, std::string_view other);  // RENAME_EXCHANGE
    int link(std::string_view from, std::string_view to);
    int symlink(std::string_view target, std::string_view path);
    int chmod(std::string_view path);
    int list(std::string_view path);  // opendir, readdir until the end, closedir

    /// Between these two what an operation changes is on the disk, but only its first records are
    /// queued: a system call does one after the other, and others can look and read in between. It
    /// keeps its directories locked, so that listing one of them finishes it first.
    void begin_operation(std::size_t first_records) { held_from_ = first_records; }
    /// True when there are records that were kept back.
    bool end_operation() {
        held_from_.reset();
        if (held_.empty())
            locked_.clear();
        return !held_.empty();
    }
    /// Queues the records that were kept back.
    void finish_operation();
    /// True when records are kept back: nothing has waited for them since.
    [[nodiscard]] bool is_operating() const { return !held_.empty(); }

    int mount(std::string_view path);  // a new file system with its own device number
    int bind(std::string_view source, std::string_view target);
    int unmount(std::string_view path);

    /// Takes away and gives back the right to read a directory, which the library's calls need; by
    /// chmod(2).
    int deny(std::string_view path) { return set_denied(path, true); }
    int allow(std::string_view path) { return set_denied(path, false); }

    /// The inode that `path` leads to (not through a symlink at its end); 0: there is none.
    [[nodiscard]] Id inode(std::string_view path) const;
    [[nodiscard]] bool exists(std::string_view path) const { return inode(path) != 0; }
    [[nodiscard]] bool is_dir(std::string_view path) const;
    [[nodiscard]] bool is_symlink(std::string_view path) const;
    /// What is written in the symlink at `path`.
    [[nodiscard]] const std::string& target(std::string_view path) const;
    /// What `path` leads to, through symlinks; 0: nothing.
    [[nodiscard]] Id leads_to(std::string_view path) const;
    /// The directory that `path` leads to, through symlinks; 0: there is none.
    [[nodiscard]] Id directory(std::string_view path) const;
    /// What is in a directory: true for a directory.
    [[nodiscard]] std::map<std::string, bool> entries(Id directory) const;
    /// What is in the file at `path`: another value whenever that is something else.
    [[nodiscard]] std::pair<Id, std::size_t> contents(std::string_view path) const;
    /// Everything below `path`, whose spelling begins each one's: true for a directory.
    [[nodiscard]] std::map<std::string, bool> tree(std::string_view path) const;

    /// What the last-made living kernel watches: descriptor → inode.
    [[nodiscard]] std::map<int, Id> watches() const;
    /// Whether it watches the inode at `path`.
    [[nodiscard]] bool watched(std::string_view path) const;
    /// The records in its queue.
    [[nodiscard]] std::size_t queued_records() const;
    /// What open_directory() and open_path() opened and close_directory() did not close.
    [[nodiscard]] std::size_t open_directories() const;

    /// Called first in every Kernel call that is a system call, with its name; it may change the
    /// world. A negative result is that call's result, which then does nothing else.
    std::function<int(std::string_view call)> before_call;

    /// How often a watch was given another mask, during which the real kernel loses events.
    std::size_t replaced_masks = 0;

    std::size_t max_user_watches = 8192;
    std::size_t max_queued_events = 16384;
    bool counts_subdirectories = true;  // false: as btrfs, a link count says nothing
    // False: two files that are renamed to one name, one right after the other, leave two records.
    // The kernel makes them one, and nothing says that the second one has come.
    bool merges_moves = true;
    bool unknown_types = false;  // true: list() knows no types
    // True: as on btrfs, list() shows nothing that was made since it began by rewinding. That is a
    // call of its own then, "rewind".
    bool lists_as_of_rewind = false;
    std::size_t listed_at_once = SIZE_MAX;               // entries that list_first() finds at most
    std::chrono::seconds time{};                         // what the kernels' now() gives
    std::int64_t file_time = 1'700'000'000'123'456'789;  // what they give what changes
    // Chooses which of so many threads makes the next call; unset: a kernel makes no workers.
    std::function<std::size_t(std::size_t running)> choose_worker;
    bool workers_have_directories = true;  // false: as where unshare(2) is refused

private:
    class Instance;

    struct Entry {
        Id inode = 0;
        std::uint32_t number = 0;  // counts up in each directory, as the index of btrfs does
    };

    struct Inode {
        inotify::detail::FileType type = inotify::detail::FileType::regular;
        bool denied = false;
        bool removed = false;  // a directory without a name any more
        bool empty = true;     // a file without bytes
        std::size_t writes = 0;
        std::int64_t mtime = 0;
        std::int64_t ctime = 0;
        std::uint32_t links = 0;       // as st_nlink
        std::uint32_t device = 0;      // as st_dev
        std::uint32_t pins = 0;        // handles, mounts and removed but open directories below it
        std::uint32_t covers = 0;      // mounts on this directory
        Id parent = 0;                 // of a directory, kept when it is removed, as a dentry does
        std::string name;              // likewise
        std::string target;            // of a symlink
        std::uint32_t last_entry = 0;  // of a directory: the number of the entry made last
        std::map<std::string, Entry, std::less<>> entries;
    };

    // A record that is not queued yet; without a mask, the end of the inode's watches.
    struct Held {
        Id watched = 0;
        std::uint32_t mask = 0;
        std::string name = {};
        std::uint32_t cookie = 0;
        bool unlinked = false;
    };

    struct Mount {
        std::size_t parent = 0;
        Id covered = 0;
        Id root = 0;
        std::size_t handles = 0;
        bool live = true;
    };

    struct Handle {
        std::size_t mount = 0;
        Id inode = 0;                  // 0: closed
        bool path = false;             // O_PATH: no use of what is open
        std::uint32_t last_entry = 0;  // the directory's, at open(2) or the last rewind
        Id directory = 0;              // of a file: where the entry is that it was opened by
        std::string name = {};         // likewise; empty once that entry is gone
        std::string listed_to = {};    // the name that was listed last
    };

    // What belongs to the processes of one world and not to a copy of it.
    struct Attached {
        Attached() = default;
        Attached(const Attached&) {}
        Attached& operator=(const Attached&) { return *this; }
        ~Attached() = default;
        std::vector<Instance*> instances;
        std::vector<Handle> handles;
    };

    // Where a path leads: `inode` is 0 if only `directory` exists; `name` is empty for what is not
    // reached by an entry ("/", "." and "..").
    struct Place {
        std::size_t mount = 0;
        Id directory = 0;
        Id inode = 0;
        std::string name;
    };

    enum class Last : std::uint8_t { follow, keep, entry };  // entry: do not enter a mount either

    int walk(const Place& start, std::string_view path, Last last, Place& place) const;
    int walk_on(const Place& start, std::string_view path, Last last, Place& place,
                int& links) const;
    int find(std::string_view path, Last last, Place& place) const;
    int find_new(std::string_view path, Place& place) const;
    int find_old(std::string_view path, Place& place) const;
    void enter_mounts(std::size_t& mount, Id& directory) const;
    [[nodiscard]] bool is_dir(Id id) const;
    [[nodiscard]] bool contains(Id ancestor, Id directory) const;
    [[nodiscard]] Place place_of(const Handle& handle) const;
    [[nodiscard]] std::string path_of(Place place) const;

    Id add_inode(inotify::detail::FileType type, std::uint32_t device);
    void touch(Id inode) { inodes_[inode].ctime = file_time; }
    void attach(Id inode, Id directory, const std::string& name);
    void detach(Id inode, Id directory, const std::string& name);
    int move(std::string_view from, std::string_view to, bool exchanging);
    void send_move(const Place& from, const Place& to, Id replaced);
    int set_denied(std::string_view path, bool denied);
    void add_mount(const Place& target, Id root);

    bool is_held();
    void unlock(Id directory);
    void send(Id watched, std::uint32_t mask, std::string_view name = {}, std::uint32_t cookie = 0,
              bool unlinked = false);
    void send_name(Id directory, std::uint32_t mask, const std::string& name, Id inode,
                   std::uint32_t cookie = 0);
    void send_self(Id inode, std::uint32_t mask);
    void send_use(const Place& place, std::uint32_t mask);
    void send_deleted(Id inode);
    void forget(Id inode);
    void unpin(Id directory);

    int open_handle(const Place& place, bool path = false);
    void close_handle(Handle& handle);
    void move_handles(const Place& from, const Place& to);

    std::vector<Inode> inodes_;
    std::vector<Mount> mounts_;
    std::uint32_t last_device_ = 0;
    std::uint32_t last_cookie_ = 0;
    std::optional<std::size_t> held_from_;  // so many records are still to be queued at once
    std::vector<Held> held_;
    std::vector<Id> locked_;  // by a rename whose records are held
    Attached attached_;
};

}  // namespace sim
