// SPDX-License-Identifier: MIT
// The disk: what directories hold now, and the watches that make it known what changes there.
#include <inotify/detail/disk.hpp>

#include <inotify/detail/source.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace inotify::detail {
namespace {

// Names that are looked up at once, and how many entries may have been listed in what they lead to
// before the others are left. This bounds the time until the next records are handled, and the
// memory of a sight; one directory is listed as a whole.
constexpr std::size_t most_lookups = 64;
constexpr std::size_t most_listed = 4096;

constexpr Mask reading = IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE;

// True for what shows that a directory left its place, so that paths may have led elsewhere.
bool moves_directory(const Record& record) {
    const Mask mask = record.mask;
    return mask.intersects(IN::MOVE_SELF) ||
           (mask.contains(IN::ISDIR) && mask.intersects(IN::MOVE | IN::DELETE));
}

}  // namespace

Sight Disk::see(const Task& task) {
    Sight sight;
    sight.since = queue_.position();
    if (task.kind == Task::Kind::find_root)
        find_root(task, sight);
    else
        see_directory(task, sight);
    read_records(sight.since, sight.until);
    sight.since = queue_.position();  // behind what the look itself has queued
    return sight;
}

void Disk::see_directory(const Task& task, Sight& sight) {
    const NodeId node = task.directory.id;
    std::string path;
    const OpenDirectory directory = open_in_place(node, path);
    if (!directory.is_open()) {
        sight.error = directory.error();
        return;
    }
    std::vector<std::string> names = task.names;
    if (task.kind == Task::Kind::list) {
        sight.error = -list(directory.get(), sight.listing);
        if (options_.exclude)
            std::erase_if(sight.listing, [&](const DirectoryEntry& entry) {
                return picture_.excluded(node, entry.name);
            });
        // Where links are followed, the first of all that lead to a directory has it: one after the
        // other, with all below it.
        if (!picture_.at_depth_limit(node) && !options_.follow_symlinks)
            for (const DirectoryEntry& entry : sight.listing)
                if (entry.type == FileType::directory)
                    names.push_back(entry.name);
    }
    if (sight.error == 0)
        look_up(directory.get(), task, path, std::move(names), sight);
}

void Disk::look_up(int directory, const Task& task, const std::string& path,
                   std::vector<std::string> names, Sight& sight) {
    if (names.empty())
        return;
    if (task.kind == Task::Kind::confirm)  // old kernels queue a deletion before it can be seen
        kernel_.await_changes(directory);
    std::size_t listed = 0;
    std::size_t next = 0;
    std::string entry_path;
    while (next < std::min(names.size(), most_lookups) && listed < most_listed) {
        Lookup& lookup = sight.lookups.emplace_back();
        lookup.name = std::move(names[next++]);
        entry_path = path;
        append_name(entry_path, lookup.name);
        look_up_name(directory, task, entry_path, lookup);
        if (const auto* seen = std::get_if<Directory>(&lookup.found); seen && seen->listing)
            listed += seen->listing->size();
    }
    sight.left.assign(std::make_move_iterator(names.begin() + static_cast<std::ptrdiff_t>(next)),
                      std::make_move_iterator(names.end()));
    // What was seen is on the disk; with this the records that report it are queued, too.
    kernel_.await_changes(directory);
}

