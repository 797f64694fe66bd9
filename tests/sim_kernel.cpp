// SPDX-License-Identifier: MIT
// A simulated kernel behind the seam: an in-memory file system, and inotify as Linux really is.
#include "sim_kernel.hpp"

#include "turns.hpp"

#include <sys/inotify.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace sim {
namespace {

using inotify::detail::DirectoryEntry;
using inotify::detail::FileType;
using inotify::detail::Kernel;
using inotify::detail::Stat;

constexpr Id root_inode = 1;
constexpr int first_handle = 3;
constexpr int most_links = 40;  // MAXSYMLINKS
constexpr std::uint32_t control_flags = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK |
                                        IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT;
constexpr std::uint32_t sent_flags = IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;

}  // namespace

class World::Instance final : public Kernel {
public:
    explicit Instance(World& world) : world_(world), watches_(1) {
        world_.attached_.instances.push_back(this);
    }

    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    ~Instance() override { std::erase(world_.attached_.instances, this); }

    int add_watch(const std::string& path, std::uint32_t mask) override {
        Place root;
        root.inode = root_inode;
        return add_watch_from(root, path, mask);
    }

    int add_watch_from(const Place& start, const std::string& path, std::uint32_t mask) {
        if (const int fault = begin("add_watch"); fault < 0)
            return fault;
        if (!valid(mask))
            return -EINVAL;
        if (path.size() >= PATH_MAX)
            return -ENAMETOOLONG;
        Place place;
        const Last last = (mask & IN_DONT_FOLLOW) != 0 ? Last::keep : Last::follow;
        if (const int error = world_.walk(start, path, last, place); error < 0)
            return error;
        return watch(place.inode, mask);
    }

    std::unique_ptr<inotify::detail::Workers> make_workers(unsigned others) override;

    int add_watch(int directory, const std::string&, std::uint32_t mask) override {
        if (const int fault = begin("add_watch"); fault < 0)
            return fault;
        if (!valid(mask))
            return -EINVAL;
        const Handle* handle = find_handle(directory);
        return handle == nullptr ? -EBADF : watch(handle->inode, mask);
    }

    [[nodiscard]] bool is_watched(int wd) override {
        return wd > 0 && index(wd) < watches_.size() && watches_[index(wd)].inode != 0;
    }

