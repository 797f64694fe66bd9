// SPDX-License-Identifier: MIT
// The picture: what the client knows of the trees, and the events that bring it there.
#include <inotify/detail/picture.hpp>

#include <inotify/detail/give_back.hpp>
#include <inotify/detail/source.hpp>

#include <algorithm>
#include <cassert>

namespace inotify::detail {

bool Picture::knows(NodeId directory, std::string_view name, bool is_dir) const {
    if (!is_dir && !options_.track_files && model_[directory].first_child == no_node)
        return true;  // most events are about files, and most directories hold no other
    const NodeId held = model_.child(directory, name);
    const bool is_known_dir = held != no_node && !model_[held].via_link;
    if (is_dir || is_known_dir)
        return is_dir && is_known_dir;
    return !options_.track_files || files(directory).contains(name);
}

const Picture::FileNames& Picture::files(NodeId directory) const {
    static const FileNames none;
    const auto found = files_.find(directory);
    return found == files_.end() ? none : found->second;
}

bool Picture::excluded(NodeId directory, std::string_view name) {
    if (!options_.exclude)
        return false;
    entry_path_ = path_of(directory);
    append_name(entry_path_, name);
    return options_.exclude(entry_path_);
}

bool Picture::at_depth_limit(NodeId directory) const {
    return options_.max_depth != unlimited && model_.depth(directory) >= options_.max_depth;
}

NodeId Picture::create_directory(NodeId directory, std::string_view name, const Cause& cause) {
    report(directory, name, cause);
    const NodeId node = model_.add(directory, name);
    if (at_depth_limit(directory))
        model_.set_state(node, NodeState::pruned);
    return node;
}

NodeId Picture::create_link(NodeId directory, std::string_view name) {
    const NodeId node = model_.add(directory, name);
    model_.set_via_link(node, true);
    return node;
}

void Picture::create_file(NodeId directory, std::string_view name, const Cause& cause) {
    const Arrival arrival = add_file(directory, name);
    if (wanted(cause.mask))
        emit(directory, name, cause, arrival);
}

// What is not tracked is not known, and replaces a file without a word.
Arrival Picture::add_file(NodeId directory, std::string_view name) {
    if (!options_.track_files)
        return Arrival::unknown;
    return files_[directory].emplace(name).second ? Arrival::free : Arrival::taken;
}

void Picture::create_found_file(NodeId directory, const DirectoryEntry& entry, Report how) {
    create_file(directory, entry.name, silently);
    if (how == Report::existing) {
        emit(directory, entry.name, found(IN::CREATE));  // whatever the mask
    } else if (how == Report::fresh) {
        report(directory, entry.name, found(IN::CREATE));
        // Who opens a FIFO to read what was written waits for a writer; a device may do anything.
        if (entry.type == FileType::regular)
            report_contents(directory, entry.name);
    }
}

void Picture::restore_file(NodeId directory, const DirectoryEntry& entry,
                           const Place& destination) {
    if (options_.track_files && knows(directory, entry.name, false))
        return;
    replace(directory, entry.name, false);
    create_found_file(directory, entry, Report::fresh);
    report_contents(destination);
}

void Picture::report_contents(const Place& file) {
    if (model_.alive(file.directory) && !is_detached(file.directory.id) &&
        knows(file.directory.id, file.name, false))
        report_contents(file.directory.id, file.name);
}

void Picture::report_contents(NodeId directory, std::string_view name) {
    report(directory, name, found(IN::MODIFY));
    report(directory, name, found(IN::CLOSE_WRITE));
}

void Picture::forget_file(NodeId directory, std::string_view name) {
    if (const auto files = files_.find(directory); files != files_.end())
        if (const auto file = files->second.find(name); file != files->second.end())
            files->second.erase(file);
}

void Picture::remove(NodeId directory, std::string_view name, const Cause& cause) {
    report(directory, name, cause);
    forget_file(directory, name);
    if (const NodeId held = model_.child(directory, name); held != no_node)
        remove_subtree(held);
}

void Picture::replace(NodeId directory, std::string_view name, bool by_directory) {
    const NodeId held = model_.child(directory, name);
    const bool is_file = by_directory && options_.track_files && files(directory).contains(name);
    if (held == no_node && !is_file)
        return;
    if (!by_directory && model_[held].via_link && model_[held].state == NodeState::alias)
        remove_link(held);  // a file replaces a file, below which nothing was reported
    else
        remove(directory, name,
               found(is_file || model_[held].via_link ? IN::DELETE : IN::DELETE | IN::ISDIR));
}

Taken Picture::take(NodeId directory, std::string_view name, const Cause& cause) {
    Taken taken{.is_dir = cause.mask.contains(IN::ISDIR),
                .cookie = cause.cookie,
                .path = path_of(directory)};
    append_name(taken.path, name);
    report(directory, name, cause);
    forget_file(directory, name);
    if (const NodeId held = model_.child(directory, name); held != no_node) {
        taken.node = model_.ref(held);
        model_.detach(held);
        ++detached_;
        places_changed_ = true;
        path_node_ = no_node;
    }
    return taken;
}

void Picture::put(const Taken& taken, NodeId directory, std::string_view name, const Cause& cause) {
    const Arrival arrival = taken.is_dir ? Arrival::free : add_file(directory, name);
    if (taken.node.id != no_node) {
        model_.attach(taken.node.id, directory, name);
        --detached_;
        path_node_ = no_node;
    }
    if (wanted(cause.mask))
        emit(directory, name, cause, arrival).moved_from = taken.path;
}

void Picture::drop(NodeId node) {
    --detached_;
    remove_subtree(node);
}

void Picture::watch(NodeId node, int wd) { model_.watch(node, wd); }

void Picture::end_watch(NodeId node) {
    end_covered_roots(node);
    model_.unwatch(node, NodeState::ended);
    places_changed_ = true;
}

void Picture::set_state(NodeId node, NodeState state) { model_.set_state(node, state); }

void Picture::report(NodeId directory, std::string_view name, const Cause& cause) {
    if (wanted(cause.mask))
        emit(directory, name, cause);
}

void Picture::report_self(NodeId node, Mask mask, bool synthetic) {
    emit(node, {}, {.mask = mask, .synthetic = synthetic});
}

void Picture::report_error(const std::string& path, std::error_code error) {
    Event& event = next_event();
    write_event(event, -1, {}, 0, path, {});
    event.error = error;
}

void Picture::overflow() {
    write_event(next_event(), -1, IN::Q_OVERFLOW, 0, {}, {});
    model_.for_each(NodeState::listed,
                    [&](NodeId node) { model_.set_state(node, NodeState::stale); });
}

Event& Picture::next_event(Arrival arrival) {
    Event* const direct = std::exchange(direct_, nullptr);
    if (direct == nullptr)
        return out_.push(arrival);
    arrival_ = arrival;
    return *direct;
}

Event& Picture::emit(NodeId directory, std::string_view name, const Cause& cause, Arrival arrival) {
    Event& event = next_event(arrival);
    write_event(event, model_[directory].wd, cause.mask, cause.cookie, path_of(directory), name);
    event.synthetic = cause.synthetic;
    return event;
}

const std::string& Picture::path_of(NodeId node) {
    if (node != path_node_) {
        model_.path(node, path_);
        path_node_ = node;
    }
    return path_;
}

void Picture::remove_subtree(NodeId top) {
    path_node_ = no_node;
    places_changed_ = true;
    promote_roots(top);
    if (std::ranges::find(roots_, top, &Root::node) != roots_.end())
        return;  // it goes on as another root
    for (NodeId node = top;;) {
        while (model_[node].first_child != no_node)
            node = model_[node].first_child;
        const NodeId parent = model_[node].parent;
        if (model_[node].wd >= 0)
            freed_.push_back(model_[node].wd);
        files_.erase(node);
        forgotten_.push_back(model_.ref(node));
        model_.remove(node);
        if (node == top)
            return;
        node = parent;
    }
}

void Picture::give_back_storage() {
    out_.give_back();
    if (path_.capacity() > kept_storage)
        path_node_ = no_node;
    give_back(path_);
    give_back(entry_path_);
    give_back(roots_);
    give_back_buckets(files_);
}

std::string Picture::check() const {
    std::size_t detached = 0;
    std::size_t roots = 0;
    model_.for_each([](const Node& node) { return node.parent == no_node; },
                    [&](NodeId node) { ++(model_[node].is_root ? roots : detached); });
    if (detached != detached_)
        return "a node lies nowhere and is not being moved";
    if (roots != roots_.size() ||
        !std::ranges::all_of(roots_, [&](const Root& r) { return model_[r.node].is_root; }))
        return "the roots of the model are not the roots";
    for (const auto& [node, names] : files_)
        for (const std::string& name : names)
            if (const NodeId held = model_.child(node, name);
                held != no_node && !model_[held].via_link)
                return "a name is a file's and a directory's: " + name;
    for (const Root& root : roots_)
        if (!model_.alive(root.watched))
            return "a root has lost its directory";
    return model_.check();
}

}  // namespace inotify::detail
