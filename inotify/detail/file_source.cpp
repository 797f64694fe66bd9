// SPDX-License-Identifier: MIT
// The source of Inotify: single paths, several of which may lead to one inode.
#include <inotify/detail/file_source.hpp>

#include <inotify/detail/error.hpp>
#include <inotify/detail/give_back.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace inotify::detail {
namespace {

constexpr Mask always_sent = IN::UNMOUNT | IN::Q_OVERFLOW | IN::IGNORED;

constexpr std::ptrdiff_t most_moved_from = 1024;
constexpr std::size_t most_moved_from_storage = 16 * 1024;  // bytes, of those that are not in use

// Flags of the call, which are no part of what a path asks for.
constexpr Mask call_flags = IN::ONLYDIR | IN::DONT_FOLLOW | IN::MASK_ADD | IN::MASK_CREATE;

}  // namespace

int FileSource::add_watch(const std::filesystem::path& path, Mask mask) {
    const std::string& name = path.native();
    if (name.find('\0') != std::string::npos)
        throw_invalid("inotify_add_watch", name.c_str(), "a path must not hold a NUL byte");
    if (!mask.intersects(IN::ALL_EVENTS))
        throw_invalid("inotify_add_watch", name + ": mask " + to_string(mask),
                      "asks for no event; give at least one");
    const auto known = wds_.find(name);

    // Adding cannot take bits from another path on the same inode, as replacing would; and while it
    // replaces a mask the kernel sets it to 0 for a moment, and loses what happens in it. So the
    // kernel's mask only grows, and what a path did not ask for is left out here.
    // IN_ONESHOT is kept for each path here: the kernel's would end the watch for all of them.
    std::uint32_t bits = (mask & ~IN::ONESHOT).bits();
    if (!mask.contains(IN::MASK_CREATE))
        bits |= IN::MASK_ADD.bits();
    const int wd = kernel_.add_watch(name, bits);
    if (wd < 0)
        throw_error(&kernel_, -wd, "inotify_add_watch", name);

    if (known != wds_.end() && known->second != wd)
        retire(known->second, name);
    const auto [inode, is_new] = inodes_.try_emplace(wd);
    auto& paths = inode->second.paths;
    Subscription* const old = find_current(paths, name);
    Mask asked = mask & ~call_flags;
    if (old != nullptr && mask.contains(IN::MASK_ADD))
        asked |= old->mask;
    // What is queued already is reported as it was asked for at its time. It is read now, because
    // the kernel would merge an equal record into one that is still in its queue.
    const Position now = is_new ? 0 : queue_.end();
    if (old != nullptr)
        close(wd, *old, now);
    paths.push_back({.number = next_number_++, .path = name, .mask = asked, .since = now});
    wds_.insert_or_assign(name, wd);
    return wd;
}

void FileSource::remove_watch(const std::filesystem::path& path) {
    const auto known = wds_.find(path.native());
    if (known == wds_.end())
        throw_invalid("remove_watch", path.native(), "not watched; give the path as it was added");
    const int wd = known->second;
    wds_.erase(known);
    std::set<int> holders = closed_;  // an inode that the path led to before may hold it as well
    holders.insert(wd);
    for (const int each : holders) {
        auto& paths = inodes_.at(each).paths;
        std::erase_if(paths, [&](const Subscription& s) { return s.path == path.native(); });
        give_back(paths, 0);
        if (each == wd && std::ranges::none_of(paths, &Subscription::current))
            kernel_.remove_watch(wd);
        if (paths.empty())
            drop(each);
    }
}

void FileSource::remove_watch(int wd) {
    const auto inode = inodes_.find(wd);
    if (inode == inodes_.end())
        throw_invalid("remove_watch", "watch descriptor " + std::to_string(wd), "not watched");
    for (const Subscription& s : inode->second.paths)
        if (s.current)
            wds_.erase(s.path);
    kernel_.remove_watch(wd);
    drop(wd);
}

std::vector<Watch> FileSource::watches() const {
    std::vector<Watch> result;
    for (const auto& [wd, inode] : inodes_)
        for (const Subscription& s : inode.paths)
            if (s.current && !s.spent)
                result.push_back({wd, s.path, s.mask});
    return result;
}

FileSource::Subscription* FileSource::find_current(std::vector<Subscription>& paths,
                                                   std::string_view path) {
    const auto found = std::ranges::find_if(
        paths, [&](const Subscription& s) { return s.current && s.path == path; });
    return found == paths.end() ? nullptr : &*found;
}

// What is queued before `until` is still reported to the subscription, what comes later is not.
void FileSource::close(int wd, Subscription& subscription, Position until) {
    subscription.current = false;
    subscription.until = until;
    closed_.insert(wd);
}

// The path leads to another inode now.
void FileSource::retire(int wd, std::string_view path) {
    auto& paths = inodes_.at(wd).paths;
    if (Subscription* const old = find_current(paths, path))
        close(wd, *old, queue_.end());
    if (std::ranges::none_of(paths, &Subscription::current))
        kernel_.remove_watch(wd);
}

void FileSource::drop(int wd) {
    inodes_.erase(wd);
    closed_.erase(wd);
    if (last_wd_ == wd)
        last_wd_ = -1;
}