    int remove_watch(int wd) override {
        if (const int fault = begin("remove_watch"); fault < 0)
            return fault;
        if (wd <= 0 || index(wd) >= watches_.size() || watches_[index(wd)].inode == 0)
            return -EINVAL;
        ignore(wd);
        return 0;
    }

    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        if (const int fault = begin("read"); fault < 0)
            return fault;
        if (records_ == 0)
            return -EAGAIN;
        std::size_t end = head_;
        while (records_ > 0) {
            const inotify_event header = header_at(end);
            const std::size_t size = sizeof header + header.len;
            if (end + size - head_ > buffer.size())
                break;
            end += size;
            --records_;
            if (header.wd == -1)
                overflowed_ = false;
        }
        const std::size_t size = end - head_;
        if (size == 0)
            return -EINVAL;
        std::memcpy(buffer.data(), queue_.data() + head_, size);
        head_ = end;
        if (records_ == 0) {
            queue_.clear();
            head_ = 0;
        }
        return static_cast<std::ptrdiff_t>(size);
    }

    std::chrono::steady_clock::time_point now() override {
        return std::chrono::steady_clock::time_point(world_.time);
    }

    std::int64_t file_time() override {
        begin("file_time");
        return world_.file_time;
    }

    int wait(std::chrono::milliseconds) override {
        if (const int fault = begin("wait"); fault < 0)
            return fault;
        return static_cast<int>(woken_.exchange(false) || records_ > 0);
    }

    void wake() noexcept override { woken_ = true; }
    void clear_wake() noexcept override { woken_ = false; }
    [[nodiscard]] int descriptor() const noexcept override { return -1; }

    int open_directory(int parent, const std::string& path, bool follow_symlink) override {
        if (const int fault = begin("open_directory"); fault < 0)
            return fault;
        Place start;
        start.inode = root_inode;
        if (parent != no_directory && (path.empty() || path[0] != '/')) {
            const Handle* handle = find_handle(parent);
            if (handle == nullptr)
                return -EBADF;
            start = world_.place_of(*handle);
        }
        Place place;
        const Last last = follow_symlink ? Last::follow : Last::keep;
        if (const int error = world_.walk(start, path, last, place); error < 0)
            return error;
        if (place.inode == 0)
            return -ENOENT;
        if (!world_.is_dir(place.inode))
            return -ENOTDIR;
        if (world_.inodes_[place.inode].denied)
            return -EACCES;
        const int directory = world_.open_handle(place);
        world_.send_use(place, IN_OPEN);
        return directory;
    }

    int open_path(int parent, const std::string& path) override {
        if (const int fault = begin("open_path"); fault < 0)
            return fault;
        Place start;
        start.inode = root_inode;
        if (parent != no_directory && (path.empty() || path[0] != '/')) {
            const Handle* handle = find_handle(parent);
            if (handle == nullptr)
                return -EBADF;
            start = world_.place_of(*handle);
        }
        Place place;
        if (const int error = world_.walk(start, path, Last::keep, place); error < 0)
            return error;
        return place.inode == 0 ? -ENOENT : world_.open_handle(place, true);
    }

    int read_link(int link, std::string& target) override {
        if (const int fault = begin("read_link"); fault < 0)
            return fault;
        const Handle* handle = find_handle(link);
        if (handle == nullptr)
            return -EBADF;
        if (world_.inodes_[handle->inode].type != FileType::symlink)
            return -ENOENT;  // as readlinkat(2) has it for an empty path
        target = world_.inodes_[handle->inode].target;
        return 0;
    }

    void close_directory(int directory) noexcept override {
        begin("close_directory");
        if (Handle* handle = find_handle(directory); handle != nullptr) {
            if (!handle->path)
                world_.send_use(world_.place_of(*handle), IN_CLOSE_NOWRITE);
            world_.close_handle(*handle);
        }
    }

    int list(int directory, std::vector<DirectoryEntry>& entries) override {
        const int error = list(directory, entries, SIZE_MAX);
        if (error == 0)  // the getdents64 that finds the end
            world_.send_use(world_.place_of(*find_handle(directory)), IN_ACCESS);
        return error;
    }

    int list_first(int directory, std::vector<DirectoryEntry>& entries) override {
        return list(directory, entries, world_.listed_at_once);
    }

    int list_rest(int directory, std::vector<DirectoryEntry>& entries) override {
        if (const int fault = begin("list_rest"); fault < 0)
            return fault;
        return append(directory, entries, SIZE_MAX);
    }

    void await_changes(int directory) override {
        begin("await_changes");
        const Handle* handle = find_handle(directory);
        if (handle == nullptr)
            return;
        world_.unlock(handle->inode);
        if (!world_.inodes_[handle->inode].removed)
            world_.send_use(world_.place_of(*handle), IN_ACCESS);
    }

    int stat(int directory, const std::string& name, bool follow_symlink, Stat& result) override {
        if (const int fault = begin("stat"); fault < 0)
            return fault;
        Place start;
        start.inode = root_inode;
        if (directory != no_directory) {
            const Handle* handle = find_handle(directory);
            if (handle == nullptr)
                return -EBADF;
            start = world_.place_of(*handle);
        }
        Id id = start.inode;
        if (!name.empty()) {
            Place place;
            const Last last = follow_symlink ? Last::follow : Last::keep;
            const int error = world_.walk(start, name, last, place);
            if (error < 0 || place.inode == 0)
                return error < 0 ? error : -ENOENT;
            id = place.inode;
        }
        const Inode& inode = world_.inodes_[id];
        result.type = inode.type;
        result.device = inode.device;
        result.inode = id;
        result.size = inode.empty ? 0 : 1;
        result.mtime = inode.mtime;
        result.ctime = inode.ctime;
        result.leaf = inode.type == FileType::directory && inode.links == 2 &&
                      world_.counts_subdirectories &&
                      inode.device == world_.inodes_[start.inode].device;
        return 0;
    }

    int resolve(const std::string& path, std::string& result) override {
        if (const int fault = begin("resolve"); fault < 0)
            return fault;
        Place place;
        if (const int error = world_.find(path, Last::follow, place); error < 0)
            return error;
        result = world_.path_of(place);
        return 0;
    }

    long limit(const std::string& name) override {
        if (name == "fs.inotify.max_user_watches")
            return static_cast<long>(world_.max_user_watches);
        if (name == "fs.inotify.max_queued_events")
            return static_cast<long>(world_.max_queued_events);
        return -ENOENT;
    }

    void notify(Id inode, std::uint32_t mask, std::string_view name, std::uint32_t cookie,
                bool unlinked) {
        const int wd = descriptor_of(inode);
        if (wd == 0)
            return;
        const Watch watch = watches_[index(wd)];
        if ((mask & (watch.mask | IN_UNMOUNT) & (IN_ALL_EVENTS | IN_UNMOUNT)) == 0)
            return;
        if (unlinked && (watch.mask & IN_EXCL_UNLINK) != 0)
            return;
        // These two never had the bit, and keep it so.
        if ((mask & (IN_MOVE_SELF | IN_DELETE_SELF)) != 0)
            mask &= ~static_cast<std::uint32_t>(IN_ISDIR);
        push(wd, mask, cookie, name);
        if ((watch.mask & IN_ONESHOT) != 0)
            ignore(wd);
    }

    void forget(Id inode) {
        if (const int wd = descriptor_of(inode); wd != 0)
            ignore(wd);
    }

    [[nodiscard]] std::map<int, Id> watches() const {
        std::map<int, Id> result;
        for (std::size_t wd = 1; wd < watches_.size(); ++wd)
            if (watches_[wd].inode != 0)
                result.emplace_hint(result.end(), static_cast<int>(wd), watches_[wd].inode);
        return result;
    }

    [[nodiscard]] int descriptor_of(Id inode) const {
        return inode < descriptors_.size() ? descriptors_[inode] : 0;
    }

    [[nodiscard]] std::size_t records() const { return records_; }

