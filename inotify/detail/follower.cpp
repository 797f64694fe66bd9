// SPDX-License-Identifier: MIT
// The follower: what a record does to the picture.
#include <inotify/detail/follower.hpp>

#include <cerrno>
#include <utility>

namespace inotify::detail {

void Follower::handle(const Record& record) {
    const Mask mask = record.mask;
    if (mask.intersects(IN::Q_OVERFLOW)) {  // its descriptor is −1: looked at before any other
        queue_.pop();
        handle_overflow();
        return;
    }
    const NodeId node = watched_by(record.wd);
    if (node == no_node) {  // queued before its watch was removed
        queue_.pop();
        return;
    }
    agenda_.note_progress();
    if (record.name.empty()) {
        queue_.pop();
        handle_self(node, mask);
    } else if (picture_.is_detached(node)) {
        keep(node, record);
        queue_.pop();
    } else if (picture_.model()[node].state == NodeState::unlisted) {
        queue_.pop();  // the listing shows it
    } else if (!mask.intersects(membership)) {
        handle_use(node, record);
        queue_.pop();
    } else {
        RenameReader::keep(queue_.position(), record, record_);
        queue_.pop();
        handle_entry(node, record_);
    }
}

void Follower::handle_overflow() {
    picture_.overflow();
    renames_.forget_arrivals();
    for (const Picture::Root& root : picture_.roots())
        agenda_.add_last({.directory = picture_.model().ref(root.node),
                          .kind = Task::Kind::list,
                          .recursive = true});
    agenda_.compare_stale();
}

// A record about the watched directory itself.
void Follower::handle_self(NodeId node, Mask mask) {
    const Node& it = picture_.model()[node];
    if (mask.intersects(IN::IGNORED)) {
        handle_ignored(node, mask);
        return;
    }
    if (mask.intersects(IN::MOVE_SELF))
        picture_.note_move();
    if (picture_.is_detached(node))
        return;
    if (mask.intersects(IN::ATTRIB) && agenda_.has_failures())  // the right to search it, perhaps
        for (NodeId c = it.first_child; c != no_node; c = picture_.model()[c].next)
            agenda_.expedite(c);
    const bool ends_or_moves = mask.intersects(IN::MOVE_SELF | IN::DELETE_SELF);
    if (mask.intersects(IN::UNMOUNT) || (it.is_root && ends_or_moves))
        picture_.report_self(node, mask);
    else if (ends_or_moves || it.is_root || it.via_link)  // the rest is reported by the parent
        picture_.report(node, {}, {.mask = mask});
    if (mask.intersects(IN::DELETE_SELF))
        picture_.set_deleted(node, picture_.wanted(mask));
    if (!it.is_root || !mask.intersects(IN::MOVE_SELF))
        return;
    if (options_.follow_roots) {  // its name leads elsewhere now
        picture_.report_self(node, IN::IGNORED, true);
        picture_.end_root(node);
    } else {
        agenda_.add_next({.directory = picture_.model().ref(node), .kind = Task::Kind::find_root});
    }
}

// The watch has ended: the directory was removed, or its file system is unmounted.
void Follower::handle_ignored(NodeId node, Mask mask) {
    const Node& it = picture_.model()[node];
    agenda_.end_shortage(ENOSPC);
    if (it.is_root) {
        picture_.report_self(node, mask);
        picture_.end_root(node);
        return;
    }
    const bool is_detached = picture_.is_detached(node);
    if (it.is_deleted && !is_detached)
        picture_.report_self(node, mask);
    picture_.set_deleted(node, false);
    picture_.end_watch(node);
    if (!is_detached)
        agenda_.recheck(node);
}

// A record that does not change what the directory holds.
void Follower::handle_use(NodeId node, const Record& record) {
    const Mask mask = record.mask;
    if (picture_.excluded(node, record.name))
        return;
    clear_suspect(node, record.name, mask);
    if (mask.contains(IN::ATTRIB | IN::ISDIR) && agenda_.has_failures())
        agenda_.expedite(picture_.model().child(node, record.name));
    if (picture_.knows(node, record.name, mask.contains(IN::ISDIR)))
        picture_.report(node, record.name, {.mask = mask, .cookie = record.cookie});
}

void Follower::handle_entry(NodeId node, const RenameRecord& record) {
    const bool follows_arrival = renames_.forget_arrival(node, record.name, record.is_dir());
    // Also of what is excluded, or not known yet. A file may be a link that others lead through.
    if ((record.is_dir() || options_.follow_symlinks) && !record.mask.intersects(IN::CREATE))
        picture_.note_move();
    if (picture_.excluded(node, record.name))
        return;
    if (record.mask.intersects(IN::MOVED_TO)) {
        arrive(node, record);
        return;
    }
    clear_suspect(node, record.name, record.mask);
    if (record.mask.intersects(IN::MOVED_FROM)) {
        handle_moved_from(node, record, follows_arrival);
    } else if (record.mask.intersects(IN::CREATE)) {
        handle_created(node, record);
    } else if (picture_.knows(node, record.name, record.is_dir())) {
        picture_.remove(node, record.name, {.mask = record.mask});
        forget_destination(node, record.name);
    }
}

void Follower::handle_created(NodeId node, const RenameRecord& record) {
    if (options_.track_files && !record.is_dir() && picture_.knows(node, record.name, false))
        return;
    picture_.replace(node, record.name, record.is_dir());  // what has left it unheard
    create(node, record);
}

void Follower::handle_moved_from(NodeId node, const RenameRecord& from, bool follows_arrival) {
    const TreeModel& model = picture_.model();
    if (!picture_.knows(node, from.name, from.is_dir())) {  // what arrives somewhere is new
        if (follows_arrival)
            agenda_.suspect({model.ref(node), from.name}, {});
        return;
    }
    RenameRecord to;
    const RenameRecord* const counterpart = renames_.find_counterpart(from, to) ? &to : nullptr;
    const NodeId held = model.child(node, from.name);
    bool may_remain = follows_arrival;  // as in an exchange
    if (from.is_dir() && model[held].wd >= 0) {
        const bool has_moved = renames_.moves_itself(from, counterpart, held);
        if (!has_moved && counterpart != nullptr) {
            agenda_.recheck(held);  // another one has moved, and this is still here
            return;
        }
        may_remain = !has_moved;
    }
    const Move move = take(node, from, counterpart);
    if (may_remain) {
        Place destination;
        if (move.is_carried && !from.is_dir())
            destination = {move.to_directory, move.to.name};
        agenda_.suspect({model.ref(node), from.name}, std::move(destination));
    }
    put(move);
}

// Takes an entry out of the place that it is reported to leave.
Follower::Move Follower::take(NodeId node, const RenameRecord& from,
                              const RenameRecord* counterpart) {
    const TreeModel& model = picture_.model();
    const Cause cause{.mask = from.mask, .cookie = from.cookie};
    Move move;
    NodeId target = no_node;
    if (counterpart != nullptr) {
        move.to = *counterpart;
        target = model.watched_by(move.to.wd);
    }
    if (target != no_node &&
        (model[target].state == NodeState::unlisted || picture_.is_detached(target) ||
         picture_.excluded(target, move.to.name)))
        target = no_node;
    if (target != no_node)
        move.to_directory = model.ref(target);
    move.is_carried = target != no_node && can_carry(node, from, target);
    if (move.is_carried)
        move.taken = picture_.take(node, from.name, cause);
    else
        picture_.remove(node, from.name, cause);
    if (agenda_.has_suspects() && !from.is_dir()) {
        const Place to = move.is_carried ? Place{move.to_directory, move.to.name} : Place{};
        if (move.is_carried)
            forget_destination(target, move.to.name);  // it replaces what went there
        agenda_.move_destination({model.ref(node), from.name}, to);
    }
    return move;
}

// Puts what was taken where its counterpart says.
void Follower::put(const Move& move) {
    const TreeModel& model = picture_.model();
    if (!model.alive(move.to_directory))
        return;
    const NodeId directory = move.to_directory.id;
    queue_.erase(move.to.position);
    if (!move.is_carried) {
        arrive(directory, move.to);
        return;
    }
    const std::optional<Move> other = make_room(directory, move.to);
    if (move.to.is_dir())  // for a file take() has done it
        forget_destination(directory, move.to.name);
    picture_.put(move.taken, directory, move.to.name,
                 {.mask = move.to.mask, .cookie = move.to.cookie});
    const NodeId node = move.taken.node.id;
    bool says_itself = false;
    if (node != no_node) {
        const NodeState state = model[node].state;
        says_itself = is_watched(state) && move.to.is_dir();
        // What has no watch of its own does not say itself that it has moved.
        if (move.to.is_dir() && !says_itself && state != NodeState::pruned)
            look_up(directory, move.to.name);
        if (options_.exclude && is_watched(state))  // other paths below it may be excluded now
            agenda_.postpone(
                {.directory = model.ref(node), .kind = Task::Kind::list, .recursive = true});
    }
    if (!move.to.is_dir() && options_.follow_symlinks)  // a relative link leads elsewhere from here
        look_up(directory, move.to.name);
    note_arrival(directory, move.to, says_itself);
    if (other)
        put(*other);
}

// An entry comes from where this stream does not know it.
void Follower::arrive(NodeId node, const RenameRecord& to) {
    const std::optional<Move> other = make_room(node, to);
    forget_destination(node, to.name);
    create(node, to);
    note_arrival(node, to, false);
    if (other)
        put(*other);
}

// What is at a name leaves before something else arrives there: in an exchange by its own rename,
// which is reported first. Otherwise it has been replaced.
std::optional<Follower::Move> Follower::make_room(NodeId node, const RenameRecord& to) {
    const bool has_directory = picture_.knows(node, to.name, true);
    const bool has_file =
        options_.track_files && to.is_dir() && picture_.knows(node, to.name, false);
    RenameRecord from;
    if ((has_directory || has_file) && renames_.leaves_next(node, to, from) &&
        from.is_dir() == has_directory) {
        queue_.erase(from.position);
        RenameRecord counterpart;
        return take(node, from,
                    renames_.find_counterpart(from, counterpart) ? &counterpart : nullptr);
    }
    picture_.replace(node, to.name, to.is_dir());
    return {};
}

void Follower::create(NodeId node, const RenameRecord& record) {
    const Cause cause{.mask = record.mask, .cookie = record.cookie};
    if (record.is_dir()) {
        const NodeId added = picture_.create_directory(node, record.name, cause);
        if (picture_.model()[added].state == NodeState::found)
            look_up(node, record.name);
        return;
    }
    picture_.create_file(node, record.name, cause);
    if (options_.follow_symlinks)
        look_up(node, record.name);
}

// It may be part of an exchange, unless it is a directory that says itself that it has moved.
void Follower::note_arrival(NodeId node, const RenameRecord& to, bool says_itself) {
    if (says_itself)
        renames_.forget_arrival(node, {}, false);
    else
        renames_.note_arrival(node, to.name, to.is_dir());
    if (!agenda_.has_suspects())
        return;
    // Whether something was there, as after an exchange, nobody can see any more.
    const auto destination = agenda_.clear_suspect({picture_.model().ref(node), to.name});
    if (destination && options_.track_files)
        picture_.report_contents(*destination);
}

// In the order of the records.
void Follower::look_up(NodeId node, const std::string& name) {
    agenda_.add_last(
        {.directory = picture_.model().ref(node), .were_known = true, .names = {name}});
}

// True when an entry can be reported to have been renamed with all below it: its depth may not
// change what below it is watched, and a directory must be one that is known.
bool Follower::can_carry(NodeId from_directory, const RenameRecord& from,
                         NodeId to_directory) const {
    const TreeModel& model = picture_.model();
    const NodeId node = model.child(from_directory, from.name);
    if (node == no_node)
        return !from.is_dir();
    if (options_.max_depth != unlimited && model.depth(from_directory) != model.depth(to_directory))
        return false;
    return !model.is_within(to_directory, node);
}

// A record about a suspect: a file that something is done with is there.
void Follower::clear_suspect(NodeId node, std::string_view name, Mask mask) {
    if (!agenda_.has_suspects())
        return;
    const bool comes = mask.intersects(IN::CREATE);
    if (mask.contains(IN::ISDIR) && !comes)
        return;  // the look will show it
    Place place{picture_.model().ref(node), std::string(name)};
    // What leaves its name cannot be opened there, whatever it was.
    const FileType type = mask.intersects(membership) ? FileType::other : FileType::regular;
    if (const auto destination = agenda_.clear_suspect(place); destination && !comes) {
        picture_.restore_file(node, {place.name, type}, *destination);
        if (options_.follow_symlinks)
            look_up(node, place.name);
    }
}

// Another file is at a name, or none.
void Follower::forget_destination(NodeId node, const std::string& name) {
    if (agenda_.has_suspects())
        agenda_.move_destination({picture_.model().ref(node), name}, {});
}

// What happens in a detached directory is reported when it is in its place again. Of directories
// only their listings are needed then.
void Follower::keep(NodeId node, const Record& record) {
    const NodeState state = picture_.model()[node].state;
    if (state == NodeState::unlisted)
        return;
    const Mask mask = record.mask;
    if (!mask.contains(IN::ISDIR)) {
        Kept& kept = kept_.emplace_back();
        kept.directory = picture_.model().ref(node);
        RenameReader::keep(queue_.position(), record, kept.record);
    } else if (mask.intersects(membership)) {
        picture_.set_state(node, NodeState::stale);
        agenda_.compare_stale();
    }
}

void Follower::handle_kept() {
    for (const Kept& kept : std::exchange(kept_, {})) {
        if (!picture_.model().alive(kept.directory))
            continue;
        const NodeId node = kept.directory.id;
        if (picture_.is_detached(node))
            kept_.push_back(kept);
        else
            handle_alone(node, kept.record);
    }
}

// A record of a file whose counterpart is not looked for any more.
void Follower::handle_alone(NodeId node, const RenameRecord& record) {
    const Cause cause{.mask = record.mask, .cookie = record.cookie};
    const bool is_known = picture_.knows(node, record.name, false);
    if (picture_.excluded(node, record.name))
        return;
    if (record.mask.intersects(IN::CREATE | IN::MOVED_TO)) {
        if (options_.track_files && is_known && record.mask.intersects(IN::CREATE))
            return;
        picture_.replace(node, record.name, false);
        create(node, record);
    } else if (!is_known) {
        return;
    } else if (record.mask.intersects(membership)) {
        picture_.remove(node, record.name, cause);
        if (record.mask.intersects(IN::MOVED_FROM))  // perhaps in an exchange
            agenda_.suspect({picture_.model().ref(node), record.name}, {});
    } else {
        picture_.report(node, record.name, cause);
    }
}

NodeId Follower::watched_by(int wd) {
    if (wd != last_wd_ || !picture_.model().alive(last_node_) ||
        picture_.model()[last_node_.id].wd != wd) {
        last_wd_ = wd;
        const NodeId node = picture_.model().watched_by(wd);
        last_node_ = node == no_node ? NodeRef{} : picture_.model().ref(node);
    }
    return last_node_.id;
}

}  // namespace inotify::detail
