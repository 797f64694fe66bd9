// SPDX-License-Identifier: MIT
// The source of InotifyTree, second half: looking at the disk. What records say is in
// tree_source.cpp.
#include <inotify/detail/tree_source.hpp>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <span>

namespace inotify::detail {
namespace {

// Entries that one step looks at, and how many in these may have been listed before it looks at the
// next. Between steps the queue is read and events are yielded, so this bounds both the time and
// the memory that go by before; one directory is listed as a whole.
constexpr std::size_t step_size = 64;
constexpr std::size_t step_listed = 4096;

// Records that wait in memory while the walk goes on; beyond this they count as an overflow.
constexpr std::size_t most_buffered = 64 * 1024 * 1024;

constexpr std::chrono::seconds retry_interval{1};

// Errors that hit every directory alike; one that is tried again stands for all.
bool is_shortage(int error) {
    return error == ENOSPC || error == EMFILE || error == ENFILE || error == ENOMEM;
}

}  // namespace

// One step of the walk; false when there is nothing to walk.
bool TreeSource::work() {
    if (work_.empty())
        return false;
    Work item = std::move(work_.front());
    work_.pop_front();
    if (model_.alive(item.node) && model_[item.node.id].wd >= 0) {
        if (in_limbo(item.node.id))
            defer(std::move(item));
        else
            step(item);
    }
    if (work_.empty())
        finish_walk();
    return true;
}

// Looks first, and applies what was seen only when the records that were queued meanwhile are
// known.
void TreeSource::step(Work& item) {
    const NodeId node = item.node.id;
    forget_heard();
    looks_.clear();
    Position since = queue_.end();
    if (item.deferred && records_wait()) {  // about names of long ago: first what became of them
        defer(std::move(item));
        return;
    }
    // With nothing queued the model's paths are those of this moment; whether they are, and stay so
    // during a step by path, is seen at its end.
    const bool by_path = leaves_suffice(item.mode);
    const bool is_certain = by_path && queue_.position() == since;
    const int directory = is_certain ? open(node) : open_in_place(node);
    if (directory < 0) {
        settle(since);
        unreachable(item, -directory);
        return;
    }
    const std::string path = entry_path_;
    std::vector<DirectoryEntry> entries;
    int error = 0;
    if (item.relist) {
        error = -list(directory, entries);
        if (error == 0)
            item.names = directories_in(node, entries);
    }
    const Mode mode = item.mode;
    const std::size_t last =
        error == 0 ? std::min(item.next + step_size, item.names.size()) : item.next;
    for (std::size_t listed = 0; item.next < last && listed < step_listed;) {
        Look& look = looks_.emplace_back();
        look.name = item.names[item.next++];
        entry_path_ = path;
        append_name(entry_path_, look.name);
        if (!by_path || !look_by_path(directory, look))
            look_by_descriptor(directory, node, mode, look);
        listed += look.entries.size();
    }
    // What was seen is on the disk; with this the records that tell of it are queued, too.
    if (!looks_.empty())
        kernel_.await_changes(directory);
    // The looks by path were at this directory if its path still leads to it: what made the path
    // lead elsewhere, below the root, is undone behind its own records.
    const bool is_here =
        !by_path ||
        is_watch_of(node, kernel_.add_watch(path, is_root(node) ? root_mask() : entry_mask()));
    kernel_.close_directory(directory);
    heard_elsewhere_ |= !is_here;
    const Position until = settle(since);
    since = std::max(since, queue_.position());
    since = before_exchange(node, since, until);
    if (by_path && (!is_here || moved_between(since, until))) {  // paths may have led elsewhere
        for (const Look& look : looks_)
            if (look.fresh && look.error == 0)
                unwatch(look.wd);
        item.next -= looks_.size();
        item.mode.careful = true;
        work_.push_front(std::move(item));
        return;
    }

    const NodeRef here = item.node;
    if (error != 0) {
        unreachable(item, error);
        return;
    }
    healed(node);
    if (item.relist) {
        std::vector<std::string> names = item.names;  // some are taken out; `next` counts all
        tell_contents(node, entries, names, mode, mode.deep, since, until);
    }
    item.relist = false;
    if (item.next < item.names.size())
        work_.push_front(std::move(item));
    for (Look& look : looks_)
        if (model_.alive(here))
            apply(node, mode, look, since, until);
    looks_.clear();

    lose_buffered();
}

// True when so many records wait in memory that they count as lost.
bool TreeSource::lose_buffered() {
    if (queue_.buffered() <= most_buffered)
        return false;
    queue_.clear();
    handle_overflow();
    return true;
}

// Looks at entries of a directory next.
void TreeSource::look_soon(NodeId directory, std::vector<std::string> names, Mode mode) {
    work_.push_front({.node = model_.ref(directory), .names = std::move(names), .mode = mode});
}

// Lists a watched directory after all that is to be looked at now.
void TreeSource::list_soon(NodeId directory, Mode mode) {
    work_.push_back({.node = model_.ref(directory), .names = {}, .mode = mode, .relist = true});
}

// The first scan needs no file names, so a directory that has no subdirectories by its link count
// need not be opened: two calls instead of seven, and they are most of a tree.
bool TreeSource::leaves_suffice(const Mode& mode) const {
    return mode.announce == Announce::nothing && !mode.deep && !mode.careful &&
           !options_.track_files && !options_.follow_symlinks && !options_.one_file_system;
}

// Looks at entry_path_. False: this way does not do.
bool TreeSource::look_by_path(int directory, Look& look) {
    const int wd = kernel_.add_watch(entry_path_, entry_mask());
    if (wd < 0 || model_.watched_by(wd) != no_node)
        return false;
    Stat stat;
    if (kernel_.stat(directory, look.name, false, stat) < 0) {
        unwatch(wd);
        return false;
    }
    look.wd = wd;
    look.fresh = true;
    look.by_path = true;
    look.leaf = stat.leaf;
    return true;
}

// Opening first makes the watch and the listing speak of one inode, whatever its path comes to
// mean.
void TreeSource::look_by_descriptor(int directory, NodeId node, const Mode& mode, Look& look) {
    const NodeId held = model_.child(node, look.name);
    const bool too_deep = at_depth_limit(node);
    bool follow = options_.follow_symlinks && !too_deep;
    if (follow) {
        Stat stat;
        if (kernel_.stat(directory, look.name, false, stat) == 0)
            look.symlink = stat.type == FileType::symlink;
        follow = look.symlink;
    }
    const int opened = kernel_.open_directory(directory, look.name, follow);
    if (opened < 0) {
        look.error = -opened;
        return;
    }
    heard_.push_back({model_[node].wd, look.name});
    Stat inside;
    Stat outside;
    if (too_deep ||
        (options_.one_file_system && kernel_.stat(opened, {}, false, inside) == 0 &&
         kernel_.stat(directory, {}, false, outside) == 0 && inside.device != outside.device)) {
        look.pruned = true;
        kernel_.close_directory(opened);
        return;
    }
    const int wd = kernel_.add_watch(opened, entry_path_, watch_mask());
    if (wd < 0) {
        look.error = -wd;
        kernel_.close_directory(opened);
        return;
    }
    look.wd = wd;
    heard_.push_back({wd, {}});
    const NodeId owner = model_.watched_by(wd);
    look.fresh = owner == no_node;
    if (look.fresh || mode.deep)
        look.error = -list(opened, look.entries);
    kernel_.close_directory(opened);
    if (look.error != 0 && look.fresh)
        unwatch(wd);
    if (owner != no_node && owner != held)
        look.owner_in_place = is_in_place(owner);
}

// Makes the model agree with what was seen, and tells what differs.
void TreeSource::apply(NodeId node, Mode mode, Look& look, Position since, Position until) {
    NodeId held = model_.child(node, look.name);
    if (changed_between(since, until, model_[node].wd, look.name) ||
        (mode.links && !look.symlink && !is_absent(look.error))) {
        // Whether this is from before or from after the change cannot be known. The records that
        // tell of the change tell the rest.
        if (look.fresh && look.error == 0 && model_.watched_by(look.wd) == no_node)
            unwatch(look.wd);
        if (held != no_node)
            doubt(held, mode.deep);
        return;
    }
    mode.links = false;  // what is behind the link is like anything else
    if (is_absent(look.error)) {
        apply_absent(node, held, mode, look, until);
        return;
    }
    if (look.pruned || look.error != 0) {
        if (held == no_node)
            held = announce(node, mode, look);
        if (look.pruned)
            model_[held].pruned = true;
        else if (!look.symlink)
            fail(held, look.error);
        if (model_[held].wd >= 0 && !look.pruned)  // watched, but not compared
            stuck_.push_back({.node = model_.ref(node), .names = {look.name}, .mode = mode});
        return;
    }
    stamp_name(node, look.name, since);
    const NodeId owner = model_.watched_by(look.wd);
    if (owner != no_node && owner == held) {
        model_[held].missing = false;
        healed(held);
        if (mode.deep)
            tell_listing(held, look.entries, mode, true, since, until);
    } else if (owner != no_node) {
        apply_elsewhere(node, held, owner, mode, look, since, until);
    } else if (look.fresh) {
        apply_fresh(node, held, mode, look, since, until);
    } else {
        // Its watch was taken back for another reason.
        look_soon(node, {look.name}, mode);
    }
}

void TreeSource::apply_absent(NodeId node, NodeId held, const Mode& mode, const Look& look,
                              Position until) {
    if (held == no_node)
        return;
    if (model_[held].symlink) {  // the link is still there, but leads to no directory any more
        vacate(node, look.name);
        tell_file(node, {look.name, FileType::symlink}, Announce::fresh);
    } else if (mode.decides &&
               !changed_between(queue_.position(), until, model_[node].wd, look.name)) {
        if (!std::exchange(model_[held].missing, true))
            missing_.push_back(model_.ref(held));
    } else {
        doubt(held, mode.deep);  // its DELETE or MOVED_FROM is queued
    }
}

// A directory that the model does not know is at this place.
void TreeSource::apply_fresh(NodeId node, NodeId held, const Mode& mode, Look& look, Position since,
                             Position until) {
    if (held != no_node && (model_[held].wd >= 0 || model_[held].lost)) {
        give_up_place(node, held, look);
        held = no_node;
    }
    if (held == no_node)
        held = announce(node, mode, look);
    Node& it = model_[held];
    it.symlink = look.symlink;
    it.alias = it.pruned = it.lost = it.missing = false;
    model_.set_wd(held, look.wd);
    healed(held);
    if (!look.by_path)
        tell_listing(held, look.entries, mode, false, since, until);
    else if (!look.leaf)  // depth first: what its path leads through is in the caches
        work_.push_front({.node = model_.ref(held), .names = {}, .mode = mode, .relist = true});
}

// The directory at this place is one that the model has elsewhere.
void TreeSource::apply_elsewhere(NodeId node, NodeId held, NodeId owner, const Mode& mode,
                                 Look& look, Position since, Position until) {
    const bool cannot_move =
        model_[owner].symlink || look.symlink || model_.is_within(node, owner) ||
        std::ranges::any_of(roots_, [&](const Root& r) { return r.node == owner; });
    if (look.owner_in_place || look.fresh || cannot_move) {
        // One inode at two places is watched at the first; what is at the second is not told twice.
        if (!look.owner_in_place && !look.fresh)
            doubt(owner);
        if (held != no_node && model_[held].wd >= 0) {
            give_up_place(node, held, look);
            held = no_node;
        }
        if (held == no_node)
            held = announce(node, mode, look);
        model_[held].missing = false;
        if (!std::exchange(model_[held].alias, true))
            aliases_.push_back(model_.ref(held));
        return;
    }
    // It leaves first: what gives up its place may be what it lies in.
    const NodeId old_place = model_[owner].parent;
    const bool lies_in_limbo = old_place != no_node && in_limbo(owner);
    if (old_place != no_node && !lies_in_limbo) {
        look_soon(old_place, {model_[owner].name}, mode);  // something else may be there by now
        displace(owner);
    }
    if (held != no_node && model_[held].wd >= 0)
        displace(held);
    vacate(node, look.name, true);
    if (lies_in_limbo || options_.max_depth != unlimited) {
        // It was told to be gone with what it lies in; or what below it is watched changes with its
        // depth. It comes as new.
        const std::string old_name = model_[owner].name;
        remove_subtree(owner);
        if (lies_in_limbo) {
            // The client will have it at the old place again, if what it lay in is found.
            const NodeId ghost = model_.add(old_place, old_name);
            model_[ghost].lost = true;
            doubt(ghost);
        }
        look_soon(node, {look.name}, mode);
        return;
    }
    const auto limbo = std::ranges::find_if(
        limbo_, [&](const Limbo& l) { return l.node.id == owner && model_.alive(l.node); });
    model_.attach(owner, node, look.name);
    model_[owner].missing = false;
    path_node_ = no_node;
    Event& event = tell(node, IN::MOVED_TO | IN::ISDIR, look.name, limbo->cookie);
    event.synthetic = true;
    event.moved_from = limbo->path;
    limbo_.erase(limbo);
    if (mode.deep)
        tell_listing(owner, look.entries, mode, true, since, until);
}

// What was held at this place is not there any more, but another directory is.
void TreeSource::give_up_place(NodeId node, NodeId held, const Look& look) {
    if (model_[held].wd >= 0 && !model_[held].symlink) {
        displace(held);
        return;
    }
    vacate(node, look.name);
    if (look.symlink)
        tell_file(node, {look.name, FileType::symlink}, Announce::fresh);
}

// A new directory; a symbolic link has been told as the file that it is.
NodeId TreeSource::announce(NodeId node, const Mode& mode, const Look& look) {
    if (!look.symlink)
        vacate(node, look.name, true);
    if (mode.announce != Announce::nothing && !look.symlink)
        tell(node, IN::CREATE | IN::ISDIR, look.name).synthetic = true;
    const NodeId result = model_.add(node, look.name);
    model_[result].symlink = look.symlink;
    return result;
}

// The directories in a listing that are to be looked at; takes what is excluded out of it.
std::vector<std::string> TreeSource::directories_in(NodeId node,
                                                    std::vector<DirectoryEntry>& entries) {
    if (options_.exclude)
        std::erase_if(entries,
                      [&](const DirectoryEntry& entry) { return excluded(node, entry.name); });
    std::vector<std::string> names;
    if (at_depth_limit(node))
        return names;
    for (const DirectoryEntry& entry : entries)
        if (is_directory(entry))
            names.push_back(entry.name);
    return names;
}

// Tells a listing and looks at the directories in it.
void TreeSource::tell_listing(NodeId node, std::vector<DirectoryEntry>& entries, const Mode& mode,
                              bool known, Position since, Position until) {
    std::vector<std::string> names = directories_in(node, entries);
    tell_contents(node, entries, names, mode, known, since, until);
    if (!names.empty())
        look_soon(node, std::move(names), mode);
}

// Tells what a listing shows but the directories that are looked at; of a `known` directory only
// what differs.
void TreeSource::tell_contents(NodeId node, std::vector<DirectoryEntry>& entries,
                               std::vector<std::string>& names, const Mode& mode, bool known,
                               Position since, Position until) {
    if (const auto told = stamps_.find(node); told != stamps_.end()) {
        if (told->second.files == not_listed)
            told->second.directories = told->second.files = 0;
        since = std::max(since, told->second.directories);  // what an earlier listing has told
    }
    if (known) {
        std::vector<std::string_view> present;
        for (const DirectoryEntry& entry : entries)
            if (is_directory(entry))
                present.push_back(entry.name);
        std::ranges::sort(present);
        for (NodeId c = model_[node].first_child; c != no_node; c = model_[c].next)
            if (!std::ranges::binary_search(present, model_[c].name) &&
                !std::exchange(model_[c].missing, true))
                missing_.push_back(model_.ref(c));
    }
    model_[node].stale = false;
    const bool tells_files = options_.track_files || !known;
    if (tells_files)
        std::erase_if(unsure_,
                      [&](const Unsure& u) { return u.directory == node && u.position <= since; });
    adjust_listing(node, entries, names, tells_files, since, until);
    stamp(node, &Stamp::directories, since);
    if (tells_files) {
        tell_files(node, entries, mode, known);
        stamp(node, &Stamp::files, since);
    }
    if (!at_depth_limit(node))
        return;
    for (const DirectoryEntry& entry : entries) {
        if (entry.type != FileType::directory || model_.child(node, entry.name) != no_node)
            continue;
        Look look;
        look.name = entry.name;
        model_[announce(node, mode, look)].pruned = true;
    }
}

void TreeSource::tell_files(NodeId node, std::vector<DirectoryEntry>& entries, const Mode& mode,
                            bool known) {
    if (!options_.track_files) {
        if (mode.announce == Announce::nothing)
            return;
        for (const DirectoryEntry& entry : entries)
            if (entry.type != FileType::directory)
                tell_file(node, entry, mode.announce);
        return;
    }
    std::set<std::string, std::less<>> before;
    if (known)
        before = std::move(files_[node]);
    auto& now = files_[node];
    now.clear();
    for (const DirectoryEntry& entry : entries) {
        if (entry.type == FileType::directory)
            continue;
        now.insert(entry.name);
        if (const NodeId held = model_.child(node, entry.name);
            held != no_node && !model_[held].symlink)
            displace(held);
        if (before.erase(entry.name) == 0 && mode.announce != Announce::nothing)
            tell_file(node, entry, mode.announce);
    }
    if (wanted(IN::DELETE))
        for (const std::string& gone : before)
            tell(node, IN::DELETE, gone).synthetic = true;
}

// Makes a listing the directory's state at `since`: what changed while it was listed is left to the
// records, and of a file the first one tells whether it was there before.
void TreeSource::adjust_listing(NodeId node, std::vector<DirectoryEntry>& entries,
                                std::vector<std::string>& names, bool tells_files, Position since,
                                Position until) {
    const int wd = model_[node].wd;
    std::map<std::string, bool, std::less<>> changed;  // true: a file that was there
    std::set<std::string, std::less<>> used;           // files that were there when they were used
    Record record;
    for (; since < until && queue_.peek(since, record); since += record.size) {
        const Mask mask = record.mask;
        if (record.wd != wd || !mask || record.name.empty() || changed.contains(record.name) ||
            excluded(node, record.name))
            continue;
        if (!mask.intersects(membership)) {
            if (!mask.contains(IN::ISDIR))
                used.emplace(record.name);
            continue;
        }
        const bool leaves = mask.intersects(IN::DELETE | IN::MOVED_FROM);
        bool was_file = used.contains(record.name) || (leaves && !mask.contains(IN::ISDIR));
        const bool is_first = changed.empty();
        const auto name = changed.emplace(record.name, false).first;
        if (!was_file && mask.intersects(IN::MOVED_TO)) {
            Half back;
            const Half to = half_at(since, record);
            const std::optional<bool> swapped = is_swapped(node, to, back);
            was_file = swapped == true && !back.is_dir();
            if (!swapped && tells_files)  // when its records are handled more may be known
                make_unsure(node, to.name, to.position);
            queue_.peek(since, record);  // looking ahead may have moved it
        } else if (is_first && mask.intersects(IN::MOVED_FROM)) {
            // If it left in an exchange, whose directories are locked until its end, the first half
            // may have been over before the directory was watched.
            make_unsure(node, std::string(record.name), since + record.size);
        }
        name->second = was_file;
    }
    if (changed.empty())
        return;
    std::erase_if(entries,
                  [&](const DirectoryEntry& entry) { return changed.contains(entry.name); });
    std::erase_if(names, [&](const std::string& name) { return changed.contains(name); });
    for (const auto& [name, was_file] : changed)
        if (was_file)
            entries.push_back({name, FileType::other});
}

// The directory is not where the model has it.
void TreeSource::unreachable(Work& item, int error) {
    const bool explained = records_wait();
    if (!is_absent(error) || (is_root(item.node.id) && !explained)) {
        get_stuck(std::move(item), error == ESTALE ? ENOENT : error);
        return;
    }
    bool missing = false;
    for (NodeId node = item.node.id; node != no_node; node = model_[node].parent)
        missing |= model_[node].missing;
    if (!explained && !missing) {
        // No record will say where it went, so the model is wrong about what it lies in.
        if (std::exchange(item.doubted, handled_) == handled_) {
            get_stuck(std::move(item), ENOENT);
            return;
        }
        for (NodeId node = item.node.id; !is_root(node); node = model_[node].parent)
            doubt(node, false, handled_);  // a second time would bring no more
    }
    defer(std::move(item));
}

// The work is tried again when the queue is empty.
void TreeSource::defer(Work item) {
    item.deferred = true;
    deferred_.push_back(std::move(item));
}

// True when there are records that may say more than that a watch was removed.
bool TreeSource::records_wait() {
    Record record;
    for (Position at = queue_.position(); queue_.peek(at, record); at += record.size)
        if (record.mask != 0 && (record.wd < 0 || model_.watched_by(record.wd) != no_node))
            return true;
    return false;
}

// The work is tried again with what else failed.
void TreeSource::get_stuck(Work item, int error) {
    const NodeId node = item.node.id;
    fail(node, error);
    if (item.mode.announce == Announce::nothing)
        item.mode.announce = Announce::fresh;  // the first scan is over by then
    if (item.relist && !item.mode.deep) {
        // Its first listing is still to come and will tell what its records say until then.
        Stamp& stamp = stamps_[node];
        stamp.directories = stamp.files = not_listed;
    }
    item.deferred = true;
    stuck_.push_back(std::move(item));
}

int TreeSource::list(int directory, std::vector<DirectoryEntry>& entries) {
    if (const int error = kernel_.list(directory, entries); error < 0)
        return error;
    bool asked = false;
    for (DirectoryEntry& entry : entries) {
        if (entry.type != FileType::unknown)
            continue;
        asked = true;
        Stat stat;
        if (const int error = kernel_.stat(directory, entry.name, false, stat); error == 0)
            entry.type = stat.type;
        else if (!is_absent(-error))
            return error;
    }
    if (asked)  // what has gone since is told by its record, which is queued with this
        kernel_.await_changes(directory);
    std::erase_if(entries, [](const DirectoryEntry& e) { return e.type == FileType::unknown; });
    return 0;
}

// Opens a watched directory by its path, which entry_path_ then is.
int TreeSource::open(NodeId node) {
    access_path(node, entry_path_);
    const int directory =
        kernel_.open_directory(Kernel::no_directory, entry_path_, tells_itself(node));
    if (directory >= 0)
        listening_to(node);
    return directory;
}

// The same; −ESTALE when another directory is there.
int TreeSource::open_in_place(NodeId node) {
    const int directory = open(node);
    if (directory < 0)
        return directory;
    const int wd = kernel_.add_watch(directory, entry_path_, watch_mask());
    if (is_watch_of(node, wd))
        return directory;
    kernel_.close_directory(directory);
    heard_elsewhere_ = true;
    return wd < 0 ? wd : -ESTALE;
}

// Whether what add_watch() gave is the directory's watch; one that is nobody's is taken back.
bool TreeSource::is_watch_of(NodeId node, int wd) {
    if (wd >= 0 && model_.watched_by(wd) == no_node)
        unwatch(wd);
    return wd == model_[node].wd;
}

// Takes a watch back. What was looked at by it, and is not applied yet, is looked at again.
void TreeSource::unwatch(int wd) {
    kernel_.remove_watch(wd);
    for (Look& look : looks_)
        if (look.wd == wd)
            look.fresh = false;
}

bool TreeSource::is_in_place(NodeId node) {
    if (in_limbo(node))
        return false;
    const int directory = open_in_place(node);
    if (directory < 0)
        return false;
    kernel_.close_directory(directory);
    return true;
}

void TreeSource::forget_heard() {
    heard_.clear();
    heard_elsewhere_ = false;
}

// A directory that is open for listing is heard by its own watch and by its parent's.
void TreeSource::listening_to(NodeId node) {
    heard_.push_back({model_[node].wd, {}});
    if (!is_root(node))
        heard_.push_back({model_[model_[node].parent].wd, model_[node].name});
}

// Reads what was queued during a look that began at `since`, and takes out what was its own doing.
// Returns where it ends.
Position TreeSource::settle(Position since) {
    const Position until = queue_.end();
    if (options_.mask.intersects(reading))
        erase_own_noise(since, until);
    return until;
}

void TreeSource::erase_own_noise(Position since, Position until) {
    // A directory behind a symbolic link is heard by a parent that is not known here, one that was
    // renamed meanwhile under another name; the record of that rename may be still to come.
    bool any_name = heard_elsewhere_ || options_.follow_symlinks || moved_between(since, until);
    const Mask last =
        options_.mask & IN::CLOSE_NOWRITE ? IN::CLOSE_NOWRITE : options_.mask & reading;
    const auto erase = [&] {
        Record record;
        for (Position at = since; at < until && queue_.peek(at, record); at += record.size) {
            const Mask mask = record.mask;
            if (!mask.contains(IN::ISDIR) || !mask.intersects(reading))
                continue;
            const auto heard = std::ranges::find_if(
                heard_, [&](const Heard& h) { return h.wd == record.wd && h.name == record.name; });
            if (heard != heard_.end())
                heard->closed |= mask.intersects(last);
            if (any_name || heard != heard_.end())
                queue_.erase(at);
        }
    };
    erase();
    if (!any_name && !std::ranges::all_of(heard_, &Heard::closed)) {
        any_name = true;
        erase();
    }
    queue_.pop_erased();  // so that the stream's position is where its first real record is
}

bool TreeSource::changed_between(Position since, Position until, int wd, std::string_view name) {
    Record record;
    for (; since < until && queue_.peek(since, record); since += record.size)
        if (changes(record, wd) && record.name == name)
            return true;
    return false;
}

// True when a directory left its place, so that paths may have led elsewhere.
bool TreeSource::moved_between(Position since, Position until) {
    Record record;
    for (; since < until && queue_.peek(since, record); since += record.size) {
        const Mask mask = record.mask;
        if (mask.intersects(IN::MOVE_SELF) ||
            (mask.contains(IN::ISDIR) && mask.intersects(IN::MOVE | IN::DELETE)))
            return true;
    }
    return false;
}

// A look at directories begins in the middle of an exchange when the first pair of its records was
// queued before, the second after; `since` then goes before both.
Position TreeSource::before_exchange(NodeId node, Position since, Position until) {
    const auto is_looked_at = [&](int wd) {
        return wd == model_[node].wd ||
               std::ranges::any_of(looks_, [&](const Look& l) { return !l.fresh && l.wd == wd; });
    };
    Position result = since;
    Record record;
    Record earlier;
    for (Position at = since; at < until && queue_.peek(at, record); at += record.size) {
        if ((record.mask & IN::MOVED_FROM.bits()) == 0 || !is_looked_at(record.wd))
            continue;
        Position last = since;  // the last change of the same directory
        for (Position i = queue_.position(); i < since && queue_.peek(i, earlier);
             i += earlier.size)
            if (changes(earlier, record.wd))
                last = i;
        // Where records may be missing in between, the cookies show that the two are one exchange.
        if (last < since && queue_.peek(last, earlier) &&
            (earlier.mask & IN::MOVED_TO.bits()) != 0 && earlier.name == record.name &&
            (last >= lost_before_ || record.cookie == earlier.cookie + 1))
            result = std::min(result, last);
    }
    return result;
}

void TreeSource::stamp(NodeId node, Position Stamp::* what, Position since) {
    if (since <= queue_.position())
        return;
    Position& told = stamps_[node].*what;
    told = std::max(told, since);
}

void TreeSource::stamp_name(NodeId node, const std::string& name, Position since) {
    if (since <= queue_.position())
        return;
    Position& told = stamps_[node].names[name];
    told = std::max(told, since);
}

// Another directory has taken its place. It may turn up elsewhere until the walk ends.
void TreeSource::displace(NodeId node) {
    const NodeId parent = model_[node].parent;
    Limbo limbo{.node = model_.ref(node), .cookie = next_cookie_--, .path = {}};
    tell_entry_path(parent, model_[node].name, limbo.path);
    tell(parent, IN::MOVED_FROM | IN::ISDIR, model_[node].name, limbo.cookie).synthetic = true;
    model_.detach(node);
    path_node_ = no_node;
    limbo_.push_back(std::move(limbo));
}

// True for what was displaced, and all below it, until it is found or the walk ends.
bool TreeSource::in_limbo(NodeId node) const {
    const NodeId top = model_.root_of(node);
    return std::ranges::none_of(roots_, [&](const Root& root) { return root.node == top; });
}

void TreeSource::finish_walk() {
    for (const Limbo& limbo : std::exchange(limbo_, {}))
        if (model_.alive(limbo.node))
            remove_subtree(limbo.node.id);
    for (const NodeRef ref : std::exchange(missing_, {}))
        if (model_.alive(ref) && model_[ref.id].missing)
            vacate(model_[ref.id].parent, std::string(model_[ref.id].name));
}

// The queue has been read empty. True when there was something to look at again, or when a look has
// read new records.
bool TreeSource::idle() {
    std::erase_if(stamps_, [](const auto& stamp) { return stamp.second.files != not_listed; });
    look_for_unsure();
    if (records_wait())
        return true;
    // What left its place before the comparison came there.
    if (std::exchange(healing_, false))
        model_.for_each_watched([&](NodeId node) {
            if (std::exchange(model_[node].stale, false))
                list_soon(node, {.deep = true, .decides = true});
        });
    for (Work& item : std::exchange(deferred_, {}))
        work_.push_back(std::move(item));
    for (const auto& [ref, deep, doubted] : std::exchange(doubtful_, {})) {
        if (!model_.alive(ref))
            continue;
        const Node& node = model_[ref.id];
        if (node.parent == no_node)
            continue;
        look_soon(node.parent, {node.name}, {.deep = deep, .decides = true});
        work_.front().doubted = doubted;
    }
    if (work_.empty() && has_failures() && kernel_.now() >= retry_at_)
        retry();
    return !work_.empty() || !out_.empty();
}

void TreeSource::look_for_unsure() {
    std::vector<Unsure> unsure = std::exchange(unsure_, {});
    for (std::size_t i = 0; i < unsure.size(); ++i) {
        const NodeId node = unsure[i].directory;
        const std::string& name = unsure[i].name;
        if (std::ranges::any_of(std::span(unsure).first(i), [&](const Unsure& u) {
                return u.directory == node && u.name == name;
            }))
            continue;
        const Position since = queue_.end();
        Stat stat;
        const int on_disk = look_for(node, name, stat);
        const Position until = settle(since);
        if (changed_between(queue_.position(), until, model_[node].wd, name) ||
            (on_disk < 0 && on_disk != -ENOENT))
            unsure_.push_back(unsure[i]);
        else if (on_disk == 0 && stat.type == FileType::directory)
            look_soon(node, {name});
        else if (on_disk == 0)
            tell_found(node, name);
    }
}

void TreeSource::retry() {
    retry_at_ = kernel_.now() + retry_interval;
    for (Work& item : std::exchange(stuck_, {}))
        work_.push_back(std::move(item));
    bool shortage = false;
    for (const auto& [id, error] : std::map(unwatched_)) {  // one that heals leaves it
        if (is_shortage(error.value()) && std::exchange(shortage, true))
            continue;
        const Node& node = model_[id];
        if (node.wd >= 0 || node.parent == no_node)
            continue;  // stuck
        look_soon(node.parent, {node.name});
    }
}

// The directory cannot be watched or listed: told once, and tried again.
void TreeSource::fail(NodeId node, int error) {
    const std::error_code code(error, std::system_category());
    if (!has_failures())
        retry_at_ = kernel_.now() + retry_interval;
    if (!unwatched_.insert_or_assign(node, code).second)
        return;
    write_event(out_.push(), -1, {}, 0, path_of(node), {});
    out_.back().error = code;
}

// One that got what there was too little of: there may be more for the others, now.
void TreeSource::healed(NodeId node) {
    const auto failure = unwatched_.find(node);
    if (failure == unwatched_.end())
        return;
    if (is_shortage(failure->second.value()))
        retry_at_ = {};
    unwatched_.erase(failure);
}

// What is at its place is not certain; looked at again when the queue is empty.
void TreeSource::doubt(NodeId node, bool deep, std::uint64_t doubted) {
    doubtful_.push_back({model_.ref(node), deep, doubted});
}

// Where roots overlap, those that lie in what is removed go on with their part of it, watches and
// all, so that nothing of it is lost.
TreeSource::Respelled TreeSource::take_over(NodeId top) {
    Respelled result;
    for (Root& root : roots_) {
        const NodeId node = root.watched.id;
        if (node == root.node || !model_.alive(root.watched) || model_[node].wd < 0 ||
            !model_.is_within(node, top))
            continue;
        std::string before;
        model_.path(node, before);
        put_on_top(root, top);
        if (options_.max_depth != unlimited)
            watch_deeper(node);
        if (options_.exclude && before != model_[node].name)  // other paths may be excluded now
            list_soon(node, {.deep = true, .decides = true});
        result.emplace_back(std::move(before), model_[node].name);
        if (node == top)
            break;  // what else lies in it stays there
    }
    return result;
}

// The node that is watched instead of the root's own becomes the root's own.
void TreeSource::put_on_top(Root& root, NodeId top) {
    const NodeId node = root.watched.id;
    if (const auto outer = find_root(model_.root_of(node)); outer != roots_.end())
        model_.path(node, root.access, &outer->access);
    if (const NodeId parent = model_[node].parent; parent != no_node) {
        const std::string name = model_[node].name;
        model_.detach(node);
        if (node != top) {  // what it lay in may be taken over, too
            const NodeId place = model_.add(parent, name);
            model_[place].alias = true;
            aliases_.push_back(model_.ref(place));
        }
    }
    const NodeId alias = std::exchange(root.node, node);
    model_[node].name = model_[alias].name;
    model_[node].symlink = model_[node].missing = false;
    remove_subtree(alias);
}

// The depth limit lies deeper than it did.
void TreeSource::watch_deeper(NodeId top) {
    for (std::vector<NodeId> pending{top}; !pending.empty();) {
        const NodeId node = pending.back();
        pending.pop_back();
        std::vector<std::string> names;
        for (NodeId c = model_[node].first_child; c != no_node; c = model_[c].next) {
            pending.push_back(c);
            if (model_[c].pruned && !at_depth_limit(node))
                names.push_back(model_[c].name);
        }
        if (!names.empty())
            look_soon(node, std::move(names));
    }
}

void TreeSource::remove_subtree(NodeId top) {
    take_over(top);
    if (find_root(top) != roots_.end())
        return;  // another root has taken it over
    path_node_ = last_node_ = no_node;
    bool unwatched = false;
    for (NodeId node = top;;) {
        while (model_[node].first_child != no_node)
            node = model_[node].first_child;
        const NodeId parent = model_[node].parent;
        if (model_[node].wd >= 0) {
            // Of a deleted directory the kernel has removed the watch, or will when it is closed.
            unwatch(model_[node].wd);
            unwatched = true;
        }
        stamps_.erase(node);
        files_.erase(node);
        unwatched_.erase(node);
        std::erase_if(unsure_, [&](const Unsure& u) { return u.directory == node; });
        model_.remove(node);
        if (node == top)
            break;
        node = parent;
    }
    if (!unwatched)
        return;
    // An inode that was watched here may be reached at another place.
    for (const NodeRef ref : std::exchange(aliases_, {}))
        if (model_.alive(ref) && std::exchange(model_[ref.id].alias, false))
            doubtful_.push_back({ref, false, 0});
}

// A root that was renamed is looked for beside its old place; its events keep the path that was
// given. It is recognised by its watch.
void TreeSource::find_renamed_root(NodeId node) {
    const auto root = std::ranges::find_if(roots_, [&](const Root& r) { return r.node == node; });
    std::string parent = root->access;
    while (parent.size() > 1 && parent.ends_with('/'))
        parent.pop_back();
    const std::size_t slash = parent.rfind('/');
    parent = slash == std::string::npos ? "." : parent.substr(0, std::max<std::size_t>(slash, 1));
    const Position since = queue_.end();
    forget_heard();
    heard_elsewhere_ = true;  // the parent may be in another root
    const int directory = kernel_.open_directory(Kernel::no_directory, parent, true);
    if (directory < 0)
        return;
    std::vector<DirectoryEntry> entries;
    list(directory, entries);
    kernel_.close_directory(directory);
    settle(since);
    for (const DirectoryEntry& entry : entries) {
        if (entry.type != FileType::directory)
            continue;
        std::string path = parent;
        append_name(path, entry.name);
        if (is_watch_of(node, kernel_.add_watch(path, entry_mask()))) {
            root->access = path;
            return;
        }
        queue_.end();  // a watch that is taken back leaves a record
    }
}

void TreeSource::access_path(NodeId node, std::string& result) const {
    const NodeId top = model_.root_of(node);
    for (const Root& root : roots_)
        if (root.node == top) {
            model_.path(node, result, &root.access);
            return;
        }
    model_.path(node, result);
}

// Renames and removals are always listened for: the model needs them. IN_MASK_ADD makes watching a
// directory again change nothing; without it the kernel sets the mask to 0 for a moment, and loses
// what happens in it.
std::uint32_t TreeSource::watch_mask() const {
    const Mask asked = options_.mask & (IN::ALL_EVENTS | IN::EXCL_UNLINK);
    return (asked | membership | IN::MOVE_SELF | IN::DELETE_SELF | IN::ONLYDIR | IN::MASK_ADD)
        .bits();
}

std::uint32_t TreeSource::entry_mask() const { return watch_mask() | IN::DONT_FOLLOW.bits(); }

std::uint32_t TreeSource::root_mask() const {
    return watch_mask() | (options_.mask & IN::DONT_FOLLOW).bits();
}

}  // namespace inotify::detail