void Disk::look_up_name(int directory, const Task& task, const std::string& path, Lookup& lookup) {
    const NodeId node = task.directory.id;
    const bool is_too_deep = picture_.at_depth_limit(node);
    Stat stat;
    if (options_.follow_symlinks && !is_too_deep &&
        kernel_.stat(directory, lookup.name, false, stat) == 0)
        lookup.via_link = stat.type == FileType::symlink;
    OpenDirectory opened(kernel_, kernel_.open_directory(directory, lookup.name, lookup.via_link));
    if (is_absent(opened.error())) {
        if (stat.type != FileType::unknown && stat.type != FileType::directory)
            lookup.found = File{stat.type};
        else if (task.kind == Task::Kind::confirm)
            confirm_file(directory, lookup);
        return;
    }
    if (!opened.is_open()) {
        lookup.found = Unreadable{opened.error()};
        return;
    }
    if (is_too_deep || is_other_device(directory, opened.get())) {
        lookup.found = Pruned{};
        return;
    }
    Directory seen{.wd = obtain(kernel_.add_watch(opened.get(), path, watch_mask()))};
    int error = seen.wd < 0 ? -seen.wd : 0;
    const NodeId owner = error == 0 ? picture_.model().watched_by(seen.wd) : no_node;
    seen.was_known = owner != no_node;
    if (error == 0 && (!seen.was_known || task.recursive))
        error = -list(opened.get(), seen.listing.emplace());
    opened.close();  // before others are opened
    if (error != 0) {
        if (!is_absent(error))
            lookup.found = Unreadable{error};
        else if (lookup.via_link)  // the link leads elsewhere by now, and nothing reports that
            lookup.found = Directory{.is_sure = false};
        return;
    }
    seen.is_elsewhere =
        seen.was_known && owner != picture_.model().child(node, lookup.name) && is_in_place(owner);
    seen.is_sure =
        !lookup.via_link || seen.was_known || still_leads(directory, path, lookup, seen.wd);
    lookup.found = std::move(seen);
}

// A directory outside the tree can be renamed between its opening and its watch, and nothing
// reports that. From its watch on, MOVE_SELF does.
bool Disk::still_leads(int directory, const std::string& path, const Lookup& lookup, int wd) {
    const OpenDirectory opened(kernel_, kernel_.open_directory(directory, lookup.name, true));
    if (!opened.is_open())
        return !is_absent(opened.error());
    const int now = obtain(kernel_.add_watch(opened.get(), path, watch_mask()));
    return now < 0 || now == wd;
}

// What is no directory, and was reported to leave: it may be a file that is still there.
void Disk::confirm_file(int directory, Lookup& lookup) {
    Stat stat;
    const int error = kernel_.stat(directory, lookup.name, false, stat);
    if (error == 0 && stat.type != FileType::directory)
        lookup.found = File{stat.type};
    else if (error < 0 && !is_absent(-error))
        lookup.found = Unreadable{-error};
}

// What the options ask for beside the directories themselves needs descriptors.
bool Disk::is_batched(const Task& task) const {
    return task.report == Report::nothing && !task.recursive && !task.by_fd &&
           (task.kind == Task::Kind::list || task.kind == Task::Kind::look_up) &&
           !options_.track_files && !options_.follow_symlinks && !options_.one_file_system;
}

std::vector<Sight> Disk::see_all(const std::vector<Task>& tasks, Workers* workers,
                                 const std::function<void()>& meanwhile) {
    std::vector<Probe> probes;
    probes.reserve(tasks.size());
    for (const Task& task : tasks)
        probes.push_back(make_probe(task));
    // A relative path leads nowhere from a worker's own directory.
    if (!std::ranges::all_of(probes, [](const Probe& probe) { return probe.path[0] == '/'; }))
        workers = nullptr;
    ProbeBatch batch(std::move(probes), kernel_);
    try {
        if (workers != nullptr && batch.probes().size() > 1) {
            workers->run([&](DirectoryCalls& calls) { batch.work(calls); }, meanwhile);
        } else {
            meanwhile();
            batch.work(kernel_);
        }
    } catch (...) {
        obtain_all(batch);
        throw;
    }
    obtain_all(batch);  // before the client's `exclude`, which may throw

    std::vector<Sight> sights;
    sights.reserve(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i)
        sights.push_back(make_sight(batch.probes()[i], tasks[i].directory));
    Position since = queue_.position();
    Position until;
    read_records(since, until);
    since = queue_.position();
    std::vector<Record> moves;
    queue_.any_of(since, until, [&](const Record& record) {
        if (moves_directory(record))
            moves.push_back(record);
        return false;
    });
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const Probe& probe = batch.probes()[i];
        Sight& sight = sights[i];
        if (!probe.is_inside && left_its_place(tasks[i].directory, moves))
            sight.is_sure = false;
        // Most directories have no part in what has changed meanwhile.
        const bool has_changed =
            sight.error != 0 || queue_.any_of(since, until, [&](const Record& record) {
                return record.wd == probe.wd;
            });
        sight.since = has_changed ? since : until;
        sight.until = until;
    }
    return sights;
}

