// SPDX-License-Identifier: MIT
// The source of InotifyTree, first half: what records say. The walk is in tree_walk.cpp.
#include <inotify/detail/tree_source.hpp>

#include <inotify/detail/error.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace inotify::detail {
namespace {

// A name that changes all the time is looked at again only so often.
constexpr int most_tries = 3;

// Bytes of records that a first scan handles at most, where directories are renamed without end.
constexpr Position most_caught_up = 1024 * 1024;

bool is_within(const std::string& path, const std::string& directory) {
    std::string below = directory;
    append_name(below, {});
    return path == directory || path.starts_with(below);
}

// Moves a path from one directory to another, if it lies there.
void respell(std::string& path, const std::string& before, const std::string& after) {
    if (!is_within(path, before))
        return;
    std::string result = after;
    if (path != before)
        append_name(result, std::string_view(path).substr(before.size() + !before.ends_with('/')));
    path = std::move(result);
}

[[noreturn]] void throw_managed(const char* call) {
    throw std::logic_error(std::string(call) +
                           ": an InotifyTree manages its watches; use add_tree, remove_tree");
}

}  // namespace

TreeSource::TreeSource(Kernel& kernel, TreeOptions options)
    : kernel_(kernel), options_(std::move(options)), queue_(kernel) {
    const Mask refused = options_.mask & (IN::ONESHOT | IN::MASK_ADD | IN::MASK_CREATE);
    if (refused)
        throw_invalid("InotifyTree", to_string(refused), "makes no sense in a tree; leave it out");
}

int TreeSource::add_watch(const std::filesystem::path&, Mask) { throw_managed("add_watch"); }
void TreeSource::remove_watch(const std::filesystem::path&) { throw_managed("remove_watch"); }
void TreeSource::remove_watch(int) { throw_managed("remove_watch"); }

std::vector<Watch> TreeSource::watches() const {
    std::vector<Watch> result;
    model_.for_each_watched([&](NodeId node) {
        Watch& watch = result.emplace_back();
        watch.wd = model_[node].wd;
        model_.path(node, watch.path);
        watch.mask = options_.mask;
    });
    std::ranges::sort(result, {}, &Watch::wd);
    return result;
}

InotifyTree::Coverage TreeSource::coverage() const {
    InotifyTree::Coverage result;
    result.watched = model_.watched_count();
    for (const auto& [node, error] : unwatched_) {
        auto& unwatched = result.unwatched.emplace_back();
        model_.path(node, unwatched.path);
        unwatched.error = error;
    }
    return result;
}

void TreeSource::add_tree(const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw_invalid("inotify_add_watch", path.c_str(), "a path must not hold a NUL byte");
    const auto watch = [&] {
        const int wd = kernel_.add_watch(path, root_mask());
        if (wd < 0)
            throw_error(&kernel_, -wd, "inotify_add_watch", path);
        return wd;
    };
    int wd = watch();
    if (const auto root = find_root(path); root != roots_.end()) {
        if (model_.alive(root->watched) && model_[root->watched.id].wd == wd)
            return;
        remove_tree(path);  // it leads to another directory by now
        wd = watch();       // which may have been watched as a part of the former one
    }
    const NodeId owner = model_.watched_by(wd);
    const NodeId node = model_.add(no_node, path);
    roots_.push_back({node, resolve(path, wd), model_.ref(node)});
    if (owner != no_node) {
        become_alias(roots_.back(), owner);
        return;
    }
    model_.set_wd(node, wd);
    list_soon(node,
              {.announce = options_.report_existing ? Announce::existing : Announce::nothing});
    if (!options_.report_existing) {
        const Position limit = queue_.end() + most_caught_up;
        while (work() || (queue_.position() < limit && catch_up())) {
        }
        for (Work& item : deferred_)
            if (item.mode.announce == Announce::nothing)
                item.mode.announce = Announce::fresh;  // better told twice than not at all
    }
    // The descriptor of other event loops shows that there is something to read.
    if (!out_.empty() || !work_.empty() || !deferred_.empty() || !doubtful_.empty() ||
        queue_.buffered() != 0)
        kernel_.wake();
}

