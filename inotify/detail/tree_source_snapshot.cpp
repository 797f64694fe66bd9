// SPDX-License-Identifier: MIT
// The source of InotifyTree: snapshots, and what is different from one.
#include <inotify/detail/tree_source.hpp>

#include <inotify/detail/error.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace inotify::detail {

Snapshot TreeSource::snapshot(const Event* fetched) {
    if (!options_.track_files)
        throw_invalid("snapshot", "an InotifyTree", "needs track_files");
    compare_since();
    SnapshotTaker taker(kernel_, queue_, disk_, picture_, agenda_);
    taker.read();
    taker.forget_queued();
    taker.forget_uncertain();
    taker.undo_pending(fetched);
    release();
    return Snapshot(std::make_shared<const SnapshotData>(taker.take()));
}

// The roots that were given before the first event is asked for are compared all at once: what has
// moved from one to another has moved. What has happened during the scan is part of the difference.
void TreeSource::compare_since() {
    if (!since_ || (picture_.roots().empty() && names_.empty()))
        return;
    const Snapshot since = *std::exchange(since_, {});
    SnapshotTaker taker(kernel_, queue_, disk_, picture_, agenda_);
    taker.read();
    taker.forget_queued();
    SnapshotChanges changes = compare_snapshots(since.data(), taker.data(),
                                                [&](Mask mask) { return picture_.wanted(mask); });
    std::vector<Event> events = roots_since(since.data());
    std::ranges::move(changes.events, std::back_inserter(events));
    picture_.replace_pending(std::move(events));
    remember(since.data(), changes, taker);
    release();
}

// Of the roots themselves. A followed one that the client knows may lead nowhere now, and one that
// has come is new to it; of any the client may not have heard that its former directory has ended.
std::vector<Event> TreeSource::roots_since(const SnapshotData& since) const {
    std::vector<Event> events;
    const auto report = [&](const std::string& path, Mask mask) {
        Event& event = events.emplace_back();
        write_event(event, -1, mask, 0, path, {});
        event.synthetic = true;
    };
    for (const EntryId root : since.roots) {
        const std::string& path = since[root].name;
        const bool is_followed = names_.find(path) != no_node;
        const bool is_there = picture_.find_root(path) != nullptr;
        if (is_there ? since[root].type == FileType::directory : !is_followed)
            continue;
        report(path, IN::DELETE_SELF);
        if (is_followed)
            report(path, IN::IGNORED);
    }
    for (const Picture::Root& root : picture_.roots()) {
        const Node& node = picture_.model()[root.node];
        const EntryId former = since.root(node.name);
        const bool is_new = former == no_entry || since[former].type != FileType::directory;
        if (options_.follow_roots && node.state != NodeState::alias && is_new)
            report(node.name, IN::CREATE | IN::ISDIR);
    }
    return events;
}

// What lies in a directory that could not be listed is known to the client still.
void TreeSource::remember(const SnapshotData& since, const SnapshotChanges& changes,
                          const SnapshotTaker& taker) {
    for (const auto& [unlisted, former] : changes.unlisted) {
        std::map<EntryId, NodeId> nodes{{former, taker.node_of(unlisted)}};
        picture_.set_remembered(nodes[former], true);
        std::vector<std::size_t> place;
        for (EntryId id = former; (id = next_entry(since, id, place)) != no_entry;) {
            const SnapshotEntry& entry = since[id];
            const auto directory = nodes.find(entry.parent);
            if (directory == nodes.end() || !changes.is_left[id])
                continue;
            const bool is_dir = entry.type == FileType::directory;
            if (!is_dir)
                picture_.create_file(directory->second, entry.name, silently);
            if (!is_dir && entry.children.empty())
                continue;
            const NodeId node =
                is_dir ? picture_.create_directory(directory->second, entry.name, silently)
                       : picture_.create_link(directory->second, entry.name);
            picture_.set_remembered(node, true);
            nodes.emplace(id, node);
        }
    }
}

}  // namespace inotify::detail
