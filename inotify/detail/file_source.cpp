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

// What happens to the inode that a name leads to comes as what happens to the name.
constexpr Mask own_end = IN::DELETE_SELF | IN::MOVE_SELF;

void check_mask(const char* call, const std::string& path, Mask mask) {
    if (!mask.intersects(IN::ALL_EVENTS))
        throw_invalid(call, path + ": mask " + to_string(mask),
                      "asks for no event; give at least one");
}

}  // namespace

int FileSource::add_watch(const std::filesystem::path& path, Mask mask) {
    const std::string& name = path.native();
    check_path("inotify_add_watch", name);
    check_mask("inotify_add_watch", name, mask);
    const auto known = wds_.find(name);
    const int wd = watch(name, mask);
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
    const Position now = is_new && !names_.uses(wd) ? 0 : queue_.end();
    if (old != nullptr)
        close(wd, *old, now);
    paths.push_back({.number = next_number_++, .path = name, .mask = asked, .since = now});
    wds_.insert_or_assign(name, wd);
    return wd;
}

// Adding cannot take bits from another path on the same inode, as replacing would; and while it
// replaces a mask the kernel sets it to 0 for a moment, and loses what happens in it. So the
// kernel's mask only grows, and what a path did not ask for is left out here.
// IN_ONESHOT is kept for each path here: the kernel's would end the watch for all of them.
int FileSource::watch(const std::string& path, Mask mask) {
    const Mask bits = mask & ~(IN::ONESHOT | IN::MASK_CREATE);
    const bool creates = mask.contains(IN::MASK_CREATE);
    int wd = kernel_.add_watch(path, (bits | (creates ? IN::MASK_CREATE : IN::MASK_ADD)).bits());
    if (wd == -EEXIST && !names_.empty()) {
        // Perhaps only names need the inode.
        wd = kernel_.add_watch(path, (bits | IN::MASK_ADD).bits());
        const auto is_plain = [](const Subscription& s) {
            return s.current && !s.followed && !s.spent;
        };
        const auto inode = inodes_.find(wd);
        if (inode != inodes_.end() && std::ranges::any_of(inode->second.paths, is_plain))
            wd = -EEXIST;
    }
    if (wd < 0)
        throw_error(&kernel_, -wd, "inotify_add_watch", path);
    return wd;
}

void FileSource::follow(const std::filesystem::path& path, Mask mask) {
    const std::string& name = path.native();
    check_path("follow", name);
    check_mask("follow", name, mask);
    if (name.empty())
        throw_invalid("follow", "''", "an empty path leads nowhere");
    if (const Mask refused = mask & (IN::ONESHOT | IN::MASK_ADD | IN::MASK_CREATE))
        throw_invalid("follow", name + ": mask " + to_string(refused),
                      "makes no sense for a name; leave it out");
    const NameChains::Id known = names_.find(name);
    // What is queued already is not the name's, or is reported as it was asked for at its time.
    const Position now = queue_.end();
    if (known == no_node) {
        const NameChains::Id id = names_.add(name, mask);
        NameChains::Finding finding = names_.look(id);
        finding.before = finding.now;  // what is there is known to the client
        report(finding);
        subscribe(id, now);
    } else if (names_.set_mask(known, mask)) {
        subscribe(known, now);
    }
    unwatch_released();
    // The descriptor of other event loops shows that there is something to read.
    if (!reports_.empty() || queue_.buffered() != 0 || names_.has_suspect())
        kernel_.wake();
}

void FileSource::remove_watch(const std::filesystem::path& path) {
    const std::string& text = path.native();
    const auto known = wds_.find(text);
    const NameChains::Id name = names_.find(text);
    if (known == wds_.end() && name == no_node)
        throw_invalid("remove_watch", text, "not watched; give the path as it was added");
    const std::set<int> closed = closed_;  // an inode that the path led to before may hold it, too
    for (const int wd : closed) {
        unsubscribe(wd, text, false);
        unsubscribe(wd, text, true);
    }
    if (known != wds_.end()) {
        const int wd = known->second;
        wds_.erase(known);
        unsubscribe(wd, text, false);
        unwatch_unused(wd);
    }
    if (name != no_node) {
        unsubscribe(names_.target(name).wd, text, true);
        forget(name);
    }
    unwatch_released();
}

// Ends all that the path has of an inode.
void FileSource::unsubscribe(int wd, std::string_view path, bool followed) {
    const auto inode = inodes_.find(wd);
    if (inode == inodes_.end())
        return;
    auto& paths = inode->second.paths;
    std::erase_if(paths,
                  [&](const Subscription& s) { return s.followed == followed && s.path == path; });
    give_back(paths, 0);
    if (paths.empty())
        drop(wd);
}

void FileSource::forget(NameChains::Id name) {
    reports_.erase_if([&](const Event& event) { return event.path == names_.path(name); });
    names_.remove(name);
}

void FileSource::remove_watch(int wd) {
    const auto inode = inodes_.find(wd);
    if (inode == inodes_.end())
        throw_invalid("remove_watch", "watch descriptor " + std::to_string(wd), "not watched");
    for (const Subscription& s : inode->second.paths) {
        if (s.current && s.followed)
            forget(names_.find(s.path));
        else if (s.current)
            wds_.erase(s.path);
    }
    drop(wd);
    unwatch_unused(wd);
    unwatch_released();
}