void TreeSource::remove_tree(const std::string& path) {
    const auto root = find_root(path);
    if (root == roots_.end())
        throw_invalid("remove_tree", path, "no root; give the path as it was added");
    const NodeId node = root->node;
    const Respelled taken = take_over(node);
    roots_.erase(root);
    if (find_root(node) == roots_.end())
        remove_subtree(node);
    std::set<std::uint32_t> left;  // cookies of what came from there
    std::vector<std::pair<NodeRef, std::string>> arrived;
    out_.erase_if([&](Event& event) {
        for (const auto& [before, after] : taken) {
            respell(event.path, before, after);
            respell(event.moved_from, before, after);
        }
        const bool removed =
            is_within(event.path, path) && std::ranges::none_of(roots_, [&](const Root& r) {
                const std::string& other = model_[r.node].name;
                return is_within(other, path) && is_within(event.path, other);
            });
        if (removed && event.mask.intersects(IN::MOVED_FROM))
            left.insert(event.cookie);
        if (removed || !left.contains(event.cookie))
            return removed;
        event.moved_from.clear();
        const NodeId directory = event.is_dir() ? model_.watched_by(event.wd) : no_node;
        if (directory == no_node || model_.child(directory, event.filename) == no_node)
            return false;
        arrived.emplace_back(model_.ref(directory), event.filename);
        return true;
    });
    // The client does not know what is in them: they come as new.
    for (const auto& [directory, name] : arrived) {
        if (!model_.alive(directory))
            continue;
        leave(directory.id, name);
        look_soon(directory.id, {name});
    }
}

std::vector<TreeSource::Root>::iterator TreeSource::find_root(NodeId node) {
    return std::ranges::find(roots_, node, &Root::node);
}

std::vector<TreeSource::Root>::iterator TreeSource::find_root(const std::string& path) {
    return std::ranges::find_if(roots_,
                                [&](const Root& root) { return model_[root.node].name == path; });
}

// An absolute path of the directory that is watched by `wd`, which no change of the working
// directory makes lead elsewhere. Where there is none that can be used, the path as it is.
std::string TreeSource::resolve(const std::string& path, int wd) {
    std::string result;
    if (kernel_.resolve(path, result) < 0)
        return path;
    const int there = kernel_.add_watch(result, root_mask());
    if (there == wd)
        return result;
    if (there >= 0 && model_.watched_by(there) == no_node)
        unwatch(there);
    return path;
}

// The root lies in another one, where its directory is watched and reported.
void TreeSource::become_alias(Root& root, NodeId watched) {
    root.watched = model_.ref(watched);
    model_[root.node].alias = true;
}

// A directory has ended that is a root in another root: the other one has reported it.
void TreeSource::drop_aliases(NodeId watched) {
    std::erase_if(roots_, [&](const Root& root) {
        if (root.watched.id != watched || !model_.alive(root.watched))
            return false;
        model_.remove(root.node);
        return true;
    });
}

// What the first scan could not reach waits for the records that say where it is now: they are
// handled at once, so that it is watched when the scan returns. Their events come later.
bool TreeSource::catch_up() {
    if (deferred_.empty())
        return false;
    if (lose_buffered())
        return true;
    const Record* record = queue_.front();
    if (record == nullptr)
        return idle();
    if (Event event; handle(*record, event))
        out_.push() = std::move(event);
    return true;
}

Duration TreeSource::until_due() {
    if (!has_failures())
        return forever;
    return std::max(std::chrono::ceil<Duration>(retry_at_ - kernel_.now()), Duration::zero());
}

bool TreeSource::next(Event& event) {
    for (;;) {
        if (!out_.empty()) {
            out_.pop(event);
            return true;
        }
        if (work())
            continue;
        if (lose_buffered())
            continue;
        if (const Record* record = queue_.front()) {
            if (handle(*record, event))
                return true;
            continue;
        }
        if (!idle())
            return false;
    }
}

// Consumes the record. True when it became `event` at once, which is what most do; otherwise what
// there is to tell is in out_.
bool TreeSource::handle(const Record& record, Event& event) {
    const Mask mask = record.mask;
    if (mask.intersects(IN::Q_OVERFLOW)) {  // its descriptor is -1: looked at before any descriptor
        queue_.pop();
        handle_overflow();
        return false;
    }
    if (record.wd != last_wd_ || last_node_ == no_node) {
        last_wd_ = record.wd;
        last_node_ = model_.watched_by(record.wd);
    }
    const NodeId node = last_node_;
    handled_ += node != no_node ? 1 : 0;
    const bool simple = node != no_node && !record.name.empty() &&
                        !mask.intersects(IN::ISDIR | IN::MOVE) && !options_.track_files &&
                        !options_.follow_symlinks && stamps_.empty() && unsure_.empty() &&
                        !overflow_ahead();
    if (!simple) {
        const Half half = half_at(queue_.position(), record);
        queue_.pop();
        if (node == no_node)
            return false;  // queued before its watch was removed
        if (half.name.empty())
            handle_own(node, half);
        else
            handle_entry(node, half);
        return false;
    }
    const bool told = wanted(mask) && !excluded(node, record.name);
    if (told)
        write_event(event, record.wd, mask, record.cookie, path_of(node), record.name);
    queue_.pop();
    return told;
}