private:
    class Worker;
    class Crew;

    int list(int directory, std::vector<DirectoryEntry>& entries, std::size_t most) {
        entries.clear();
        if (world_.lists_as_of_rewind)
            if (const int fault = rewind(directory); fault < 0)
                return fault;
        if (const int fault = begin("list"); fault < 0)
            return fault;
        if (Handle* const handle = find_handle(directory); handle != nullptr)
            handle->listed_to.clear();
        return append(directory, entries, most);
    }

    // What one getdents64 finds, in the order of the names.
    int append(int directory, std::vector<DirectoryEntry>& entries, std::size_t most) {
        Handle* handle = find_handle(directory);
        if (handle == nullptr || handle->path)
            return -EBADF;
        const Inode& inode = world_.inodes_[handle->inode];
        world_.unlock(handle->inode);
        if (inode.removed)
            return -ENOENT;
        for (auto it = inode.entries.upper_bound(handle->listed_to);
             it != inode.entries.end() && entries.size() < most; ++it) {
            const auto& [name, entry] = *it;
            if (world_.lists_as_of_rewind && entry.number > handle->last_entry)
                continue;
            const FileType type = world_.inodes_[entry.inode].type;
            entries.push_back({name, world_.unknown_types ? FileType::unknown : type});
            handle->listed_to = name;
        }
        world_.send_use(world_.place_of(*handle), IN_ACCESS);
        return 0;
    }

    struct Watch {
        Id inode = 0;  // 0: no longer watched
        std::uint32_t mask = 0;
    };

    static std::size_t index(int value) { return static_cast<std::size_t>(value); }

    static bool valid(std::uint32_t mask) {
        const std::uint32_t all = IN_ALL_EVENTS | sent_flags | control_flags;
        const std::uint32_t both = IN_MASK_ADD | IN_MASK_CREATE;
        return (mask & all) != 0 && (mask & ~all) == 0 && (mask & both) != both;
    }

    int begin(std::string_view call) const {
        if (turns_ != nullptr)
            turns_->pass();
        return world_.before_call ? std::min(world_.before_call(call), 0) : 0;
    }

    [[nodiscard]] Handle* find_handle(int directory) const {
        auto& handles = world_.attached_.handles;
        const int at = directory - first_handle;
        if (at < 0 || index(at) >= handles.size() || handles[index(at)].inode == 0)
            return nullptr;
        return &handles[index(at)];
    }

    // It does not wait for the system calls that are changing the directory.
    int rewind(int directory) {
        if (const int fault = begin("rewind"); fault < 0)
            return fault;
        Handle* handle = find_handle(directory);
        if (handle == nullptr || handle->path)
            return -EBADF;
        handle->last_entry = world_.inodes_[handle->inode].last_entry;
        return 0;
    }

    int watch(Id id, std::uint32_t mask) {
        if (id == 0)
            return -ENOENT;
        if ((mask & IN_ONLYDIR) != 0 && !world_.is_dir(id))
            return -ENOTDIR;
        if (world_.inodes_[id].denied)
            return -EACCES;
        const std::uint32_t kept = mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT);
        if (const int wd = descriptor_of(id); wd != 0) {
            if ((mask & IN_MASK_CREATE) != 0)
                return -EEXIST;
            std::uint32_t& held = watches_[index(wd)].mask;
            world_.replaced_masks += (mask & IN_MASK_ADD) == 0 ? 1 : 0;
            held = (mask & IN_MASK_ADD) != 0 ? held | kept : kept;
            return wd;
        }
        // The kernel takes a descriptor first and then sees that the limit is reached.
        watches_.push_back({});
        std::size_t count = 0;
        for (const Instance* instance : world_.attached_.instances)
            count += instance->count_;
        if (count >= world_.max_user_watches)
            return -ENOSPC;
        watches_.back() = {id, kept};
        ++count_;
        if (descriptors_.size() <= id)
            descriptors_.resize(world_.inodes_.size());
        return descriptors_[id] = static_cast<int>(watches_.size() - 1);
    }

    void ignore(int wd) {
        Watch& watch = watches_[index(wd)];
        descriptors_[watch.inode] = 0;
        watch.inode = 0;
        --count_;
        push(wd, IN_IGNORED, 0, {});
    }

    [[nodiscard]] inotify_event header_at(std::size_t offset) const {
        inotify_event header;
        std::memcpy(&header, queue_.data() + offset, sizeof header);
        return header;
    }

    void push(int wd, std::uint32_t mask, std::uint32_t cookie, std::string_view name) {
        if (records_ >= world_.max_queued_events) {
            if (!overflowed_)
                append(-1, IN_Q_OVERFLOW, 0, {});
            overflowed_ = true;
            return;
        }
        if (!same_as_last(wd, mask, name))
            append(wd, mask, cookie, name);
    }

    // The cookie is not compared, and IN_IGNORED never merges.
    [[nodiscard]] bool same_as_last(int wd, std::uint32_t mask, std::string_view name) const {
        if (records_ == 0 || ((mask & IN_MOVE) != 0 && !world_.merges_moves))
            return false;
        const inotify_event last = header_at(last_);
        const auto* text =
            reinterpret_cast<const char*>(queue_.data() + last_ + sizeof(inotify_event));
        return last.wd == wd && last.mask == mask && (mask & IN_IGNORED) == 0 &&
               std::string_view(text, ::strnlen(text, last.len)) == name;
    }

    void append(int wd, std::uint32_t mask, std::uint32_t cookie, std::string_view name) {
        constexpr std::size_t unit = sizeof(inotify_event);
        inotify_event header{};
        header.wd = wd;
        header.mask = mask;
        header.cookie = cookie;
        header.len =
            name.empty() ? 0 : static_cast<std::uint32_t>((name.size() + unit) / unit * unit);
        last_ = queue_.size();
        queue_.resize(last_ + unit + header.len);
        std::memcpy(queue_.data() + last_, &header, unit);
        std::copy_n(reinterpret_cast<const std::byte*>(name.data()), name.size(),
                    queue_.begin() + static_cast<std::ptrdiff_t>(last_ + unit));
        ++records_;
    }

    World& world_;
    std::vector<Watch> watches_;    // by descriptor
    std::vector<int> descriptors_;  // by inode
    std::size_t count_ = 0;         // of the watches that live
    std::vector<std::byte> queue_;  // from head_ on
    std::size_t head_ = 0;
    std::size_t last_ = 0;  // where the last record begins
    std::size_t records_ = 0;
    bool overflowed_ = false;  // the overflow record is queued
    std::atomic<bool> woken_ = false;
    Turns* turns_ = nullptr;  // while workers are at work
};