// True when a directory on the path to this one did, so that the path may have led elsewhere.
bool Disk::left_its_place(NodeRef directory, const std::vector<Record>& moves) const {
    const TreeModel& model = picture_.model();
    if (moves.empty() || !model.alive(directory))
        return false;
    std::string_view name;  // of what the path goes on with
    for (NodeId node = directory.id; node != no_node; node = model[node].parent) {
        for (const Record& record : moves)
            if (record.wd == model[node].wd && (record.name.empty() || record.name == name))
                return true;
        name = model[node].name;
    }
    return false;
}

Probe Disk::make_probe(const Task& task) {
    const NodeId node = task.directory.id;
    const Node& it = picture_.model()[node];
    Probe probe{.via_link = it.is_root || it.via_link,
                .wd = it.wd,
                .own_mask = it.is_root ? root_mask() : entry_mask(),
                .entry_mask = entry_mask(),
                .lists = task.kind == Task::Kind::list,
                .names = task.names};
    picture_.access_path(node, probe.path);
    // What is excluded must not be watched, and only the caller's thread may ask what is.
    probe.looks_up_listed = probe.lists && !options_.exclude && !picture_.at_depth_limit(node);
    return probe;
}

Sight Disk::make_sight(Probe& probe, NodeRef directory) {
    const NodeId node = directory.id;
    Sight sight{.error = probe.error, .is_done = probe.is_done};
    if (!probe.is_done || probe.error != 0)
        return sight;
    // The paths of the names led through this directory if its own still leads to it: what made it
    // lead elsewhere, below the root, is undone behind its own records.
    sight.is_sure = probe.own_wd == probe.wd;
    std::size_t next = 0;
    sight.lookups.reserve(probe.entries.size());
    for (const Probe::Entry& entry : probe.entries) {
        std::string& name = probe.names[next++];
        if (!entry.is_seen || picture_.model().watched_by(entry.wd) != no_node) {
            sight.left_to_fd.push_back(std::move(name));
            continue;
        }
        sight.lookups.push_back({.name = std::move(name),
                                 .found = Directory{.wd = entry.wd, .is_leaf = entry.is_leaf}});
    }
    for (; next < probe.names.size(); ++next)
        sight.left.push_back(std::move(probe.names[next]));
    sight.listing = std::move(probe.listing);
    if (!options_.exclude || !picture_.model().alive(directory))
        return sight;
    std::erase_if(sight.listing,
                  [&](const DirectoryEntry& entry) { return picture_.excluded(node, entry.name); });
    if (!picture_.at_depth_limit(node))
        for (const DirectoryEntry& entry : sight.listing)
            if (entry.type == FileType::directory)
                sight.left.push_back(entry.name);
    return sight;
}

bool Disk::is_other_device(int directory, int inside) {
    Stat here;
    Stat there;
    return options_.one_file_system && kernel_.stat(directory, {}, false, here) == 0 &&
           kernel_.stat(inside, {}, false, there) == 0 && here.device != there.device;
}

bool Disk::await_changes(NodeId node) {
    return node != no_node && visit(node, [](int) {});
}

bool Disk::visit(NodeId node, const std::function<void(int)>& read) {
    const Position since = queue_.end();  // what others have read before is reported
    bool is_reached = false;
    {
        std::string path;
        const OpenDirectory directory = open_in_place(node, path);
        is_reached = directory.is_open();
        if (is_reached) {
            read(directory.get());
            kernel_.await_changes(directory.get());
        }
    }
    Position until;
    read_records(since, until);
    return is_reached;
}

int Disk::watch_root(const std::string& path) {
    return obtain(kernel_.add_watch(path, root_mask()));
}

std::string Disk::resolve_root(const std::string& path, int wd) {
    std::string result;
    if (kernel_.resolve(path, result) < 0 || watch_root(result) != wd)
        return path;
    return result;
}

