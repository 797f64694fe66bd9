// SPDX-License-Identifier: MIT
// Takes a snapshot of a picture.
#include <inotify/detail/snapshot_taker.hpp>

#include <inotify/detail/source.hpp>

#include <algorithm>
#include <utility>

namespace inotify::detail {
namespace {

constexpr std::int64_t longest_write = one_second / 20;

// How much a file system may have cut off a time: no more than its zeros at the end, or two seconds
// (FAT).
std::int64_t granularity(std::int64_t time) noexcept {
    std::int64_t result = 1;
    while (result < one_second && time % (result * 10) == 0)
        result *= 10;
    return result < one_second ? result : 2 * one_second;
}

}  // namespace

void SnapshotTaker::read() {
    begun_at_ = kernel_.file_time();
    struct Pending {
        NodeId node;
        EntryId entry;
    };
    std::vector<Pending> pending;
    for (const Picture::Root& root : picture_.roots())
        pending.push_back({root.node, data_.add_root(picture_.model()[root.node].name)});
    std::ranges::reverse(pending);
    const TreeModel& model = picture_.model();
    while (!pending.empty()) {
        const auto [node, entry] = pending.back();
        pending.pop_back();
        add_node(node, entry);
        add_entries(node, entry);
        read_directory(node, entry);
        for (NodeId child = model[node].first_child; child != no_node; child = model[child].next)
            pending.push_back({child, data_.child(entry, model[child].name)});
    }
}

void SnapshotTaker::add_node(NodeId node, EntryId entry) {
    if (entries_.size() <= node)
        entries_.resize(node + 1, no_entry);
    entries_[node] = entry;
    nodes_.emplace(entry, node);
    const NodeState state = picture_.model()[node].state;
    data_[entry].is_alias = state == NodeState::alias;
    data_[entry].is_unlisted = state != NodeState::listed && state != NodeState::stale &&
                               state != NodeState::alias && state != NodeState::pruned;
}

// The files, and the directories and followed links among them, by name.
void SnapshotTaker::add_entries(NodeId node, EntryId entry) {
    const TreeModel& model = picture_.model();
    std::vector<std::string_view> directories;
    for (NodeId child = model[node].first_child; child != no_node; child = model[child].next)
        directories.push_back(model[child].name);
    std::ranges::sort(directories);
    auto directory = directories.begin();
    const auto add_directories_before = [&](const std::string* file) {
        for (; directory != directories.end() && (file == nullptr || *directory < *file);
             ++directory)
            data_.append(entry, *directory, FileType::directory);
    };
    for (const std::string& file : picture_.files(node)) {
        add_directories_before(&file);
        if (directory != directories.end() && *directory == file)
            ++directory;  // a followed link
        data_.append(entry, file, FileType::unknown);
    }
    add_directories_before(nullptr);
    if (!data_[entry].children.empty())
        data_[entry].is_unlisted = false;  // it was listed before its watch ended
}

// What is at the names; and of a directory that is watched what it is itself, which no rename makes
// another.
void SnapshotTaker::read_directory(NodeId node, EntryId entry) {
    const TreeModel& model = picture_.model();
    if (!is_watched(model[node].state))
        return;
    disk_.visit(node, [&](int directory) {
        Stat own;
        if (!model[node].via_link && kernel_.stat(directory, {}, false, own) == 0) {
            data_[entry].inode = own.inode;
            reached_.insert(entry);
        }
        for (const EntryId child : data_[entry].children)
            read_entry(directory, child);
    });
}

void SnapshotTaker::read_entry(int directory, EntryId id) {
    SnapshotEntry& entry = data_[id];
    Stat stat;
    if (kernel_.stat(directory, entry.name, false, stat) != 0)
        return;
    const bool is_dir = stat.type == FileType::directory;
    if (is_dir != (entry.type == FileType::directory))
        return;  // a record about it is queued
    entry.type = stat.type;
    entry.inode = stat.inode;
    if (is_dir)
        return;
    entry.has_contents = stat.inode != 0;  // FUSE may say 0
    entry.size = stat.size;
    entry.mtime = stat.mtime;
    entry.ctime = stat.ctime;
}

void SnapshotTaker::forget_uncertain() {
    forget_young();
    forget_suspects();
}

// All that was queued before the end of the reading, and has not been handled.
void SnapshotTaker::forget_queued() {
    const TreeModel& model = picture_.model();
    const Position end = queue_.end();
    queue_.any_of(queue_.position(), end, [&](const Record& record) {
        const Mask mask = record.mask;
        if (mask.intersects(IN::Q_OVERFLOW)) {
            forget_contents();
            return false;
        }
        const EntryId directory = entry_of(model.watched_by(record.wd));
        if (directory == no_entry || record.name.empty())
            return false;
        const EntryId id = data_.child(directory, record.name);
        if (id == no_entry)
            return false;
        if (mask.intersects(membership) && !reached_.contains(id))
            forget_entry(data_[id]);
        else if (mask.intersects(IN::MODIFY | IN::ATTRIB | IN::CLOSE_WRITE))
            data_[id].has_contents = false;
        return false;
    });
}

void SnapshotTaker::forget_suspects() {
    const auto forget = [&](const Place& place) {
        if (!picture_.model().alive(place.directory))
            return;
        const EntryId directory = entry_of(place.directory.id);
        const EntryId id = directory == no_entry ? no_entry : data_.child(directory, place.name);
        if (id != no_entry)
            data_[id].has_contents = false;
    };
    agenda_.for_each_suspect([&](const Place& place, const Place& destination) {
        forget(place);
        forget(destination);
    });
}

void SnapshotTaker::forget_young() {
    for (SnapshotEntry& entry : data_.entries)
        if (entry.has_contents &&
            entry.ctime > begun_at_ - granularity(entry.ctime) - longest_write)
            entry.has_contents = false;
}

void SnapshotTaker::forget_contents() {
    for (SnapshotEntry& entry : data_.entries)
        entry.has_contents = false;
}

void SnapshotTaker::undo_pending(const Event* fetched) {
    picture_.for_each_pending_backwards(
        [&](const Event& event, Arrival arrival) { undo(event, arrival); });
    if (fetched != nullptr)
        undo(*fetched, picture_.arrival());
}

void SnapshotTaker::undo(const Event& event, Arrival arrival) {
    if (event.mask.intersects(IN::Q_OVERFLOW)) {
        forget_contents();
        return;
    }
    if (event.filename.empty()) {
        if (event.mask.intersects(IN::CREATE))
            data_.remove_root(event.path);
        else if (event.mask.intersects(IN::DELETE_SELF | IN::IGNORED | IN::UNMOUNT))
            undo_end(event);
        return;
    }
    const EntryId directory = resolve(event.path);
    if (directory == no_entry)
        return;  // in what is unknown
    if (event.mask.intersects(IN::CREATE | IN::MOVED_TO)) {
        undo_arrival(event, directory, arrival);
    } else if (event.mask.intersects(IN::DELETE | IN::MOVED_FROM)) {
        undo_departure(event, directory);
    } else if (event.mask.intersects(IN::MODIFY | IN::ATTRIB | IN::CLOSE_WRITE)) {
        if (const EntryId id = data_.child(directory, event.filename); id != no_entry)
            data_[id].has_contents = false;
    }
}

void SnapshotTaker::undo_arrival(const Event& event, EntryId directory, Arrival arrival) {
    const EntryId id = data_.child(directory, event.filename);
    if (id == no_entry)
        return;
    data_.take_out(id);
    if (!event.moved_from.empty())
        undone_.insert_or_assign(event.cookie, id);
    if (arrival == Arrival::taken)
        add_unknown(directory, event.filename, false);
}

void SnapshotTaker::undo_departure(const Event& event, EntryId directory) {
    if (const EntryId there = data_.child(directory, event.filename); there != no_entry)
        data_.take_out(there);  // it came without an event
    const auto moved =
        event.mask.intersects(IN::MOVED_FROM) ? undone_.find(event.cookie) : undone_.end();
    if (moved == undone_.end()) {
        add_unknown(directory, event.filename, event.is_dir());
        return;
    }
    data_.put_in(moved->second, directory, event.filename);
    undone_.erase(moved);
}

// A root that has ended is known to the client; that it ends is said twice. What was in it is of no
// account: it ends with the root.
void SnapshotTaker::undo_end(const Event& event) {
    const bool is_below = std::ranges::any_of(data_.roots, [&](EntryId root) {
        return event.path != data_[root].name && is_within(event.path, data_[root].name);
    });
    if (is_below || data_.root(event.path) != no_entry)
        return;
    const EntryId root = data_.add_root(event.path);
    data_[root].type = FileType::unknown;
}

void SnapshotTaker::add_unknown(EntryId directory, const std::string& name, bool is_dir) {
    data_.insert(directory, name, is_dir ? FileType::directory : FileType::unknown);
}

// Where roots overlap the entry is the one that has what is in the directory: it is no alias, and
// where another root does not descend (the depth, the file system) it is the nearest root's.
EntryId SnapshotTaker::resolve(std::string_view path) const {
    EntryId result = no_entry;
    std::size_t nearest = 0;
    for (const EntryId root : data_.roots) {
        const std::size_t size = data_[root].name.size();
        if (size <= nearest || data_[root].type != FileType::directory)
            continue;
        if (const EntryId id = resolve_in(root, path); id != no_entry && !data_[id].is_alias) {
            result = id;
            nearest = size;
        }
    }
    return result;
}

EntryId SnapshotTaker::resolve_in(EntryId root, std::string_view path) const {
    const std::string& name = data_[root].name;
    if (!path.starts_with(name))
        return no_entry;
    path.remove_prefix(name.size());
    if (path.empty())
        return root;
    if (!name.ends_with('/')) {
        if (path[0] != '/')
            return no_entry;
        path.remove_prefix(1);
    }
    EntryId id = root;
    while (id != no_entry && !path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        id = data_.child(id, path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return id;
}

EntryId SnapshotTaker::entry_of(NodeId node) const {
    return node < entries_.size() ? entries_[node] : no_entry;
}

}  // namespace inotify::detail