// The calls of a thread beside the caller's. Its working directory is held as an open one is.
class World::Instance::Worker final : public inotify::detail::DirectoryCalls {
public:
    explicit Worker(Instance& kernel) : kernel_(kernel) {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() override { Worker::leave(); }

    int add_watch(const std::string& path, std::uint32_t mask) override {
        if (const Handle* here = kernel_.find_handle(inside_); here != nullptr && path[0] != '/')
            return kernel_.add_watch_from(kernel_.world_.place_of(*here), path, mask);
        return kernel_.add_watch(path, mask);
    }
    int add_watch(int directory, const std::string& path, std::uint32_t mask) override {
        return kernel_.add_watch(directory, path, mask);
    }
    int open_directory(int parent, const std::string& path, bool follow_symlink) override {
        return kernel_.open_directory(parent, path, follow_symlink);
    }
    void close_directory(int directory) noexcept override { kernel_.close_directory(directory); }
    bool enter(int directory) override {
        if (!kernel_.world_.workers_have_directories || kernel_.begin("enter") < 0)
            return false;
        const Handle* const handle = kernel_.find_handle(directory);
        if (handle == nullptr)
            return false;
        const Place place = kernel_.world_.place_of(*handle);
        const int entered = kernel_.world_.open_handle(place);
        leave();
        inside_ = entered;
        return true;
    }
    void leave() noexcept override {
        if (Handle* here = kernel_.find_handle(inside_); here != nullptr)
            kernel_.world_.close_handle(*here);
        inside_ = -1;
    }
    int list(int directory, std::vector<DirectoryEntry>& entries) override {
        return kernel_.list(directory, entries);
    }
    int list_first(int directory, std::vector<DirectoryEntry>& entries) override {
        return kernel_.list_first(directory, entries);
    }
    int list_rest(int directory, std::vector<DirectoryEntry>& entries) override {
        return kernel_.list_rest(directory, entries);
    }
    void await_changes(int directory) override { kernel_.await_changes(directory); }
    int stat(int directory, const std::string& name, bool follow_symlink, Stat& result) override {
        return kernel_.stat(directory, name, follow_symlink, result);
    }

private:
    Instance& kernel_;
    int inside_ = -1;
};

class World::Instance::Crew final : public inotify::detail::Workers {
public:
    Crew(Instance& kernel, unsigned others) : kernel_(kernel) {
        for (; others > 0; --others)
            workers_.push_back(std::make_unique<Worker>(kernel));
    }