// The queue has been read empty: closed subscriptions have had all that was theirs.
void FileSource::drop_closed() {
    for (const int wd : std::exchange(closed_, {})) {
        auto& paths = inodes_.at(wd).paths;
        std::erase_if(paths, [](const Subscription& s) { return !s.current; });
        give_back(paths, 0);
        if (paths.empty())
            drop(wd);
    }
}

bool FileSource::next(Event& event) {
    while (const Record* record = queue_.front()) {
        const bool is_reported = report(*record, event);
        if (is_reported && last_wd_ >= 0 && last_inode_->paths.back().number > reported_up_to_)
            return true;  // other paths may want it too
        finish(*record);
        queue_.pop();
        if (is_reported)
            return true;
    }
    if (!closed_.empty())
        drop_closed();
    // One cycle has ended: what is left from the one before has no counterpart.
    std::rotate(moved_from_.begin(),
                moved_from_.begin() + static_cast<std::ptrdiff_t>(moved_from_old_),
                moved_from_.begin() + static_cast<std::ptrdiff_t>(moved_from_used_));
    moved_from_used_ -= moved_from_old_;
    moved_from_old_ = moved_from_used_;
    give_back_storage();
    return false;
}

// One cycle has ended: what a burst has made of the containers is not needed any more. Two cycles
// like this one need twice as many MOVED_FROMs as there are.
void FileSource::give_back_storage() {
    give_back_buckets(wds_);
    const std::size_t needed = 2 * moved_from_used_;
    if (moved_from_.size() <= needed)
        return;
    std::size_t bytes = moved_from_.capacity() * sizeof(MovedFrom);
    for (std::size_t i = needed; i < moved_from_.size() && bytes <= most_moved_from_storage; ++i)
        bytes += moved_from_[i].path.capacity() + moved_from_[i].filename.capacity();
    if (bytes > most_moved_from_storage) {
        moved_from_.resize(needed);
        moved_from_.shrink_to_fit();
    }
}

// Reports the record to the next path that wants it; false when there is none left.
bool FileSource::report(const Record& record, Event& event) {
    if (record.wd != last_wd_ || last_wd_ < 0) {
        if ((record.mask & IN::Q_OVERFLOW.bits()) != 0) {
            last_wd_ = -1;
            write_event(event, -1, record.mask, 0, {}, {});
            return true;
        }
        const auto inode = inodes_.find(record.wd);
        if (inode == inodes_.end())
            return false;  // queued before its watch was removed
        last_wd_ = record.wd;
        last_inode_ = &inode->second;
    }
    const Mask mask = record.mask;
    const Position position = queue_.position();
    for (Subscription& s : last_inode_->paths) {
        if (s.number <= reported_up_to_ || position < s.since || position >= s.until)
            continue;
        if (!mask.intersects((s.mask & IN::ALL_EVENTS) | always_sent) ||
            (s.spent && !mask.contains(IN::IGNORED)))
            continue;
        if (mask.contains(IN::MOVED_FROM) && reported_up_to_ == 0)
            remember(record, s);
        reported_up_to_ = s.number;
        write_event(event, record.wd, mask, record.cookie, s.path, record.name);
        if (mask.contains(IN::MOVED_TO))
            find_moved_from(record, event);
        if (s.mask.contains(IN::ONESHOT))
            s.spent = true;
        return true;
    }
    return false;
}

// The record has been reported to every path.
void FileSource::finish(const Record& record) {
    reported_up_to_ = 0;
    if (last_wd_ < 0 || record.wd != last_wd_)
        return;
    const int wd = record.wd;
    auto& paths = last_inode_->paths;
    if ((record.mask & IN::IGNORED.bits()) != 0) {
        for (const Subscription& s : paths)
            if (s.current)
                wds_.erase(s.path);
        drop(wd);
        return;
    }
    // A spent IN_ONESHOT ends as the kernel's does, with IN_IGNORED.
    if (std::ranges::any_of(paths, &Subscription::spent) &&
        std::ranges::none_of(paths, [](const Subscription& s) { return s.current && !s.spent; }))
        kernel_.remove_watch(wd);
}

void FileSource::remember(const Record& record, const Subscription& first) {
    if (moved_from_used_ == most_moved_from) {
        // A queue that is never read empty: the older ones have lost their counterparts.
        std::rotate(moved_from_.begin(), moved_from_.begin() + most_moved_from / 2,
                    moved_from_.end());
        moved_from_used_ -= most_moved_from / 2;
        moved_from_old_ = 0;
    }
    if (moved_from_used_ == moved_from_.size())
        moved_from_.emplace_back();
    MovedFrom& from = moved_from_[moved_from_used_++];
    from.cookie = record.cookie;
    from.wd = record.wd;
    from.path = first.path;
    from.filename = record.name;
}

void FileSource::find_moved_from(const Record& record, Event& event) const {
    for (std::size_t i = moved_from_used_; i-- > 0;) {
        const MovedFrom& from = moved_from_[i];
        if (from.cookie != record.cookie)
            continue;
        // Inside one directory each of its paths reports the rename under its own name.
        const std::string& directory = from.wd == record.wd ? event.path : from.path;
        event.moved_from = directory;
        append_name(event.moved_from, from.filename);
        return;
    }
}

}  // namespace inotify::detail