// A record about the watched directory itself.
void TreeSource::handle_own(NodeId node, const Half& half) {
    const Mask mask = half.mask;
    if (mask.intersects(IN::IGNORED)) {
        if (is_root(node)) {
            tell_record(node, half);
            std::erase_if(roots_, [&](const Root& root) { return root.node == node; });
            drop_aliases(node);
            remove_subtree(node);
        } else {
            if (std::exchange(model_[node].deleted, false))
                tell_record(node, half);
            drop_aliases(node);
            model_.set_wd(node, -1);
            model_[node].lost = true;
            last_node_ = no_node;
            doubt(node);
        }
        return;
    }
    // What else a directory's own watch says, its parent's has said already.
    const bool end_or_move = mask.intersects(IN::MOVE_SELF | IN::DELETE_SELF);
    if (mask.intersects(IN::UNMOUNT) || (end_or_move && is_root(node)) ||
        (wanted(mask) && (end_or_move || tells_itself(node))))
        tell_record(node, half);
    if (mask.intersects(IN::DELETE_SELF))
        model_[node].deleted = wanted(mask);
    if (is_root(node) && mask.intersects(IN::MOVE_SELF))
        find_renamed_root(node);
}

// A record about an entry of the watched directory.
void TreeSource::handle_entry(NodeId node, const Half& half) {
    const Mask mask = half.mask;
    if (!mask.intersects(IN::MOVED_TO))
        make_sure(node, half);
    if (mask.intersects(IN::MOVED_FROM)) {
        handle_moved_from(node, half);
    } else if (excluded(node, half.name)) {
        return;
    } else if (mask.intersects(IN::MOVED_TO)) {
        arrive(node, half);
    } else if (mask.intersects(IN::CREATE)) {
        handle_created(node, half);
    } else if (mask.intersects(IN::DELETE)) {
        handle_deleted(node, half);
    } else if (is_told(node, half)) {
        tell_record(node, half);
    }
}

// True when the client knows the entry, as far as we do, at the record's position.
bool TreeSource::is_told(NodeId node, const Half& half) {
    if (is_history(node, half))
        return false;
    if (half.is_dir())
        return model_.child(node, half.name) != no_node;
    return !options_.track_files || files_[node].contains(half.name);
}

void TreeSource::handle_created(NodeId node, const Half& half) {
    if (is_history(node, half))
        return;
    const NodeId held = model_.child(node, half.name);
    if (!half.is_dir()) {
        if (options_.track_files && !files_[node].insert(half.name).second)
            return;
        vacate(node, half.name);  // a directory whose leaving waits for an overflow to be healed
        tell_record(node, half);
        if (options_.follow_symlinks)
            look_soon(node, {half.name}, {.links = true});
    } else if (held == no_node) {
        vacate(node, half.name, true);
        tell_record(node, half);
        add_directory(node, half.name);
    } else {
        doubt(held);
    }
}

void TreeSource::handle_deleted(NodeId node, const Half& half) {
    if (!is_told(node, half))
        return;
    tell_record(node, half);
    if (options_.track_files && !half.is_dir())
        files_[node].erase(half.name);
    if (const NodeId held = model_.child(node, half.name);
        held != no_node && (half.is_dir() || model_[held].symlink))
        remove_subtree(held);
}

// An entry that came from where this stream does not know it.
void TreeSource::arrive(NodeId node, const Half& half) {
    if (is_history(node, half)) {
        make_sure(node, half);
        return;
    }
    Half back;
    const std::optional<bool> swapped = is_swapped(node, half, back);
    if (!swapped)
        make_unsure(node, back.name, back.end());
    if (swapped == true) {
        // What was there leaves first, so that a client which applies both in order has the other.
        queue_.erase(back.position);
        make_sure(node, back);
        if (is_told(node, back)) {
            tell_record(node, back);
            leave(node, half.name);
        }
    }
    make_sure(node, half);
    vacate(node, half.name, half.is_dir());
    tell_record(node, half);
    if (!half.is_dir()) {
        if (options_.track_files)
            files_[node].insert(half.name);
        if (options_.follow_symlinks)
            look_soon(node, {half.name}, {.links = true});
    } else {
        add_directory(node, half.name);
    }
}