    void run(const Work& work, const std::function<void()>& meanwhile) override {
        std::vector<std::function<void()>> bodies{[&] {
            meanwhile();
            work(kernel_);
        }};
        for (const auto& worker : workers_)
            bodies.emplace_back([&] { work(*worker); });
        Turns turns(kernel_.world_.choose_worker);
        kernel_.turns_ = &turns;
        try {
            turns.run(bodies);
        } catch (...) {
            kernel_.turns_ = nullptr;
            throw;
        }
        kernel_.turns_ = nullptr;
    }

private:
    Instance& kernel_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

std::unique_ptr<inotify::detail::Workers> World::Instance::make_workers(unsigned others) {
    if (!world_.choose_worker)
        return nullptr;
    return std::make_unique<Crew>(*this, others);
}

World::World() : inodes_(1), mounts_(1) {
    add_inode(FileType::directory, ++last_device_);
    inodes_[root_inode].links = 2;
    mounts_[0].root = root_inode;
}

std::unique_ptr<Kernel> World::make_kernel() { return std::make_unique<Instance>(*this); }

int World::mkdir(std::string_view path) {
    Place place;
    if (const int error = find_new(path, place); error < 0)
        return error;
    const Id id = add_inode(FileType::directory, inodes_[place.directory].device);
    attach(id, place.directory, place.name);
    send_name(place.directory, IN_CREATE, place.name, id);
    return 0;
}

int World::rmdir(std::string_view path) {
    Place place;
    if (const int error = find_old(path, place); error < 0)
        return error;
    if (!is_dir(place.inode))
        return -ENOTDIR;
    const Inode& inode = inodes_[place.inode];
    if (inode.covers > 0)
        return -EBUSY;
    if (!inode.entries.empty())
        return -ENOTEMPTY;
    detach(place.inode, place.directory, place.name);
    send_deleted(place.inode);
    send_name(place.directory, IN_DELETE, place.name, place.inode);
    return 0;
}

int World::mkfifo(std::string_view path) {
    Place place;
    if (const int error = find_new(path, place); error < 0)
        return error;
    const Id id = add_inode(FileType::other, inodes_[place.directory].device);
    attach(id, place.directory, place.name);
    send_name(place.directory, IN_CREATE, place.name, id);
    return 0;
}

int World::create(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0 && error != -ENOENT)
        return error;
    if (place.inode != 0) {
        if (is_dir(place.inode))
            return -EISDIR;
        if (inodes_[place.inode].type == FileType::other)
            return -ENXIO;  // nobody reads
    } else {
        if (place.directory == 0 || inodes_[place.directory].removed)
            return -ENOENT;
        place.inode = add_inode(FileType::regular, inodes_[place.directory].device);
        attach(place.inode, place.directory, place.name);
        send_name(place.directory, IN_CREATE, place.name, place.inode);
    }
    send_use(place, IN_OPEN);
    send_use(place, IN_CLOSE_WRITE);
    return 0;
}

int World::write(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    if (is_dir(place.inode))
        return -EISDIR;
    if (inodes_[place.inode].type == FileType::other)
        return -ENXIO;
    inodes_[place.inode].empty = false;
    ++inodes_[place.inode].writes;
    inodes_[place.inode].mtime = file_time;
    touch(place.inode);
    send_use(place, IN_OPEN);
    send_use(place, IN_MODIFY);
    send_use(place, IN_CLOSE_WRITE);
    return 0;
}

int World::read_file(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    send_use(place, IN_OPEN);
    if (!is_dir(place.inode) && !inodes_[place.inode].empty)
        send_use(place, IN_ACCESS);
    send_use(place, IN_CLOSE_NOWRITE);
    return is_dir(place.inode) ? -EISDIR : 0;
}

int World::unlink(std::string_view path) {
    Place place;
    if (const int error = find_old(path, place); error < 0)
        return error;
    if (is_dir(place.inode))
        return -EISDIR;
    detach(place.inode, place.directory, place.name);
    move_handles(place, {});
    touch(place.inode);
    send_self(place.inode, IN_ATTRIB);
    send_deleted(place.inode);
    send_name(place.directory, IN_DELETE, place.name, place.inode);
    return 0;
}

int World::rename(std::string_view from, std::string_view to) { return move(from, to, false); }

int World::exchange(std::string_view one, std::string_view other) { return move(one, other, true); }

int World::move(std::string_view from, std::string_view to, bool exchanging) {
    Place old_place;
    Place new_place;
    const int old_error = find(from, Last::entry, old_place);
    if (old_place.directory == 0 && old_error < 0)
        return old_error;
    const int new_error = find(to, Last::entry, new_place);
    if (new_place.directory == 0 && new_error < 0)
        return new_error;
    if (old_place.mount != new_place.mount)
        return -EXDEV;
    if (old_place.name.empty() || new_place.name.empty())
        return -EBUSY;
    if (old_error < 0)
        return old_error;
    if (new_error < 0 && (new_error != -ENOENT || exchanging))
        return new_error;

    const Id source = old_place.inode;
    const Id target = new_place.inode;
    if (is_dir(source) && contains(source, new_place.directory))
        return -EINVAL;
    if (target != 0 && is_dir(target) && contains(target, old_place.directory))
        return exchanging ? -EINVAL : -ENOTEMPTY;
    if (source == target)
        return 0;
    if (target == 0 && inodes_[new_place.directory].removed)
        return -ENOENT;
    if (target != 0 && !exchanging && is_dir(source) != is_dir(target))
        return is_dir(source) ? -ENOTDIR : -EISDIR;
    if (inodes_[source].covers > 0 || inodes_[target].covers > 0)
        return -EBUSY;
    if (target != 0 && !exchanging && !inodes_[target].entries.empty())
        return -ENOTEMPTY;

    if (held_from_)
        locked_ = {old_place.directory, new_place.directory};
    // A directory that is replaced keeps its old name and parent, as its dentry does.
    if (target != 0)
        detach(target, new_place.directory, new_place.name);
    detach(source, old_place.directory, old_place.name);
    attach(source, new_place.directory, new_place.name);
    const Place displaced = exchanging ? old_place : Place{};
    move_handles({new_place.mount, new_place.directory, target, new_place.name}, displaced);
    move_handles(old_place, new_place);
    touch(source);
    touch(target);
    if (!exchanging) {
        send_move(old_place, new_place, target);
        if (target != 0)
            send_deleted(target);
        return 0;
    }
    attach(target, old_place.directory, old_place.name);
    send_move(old_place, new_place, 0);
    send_move(new_place, old_place, 0);
    return 0;
}

// `from` holds the inode that moved.
void World::send_move(const Place& from, const Place& to, Id replaced) {
    const std::uint32_t cookie = ++last_cookie_;
    send_name(from.directory, IN_MOVED_FROM, from.name, from.inode, cookie);
    send_name(to.directory, IN_MOVED_TO, to.name, from.inode, cookie);
    if (replaced != 0)
        send_self(replaced, IN_ATTRIB);
    send_self(from.inode, IN_MOVE_SELF);
}

int World::link(std::string_view from, std::string_view to) {
    Place old_place;
    Place new_place;
    if (const int error = find(from, Last::keep, old_place); error < 0)
        return error;
    if (const int error = find_new(to, new_place); error < 0)
        return error;
    if (old_place.mount != new_place.mount)
        return -EXDEV;
    if (is_dir(old_place.inode))
        return -EPERM;
    attach(old_place.inode, new_place.directory, new_place.name);
    touch(old_place.inode);
    send_self(old_place.inode, IN_ATTRIB);
    send_name(new_place.directory, IN_CREATE, new_place.name, old_place.inode);
    return 0;
}

int World::symlink(std::string_view target, std::string_view path) {
    if (target.empty())
        return -ENOENT;
    Place place;
    if (const int error = find_new(path, place); error < 0)
        return error;
    const Id id = add_inode(FileType::symlink, inodes_[place.directory].device);
    inodes_[id].target = target;
    attach(id, place.directory, place.name);
    send_name(place.directory, IN_CREATE, place.name, id);
    return 0;
}

int World::chmod(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    touch(place.inode);
    send_use(place, IN_ATTRIB);
    return 0;
}

int World::list(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    if (!is_dir(place.inode))
        return -ENOTDIR;
    send_use(place, IN_OPEN);
    if (!inodes_[place.inode].removed) {
        send_use(place, IN_ACCESS);
        send_use(place, IN_ACCESS);
    }
    send_use(place, IN_CLOSE_NOWRITE);
    return 0;
}

int World::mount(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    if (!is_dir(place.inode))
        return -ENOTDIR;
    const Id id = add_inode(FileType::directory, ++last_device_);
    inodes_[id].links = 2;
    add_mount(place, id);
    return 0;
}

int World::bind(std::string_view source, std::string_view target) {
    Place from;
    Place to;
    if (const int error = find(source, Last::follow, from); error < 0)
        return error;
    if (const int error = find(target, Last::follow, to); error < 0)
        return error;
    if (!is_dir(from.inode) || !is_dir(to.inode))
        return -ENOTDIR;
    add_mount(to, from.inode);
    return 0;
}

void World::add_mount(const Place& target, Id root) {
    ++inodes_[target.inode].covers;
    ++inodes_[root].pins;
    mounts_.push_back({target.mount, target.inode, root});
}

int World::unmount(std::string_view path) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    Mount& mount = mounts_[place.mount];
    if (place.mount == 0 || place.inode != mount.root)
        return -EINVAL;
    const auto inside = [&](const Mount& other) {
        return other.live && other.parent == place.mount;
    };
    if (mount.handles > 0 || std::any_of(mounts_.begin() + 1, mounts_.end(), inside))
        return -EBUSY;
    mount.live = false;
    --inodes_[mount.covered].covers;
    unpin(mount.root);
    const std::uint32_t device = inodes_[mount.root].device;
    const auto keeps_device = [&](const Mount& other) {
        return other.live && inodes_[other.root].device == device;
    };
    if (std::any_of(mounts_.begin(), mounts_.end(), keeps_device))
        return 0;
    // The kernel goes through the youngest first.
    for (Id id = static_cast<Id>(inodes_.size()) - 1; id > 0; --id) {
        if (inodes_[id].device != device)
            continue;
        send_self(id, IN_UNMOUNT);
        forget(id);
    }
    return 0;
}

