// SPDX-License-Identifier: MIT
// The picture: its roots, which may overlap.
#include <inotify/detail/picture.hpp>
#include <inotify/detail/source.hpp>

#include <algorithm>
#include <set>

namespace inotify::detail {
namespace {

// Moves a path from one directory to another, if it lies there.
void respell(std::string& path, const std::string& before, const std::string& after) {
    if (before.empty() || !is_within(path, before))
        return;
    std::string result = after;
    if (path != before)
        append_name(result, std::string_view(path).substr(before.size() + !before.ends_with('/')));
    path = std::move(result);
}

}  // namespace

const Picture::Root* Picture::find_root(std::string_view path) const {
    const auto root =
        std::ranges::find_if(roots_, [&](const Root& r) { return model_[r.node].name == path; });
    return root == roots_.end() ? nullptr : &*root;
}

NodeId Picture::add_root(const std::string& path, std::string access_path, int wd) {
    const NodeId owner = model_.watched_by(wd);
    const NodeId node = model_.add_root(path);
    if (owner == no_node)
        model_.watch(node, wd);
    else
        model_.set_state(node, NodeState::alias);
    roots_.push_back({node, std::move(access_path), model_.ref(owner == no_node ? node : owner)});
    return node;
}

void Picture::set_access_path(NodeId root, std::string access_path) {
    std::ranges::find(roots_, root, &Root::node)->access_path = std::move(access_path);
}

void Picture::access_path(NodeId node, std::string& result) const {
    const auto root = std::ranges::find(roots_, model_.top_of(node), &Root::node);
    model_.path(node, result, root == roots_.end() ? nullptr : &root->access_path);
}

void Picture::end_root(NodeId root) {
    end_covered_roots(root);
    ended_.push_back(model_[root].name);
    std::erase_if(roots_, [&](const Root& r) { return r.node == root; });
    remove_subtree(root);
}

std::vector<Place> Picture::remove_root(NodeId node) {
    const std::string path = model_[node].name;
    const auto place = std::ranges::find(roots_, node, &Root::node) - roots_.begin();
    const std::vector<Respelled> taken = promote_roots(node);
    roots_.erase(roots_.begin() + place);
    if (std::ranges::find(roots_, node, &Root::node) == roots_.end())
        remove_subtree(node);
    return erase_pending(path, taken);
}

void Picture::replace_pending(std::vector<Event> events) {
    out_.erase_if([&](const Event& event) {
        if (!event.filename.empty())
            return true;
        if (event.error || event.mask.intersects(IN::Q_OVERFLOW))
            return false;
        return options_.follow_roots || std::ranges::any_of(roots_, [&](const Root& root) {
                   const std::string& name = model_[root.node].name;
                   return event.path != name && is_within(event.path, name);
               });
    });
    out_.prepend(std::move(events));
    model_.for_each([](const Node& node) { return node.is_deleted && !node.is_root; },
                    [&](NodeId node) { model_.set_deleted(node, false); });
}

// Removes the events of what lies in `path`, and in no other root, which were not yielded yet. A
// directory that has left it for another root is unknown to the client, and so is all that has
// happened to it and in it since: it is reported to be gone, and found again as a new one.
std::vector<Place> Picture::erase_pending(const std::string& path,
                                          const std::vector<Respelled>& taken) {
    std::set<std::uint32_t> left;  // cookies of what is unknown, or has left `path`
    std::vector<std::string> unknown;
    std::vector<Place> result;
    const auto is_gone = [&](const std::string& full_path) {
        return std::ranges::any_of(unknown,
                                   [&](const std::string& it) { return is_within(full_path, it); });
    };
    const auto is_removed = [&](const std::string& directory) {
        return is_within(directory, path) && std::ranges::none_of(roots_, [&](const Root& root) {
                   const std::string& other = model_[root.node].name;
                   return is_within(path, other) ||
                          (is_within(other, path) && is_within(directory, other));
               });
    };
    out_.erase_if([&](Event& event) {
        for (const auto& [before, after] : taken) {
            respell(event.path, before, after);
            respell(event.moved_from, before, after);
        }
        const std::string full_path =
            event.filename.empty() ? event.path : event.full_path().native();
        if (is_removed(event.path) || is_gone(full_path)) {
            if (event.mask.intersects(IN::MOVED_FROM))
                left.insert(event.cookie);
            return true;
        }
        if (!event.mask.intersects(IN::MOVED_TO))
            return false;
        if (!left.contains(event.cookie)) {
            for (std::string& it : unknown)
                respell(it, event.moved_from, full_path);
            return false;
        }
        event.moved_from.clear();
        const NodeId directory = model_.watched_by(event.wd);
        if (!event.is_dir() || directory == no_node)
            return false;  // a file comes as a new one
        result.push_back({model_.ref(directory), event.filename});
        unknown.push_back(full_path);
        return false;
    });
    for (const auto& [directory, name] : result) {
        if (!model_.alive(directory))  // it lay in another of them
            continue;
        emit(directory.id, name, found(IN::DELETE | IN::ISDIR));
        remove(directory.id, name, silently);
    }
    return result;
}

// Roots that lie in what is removed go on with their part of it, watches and all, so that nothing
// of it is lost.
std::vector<Picture::Respelled> Picture::promote_roots(NodeId top) {
    std::vector<Respelled> result;
    for (Root& root : roots_) {
        const NodeId node = root.watched.id;
        if (node == root.node || !model_.alive(root.watched) || !is_watched(model_[node].state) ||
            !model_.is_within(node, top))
            continue;
        Respelled& it = result.emplace_back();
        model_.path(node, it.before);
        promote(root, top);
        it.after = model_[node].name;
        promoted_.push_back(root.watched);
        if (node == top)
            break;  // what else lies in it stays there
    }
    return result;
}

// The node that is watched instead of the root's own becomes the root's own.
void Picture::promote(Root& root, NodeId top) {
    const NodeId node = root.watched.id;
    if (model_[model_.top_of(node)].is_root)
        access_path(node, root.access_path);
    path_node_ = no_node;
    if (const NodeId parent = model_[node].parent; parent != no_node) {
        const std::string name = model_[node].name;
        model_.detach(node);
        if (node != top)  // what it lay in may go on, too
            model_.set_state(model_.add(parent, name), NodeState::alias);
    }
    const NodeId alias = std::exchange(root.node, node);
    model_.make_root(node, std::string(model_[alias].name));
    forgotten_.push_back(model_.ref(alias));
    model_.remove(alias);
}

// A directory has ended that is a root in another root: that one has reported it.
void Picture::end_covered_roots(NodeId watched) {
    std::erase_if(roots_, [&](const Root& root) {
        if (root.node == watched || root.watched != model_.ref(watched))
            return false;
        ended_.push_back(model_[root.node].name);
        forgotten_.push_back(model_.ref(root.node));
        model_.remove(root.node);
        return true;
    });
}

}  // namespace inotify::detail