// A directory that has been told. It is looked at next, if it is to be watched.
void TreeSource::add_directory(NodeId node, const std::string& name) {
    const NodeId added = model_.add(node, name);
    model_[added].pruned = at_depth_limit(node);
    if (!model_[added].pruned)
        look_soon(node, {name});
}

// What is at a name is replaced by what arrives there; the kernel does not say that it goes, or
// that has been lost. Only of a file that moves over a file nothing is told.
void TreeSource::vacate(NodeId node, const std::string& name, bool for_directory) {
    const NodeId held = model_.child(node, name);
    const bool file = for_directory && options_.track_files && files_[node].erase(name) != 0;
    if (held == no_node && !file)
        return;
    const Mask type = file || model_[held].symlink ? Mask() : IN::ISDIR;
    if (wanted(IN::DELETE | type))
        tell(node, IN::DELETE | type, name).synthetic = true;
    if (held != no_node)
        remove_subtree(held);
}

void TreeSource::handle_moved_from(NodeId node, const Half& from) {
    last_left_ = from;
    if (excluded(node, from.name) || !is_told(node, from))
        return;
    const NodeId held = model_.child(node, from.name);
    if (held != no_node && !from.is_dir() && !model_[held].symlink)
        return;  // a file that changed places with a directory, of which the arrival has been told
    Half to;
    const bool found = find_second_half(from, to);
    if (!found && from.is_dir() && overflow_ahead())
        return;  // its other half may have been dropped; healing will see where it is
    const NodeId target = found ? model_.watched_by(to.wd) : no_node;
    if (target != no_node && !excluded(target, to.name) && !is_history(target, to)) {
        queue_.erase(to.position);
        rename(node, from, target, to);
        return;
    }
    tell_record(node, from);
    leave(node, from.name);
}

// Both halves of a rename are known.
void TreeSource::rename(NodeId from_dir, const Half& from, NodeId to_dir, const Half& to) {
    Half back_from;
    Half back_to;
    // What a known directory changes places with is a known directory or a file; of a file all
    // comes out right also when it is heard of later, and most renames need not wait.
    const NodeId moved = model_.child(from_dir, from.name);
    const bool waits = !to.is_dir() || moved == no_node || model_[moved].wd < 0 ||
                       model_.child(to_dir, to.name) != no_node;
    std::optional<bool> exchanged = false;
    if (find_exchange(from, to, waits, back_from, back_to))
        exchanged = is_exchange(from_dir, from, to_dir, to, back_from, back_to);
    if (exchanged == true) {
        queue_.erase(back_from.position);
        queue_.erase(back_to.position);
        make_sure(to_dir, back_from);
        make_sure(from_dir, back_to);
        Half next;
        Position at = back_to.end();
        if (next_change(at, back_to.wd, back_to.wd, true, next) && may_be_merged(back_to, next))
            make_unsure(from_dir, next.name, next.end());
        exchange(from_dir, from, to_dir, to, back_from, back_to);
        return;
    }
    make_sure(to_dir, to);
    if (!exchanged || may_be_merged(to, back_from))
        make_unsure(to_dir, back_from.name, back_from.end());
    tell_record(from_dir, from);
    if (!can_carry(from_dir, from, to_dir)) {
        const NodeRef target = model_.ref(to_dir);
        leave(from_dir, from.name);
        if (model_.alive(target))  // not so where a look has found the target below what moves
            arrive(to_dir, to);
        return;
    }
    std::string moved_from;
    tell_entry_path(from_dir, from.name, moved_from);
    const NodeId node = take_out(from_dir, from.name);
    vacate(to_dir, to.name, to.is_dir());
    carry(node, to_dir, to, moved_from);
    if (node != no_node && model_[node].wd >= 0 && find_mover(from, to, model_[node].wd, -1) < 0) {
        doubt(node);  // something else was there, and this may still be where it was
        defer({.node = model_.ref(from_dir), .names = {from.name}, .mode = {.decides = true}});
    }
}