int World::set_denied(std::string_view path, bool denied) {
    Place place;
    if (const int error = find(path, Last::follow, place); error < 0)
        return error;
    inodes_[place.inode].denied = denied;
    send_use(place, IN_ATTRIB);
    return 0;
}

Id World::inode(std::string_view path) const {
    Place place;
    return find(path, Last::keep, place) < 0 ? 0 : place.inode;
}

bool World::is_dir(std::string_view path) const { return is_dir(inode(path)); }

bool World::is_symlink(std::string_view path) const {
    const Id id = inode(path);
    return id != 0 && inodes_[id].type == FileType::symlink;
}

const std::string& World::target(std::string_view path) const {
    return inodes_[inode(path)].target;
}

Id World::directory(std::string_view path) const {
    Place place;
    return find(path, Last::follow, place) == 0 && is_dir(place.inode) ? place.inode : 0;
}

Id World::leads_to(std::string_view path) const {
    Place place;
    return find(path, Last::follow, place) < 0 ? 0 : place.inode;
}

std::map<std::string, bool> World::entries(Id directory) const {
    std::map<std::string, bool> result;
    for (const auto& [name, entry] : inodes_[directory].entries)
        result.emplace(name, is_dir(entry.inode));
    return result;
}

std::pair<Id, std::size_t> World::contents(std::string_view path) const {
    const Id id = inode(path);
    return {id, inodes_[id].writes};
}

std::map<std::string, bool> World::tree(std::string_view path) const {
    std::map<std::string, bool> result;
    Place top;
    if (find(path, Last::follow, top) < 0 || top.inode == 0)
        return result;
    struct Pending {
        std::size_t mount;
        Id inode;
        std::string path;
    };
    std::vector<Pending> pending{{top.mount, top.inode, std::string(path)}};
    while (!pending.empty()) {
        const Pending here = std::move(pending.back());
        pending.pop_back();
        for (const auto& [name, entry] : inodes_[here.inode].entries) {
            const Id id = entry.inode;
            std::string full = here.path;
            if (full.back() != '/')
                full += '/';
            full += name;
            result.emplace(full, is_dir(id));
            if (!is_dir(id))
                continue;
            Pending child{here.mount, id, std::move(full)};
            enter_mounts(child.mount, child.inode);
            pending.push_back(std::move(child));
        }
    }
    return result;
}

std::map<int, Id> World::watches() const {
    return attached_.instances.empty() ? std::map<int, Id>{}
                                       : attached_.instances.back()->watches();
}

