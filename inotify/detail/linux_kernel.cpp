// SPDX-License-Identifier: MIT
// The real kernel: the only file that makes system calls on what is watched.
#include <inotify/detail/error.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/scan_pool.hpp>

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string_view>
#include <utility>

namespace inotify::detail {
namespace {

class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_ = -1;
};

struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
};

// Times out of range wrap around; two are compared, and most often for equality alone.
std::int64_t nanoseconds(const timespec& time) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
                                     static_cast<std::uint64_t>(time.tv_nsec));
}

int result_of(int value) noexcept { return value < 0 ? -errno : value; }

// `struct linux_dirent64` of getdents64(2), whose C library name differs from one to another.
struct DirentHeader {
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t length;
    std::uint8_t type;
};
constexpr std::size_t dirent_name = offsetof(DirentHeader, type) + 1;

FileType type_of_dirent(std::uint8_t type) noexcept {
    constexpr std::uint8_t unknown = 0, directory = 4, regular = 8, symlink = 10;  // DT_*
    switch (type) {
    case unknown: return FileType::unknown;
    case directory: return FileType::directory;
    case regular: return FileType::regular;
    case symlink: return FileType::symlink;
    default: return FileType::other;
    }
}

FileType type_of_mode(mode_t mode) noexcept {
    switch (mode & S_IFMT) {
    case S_IFDIR: return FileType::directory;
    case S_IFREG: return FileType::regular;
    case S_IFLNK: return FileType::symlink;
    default: return FileType::other;
    }
}

// The directory calls of one thread.
template <typename Calls>
class LinuxDirectories : public Calls {
public:
    int add_watch(const std::string& path, std::uint32_t mask) override {
        return result_of(::inotify_add_watch(inotify_, path.c_str(), mask));
    }

    int add_watch(int directory, const std::string& path, std::uint32_t mask) override {
        std::array<char, 32> link;
        std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", directory);
        // The link is one that has to be followed.
        int wd = ::inotify_add_watch(inotify_, link.data(),
                                     mask & ~static_cast<std::uint32_t>(IN_DONT_FOLLOW));
        if (wd < 0 && errno == ENOENT && ::access("/proc/self/fd", F_OK) != 0)
            return add_watch(path, mask);
        return result_of(wd);
    }

    int open_directory(int parent, const std::string& path, bool follow_symlink) override {
        const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow_symlink ? 0 : O_NOFOLLOW);
        if (path.size() < PATH_MAX)
            return result_of(::openat(parent, path.c_str(), flags));
        // Longer than the kernel takes in one piece: walk down in pieces that it does take.
        Descriptor here;
        int from = parent;
        std::string_view rest = path;
        while (rest.size() >= PATH_MAX) {
            const std::size_t slash = rest.rfind('/', PATH_MAX - 2);
            if (slash == std::string_view::npos || slash == 0)
                return -ENAMETOOLONG;
            const std::string piece(rest.substr(0, slash));
            rest.remove_prefix(std::min(rest.find_first_not_of('/', slash), rest.size()));
            Descriptor next(::openat(from, piece.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
            if (next.get() < 0)
                return -errno;
            here = std::move(next);
            from = here.get();
        }
        return result_of(::openat(from, std::string(rest).c_str(), flags));
    }

    void close_directory(int directory) noexcept override { ::close(directory); }

    int list(int directory, std::vector<DirectoryEntry>& entries) override {
        const int error = list_first(directory, entries);
        return error < 0 ? error : list_rest(directory, entries);
    }

    int list_first(int directory, std::vector<DirectoryEntry>& entries) override {
        entries.clear();
        return ::lseek(directory, 0, SEEK_SET) < 0 ? -errno
                                                   : std::min(append(directory, entries), 0);
    }

    int list_rest(int directory, std::vector<DirectoryEntry>& entries) override {
        int result;
        do
            result = append(directory, entries);
        while (result > 0);
        return result;
    }

    // Even when nothing fits into the buffer the directory's lock is taken first. At the end there
    // is no listing to make: on ext4 a walk of 316 directories in each took a seventh less.
    void await_changes(int directory) override {
        std::array<char, 32> entries;
        ::lseek(directory, 0, SEEK_END);
        ::syscall(SYS_getdents64, directory, entries.data(), entries.size());
    }

    int stat(int directory, const std::string& name, bool follow_symlink, Stat& result) override {
        struct stat status;
        const int flags = name.empty() ? AT_EMPTY_PATH : (follow_symlink ? 0 : AT_SYMLINK_NOFOLLOW);
        if (::fstatat(directory, name.c_str(), &status, flags) < 0)
            return -errno;
        result.type = type_of_mode(status.st_mode);
        result.device = status.st_dev;
        result.inode = status.st_ino;
        result.size = static_cast<std::uint64_t>(status.st_size);
        result.mtime = nanoseconds(status.st_mtim);
        result.ctime = nanoseconds(status.st_ctim);
        result.leaf = result.type == FileType::directory && status.st_nlink == 2 &&
                      counts_subdirectories(directory, status.st_dev);
        return 0;
    }

protected:
    // The number of a device may be another file system's after a while.
    void forget_device() noexcept { known_device_ = 0; }

    int inotify_ = -1;

private:
    // Appends what one getdents64(2) finds: 0 at the end.
    int append(int directory, std::vector<DirectoryEntry>& entries) {
        const auto size = static_cast<int>(
            ::syscall(SYS_getdents64, directory, listing_.data(), listing_.size()));
        if (size < 0)
            return -errno;
        for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
            DirentHeader header;
            std::memcpy(&header, listing_.data() + at, dirent_name);
            const char* name = listing_.data() + at + dirent_name;
            if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0)
                entries.push_back({name, type_of_dirent(header.type)});
            at += header.length;
        }
        return size;
    }

    // On these file systems the link count of a directory is 2 plus its subdirectories. Others
    // (btrfs, overlayfs) always say 1 or keep no such promise.
    bool counts_subdirectories(int directory, dev_t device) {
        if (device == known_device_)
            return known_counts_;
        struct stat status;
        if (::fstat(directory, &status) < 0 || status.st_dev != device)
            return false;  // a mount point: its own file system was not asked
        struct statfs file_system;
        if (::fstatfs(directory, &file_system) < 0)
            return false;
        constexpr long xfs = 0x58465342;  // XFS_SUPER_MAGIC, which linux/magic.h got only in 5.6
        const auto type = static_cast<long>(file_system.f_type);
        known_device_ = device;
        known_counts_ = type == EXT4_SUPER_MAGIC || type == xfs || type == TMPFS_MAGIC;
        return known_counts_;
    }

    dev_t known_device_ = 0;
    bool known_counts_ = false;
    std::array<char, 32768> listing_;
};