// RENAME_EXCHANGE: told so that a client which applies the events in order ends with both.
void TreeSource::exchange(NodeId from_dir, const Half& from, NodeId to_dir, const Half& to,
                          const Half& back_from, const Half& back_to) {
    std::string first;
    std::string second;
    tell_entry_path(from_dir, from.name, first);
    tell_entry_path(to_dir, to.name, second);
    const bool back_told = is_told(to_dir, back_from);
    // A look may have found one below the other already: what lies inside leaves first.
    const NodeId moved = model_.child(from_dir, from.name);
    const bool inside = moved != no_node && model_.is_within(to_dir, moved);
    if (back_told && inside)
        tell_record(to_dir, back_from);
    tell_record(from_dir, from);
    if (back_told && !inside)
        tell_record(to_dir, back_from);
    const bool carries = can_carry(from_dir, from, to_dir);
    const bool carries_back = back_told && can_carry(to_dir, back_from, from_dir);
    const NodeRef source = model_.ref(from_dir);
    const NodeRef target = model_.ref(to_dir);
    if (!carries)
        leave(from_dir, from.name);
    if (!carries_back && model_.alive(target)) {
        if (back_told)
            leave(to_dir, back_from.name);
        else
            vacate(to_dir, to.name, to.is_dir());
    }
    if (!model_.alive(source) || !model_.alive(target)) {
        // A look has found one below the other meanwhile.
        if (model_.alive(target))
            arrive(to_dir, to);
        if (model_.alive(source))
            arrive(from_dir, back_to);
        return;
    }
    const NodeId node = carries ? take_out(from_dir, from.name) : no_node;
    const NodeId back = carries_back ? take_out(to_dir, back_from.name) : no_node;
    if (carries)
        carry(node, to_dir, to, first);
    else
        arrive(to_dir, to);
    if (carries_back)
        carry(back, from_dir, back_to, second);
    else
        arrive(from_dir, back_to);
}

// True when the entry can be told to have been renamed with all below it: its depth may not
// change what below it is watched, and a directory must be one that is known.
bool TreeSource::can_carry(NodeId from_dir, const Half& from, NodeId to_dir) const {
    const NodeId node = model_.child(from_dir, from.name);
    if (node == no_node)
        return !from.is_dir();
    if (options_.max_depth != unlimited && model_.depth(from_dir) != model_.depth(to_dir))
        return false;
    return !model_.is_within(to_dir, node);
}

// Takes an entry out of its directory; the node, if it is one, stays as it is.
NodeId TreeSource::take_out(NodeId directory, const std::string& name) {
    if (options_.track_files)
        files_[directory].erase(name);
    const NodeId node = model_.child(directory, name);
    if (node != no_node)
        model_.detach(node);
    path_node_ = no_node;
    return node;
}

// Puts an entry that was taken out where its second half says, and tells that.
void TreeSource::carry(NodeId node, NodeId directory, const Half& to,
                       const std::string& moved_from) {
    if (options_.track_files && !to.is_dir())
        files_[directory].insert(to.name);
    if (node != no_node) {
        model_.attach(node, directory, to.name);
        path_node_ = no_node;
        const Node& moved = model_[node];
        if (moved.wd < 0 && !moved.alias && !moved.pruned && !unwatched_.contains(node))
            look_soon(directory, {to.name});
        if (options_.exclude && moved.wd >= 0)  // other paths below it may be excluded now
            defer({.node = model_.ref(node),
                   .names = {},
                   .mode = {.deep = true, .decides = true},
                   .relist = true});
    }
    if (!to.is_dir() && options_.follow_symlinks)  // a relative link leads elsewhere from here
        look_soon(directory, {to.name}, {.decides = true, .links = true});
    if (wanted(to.mask))
        tell(directory, to.mask, to.name, to.cookie).moved_from = moved_from;
}

// Forgets an entry that is told to be gone.
void TreeSource::leave(NodeId directory, const std::string& name) {
    if (options_.track_files)
        files_[directory].erase(name);
    if (const NodeId node = model_.child(directory, name); node != no_node)
        remove_subtree(node);
}

void TreeSource::handle_overflow() {
    write_event(out_.push(), -1, IN::Q_OVERFLOW, 0, {}, {});
    last_left_ = {};
    lost_before_ =
        queue_.end();  // while the kernel's one record of an overflow waits, more is lost
    for (const Root& root : roots_)
        list_soon(root.node, {.deep = true, .decides = true});
    model_.for_each_watched([&](NodeId node) { model_[node].stale = true; });
    healing_ = true;
}

