// SPDX-License-Identifier: MIT
// The reconciler: what a look at the disk does to the picture.
#include <inotify/detail/reconciler.hpp>

#include <inotify/detail/error.hpp>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

namespace inotify::detail {

void Reconciler::apply(Task task, Sight sight) {
    const NodeId node = task.directory.id;
    const Window window{sight.since, sight.until};
    if (task.kind == Task::Kind::find_root) {
        if (!sight.root_path.empty())
            picture_.set_access_path(node, sight.root_path);
        return;
    }
    if (!sight.is_sure) {
        task.by_fd = true;
        agenda_.add_next(std::move(task));
        return;
    }
    if (sight.error != 0) {
        unreachable(std::move(task), sight.error, window);
        return;
    }
    agenda_.succeed(node);
    if (task.kind == Task::Kind::list && options_.follow_symlinks) {
        apply_contents(node, sight.listing, task, window);
        return;
    }
    if (task.kind == Task::Kind::list) {
        apply_listing(node, sight.listing, task, window);
        task.kind = Task::Kind::look_up;
    }
    add_rest(task, std::move(sight.left));
    if (!sight.left_to_fd.empty()) {
        Task by_fd = task;
        by_fd.by_fd = true;
        add_rest(by_fd, std::move(sight.left_to_fd));
    }
    for (Lookup& lookup : sight.lookups)
        if (picture_.model().alive(task.directory))
            apply_lookup(task, lookup, window);
}

// Looks at the names that are left, in tasks of which one can be carried out at a time.
void Reconciler::add_rest(Task task, std::vector<std::string> names) {
    while (!names.empty()) {
        const auto rest =
            static_cast<std::ptrdiff_t>((names.size() - 1) % ProbeBatch::most_names + 1);
        task.names.assign(std::make_move_iterator(names.end() - rest),
                          std::make_move_iterator(names.end()));
        names.erase(names.end() - rest, names.end());
        agenda_.add_next(task);
    }
}

void Reconciler::apply_lookup(const Task& task, Lookup& lookup, Window window) {
    const TreeModel& model = picture_.model();
    const NodeId node = task.directory.id;
    NodeId held = model.child(node, lookup.name);
    if (has_changed(node, lookup.name, window)) {
        if (held != no_node)
            agenda_.recheck(held, task.recursive);
        return;
    }
    if (task.kind == Task::Kind::confirm || lookup.via_link) {
        if (!confirm(task, held, lookup))
            return;
        held = model.child(node, lookup.name);
    }
    if (std::holds_alternative<Absent>(lookup.found)) {
        miss(held);
        return;
    }
    if (const auto* const file = std::get_if<File>(&lookup.found)) {
        apply_file(node, held, {lookup.name, file->type});
        return;
    }
    if (held != no_node && model[held].via_link != lookup.via_link)
        held = replace(node, held, lookup);
    if (auto* const seen = std::get_if<Directory>(&lookup.found); seen == nullptr)
        apply_unwatched(task, held, lookup);
    else
        apply_directory(task, held, lookup, *seen, window);
}

// What is at the name of a suspect. False when no more is to be applied.
bool Reconciler::confirm(const Task& task, NodeId held, const Lookup& lookup) {
    const bool only_confirms = task.kind == Task::Kind::confirm;
    const Place place{task.directory, lookup.name};
    if (!agenda_.is_suspect(place))
        return !only_confirms;  // a record has shown it
    if (std::holds_alternative<Unreadable>(lookup.found) && held == no_node)
        return false;  // it is asked again
    const Place destination = *agenda_.clear_suspect(place);
    const File* const file = std::get_if<File>(&lookup.found);
    if (file != nullptr || lookup.via_link)
        picture_.restore_file(place.directory.id,
                              {lookup.name, file != nullptr ? file->type : FileType::symlink},
                              destination);
    return file == nullptr;
}

void Reconciler::apply_directory(const Task& task, NodeId held, Lookup& lookup, Directory& seen,
                                 Window window) {
    const NodeId owner = picture_.model().watched_by(seen.wd);
    if (!seen.is_sure || (owner == no_node && seen.was_known)) {
        // It is no longer what it was when it was looked up.
        agenda_.look_up(task.directory.id, {lookup.name}, task);
    } else if (owner == no_node) {
        apply_new(task, held, lookup, seen, window);
    } else if (owner != held) {
        apply_elsewhere(task, held, owner, lookup, seen, window);
    } else {
        picture_.set_missing(held, false);
        agenda_.succeed(held);
        if (seen.listing && task.recursive)
            apply_contents(held, *seen.listing, task, window);
    }
}

// A known directory is not at its place.
void Reconciler::miss(NodeId held) {
    if (held == no_node || picture_.model()[held].is_missing)
        return;
    picture_.set_missing(held, true);
    missing_.push_back(picture_.model().ref(held));
}

// A file is at the name, or a link that leads to no directory.
void Reconciler::apply_file(NodeId node, NodeId held, const DirectoryEntry& file) {
    if (held == no_node)
        return;
    if (!picture_.model()[held].via_link) {
        miss(held);
    } else if (picture_.model()[held].state == NodeState::alias) {
        picture_.remove_link(held);  // nothing was reported below it
    } else {
        picture_.replace(node, file.name, false);
        picture_.create_found_file(node, file, Report::fresh);
    }
}

// A directory is at the name that is not to be watched, or cannot be.
void Reconciler::apply_unwatched(const Task& task, NodeId held, const Lookup& lookup) {
    if (held == no_node && task.were_known && !lookup.via_link)
        return;  // whether there is anything cannot be seen, and its record says that it has left
    const auto* const failure = std::get_if<Unreadable>(&lookup.found);
    if (held != no_node && is_watched(picture_.model()[held].state) && failure != nullptr &&
        failure->error == ENOSPC)  // what is watched already needs no new watch
        held = replace(task.directory.id, held, lookup);
    if (held == no_node)
        held = create(task.directory.id, lookup, task.report);
    const bool has_watch = is_watched(picture_.model()[held].state);
    if (failure != nullptr) {
        if (!lookup.via_link || has_watch)
            fail(held, failure->error);
        if (has_watch)  // but its contents were not compared
            agenda_.retry(held, {.directory = task.directory,
                                 .report = task.report,
                                 .recursive = true,
                                 .names = {lookup.name}});
    } else {
        agenda_.succeed(held);  // it is not to be watched any more
        if (!has_watch)
            picture_.set_state(held, NodeState::pruned);
    }
}

// A directory that the model does not have is at the name.
void Reconciler::apply_new(const Task& task, NodeId held, Lookup& lookup, Directory& seen,
                           Window window) {
    const TreeModel& model = picture_.model();
    if (held != no_node && (is_watched(model[held].state) || model[held].state == NodeState::ended))
        held = replace(task.directory.id, held, lookup);
    if (held == no_node)
        held = create(task.directory.id, lookup, task.report);
    picture_.set_missing(held, false);
    picture_.watch(held, seen.wd);
    agenda_.succeed(held);
    if (seen.listing)
        apply_contents(held, *seen.listing, task, window);
    else if (seen.is_leaf)
        picture_.set_state(held, NodeState::listed);
    else  // depth first: what its path leads through is in the caches
        agenda_.add_next(
            {.directory = model.ref(held), .kind = Task::Kind::list, .report = task.report});
}

// A directory that the model has elsewhere is at the name.
void Reconciler::apply_elsewhere(const Task& task, NodeId held, NodeId owner, Lookup& lookup,
                                 Directory& seen, Window window) {
    const TreeModel& model = picture_.model();
    const NodeId node = task.directory.id;
    const bool cannot_move = model[owner].is_root || model[owner].via_link || lookup.via_link ||
                             model.is_within(node, owner);
    if (seen.is_elsewhere || !seen.was_known || cannot_move) {
        if (!seen.is_elsewhere && seen.was_known)
            agenda_.recheck(owner);
        apply_alias(task, held, lookup, seen.wd);
        return;
    }
    const NodeId old_place = model[owner].parent;
    if (old_place != no_node && picture_.is_detached(owner)) {
        // It has left a directory of which it is not known where that is.
        agenda_.postpone(
            {.directory = task.directory, .recursive = task.recursive, .names = {lookup.name}});
        return;
    }
    // It leaves first: what makes room may be what it lies in.
    if (old_place != no_node) {
        agenda_.look_up(old_place, {model[owner].name}, task);  // there may be another by now
        detach(owner);
    }
    if (held != no_node && is_watched(model[held].state))
        detach(held);
    picture_.replace(node, lookup.name, true);
    const auto detached =
        std::ranges::find(detached_, model.ref(owner), [](const Detached& d) { return d.node; });
    const Taken taken = std::move(detached->taken);
    detached_.erase(detached);
    if (options_.max_depth != unlimited) {  // what below it is watched changes with its depth
        picture_.drop(owner);
        agenda_.look_up(node, {lookup.name}, task);
        return;
    }
    picture_.put(taken, node, lookup.name, found(IN::MOVED_TO | IN::ISDIR, taken.cookie));
    if (seen.listing && task.recursive)
        apply_contents(owner, *seen.listing, task, window);
}

// One inode at two places is watched at the first; what is in it is not reported twice.
void Reconciler::apply_alias(const Task& task, NodeId held, const Lookup& lookup, int wd) {
    if (held != no_node && is_watched(picture_.model()[held].state))
        held = replace(task.directory.id, held, lookup);
    if (picture_.model().watched_by(wd) == no_node) {  // it lay below what has made room
        agenda_.look_up(task.directory.id, {lookup.name}, task);
        return;
    }
    if (held == no_node)
        held = create(task.directory.id, lookup, task.report);
    picture_.set_missing(held, false);
    agenda_.succeed(held);
    picture_.set_state(held, NodeState::alias);
}

bool Reconciler::has_changed(NodeId node, std::string_view name, Window window) {
    const int wd = picture_.model()[node].wd;
    return queue_.any_of(window.since, window.until, [&](const Record& record) {
        return record.wd == wd && (record.mask & membership.bits()) != 0 && record.name == name;
    });
}

// Adds what was found; a symbolic link has been reported as the file that it is.
NodeId Reconciler::create(NodeId node, const Lookup& lookup, Report how) {
    if (lookup.via_link) {
        if (!picture_.knows(node, lookup.name, false))  // its record was lost
            picture_.create_found_file(node, {lookup.name, FileType::symlink}, how);
        return picture_.create_link(node, lookup.name);
    }
    picture_.replace(node, lookup.name, true);
    return picture_.create_directory(
        node, lookup.name, how == Report::nothing ? silently : found(IN::CREATE | IN::ISDIR));
}

// What the model has at the name is not there any more, but another directory is.
NodeId Reconciler::replace(NodeId node, NodeId held, const Lookup& lookup) {
    if (picture_.model()[held].wd >= 0 && !picture_.model()[held].via_link) {
        detach(held);
        return no_node;
    }
    picture_.replace(node, lookup.name, false);
    if (lookup.via_link)
        picture_.create_found_file(node, {lookup.name, FileType::symlink}, Report::fresh);
    return no_node;
}

// Another directory has taken its place. It may be found elsewhere until the round ends.
void Reconciler::detach(NodeId node) {
    const TreeModel& model = picture_.model();
    const std::string name = model[node].name;
    const NodeRef ref = model.ref(node);
    detached_.push_back({ref, picture_.take(model[node].parent, name,
                                            found(IN::MOVED_FROM | IN::ISDIR, next_cookie_--))});
}

// The directory is not where the model has it, or it cannot be read.
void Reconciler::unreachable(Task task, int error, Window window) {
    const TreeModel& model = picture_.model();
    const NodeId node = task.directory.id;
    const bool is_explained = queue_.any_of(window.since, window.until, [&](const Record& record) {
        return record.wd < 0 || model.watched_by(record.wd) != no_node;
    });
    const bool repeats = task.unreachable_at == agenda_.progress();
    if (is_absent(error) && !is_explained && model[node].is_root) {
        lost_root(std::move(task));
        return;
    }
    const bool may_move = is_absent(error);
    if (may_move && (is_explained || has_missing_ancestor(node))) {
        agenda_.postpone(std::move(task));
        return;
    }
    if (may_move && !repeats) {
        // No record will say where it went, so the model is wrong about what it lies in.
        task.unreachable_at = agenda_.progress();
        for (NodeId above = node; !model[above].is_root; above = model[above].parent)
            agenda_.recheck(above, false, task.unreachable_at);  // a second time brings no more
        agenda_.postpone(std::move(task));
        return;
    }
    fail(node, error == ESTALE ? ENOENT : error);
    if (task.report == Report::nothing)
        task.report = Report::fresh;  // the first scan is over by then
    agenda_.retry(node, std::move(task));
}

// A root is not at its path, and no record says why: it was renamed or removed when records were
// lost.
void Reconciler::lost_root(Task task) {
    const NodeId root = task.directory.id;
    if (std::exchange(task.unreachable_at, agenda_.progress()) != agenda_.progress()) {
        agenda_.add_next({.directory = task.directory, .kind = Task::Kind::find_root});
        agenda_.postpone(std::move(task));
    } else if (kernel_.is_watched(picture_.model()[root].wd)) {
        fail(root, ENOENT);
        agenda_.retry(root, std::move(task));
    } else {
        picture_.report_self(root, IN::DELETE_SELF, true);
        picture_.report_self(root, IN::IGNORED, true);
        picture_.end_root(root);
    }
}

bool Reconciler::has_missing_ancestor(NodeId node) const {
    const TreeModel& model = picture_.model();
    for (; node != no_node; node = model[node].parent)
        if (model[node].is_missing)
            return true;
    return false;
}

void Reconciler::fail(NodeId node, int error) {
    if (!is_watched(picture_.model()[node].state))
        picture_.set_state(node, NodeState::failed);
    if (agenda_.fail(node, error, kernel_.now()))
        picture_.report_error(node, event_error(error));
    const TreeModel& model = picture_.model();
    const NodeId parent = model[node].parent;
    if (RetryQueue::is_shortage(error) || parent == no_node || model[parent].hears_attributes)
        return;
    if (disk_.watch_attributes(parent))
        picture_.set_hears_attributes(parent);
}

bool Reconciler::end_round() {
    const TreeModel& model = picture_.model();
    const bool had_any = !detached_.empty() || !missing_.empty();
    drop_detached();
    for (const NodeRef node : std::exchange(missing_, {}))
        if (model.alive(node) && model[node.id].is_missing)
            picture_.replace(model[node.id].parent, std::string(model[node.id].name), false);
    return had_any;
}

void Reconciler::drop_detached() {
    for (const Detached& detached : std::exchange(detached_, {}))
        if (picture_.model().alive(detached.node))
            picture_.drop(detached.node.id);
}

}  // namespace inotify::detail