// The calls of a thread that the library has made, which is the one that constructs them. Names
// relative to a working directory spare the kernel the walk down from "/"; where the system refuses
// the thread one of its own, paths do.
class LinuxWorker final : public LinuxDirectories<DirectoryCalls> {
public:
    explicit LinuxWorker(int inotify) noexcept : has_own_directory_(::unshare(CLONE_FS) == 0) {
        inotify_ = inotify;
    }

    bool enter(int directory) override { return has_own_directory_ && ::fchdir(directory) == 0; }
    void leave() noexcept override {
        // Where it fails, the worker stays in a directory that exists, as far as it is concerned.
        if (has_own_directory_ && ::chdir("/") != 0)
            return;
    }

private:
    const bool has_own_directory_;
};

class LinuxKernel final : public LinuxDirectories<Kernel> {
public:
    LinuxKernel()
        : instance_(checked(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1")),
          wake_(checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
          epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
        inotify_ = instance_.get();
        for (int fd : {instance_.get(), wake_.get()}) {
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.fd = fd;
            checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
        }
    }

    int remove_watch(int wd) override { return result_of(::inotify_rm_watch(inotify_, wd)); }

    [[nodiscard]] bool is_watched(int wd) override {
        std::FILE* file =
            std::fopen(("/proc/self/fdinfo/" + std::to_string(inotify_)).c_str(), "re");
        if (file == nullptr)
            return true;
        std::array<char, 512> line;
        bool found = false;
        for (unsigned number = 0; !found && std::fgets(line.data(), line.size(), file) != nullptr;)
            found = std::sscanf(line.data(), "inotify wd:%x", &number) == 1 &&
                    number == static_cast<unsigned>(wd);
        std::fclose(file);
        return found;
    }

    int open_path(int parent, const std::string& path) override {
        return result_of(::openat(parent, path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    }

    int read_link(int link, std::string& target) override {
        std::array<char, PATH_MAX> text;
        const ssize_t size = ::readlinkat(link, "", text.data(), text.size());
        if (size < 0)
            return -errno;
        target.assign(text.data(), static_cast<std::size_t>(size));
        return 0;
    }

    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        const ssize_t size = ::read(instance_.get(), buffer.data(), buffer.size());
        return size < 0 ? -errno : size;
    }

    int wait(std::chrono::milliseconds timeout) override {
        forget_device();
        std::array<epoll_event, 2> events;
        const auto limit =
            timeout.count() < 0 ? -1 : std::min<std::int64_t>(timeout.count(), INT_MAX);
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                       static_cast<int>(limit));
        const int result = result_of(count);
        for (int i = 0; i < count; ++i)
            if (events[static_cast<std::size_t>(i)].data.fd == wake_.get())
                clear_wake();
        return result;
    }

    void wake() noexcept override {
        const int saved = errno;  // a signal handler must not disturb the interrupted call's errno
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
        errno = saved;
    }

    void clear_wake() noexcept override {
        std::uint64_t count;
        [[maybe_unused]] const ssize_t size = ::read(wake_.get(), &count, sizeof count);
    }

    [[nodiscard]] int descriptor() const noexcept override { return epoll_.get(); }

    int resolve(const std::string& path, std::string& result) override {
        char* const resolved = ::realpath(path.c_str(), nullptr);
        if (resolved == nullptr)
            return -errno;
        const std::unique_ptr<char, Free> owner(resolved);
        result = resolved;
        return 0;
    }

    std::unique_ptr<Workers> make_workers(unsigned others) override {
        auto pool = std::make_unique<ScanPool>(
            *this, others, [inotify = inotify_] { return std::make_unique<LinuxWorker>(inotify); });
        if (pool->size() == 0)
            return nullptr;
        return pool;
    }

    long limit(const std::string& name) override { return read_limit(name); }

private:
    int checked(int result, const char* call) {
        if (result < 0)
            throw_error(this, errno, call);
        return result;
    }

    Descriptor instance_;
    Descriptor wake_;
    Descriptor epoll_;
};

}  // namespace

std::int64_t Kernel::file_time() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return nanoseconds(time);
}

long read_limit(const std::string& name) {
    if (name == "RLIMIT_NOFILE") {
        rlimit limit;
        return ::getrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : static_cast<long>(limit.rlim_cur);
    }
    std::string path = "/proc/sys/" + name;
    std::replace(path.begin(), path.end(), '.', '/');
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr)
        return -errno;
    long value = -EINVAL;
    if (std::fscanf(file, "%ld", &value) != 1)
        value = -EINVAL;
    std::fclose(file);
    return value;
}

std::unique_ptr<Kernel> make_linux_kernel() { return std::make_unique<LinuxKernel>(); }

}  // namespace inotify::detail