// Looking further ahead may move the bytes that a record's name points into; this does not.
TreeSource::Half TreeSource::half_at(Position position, const Record& record) {
    return {position, record.size, record.wd, record.mask, record.cookie, std::string(record.name)};
}

// Looks ahead for the second half of a rename. Each record is looked at once, however many first
// halves there are.
bool TreeSource::find_moved_to(std::uint32_t cookie, Half& to) {
    if (indexed_ < queue_.position()) {
        moved_to_.clear();
        indexed_ = queue_.position();
    }
    Record record;
    auto found = moved_to_.find(cookie);
    while (found == moved_to_.end() && queue_.peek(indexed_, record)) {
        if ((record.mask & IN::MOVED_TO.bits()) != 0) {
            const auto entry = moved_to_.insert_or_assign(record.cookie, indexed_).first;
            if (record.cookie == cookie)
                found = entry;
        }
        if ((record.mask & IN::Q_OVERFLOW.bits()) != 0)
            overflow_end_ = indexed_ + record.size;
        indexed_ += record.size;
    }
    if (found == moved_to_.end() || found->second < queue_.position())
        return false;
    queue_.peek(found->second, record);
    to = half_at(found->second, record);
    return (to.mask & IN::MOVED_TO.bits()) != 0;
}

// The same, and if it is not queued yet, once the system call is over.
bool TreeSource::find_second_half(const Half& from, Half& to) {
    if (find_moved_to(from.cookie, to))
        return true;
    Half next;
    Position at = from.end();
    next_change(at, from.wd, from.wd, true, next);
    return find_moved_to(from.cookie, to);
}

// The next record from `at` on that changes what one of two directories holds; `at` goes behind it.
// If it `waits`, all that is queued by the system call of the record before `at` has been seen
// then: both directories are locked as long as it lasts.
bool TreeSource::next_change(Position& at, int wd_a, int wd_b, bool waits, Half& half) {
    for (bool ended = !waits;; ended = true) {
        at = std::max(at, queue_.position());  // what is behind it may be consumed
        Record record;
        while (queue_.peek(at, record)) {
            const Position here = at;
            if ((record.mask & IN::Q_OVERFLOW.bits()) != 0)
                return false;  // what was next has been dropped
            at += record.size;
            if (changes(record, wd_a) || changes(record, wd_b)) {
                half = half_at(here, record);
                return true;
            }
        }
        if (ended)
            return false;
        if (!await_changes(model_.watched_by(wd_a)) && wd_a != wd_b)
            await_changes(model_.watched_by(wd_b));
    }
}

// Waits until the system calls that are changing a directory have queued all their records. Where
// it cannot be reached yet, what is in it is looked at later.
bool TreeSource::await_changes(NodeId node) {
    const Position since = queue_.end();
    forget_heard();
    const int directory = open_in_place(node);
    if (directory >= 0) {
        kernel_.await_changes(directory);
        kernel_.close_directory(directory);
    }
    settle(since);
    if (is_absent(-directory) && records_wait()) {
        std::vector<std::string> names;
        for (NodeId c = model_[node].first_child; c != no_node; c = model_[c].next)
            names.push_back(model_[c].name);
        defer({.node = model_.ref(node), .names = std::move(names), .mode = {.decides = true}});
    }
    return directory >= 0;
}

// Finds the second pair of halves of what may be an exchange: in the records of the two directories
// it follows the first at once.
bool TreeSource::find_exchange(const Half& from, const Half& to, bool waits, Half& back_from,
                               Half& back_to) {
    Position at = to.end();
    return next_change(at, from.wd, to.wd, waits, back_from) && leaves_again(to, back_from) &&
           next_change(at, from.wd, to.wd, true, back_to) &&
           (back_to.mask & IN::MOVED_TO.bits()) != 0 && back_to.wd == from.wd &&
           back_to.name == from.name && back_to.cookie == back_from.cookie;
}

// Which of two directories says that it is the one that was renamed; −1: neither.
int TreeSource::find_mover(const Half& from, const Half& to, int wd_a, int wd_b) {
    Record record;
    for (Position at = std::max(to.end(), queue_.position()); queue_.peek(at, record);
         at += record.size) {
        if ((record.mask & IN::MOVE_SELF.bits()) != 0 && (record.wd == wd_a || record.wd == wd_b))
            return record.wd;
        if (changes(record, from.wd) || changes(record, to.wd))
            break;  // something that happened later
    }
    return -1;
}

