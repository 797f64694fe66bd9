// SPDX-License-Identifier: MIT
// The source of InotifyTree: its roots, given and followed.
#include <inotify/detail/tree_source.hpp>

#include <inotify/detail/error.hpp>

namespace inotify::detail {

void TreeSource::add_tree(const std::string& path) {
    check_path("inotify_add_watch", path);
    if (options_.follow_roots) {
        follow_tree(path);
        return;
    }
    const auto watch = [&] {
        const int wd = disk_.watch_root(path);
        if (wd < 0)
            throw_error(&kernel_, -wd, "inotify_add_watch", path);
        return wd;
    };
    int wd = watch();
    if (const Picture::Root* const root = picture_.find_root(path)) {
        if (picture_.model()[root->watched.id].wd == wd)
            return;
        remove_tree(path);  // it leads to another directory by now
        wd = watch();       // which may have been watched as a part of the former one
    }
    begin_root(path, disk_.resolve_root(path, wd), wd, Origin::given);
    release();
    finish_adding();
}

// The same for a root that is a name.
void TreeSource::follow_tree(const std::string& path) {
    if (path.empty())
        throw_invalid("inotify_add_watch", "''", "an empty path leads nowhere");
    if (names_.find(path) != no_node)
        return;
    const NameChains::Finding found = names_.look(names_.add(path, disk_.root_mask()));
    if (found.now.wd >= 0)
        begin_root(path, found.location, found.now.wd, Origin::given);
    if (found.error != 0)
        picture_.report_error(path, event_error(found.error));
    release();
    finish_adding();
}

// Adds a root that is watched already; what another root has is reported there.
void TreeSource::begin_root(const std::string& path, const std::string& access_path, int wd,
                            Origin origin) {
    const NodeId root = picture_.add_root(path, access_path, wd);
    if (picture_.model()[root].state == NodeState::alias)
        return;
    Report report = options_.report_existing ? Report::existing : Report::nothing;
    if (origin == Origin::came) {
        picture_.report_self(root, IN::CREATE | IN::ISDIR, true);
        report = Report::fresh;
    }
    agenda_.add_last(
        {.directory = picture_.model().ref(root), .kind = Task::Kind::list, .report = report});
}

void TreeSource::finish_adding() {
    if (!options_.report_existing)
        scan();
    // The descriptor of other event loops shows that there is something to read.
    if (picture_.pending() != 0 || queue_.buffered() != 0 || has_work() || since_)
        kernel_.wake();
}

// The name of a root was looked up: what it led to ends, and what it leads to now begins.
void TreeSource::follow_root(const NameChains::Finding& found) {
    const std::string& path = names_.path(found.name);
    const Picture::Root* const root = picture_.find_root(path);
    const int wd = root != nullptr ? picture_.model()[root->watched.id].wd : -1;
    if (wd >= 0 && wd == found.now.wd) {
        if (!found.location.empty()) {
            picture_.set_access_path(root->node, found.location);
            agenda_.expedite(root->watched.id);
        }
    } else {
        if (root != nullptr)
            end_root(root->node);
        // Without a location it was not seen, and what its name led to is all that is known.
        if (found.now.wd >= 0 && !found.location.empty())
            begin_root(path, found.location, found.now.wd, Origin::came);
    }
    if (found.error != 0)
        picture_.report_error(path, event_error(found.error));
}

// A root's name does not lead to it any more, though it was not renamed itself. What another root
// has was reported there.
void TreeSource::end_root(NodeId root) {
    const Node& node = picture_.model()[root];
    if (node.state != NodeState::alias) {
        if (!node.is_deleted)
            picture_.report_self(
                root, kernel_.is_watched(node.wd) ? IN::MOVE_SELF : IN::DELETE_SELF, true);
        picture_.report_self(root, IN::IGNORED, true);
    }
    picture_.end_root(root);
}

void TreeSource::remove_tree(const std::string& path) {
    const Picture::Root* const root = picture_.find_root(path);
    const NameChains::Id name = names_.find(path);
    if (root == nullptr && name == no_node)
        throw_invalid("remove_tree", path, "no root; give the path as it was added");
    if (name != no_node)
        names_.remove(name);
    for (Place& place :
         root != nullptr ? picture_.remove_root(root->node) : picture_.erase_pending(path))
        agenda_.suspect(std::move(place), {});
    extend_promoted();
    release();
}

// Roots go on with their part of what is removed.
void TreeSource::extend_promoted() {
    for (const NodeRef root : picture_.take_promoted())
        if (picture_.model().alive(root))
            extend_root(root.id);
}

// What a root holds was reported in another one, and has left the client's picture with it. So the
// root ends, and comes again.
void TreeSource::restart_promoted() {
    for (auto roots = picture_.take_promoted(); !roots.empty(); roots = picture_.take_promoted())
        for (const NodeRef root : roots)
            if (picture_.model().alive(root))
                picture_.end_root(root.id);
}

// What a root that goes on by itself is to watch, now that it is one.
void TreeSource::extend_root(NodeId root) {
    const TreeModel& model = picture_.model();
    if (options_.exclude)  // other paths may be excluded now
        agenda_.add_last(
            {.directory = model.ref(root), .kind = Task::Kind::list, .recursive = true});
    // The depth limit lies deeper.
    model.for_each(NodeState::pruned, [&](NodeId node) {
        const NodeId parent = model[node].parent;
        if (model.is_within(node, root) && !picture_.at_depth_limit(parent))
            agenda_.add_last({.directory = model.ref(parent), .names = {model[node].name}});
    });
}

}  // namespace inotify::detail