bool World::watched(std::string_view path) const {
    const Id id = inode(path);
    return id != 0 && !attached_.instances.empty() &&
           attached_.instances.back()->descriptor_of(id) != 0;
}

std::size_t World::queued_records() const {
    return attached_.instances.empty() ? 0 : attached_.instances.back()->records();
}

std::size_t World::open_directories() const {
    return static_cast<std::size_t>(
        std::count_if(attached_.handles.begin(), attached_.handles.end(),
                      [](const Handle& handle) { return handle.inode != 0; }));
}

// On a failure at the last component `place.directory` is set all the same.
int World::walk(const Place& start, std::string_view path, Last last, Place& place) const {
    int links = 0;
    return walk_on(start, path, last, place, links);
}

int World::walk_on(const Place& start, std::string_view path, Last last, Place& place,
                   int& links) const {
    place = Place{};
    if (path.empty())
        return -ENOENT;
    if (links > most_links)
        return -ELOOP;
    std::size_t mount = start.mount;
    Id here = start.inode;
    if (path[0] == '/') {
        mount = 0;
        here = root_inode;
    }
    for (;;) {
        path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
        if (path.empty()) {
            place = {mount, 0, here, {}};
            return is_dir(here) ? 0 : -ENOTDIR;
        }
        const std::string_view name = path.substr(0, path.find('/'));
        path.remove_prefix(name.size());
        if (!is_dir(here))
            return -ENOTDIR;
        if (name == ".")
            continue;
        if (name == "..") {
            while (mount != 0 && here == mounts_[mount].root) {
                here = mounts_[mount].covered;
                mount = mounts_[mount].parent;
            }
            here = here == root_inode ? here : inodes_[here].parent;
            enter_mounts(mount, here);
            continue;
        }
        if (name.size() > NAME_MAX)
            return -ENAMETOOLONG;
        const auto& entries = inodes_[here].entries;
        const auto found = entries.find(name);
        const Id id = found == entries.end() ? 0 : found->second.inode;
        if (path.empty()) {
            place = {mount, here, id, std::string(name)};
            if (id == 0)
                return -ENOENT;
            if (inodes_[id].type == FileType::symlink && last == Last::follow)
                return walk_on({mount, 0, here, {}}, inodes_[id].target, last, place, ++links);
            if (last != Last::entry)
                enter_mounts(place.mount, place.inode);
            return 0;
        }
        if (id == 0)
            return -ENOENT;
        if (inodes_[id].type == FileType::symlink) {
            Place through;
            if (const int error = walk_on({mount, 0, here, {}}, inodes_[id].target, Last::follow,
                                          through, ++links);
                error < 0)
                return error;
            mount = through.mount;
            here = through.inode;
        } else {
            here = id;
            enter_mounts(mount, here);
        }
    }
}

int World::find(std::string_view path, Last last, Place& place) const {
    Place start;
    start.inode = root_inode;
    return walk(start, path, last, place);
}

int World::find_new(std::string_view path, Place& place) const {
    const int error = find(path, Last::entry, place);
    if (error == 0)
        return -EEXIST;
    if (error != -ENOENT || place.directory == 0)
        return error;
    return inodes_[place.directory].removed ? -ENOENT : 0;
}

int World::find_old(std::string_view path, Place& place) const {
    if (const int error = find(path, Last::entry, place); error < 0)
        return error;
    return place.name.empty() ? -EINVAL : 0;
}

void World::enter_mounts(std::size_t& mount, Id& directory) const {
    while (inodes_[directory].covers > 0) {
        const auto top = std::find_if(mounts_.begin() + 1, mounts_.end(), [&](const Mount& m) {
            return m.live && m.parent == mount && m.covered == directory;
        });
        if (top == mounts_.end())
            return;
        mount = static_cast<std::size_t>(top - mounts_.begin());
        directory = top->root;
    }
}

bool World::is_dir(Id id) const { return id != 0 && inodes_[id].type == FileType::directory; }

bool World::contains(Id ancestor, Id directory) const {
    while (directory != 0 && directory != ancestor)
        directory = inodes_[directory].parent;
    return directory == ancestor;
}

World::Place World::place_of(const Handle& handle) const {
    return {handle.mount, 0, handle.inode, {}};
}

// The absolute path of what exists, without links.
std::string World::path_of(Place place) const {
    std::string result;
    if (!is_dir(place.inode)) {
        result = '/' + place.name;
        place.inode = place.directory;
    }
    while (place.inode != root_inode) {
        if (place.mount != 0 && place.inode == mounts_[place.mount].root) {
            place.inode = mounts_[place.mount].covered;
            place.mount = mounts_[place.mount].parent;
            continue;
        }
        const Inode& inode = inodes_[place.inode];
        result.insert(0, '/' + inode.name);
        place.inode = inode.parent;
    }
    return result.empty() ? "/" : result;
}

Id World::add_inode(FileType type, std::uint32_t device) {
    Inode& inode = inodes_.emplace_back();
    inode.type = type;
    inode.device = device;
    inode.mtime = inode.ctime = file_time;
    return static_cast<Id>(inodes_.size() - 1);
}

void World::attach(Id id, Id directory, const std::string& name) {
    Inode& parent = inodes_[directory];
    parent.entries.emplace(name, Entry{id, ++parent.last_entry});
    Inode& inode = inodes_[id];
    if (inode.type != FileType::directory) {
        ++inode.links;
        return;
    }
    if (inode.links == 0)
        inode.links = 2;
    inode.removed = false;
    inode.parent = directory;
    inode.name = name;
    ++parent.links;
}