// Renaming there and back leaves the same two pairs as an exchange does. What differs is whether
// one directory says MOVE_SELF twice, or two do; and for files whether both names are still there.
std::optional<bool> TreeSource::is_exchange(NodeId from_dir, const Half& from, NodeId to_dir,
                                            const Half& to, const Half& back_from,
                                            const Half& back_to) {
    if (from.is_dir() != back_from.is_dir())
        return true;
    const Position after = back_to.end();
    if (!from.is_dir())
        return exists_at(after, to_dir, to.name);
    const NodeId first = model_.child(from_dir, from.name);
    const NodeId second = model_.child(to_dir, to.name);
    const auto wd_of = [&](NodeId node) { return node == no_node ? -1 : model_[node].wd; };
    const int first_wd = wd_of(first);
    const int second_wd = wd_of(second);
    const int there = find_mover(from, to, first_wd, second_wd);
    int back = find_mover(back_from, back_to, first_wd, second_wd);
    if (back < 0 && (await_changes(from_dir) || await_changes(to_dir)))  // its last record
        back = find_mover(back_from, back_to, first_wd, second_wd);
    if (there != first_wd || back < 0) {  // the model may have another directory there
        if (first != no_node)
            doubt(first);
        if (second != no_node)
            doubt(second);
    }
    if (there < 0 && back < 0)
        return exists_at(after, to_dir, to.name);
    return there != back;
}

// Whether an arrival is half of an exchange whose other half is not told: then what was there
// leaves with the next record, and yet the name stays. Of two directories a look tells.
std::optional<bool> TreeSource::is_swapped(NodeId node, const Half& to, Half& back) {
    Position at = to.end();
    if (!next_change(at, to.wd, to.wd, true, back) || !leaves_again(to, back))
        return false;
    if (to.is_dir() != back.is_dir())
        return true;
    if (may_be_merged(to, back))
        return {};
    if (to.is_dir() && !at_depth_limit(node))
        return false;
    Half gone;
    if (last_left_.cookie == to.cookie &&
        !(find_second_half(back, gone) && gone.wd == last_left_.wd && gone.name == last_left_.name))
        return false;  // in an exchange it goes where the other came from
    return exists_at(at, node, to.name);
}

// Whether what has arrived is followed by something that leaves its name.
bool TreeSource::leaves_again(const Half& to, const Half& back) {
    return (back.mask & IN::MOVED_FROM.bits()) != 0 && back.wd == to.wd && back.name == to.name;
}

// The kernel merges arrivals at a name that follow each other, whatever their cookies. If the last
// is half of an exchange, what leaves next is what arrived before, and the name stays. That cannot
// be where the cookies are in a row. (Where a rename elsewhere took the number between, an exchange
// is told as an arrival, a leaving, and what is found then.)
bool TreeSource::may_be_merged(const Half& to, const Half& back) {
    return leaves_again(to, back) && back.cookie != to.cookie + 1;
}

// Whether the entry exists at `position`: the first later record about it tells, or else the disk,
// if none is queued while it is asked. Nothing where neither can.
std::optional<bool> TreeSource::exists_at(Position position, NodeId node, const std::string& name) {
    const int wd = model_[node].wd;
    Half arrived;
    Stat stat;
    int on_disk = -EAGAIN;
    for (int tries = 0;; ++tries) {
        bool changed = false;
        Record record;
        for (position = std::max(position, queue_.position()); queue_.peek(position, record);
             position += record.size) {
            const Mask mask = record.mask;
            if (mask.intersects(IN::Q_OVERFLOW))
                return {};  // what tells may be lost
            if (record.wd != wd || record.name != name || !mask)
                continue;
            changed = true;
            // What arrives says nothing of what was there, and neither does its leaving again;
            // something else that leaves was there.
            if (arrived.mask != 0) {
                const Half left = half_at(position, record);
                if (!leaves_again(arrived, left) || may_be_merged(arrived, left))
                    return {};
                if (left.is_dir() != arrived.is_dir())
                    return true;
                arrived = {};
            } else if (mask.intersects(IN::MOVED_TO)) {
                arrived = half_at(position, record);
            } else {
                return !mask.intersects(IN::CREATE);
            }
        }
        if (tries > 0 && !changed)
            break;
        on_disk = -EAGAIN;
        if (tries == most_tries)
            break;
        const Position since = queue_.end();
        on_disk = look_for(node, name, stat);
        settle(since);
    }
    if (arrived.mask != 0 || (on_disk != 0 && on_disk != -ENOENT))
        return {};
    return on_disk == 0;
}