// What was asked for once stays in the mask; only directories that hold one that failed pay for it.
bool Disk::watch_attributes(NodeId node) {
    const Node& it = picture_.model()[node];
    if (!is_watched(it.state))
        return false;
    std::string path;
    picture_.access_path(node, path);
    const std::uint32_t mask = it.is_root || it.via_link ? root_mask() : entry_mask();
    return obtain(kernel_.add_watch(path, mask | IN::ATTRIB.bits())) == it.wd;
}

// A root that was renamed is looked for beside its old place. It is recognised by its watch.
void Disk::find_root(const Task& task, Sight& sight) {
    const NodeId root = task.directory.id;
    std::string parent;
    picture_.access_path(root, parent);
    while (parent.size() > 1 && parent.ends_with('/'))
        parent.pop_back();
    const std::size_t slash = parent.rfind('/');
    parent = slash == std::string::npos ? "." : parent.substr(0, std::max<std::size_t>(slash, 1));
    Listing listing;
    {
        const OpenDirectory directory(kernel_,
                                      kernel_.open_directory(Kernel::no_directory, parent, true));
        if (directory.is_open())
            list(directory.get(), listing);
    }
    for (const DirectoryEntry& entry : listing) {
        if (entry.type != FileType::directory)
            continue;
        std::string path = parent;
        append_name(path, entry.name);
        const int wd = kernel_.add_watch(path, entry_mask());
        if (wd == picture_.model()[root].wd) {
            sight.root_path = path;
            return;
        }
        if (wd >= 0 && picture_.model().watched_by(wd) == no_node) {
            kernel_.remove_watch(wd);
            queue_.end();  // which leaves a record
        }
    }
}

// Opens a watched directory by its path; −ESTALE when another directory is there.
OpenDirectory Disk::open_in_place(NodeId node, std::string& path) {
    picture_.access_path(node, path);
    const Node& it = picture_.model()[node];
    OpenDirectory directory(
        kernel_, kernel_.open_directory(Kernel::no_directory, path, it.is_root || it.via_link));
    if (!directory.is_open())
        return directory;
    const int wd = obtain(kernel_.add_watch(directory.get(), path, watch_mask()));
    if (wd == it.wd)
        return directory;
    // What is watched already needs no new watch, so at the limit this is another one.
    return {kernel_, wd < 0 && wd != -ENOSPC ? wd : -ESTALE};
}

bool Disk::is_in_place(NodeId node) {
    std::string path;
    return !picture_.is_detached(node) && open_in_place(node, path).is_open();
}

void Disk::obtain_all(ProbeBatch& batch) {
    for (const Probe& probe : batch.probes()) {
        obtain(probe.own_wd);
        for (const Probe::Entry& entry : probe.entries)
            obtain(entry.wd);
    }
}

// Keeps in mind that there is a watch of this descriptor, which is returned.
int Disk::obtain(int wd) {
    if (wd >= 0 && picture_.model().watched_by(wd) == no_node)
        obtained_.push_back(wd);
    return wd;
}

// Reads what was queued since `since`, and takes out what the reading of directories has queued,
// which may be the library's own.
void Disk::read_records(Position since, Position& until) {
    until = queue_.end();
    if (options_.mask.intersects(reading))
        queue_.erase_if(since, until, [](const Record& record) {
            const Mask mask = record.mask;
            return mask.contains(IN::ISDIR) && mask.intersects(reading);
        });
}

// Renames and removals are always listened for: the model needs them. IN_MASK_ADD makes watching a
// directory again change nothing; without it the kernel sets the mask to 0 for a moment, and loses
// what happens in it.
std::uint32_t Disk::watch_mask() const {
    const Mask asked = options_.mask & (IN::ALL_EVENTS | IN::EXCL_UNLINK);
    return (asked | membership | IN::MOVE_SELF | IN::DELETE_SELF | IN::ONLYDIR | IN::MASK_ADD)
        .bits();
}

std::uint32_t Disk::entry_mask() const { return watch_mask() | IN::DONT_FOLLOW.bits(); }

std::uint32_t Disk::root_mask() const {
    return watch_mask() | (options_.mask & IN::DONT_FOLLOW).bits();
}

}  // namespace inotify::detail
