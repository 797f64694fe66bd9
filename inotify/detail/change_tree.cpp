// SPDX-License-Identifier: MIT
// What the events of a batch have changed, entry by entry.
#include <inotify/detail/change_tree.hpp>

#include <inotify/detail/hash_name.hpp>

#include <utility>

namespace inotify::detail {
namespace {

constexpr Mask contents = IN::MODIFY | IN::CLOSE_WRITE;
constexpr Mask changing =
    IN::CREATE | IN::DELETE | IN::MOVE | contents | IN::ATTRIB | IN::DELETE_SELF;

// A root has ended that was not removed: its name leads elsewhere.
bool ends_root(const Event& event) { return event.synthetic && event.mask.intersects(IN::IGNORED); }

}  // namespace

void ChangeTree::clear() {
    entries_.clear();
    entries_.emplace_back();
    entries_[top].is_dir = entries_[top].is_there = true;
    index_ = {};
    leaving_.clear();
    changed_ = 0;
    has_lost_events_ = false;
    last_directory_ = no_node;
}

bool ChangeTree::is_change(const Entry& entry) noexcept {
    if (!entry.is_there)
        return entry.was_there();
    if (!entry.was_there())
        return entry.is_linked;
    if (entry.has_contents || entry.has_attributes || !entry.is_linked)
        return true;
    return entry.has_moved && (entry.parent != entry.before || entry.name != entry.name_before);
}

// Does something to an entry, and keeps count of what has changed.
template <typename Action>
void ChangeTree::change(NodeId id, Action action) {
    const bool was_change = is_change(entries_[id]);
    action(entries_[id]);
    const bool is_one = is_change(entries_[id]);
    changed_ = changed_ + (is_one ? 1U : 0U) - (was_change ? 1U : 0U);
}

bool ChangeTree::add(const Event& event, Arrival arrival) {
    if (!event.mask.intersects(changing) && !ends_root(event))
        return false;
    apply(event, arrival);
    return true;
}

void ChangeTree::apply(const Event& event, Arrival arrival) {
    const bool is_arrival = event.mask.intersects(IN::CREATE | IN::MOVED_TO);
    // An event without a name is about the last component of its path.
    std::string_view name = event.filename;
    if (name.empty() && event.mask.intersects(IN::MOVED_TO))
        arrival = Arrival::taken;  // a name that is followed led to another inode before
    NodeId parent = no_node;
    if (!name.empty()) {
        parent = directory(event.path, is_arrival);
    } else {
        std::string_view path = event.path;
        while (path.ends_with('/'))
            path.remove_suffix(1);
        const std::size_t slash = path.rfind('/');
        name = path.substr(slash + 1);
        parent = slash == path.npos ? top : walk(path.substr(0, slash), is_arrival);
    }
    if (parent == no_node)
        return;
    NodeId id = find(parent, name);
    const bool is_there = id != no_node && entries_[id].is_there;
    const bool is_known = id != no_node || !is_kept(parent);

    if (event.mask.intersects(IN::CREATE)) {
        if (!is_there || entries_[id].was_there() || entries_[id].is_dir != event.is_dir())
            arrive(id = make(parent, name, event.is_dir(), false), parent, name);
        if (event.filename.empty())  // its own DELETE_SELF will be about it
            entries_[id].has_arrived = false;
    } else if (event.mask.intersects(IN::MOVED_TO)) {
        NodeId mover = take_leaving(event);
        const bool was_made = mover != no_node && !entries_[mover].was_there();
        if (mover == no_node)
            mover = make(parent, name, event.is_dir(), false);
        // What is renamed over a file replaces it without a word. When nobody knows whether there
        // was one, a file that was made for it is presumed to be an editor's, which replaces one.
        if (!is_known && !event.is_dir() && arrival != Arrival::free &&
            (was_made || arrival == Arrival::taken))
            presume(mover, parent, name, arrival == Arrival::taken);
        arrive(mover, parent, name);
    } else if (is_known && !is_there) {
        // Either the late word of a file that has no name any more, or the second word of an end:
        // DELETE_SELF does not say what it was.
        if (event.mask.intersects(IN::DELETE) && entries_[id].is_self_deleted)
            entries_[id].is_dir = event.is_dir();
    } else {
        if (id == no_node) {
            id = make(parent, name, event.is_dir(), is_kept(parent));
            link(id, parent, name);
        }
        if (ends_root(event)) {
            entries_[id].is_dir = true;
            remove(id, false);
        } else if (event.mask.intersects(IN::DELETE))
            remove(id, event.is_dir() && !event.synthetic);
        else if (event.mask.intersects(IN::MOVED_FROM))
            leave(id, event);
        else if (!event.mask.intersects(IN::DELETE_SELF))
            touch(id, event.mask);
        else if (!entries_[id].has_arrived) {  // what has arrived may be another
            remove(id, true);
            entries_[id].is_self_deleted = true;
        }
    }
}

NodeId ChangeTree::find(NodeId directory, std::string_view name) const {
    return index_.find(hash_name(directory, name), [&](NodeId id) {
        return entries_[id].parent == directory && entries_[id].name == name;
    });
}

NodeId ChangeTree::directory(const std::string& path, bool revives) {
    if (last_directory_ == no_node || path != last_path_) {
        last_directory_ = walk(path, revives);
        last_path_ = path;
    }
    return last_directory_;
}

// The directory at a path, as far as it is not known a new entry; no_node: it was removed.
NodeId ChangeTree::walk(std::string_view path, bool revives) {
    while (path.ends_with('/'))
        path.remove_suffix(1);
    NodeId at = top;
    for (;;) {
        const std::size_t slash = path.find('/');
        at = step(at, path.substr(0, slash), revives);
        if (at == no_node || slash == path.npos)
            return at;
        path.remove_prefix(slash + 1);
    }
}

NodeId ChangeTree::step(NodeId parent, std::string_view name, bool revives) {
    NodeId id = find(parent, name);
    if (id != no_node && entries_[id].is_there)
        return id;
    if (id == no_node) {
        id = make(parent, name, true, is_kept(parent));
        link(id, parent, name);
        return id;
    }
    // Something arrives in it: so it is there again, though its own arrival was not reported.
    if (!revives)
        return no_node;
    id = make(parent, name, true, false);
    arrive(id, parent, name);
    return id;
}

NodeId ChangeTree::make(NodeId parent, std::string_view name, bool is_dir, bool was_there) {
    const auto id = static_cast<NodeId>(entries_.size());
    std::string own_name(name);  // which may be another entry's, that is about to move
    Entry& entry = entries_.emplace_back();
    entry.name = std::move(own_name);
    entry.is_dir = is_dir;
    if (was_there)
        entry.before = parent;
    changed_ += is_change(entry) ? 1U : 0U;
    return id;
}

// The name is free, or what was removed has it.
void ChangeTree::link(NodeId id, NodeId parent, std::string_view name) {
    if (const NodeId removed = find(parent, name); removed != no_node)
        unlink(removed);
    change(id, [&](Entry& entry) {
        entry.parent = parent;
        entry.name = name;
        entry.is_there = entry.is_linked = true;
        entry.next = std::exchange(entries_[parent].first_child, id);
        if (entry.next != no_node)
            entries_[entry.next].previous = id;
    });
    index_.insert(id, hash_name(parent, name));
}

void ChangeTree::unlink(NodeId id) {
    index_.erase(id, hash_name(entries_[id].parent, entries_[id].name));
    change(id, [&](Entry& entry) {
        (entry.previous == no_node ? entries_[entry.parent].first_child
                                   : entries_[entry.previous].next) = entry.next;
        if (entry.next != no_node)
            entries_[entry.next].previous = entry.previous;
        entry.next = entry.previous = no_node;
        entry.is_linked = false;
    });
}

// With all that is known in it. It keeps its name until another entry takes it.
void ChangeTree::remove(NodeId id, bool was_emptied) {
    if (may_hold_entries(id))
        last_directory_ = no_node;
    entries_[id].was_emptied = was_emptied && !has_lost_events_;
    std::vector<NodeId>& removed = scratch_;
    removed.assign(1, id);
    while (!removed.empty()) {
        const NodeId at = removed.back();
        removed.pop_back();
        change(at, [](Entry& entry) {
            entry.is_there = entry.has_contents = entry.has_attributes = false;
        });
        for (NodeId child = entries_[at].first_child; child != no_node;
             child = entries_[child].next)
            if (entries_[child].is_there)
                removed.push_back(child);
    }
}

void ChangeTree::leave(NodeId id, const Event& event) {
    const NodeId parent = entries_[id].parent;
    unlink(id);
    if (may_hold_entries(id))
        last_directory_ = no_node;
    if (!entries_[id].has_moved) {
        entries_[id].has_moved = true;
        entries_[id].name_before = entries_[id].name;
    }
    // A name that was only passed through need not have been another file's.
    if (const NodeId covered = std::exchange(entries_[id].covers, no_node);
        covered != no_node && entries_[covered].is_presumed)
        change(covered, [](Entry& entry) { entry.before = no_node; });
    // Its name is known to be free.
    const NodeId vacancy = make(parent, entries_[id].name, event.is_dir(), false);
    link(vacancy, parent, entries_[id].name);
    remove(vacancy, false);
    leaving_.push_back({id, event.cookie, event.path});
    append_name(leaving_.back().path, event.filename);
}

// What left by the first half of a rename; no_node: this batch has not seen it.
NodeId ChangeTree::take_leaving(const Event& event) {
    if (event.moved_from.empty())
        return no_node;
    for (std::size_t i = leaving_.size(); i-- > 0;) {
        if (leaving_[i].cookie != event.cookie || leaving_[i].path != event.moved_from)
            continue;
        const NodeId id = leaving_[i].entry;
        leaving_.erase(leaving_.begin() + static_cast<std::ptrdiff_t>(i));
        return id;
    }
    return no_node;
}

// Puts an entry at a name, where it replaces whatever is there.
void ChangeTree::arrive(NodeId id, NodeId parent, std::string_view name) {
    if (const NodeId held = find(parent, name); held != no_node && entries_[held].is_there)
        remove(held, false);
    if (may_hold_entries(id))
        last_directory_ = no_node;
    entries_[id].has_arrived = true;
    link(id, parent, name);
}

// A file was there that nothing was heard of.
void ChangeTree::presume(NodeId id, NodeId parent, std::string_view name, bool is_certain) {
    const NodeId file = make(parent, name, false, true);
    link(file, parent, name);
    entries_[file].is_presumed = !is_certain;
    entries_[id].covers = file;
}

void ChangeTree::touch(NodeId id, Mask mask) {
    change(id, [&](Entry& entry) {
        if (mask.intersects(contents))
            entry.has_contents = true;
        else
            entry.has_attributes = true;
    });
}

void ChangeTree::close() {
    for (const Leaving& leaving : std::exchange(leaving_, {}))
        remove(leaving.entry, false);
}

void ChangeTree::split(NodeId id) {
    const NodeId removed =
        make(entries_[id].before, entries_[id].name_before, entries_[id].is_dir, true);
    change(removed, [&](Entry& entry) {
        entry.name_before = entry.name;
        entry.has_moved = true;
    });
    change(id, [](Entry& entry) { entry.before = no_node; });
}

}  // namespace inotify::detail