void TreeSource::make_unsure(NodeId node, const std::string& name, Position position) {
    const auto same = [&](const Unsure& u) {
        return u.directory == node && u.name == name && u.position == position;
    };
    if (std::ranges::none_of(unsure_, same))
        unsure_.push_back({node, name, position});
}

// Whether an entry is there: 0, −ENOENT, or why that cannot be said.
int TreeSource::look_for(NodeId node, const std::string& name, Stat& stat) {
    forget_heard();
    const int directory = open_in_place(node);
    if (directory < 0)
        return directory == -ENOENT ? -ESTALE : directory;
    const int error = kernel_.stat(directory, name, false, stat);
    kernel_.await_changes(directory);
    kernel_.close_directory(directory);
    return error;
}

// A record about an entry of which it was not known whether it exists: now it is. But a directory
// that did is still to be looked at.
void TreeSource::make_sure(NodeId node, const Half& half) {
    if (unsure_.empty())
        return;
    const Mask mask = half.mask;
    if (half.is_dir() && !mask.intersects(membership))
        return;
    const auto known = [&](const Unsure& u) {
        return u.directory == node && u.name == half.name && half.position >= u.position;
    };
    if (std::erase_if(unsure_, known) != 0 && !half.is_dir() &&
        !mask.intersects(IN::CREATE | IN::MOVED_TO) && !is_history(node, half))
        tell_found(node, half.name);
}

// A file that exists, though it was not told.
void TreeSource::tell_found(NodeId node, const std::string& name) {
    if (options_.track_files && !files_[node].insert(name).second)
        return;
    vacate(node, name);  // a directory whose leaving waits for an overflow to be healed
    tell_file(node, {name, FileType::other}, Announce::fresh);
}

Event& TreeSource::tell(NodeId directory, Mask mask, std::string_view name, std::uint32_t cookie) {
    Event& event = out_.push();
    write_event(event, model_[directory].wd, mask, cookie, path_of(directory), name);
    return event;
}

void TreeSource::tell_record(NodeId directory, const Half& half) {
    const Mask always = IN::UNMOUNT | IN::IGNORED | IN::MOVE_SELF | IN::DELETE_SELF;
    if (wanted(half.mask) || half.mask & always.bits())
        tell(directory, half.mask, half.name, half.cookie);
}

void TreeSource::tell_file(NodeId directory, const DirectoryEntry& entry, Announce announce) {
    if (announce == Announce::existing || wanted(IN::CREATE))
        tell(directory, IN::CREATE, entry.name).synthetic = true;
    if (announce == Announce::existing || entry.type != FileType::other)
        return;
    for (const Mask mask : {IN::MODIFY, IN::CLOSE_WRITE})
        if (wanted(mask))
            tell(directory, mask, entry.name).synthetic = true;
}

void TreeSource::tell_entry_path(NodeId directory, std::string_view name, std::string& result) {
    result = path_of(directory);
    append_name(result, name);
}

const std::string& TreeSource::path_of(NodeId node) {
    if (node != path_node_) {
        model_.path(node, path_);
        path_node_ = node;
    }
    return path_;
}

bool TreeSource::excluded(NodeId directory, std::string_view name) {
    if (!options_.exclude)
        return false;
    tell_entry_path(directory, name, entry_path_);
    return options_.exclude(entry_path_);
}

bool TreeSource::at_depth_limit(NodeId node) const {
    return options_.max_depth != unlimited && model_.depth(node) >= options_.max_depth;
}

// What happens to a directory itself is told by its parent, unless there is none that hears it.
bool TreeSource::tells_itself(NodeId node) const { return is_root(node) || model_[node].symlink; }

// A look from after the record has told already what became of it.
bool TreeSource::is_history(NodeId node, const Half& half) const {
    const auto stamp = stamps_.find(node);
    if (stamp == stamps_.end())
        return false;
    if (half.position < (half.is_dir() ? stamp->second.directories : stamp->second.files))
        return true;
    const auto name = stamp->second.names.find(half.name);
    return name != stamp->second.names.end() && half.position < name->second;
}

}  // namespace inotify::detail