void World::detach(Id id, Id directory, const std::string& name) {
    inodes_[directory].entries.erase(name);
    Inode& inode = inodes_[id];
    if (inode.type != FileType::directory) {
        --inode.links;
        return;
    }
    inode.removed = true;
    --inodes_[directory].links;
}

// Whether a record is kept back. One that nobody hears counts, too: who watches then hears what is
// left of the operation.
bool World::is_held() {
    if (!held_from_ || *held_from_ == 0)
        return held_from_.has_value();
    --*held_from_;
    return false;
}

// To the watches on one inode.
void World::send(Id watched, std::uint32_t mask, std::string_view name, std::uint32_t cookie,
                 bool unlinked) {
    if (is_held()) {
        held_.push_back({watched, mask, std::string(name), cookie, unlinked});
        return;
    }
    for (Instance* instance : attached_.instances)
        instance->notify(watched, mask, name, cookie, unlinked);
}

// What happened to an entry: to its directory only.
void World::send_name(Id directory, std::uint32_t mask, const std::string& name, Id inode,
                      std::uint32_t cookie) {
    send(directory, mask | (is_dir(inode) ? IN_ISDIR : 0U), name, cookie);
}

// What happened to an inode: to itself only.
void World::send_self(Id inode, std::uint32_t mask) {
    send(inode, mask | (is_dir(inode) ? IN_ISDIR : 0U));
}

// What was done through a path: to the directory with the name, then to the inode without.
void World::send_use(const Place& place, std::uint32_t mask) {
    const Inode& inode = inodes_[place.inode];
    const bool directory = inode.type == FileType::directory;
    // IN_EXCL_UNLINK looks at what was opened, and a change of attributes opens nothing.
    const bool unlinked = inode.removed && mask != IN_ATTRIB;
    if (directory)
        mask |= IN_ISDIR;
    const Id parent = directory ? inode.parent : place.directory;
    if (parent != 0)
        send(parent, mask, directory ? inode.name : place.name, 0, unlinked);
    send(place.inode, mask, {}, 0, unlinked);
}

// After the last name went: the end of the inode, unless something holds it.
void World::send_deleted(Id id) {
    Inode& inode = inodes_[id];
    if (inode.type != FileType::directory) {
        if (inode.links > 0 || inode.pins > 0)
            return;
    } else {
        inode.links = 0;
        if (inode.pins > 0) {
            ++inodes_[inode.parent].pins;  // a dentry holds its parent's
            return;
        }
    }
    send_self(id, IN_DELETE_SELF);
    forget(id);
}

// The kernel removes the watches of an inode that ends.
void World::forget(Id id) {
    if (is_held()) {
        held_.push_back({.watched = id});
        return;
    }
    for (Instance* instance : attached_.instances)
        instance->forget(id);
}

// What has a directory locked ends first.
void World::unlock(Id directory) {
    if (held_.empty())
        return;
    if (std::find(locked_.begin(), locked_.end(), directory) != locked_.end() ||
        std::any_of(held_.begin(), held_.end(), [&](const Held& held) {
            return held.watched == directory && !held.name.empty();
        }))
        finish_operation();
}

void World::finish_operation() {
    locked_.clear();
    for (const Held& held : std::exchange(held_, {}))
        if (held.mask != 0)
            send(held.watched, held.mask, held.name, held.cookie, held.unlinked);
        else
            forget(held.watched);
}

void World::unpin(Id id) {
    if (inodes_[id].type != FileType::directory) {
        if (--inodes_[id].pins == 0 && inodes_[id].links == 0)
            send_deleted(id);
        return;
    }
    while (id != 0 && --inodes_[id].pins == 0 && inodes_[id].removed) {
        send_deleted(id);
        id = inodes_[id].parent;
    }
}

int World::open_handle(const Place& place, bool path) {
    ++inodes_[place.inode].pins;
    ++mounts_[place.mount].handles;
    auto& handles = attached_.handles;
    auto free = std::find_if(handles.begin(), handles.end(),
                             [](const Handle& handle) { return handle.inode == 0; });
    if (free == handles.end())
        free = handles.insert(free, Handle{});
    *free = {.mount = place.mount,
             .inode = place.inode,
             .path = path,
             .last_entry = inodes_[place.inode].last_entry};
    if (!is_dir(place.inode)) {
        ++inodes_[place.directory].pins;  // a dentry holds its parent's
        free->directory = place.directory;
        free->name = place.name;
    }
    return first_handle + static_cast<int>(free - handles.begin());
}

void World::close_handle(Handle& handle) {
    const Handle closed = std::exchange(handle, {});
    --mounts_[closed.mount].handles;
    unpin(closed.inode);
    if (closed.directory != 0)
        unpin(closed.directory);
}

// The entry at `from` moved to `to`, or is gone: then what was opened by it holds on to where it
// was.
void World::move_handles(const Place& from, const Place& to) {
    for (Handle& handle : attached_.handles) {
        if (handle.inode != from.inode || handle.directory != from.directory ||
            handle.name != from.name)
            continue;
        handle.name = to.name;
        if (to.directory == 0)
            continue;
        --inodes_[from.directory].pins;
        ++inodes_[to.directory].pins;
        handle.directory = to.directory;
    }
}

}  // namespace sim
