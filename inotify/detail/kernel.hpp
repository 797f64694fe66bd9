// SPDX-License-Identifier: MIT
// The seam: every system call that the library makes, so that tests can put another kernel here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace inotify::detail {

/// `other`: a FIFO, a socket or a device.
enum class FileType : std::uint8_t { unknown, directory, regular, symlink, other };

struct DirectoryEntry {
    std::string name;
    FileType type = FileType::unknown;
};

struct Stat {
    FileType type = FileType::unknown;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool leaf = false;  // a directory that certainly has no subdirectory, by its link count
    std::uint64_t size = 0;
    std::int64_t mtime = 0;  // nanoseconds since 1970
    std::int64_t ctime = 0;
};

/// The calls that look at directories. Each thread that makes them has an object of its own.
///
/// Calls that can fail return what the system call returns, or −errno.
class DirectoryCalls {
public:
    static constexpr int no_directory = -100;  // AT_FDCWD: relative to the working directory

    DirectoryCalls() = default;
    DirectoryCalls(const DirectoryCalls&) = delete;
    DirectoryCalls& operator=(const DirectoryCalls&) = delete;
    virtual ~DirectoryCalls() = default;

    /// inotify_add_watch(2): a watch descriptor.
    virtual int add_watch(const std::string& path, std::uint32_t mask) = 0;

    /// inotify_add_watch(2) on what is open as `directory`, whatever its path has come to mean;
    /// without /proc, on `path`.
    virtual int add_watch(int directory, const std::string& path, std::uint32_t mask) = 0;

    /// openat(2), O_DIRECTORY: a descriptor to list and to watch. A `path` of any length.
    virtual int open_directory(int parent, const std::string& path, bool follow_symlink) = 0;

    /// close(2).
    virtual void close_directory(int directory) noexcept = 0;

    /// fchdir(2), where the thread has a working directory of its own: true when relative paths
    /// lead from `directory` on.
    virtual bool enter(int directory) {
        static_cast<void>(directory);
        return false;
    }

    /// chdir(2) to "/": a directory in which a thread remains cannot be unmounted, and its end is
    /// not reported when it is removed.
    virtual void leave() noexcept {}

    /// lseek(2) to the beginning, then getdents64(2): replaces `entries` by all but "." and "..".
    /// btrfs shows only what was there when the directory was opened or last rewound, so without
    /// the rewind an entry made between opening and watching would be in neither the listing nor
    /// the records.
    virtual int list(int directory, std::vector<DirectoryEntry>& entries) = 0;

    /// One getdents64(2), which waits for the system calls that are changing the directory's
    /// entries. There is nothing to list behind it.
    virtual void await_changes(int directory) = 0;

    /// The first part of list(): most directories are listed by one getdents64(2).
    virtual int list_first(int directory, std::vector<DirectoryEntry>& entries) {
        return list(directory, entries);
    }

    /// The other part: appends what is left. The getdents64(2) that finds the end serves as
    /// await_changes().
    virtual int list_rest(int directory, std::vector<DirectoryEntry>& entries) {
        static_cast<void>(entries);
        await_changes(directory);
        return 0;
    }

    /// fstatat(2) of the entry `name`, or of a path without an open directory; of the directory
    /// itself when `name` is empty.
    virtual int stat(int directory, const std::string& name, bool follow_symlink, Stat& stat) = 0;
};

/// A directory that is open, or what open_path() opens, or −errno; it is closed at the end.
class OpenDirectory {
public:
    OpenDirectory(DirectoryCalls& calls, int descriptor) noexcept
        : calls_(&calls), descriptor_(descriptor) {}
    OpenDirectory(OpenDirectory&& other) noexcept
        : calls_(other.calls_), descriptor_(std::exchange(other.descriptor_, -1)) {}
    /// Closes what it had at the end of `other`.
    OpenDirectory& operator=(OpenDirectory&& other) noexcept {
        std::swap(calls_, other.calls_);
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~OpenDirectory() { close(); }

    void close() noexcept {
        if (descriptor_ >= 0)
            calls_->close_directory(std::exchange(descriptor_, -1));
    }

    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] int error() const noexcept { return -descriptor_; }

private:
    DirectoryCalls* calls_;
    int descriptor_;
};

/// Threads that look at directories together.
class Workers {
public:
    using Work = std::function<void(DirectoryCalls&)>;

    Workers() = default;
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    /// Ends the threads.
    virtual ~Workers() = default;

    /// Calls `work` on each thread at the same time, on the caller's once `meanwhile` has returned,
    /// and returns when all have returned. Throws what one of them has thrown.
    virtual void run(const Work& work, const std::function<void()>& meanwhile) = 0;
};

/// One inotify instance and the directory calls beside it.
class Kernel : public DirectoryCalls {
public:
    using DirectoryCalls::add_watch;

    /// inotify_rm_watch(2).
    virtual int remove_watch(int wd) = 0;

    /// Whether a descriptor is that of a watch still, as /proc says; true where that is not known.
    [[nodiscard]] virtual bool is_watched(int) { return true; }

    /// read(2) of records: the number of bytes; −EAGAIN when the queue is empty.
    virtual std::ptrdiff_t read(std::span<std::byte> buffer) = 0;

    /// epoll_wait(2) for records or for wake(): 0 after `timeout`; a negative one waits with no
    /// limit. Takes the wake() back.
    virtual int wait(std::chrono::milliseconds timeout) = 0;

    /// Ends the running or the next wait(); async-signal-safe, from any thread.
    virtual void wake() noexcept = 0;

    /// Takes back a wake() that no wait() has seen.
    virtual void clear_wake() noexcept = 0;

    /// A descriptor that polls readable when wait() would return at once.
    [[nodiscard]] virtual int descriptor() const noexcept = 0;

    /// openat(2), O_PATH and O_NOFOLLOW: a descriptor of whatever `path` leads to, a symbolic link
    /// too, to be watched and asked about. It is no use of it, so it sends no event.
    virtual int open_path(int parent, const std::string& path) = 0;

    /// readlinkat(2) of an open symbolic link.
    virtual int read_link(int link, std::string& target) = 0;

    /// realpath(3): `result` is the absolute path that `path` leads to, without symbolic links.
    virtual int resolve(const std::string& path, std::string& result) = 0;

    /// Starts up to `others` threads beside the caller's; null when there can be none.
    virtual std::unique_ptr<Workers> make_workers(unsigned others) {
        static_cast<void>(others);
        return nullptr;
    }

    /// The time, for what is tried again later.
    virtual std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }

    /// The time that a file which is changed now bears, before file systems cut it:
    /// clock_gettime(2) of CLOCK_REALTIME_COARSE, in nanoseconds since 1970.
    virtual std::int64_t file_time();

    /// The value of a limit, for messages: a sysctl by its name, or RLIMIT_NOFILE; −errno if it
    /// cannot be read.
    virtual long limit(const std::string& name) = 0;
};

/// The real Kernel::limit(), for messages that outlive the kernel they are about. Thread-safe.
long read_limit(const std::string& name);

/// The real one. Throws std::system_error when the instance cannot be made (EMFILE, ENFILE,
/// ENOMEM).
std::unique_ptr<Kernel> make_linux_kernel();

}  // namespace inotify::detail