std::vector<Watch> FileSource::watches() const {
    std::multimap<int, Watch> by_wd;
    for (const auto& [wd, inode] : inodes_)
        for (const Subscription& s : inode.paths)
            if (s.current && !s.spent && !s.followed)
                by_wd.insert({wd, {wd, s.path, s.mask}});
    names_.for_each([&](NameChains::Id id) {
        const int wd = names_.target(id).wd;
        by_wd.insert({wd, {wd, names_.path(id), names_.mask(id) & ~call_flags}});
    });
    std::vector<Watch> result;
    for (auto& [wd, watch] : by_wd)
        result.push_back(std::move(watch));
    return result;
}

FileSource::Subscription* FileSource::find_current(std::vector<Subscription>& paths,
                                                   std::string_view path, bool followed) {
    const auto found = std::ranges::find_if(paths, [&](const Subscription& s) {
        return s.current && s.followed == followed && s.path == path;
    });
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
    unwatch_unused(wd);
}

// A spent IN_ONESHOT needs no watch: like the kernel's it ends with IN_IGNORED.
bool FileSource::is_used(int wd) const {
    const auto inode = inodes_.find(wd);
    return names_.uses(wd) || (inode != inodes_.end() &&
                               std::ranges::any_of(inode->second.paths, [](const Subscription& s) {
                                   return s.current && !s.spent;
                               }));
}

void FileSource::unwatch_unused(int wd) {
    if (is_used(wd))
        return;
    kernel_.remove_watch(wd);
    names_.end_shortage();
}

void FileSource::unwatch_released() {
    for (const int wd : names_.take_released())
        unwatch_unused(wd);
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
    std::size_t looks = 0;
    for (;;) {
        if (!reports_.empty()) {
            reports_.pop(event);
            return true;
        }
        if (const Record* record = queue_.front()) {
            const bool is_reported = report(*record, event);
            if (is_reported && last_wd_ >= 0 && last_inode_->paths.back().number > reported_up_to_)
                return true;  // other paths may want it too
            finish(*record);
            queue_.pop();
            if (is_reported)
                return true;
        } else if (names_.has_suspect() && looks++ < names_.most_looks()) {
            look();
        } else {
            break;
        }
    }
    if (names_.has_suspect())  // they were looked up often enough for now
        kernel_.wake();
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

// All records have been handled. What is queued from now on about the inode that a name leads to is
// the name's.
void FileSource::look() {
    const Position now = queue_.position();
    const NameChains::Finding finding = names_.look();
    if (finding.before.wd != finding.now.wd)
        unsubscribe(finding.before.wd, names_.path(finding.name), true);
    report(finding);
    subscribe(finding.name, now);
    unwatch_released();
}

void FileSource::report(const NameChains::Finding& finding) {
    const std::string& path = names_.path(finding.name);
    const Target& before = finding.before;
    const Target& now = finding.now;
    if (before.wd != now.wd) {
        Mask mask = now.wd < 0 ? IN::DELETE : before.wd < 0 ? IN::CREATE : IN::MOVED_TO;
        if ((now.wd < 0 ? before : now).is_directory)
            mask |= IN::ISDIR;
        write_event(reports_.push(), now.wd, mask, 0, path, {});
        reports_.back().synthetic = true;
    }
    if (finding.error != 0) {
        write_event(reports_.push(), -1, {}, 0, path, {});
        reports_.back().error = event_error(finding.error);
    }
}

// Gives a name the events of the inode that it leads to, as its mask asks from `since` on.
void FileSource::subscribe(NameChains::Id name, Position since) {
    const int wd = names_.target(name).wd;
    if (wd < 0)
        return;
    auto& paths = inodes_[wd].paths;
    const std::string& path = names_.path(name);
    const Mask mask = names_.mask(name) & IN::ALL_EVENTS & ~own_end;
    if (Subscription* const old = find_current(paths, path, true)) {
        if (old->mask == mask)
            return;
        close(wd, *old, since);
    }
    paths.push_back(
        {.number = next_number_++, .path = path, .mask = mask, .since = since, .followed = true});
}

// One cycle has ended: what a burst has made of the containers is not needed any more. Two cycles
// like this one need twice as many MOVED_FROMs as there are.
void FileSource::give_back_storage() {
    reports_.give_back();
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
        const Mask sent = s.followed ? always_sent & ~IN::IGNORED : always_sent;
        if (!mask.intersects((s.mask & IN::ALL_EVENTS) | sent) ||
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
    names_.handle(record);
    if (last_wd_ < 0 || record.wd != last_wd_)
        return;
    const int wd = record.wd;
    auto& paths = last_inode_->paths;
    if ((record.mask & IN::IGNORED.bits()) != 0) {
        for (const Subscription& s : paths)
            if (s.current && !s.followed)
                wds_.erase(s.path);
        drop(wd);
        return;
    }
    if (std::ranges::any_of(paths, &Subscription::spent))
        unwatch_unused(wd);
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
