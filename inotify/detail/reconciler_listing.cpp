// SPDX-License-Identifier: MIT
// The reconciler: what the listing of a directory does to the picture.
#include <inotify/detail/reconciler.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace inotify::detail {

// Applies a listing, and looks up the directories in it.
void Reconciler::apply_contents(NodeId node, Listing& listing, const Task& task, Window window) {
    if (options_.exclude)
        std::erase_if(listing, [&](const DirectoryEntry& entry) {
            return picture_.excluded(node, entry.name);
        });
    apply_listing(node, listing, task, window);
    if (picture_.at_depth_limit(node))
        return;
    std::vector<std::string> names;
    for (DirectoryEntry& entry : listing)
        if (may_be_directory(entry))
            names.push_back(std::move(entry.name));
    if (options_.follow_symlinks) {  // one after the other, with all below it, in this order
        std::ranges::reverse(names);
        for (std::string& name : names)
            agenda_.look_up(node, {std::move(name)}, task);
    } else if (!names.empty()) {
        agenda_.look_up(node, std::move(names), task);
    }
}

// Applies a listing but for the directories in it, which are looked up.
void Reconciler::apply_listing(NodeId node, Listing& listing, const Task& task, Window window) {
    const Node& it = picture_.model()[node];
    const bool is_known = it.state != NodeState::unlisted || it.is_remembered;
    if (is_known)
        compare_children(node, listing);
    picture_.set_state(node, NodeState::listed);
    leave_to_records(node, listing, window);
    if (options_.track_files || !is_known)
        compare_files(node, listing, task, is_known);
    picture_.set_remembered(node, false);
    if (!picture_.at_depth_limit(node))
        return;
    for (const DirectoryEntry& entry : listing)
        if (entry.type == FileType::directory &&
            picture_.model().child(node, entry.name) == no_node)
            create(node, {.name = entry.name}, task.report);
}

// The known directories that a listing does not show are missing.
void Reconciler::compare_children(NodeId node, const Listing& listing) {
    const TreeModel& model = picture_.model();
    std::vector<std::string> links;  // a file may have replaced them: reported before the files
    std::vector<std::string_view> present;
    for (const DirectoryEntry& entry : listing)
        if (may_be_directory(entry))
            present.push_back(entry.name);
    std::ranges::sort(present);
    for (NodeId c = model[node].first_child; c != no_node; c = model[c].next)
        if (std::ranges::binary_search(present, model[c].name))
            picture_.set_missing(c, false);
        else if (model[c].via_link && options_.track_files)
            links.push_back(model[c].name);
        else
            miss(c);
    for (const std::string& name : links)
        picture_.replace(node, name, false);
}

void Reconciler::compare_files(NodeId node, const Listing& listing, const Task& task,
                               bool is_known) {
    Picture::FileNames before;
    if (is_known)
        before = picture_.files(node);
    for (const DirectoryEntry& entry : listing) {
        if (entry.type == FileType::directory)
            continue;
        if (before.erase(entry.name) != 0) {
            if (picture_.model()[node].is_remembered && entry.type == FileType::regular)
                picture_.report_contents(node, entry.name);
            continue;
        }
        const NodeId held = picture_.model().child(node, entry.name);
        if (held != no_node && !picture_.model()[held].via_link)
            detach(held);
        picture_.create_found_file(node, entry, task.report);
    }
    for (const std::string& name : before)
        picture_.remove(node, name, found(IN::DELETE));
}

// Makes a listing the directory's state when the look began: what changed meanwhile is left to the
// records, and of a file the first one shows whether it was there before.
void Reconciler::leave_to_records(NodeId node, Listing& listing, Window window) {
    const int wd = picture_.model()[node].wd;
    std::map<std::string, bool, std::less<>> changed;  // true: a file that was there
    std::set<std::string, std::less<>> used;           // files that were there when they were used
    queue_.any_of(window.since, window.until, [&](const Record& record) {
        const Mask mask = record.mask;
        if (record.wd != wd || record.name.empty() || changed.contains(record.name) ||
            picture_.excluded(node, record.name))
            return false;
        const bool is_file = !mask.contains(IN::ISDIR);
        if (!mask.intersects(membership)) {
            if (is_file)
                used.emplace(record.name);
            return false;
        }
        // If the first that leaves does so in an exchange, whose directories are locked until its
        // end, its first records may have been queued before the directory was watched.
        if (changed.empty() && mask.intersects(IN::MOVED_FROM))
            renames_.note_arrival(node, record.name, !is_file);
        changed.emplace(record.name, used.contains(record.name) ||
                                         (is_file && mask.intersects(IN::DELETE | IN::MOVED_FROM)));
        return false;
    });
    if (changed.empty())
        return;
    std::map<std::string, FileType, std::less<>> types;
    std::erase_if(listing, [&](const DirectoryEntry& entry) {
        return changed.contains(entry.name) && types.emplace(entry.name, entry.type).second;
    });
    for (const auto& [name, was_file] : changed) {
        if (!was_file)
            continue;
        // What has left before it was listed cannot be opened there, whatever it was.
        const auto listed = types.find(name);
        const bool is_file = listed != types.end() && listed->second != FileType::directory;
        listing.push_back({name, is_file ? listed->second : FileType::other});
    }
}

}  // namespace inotify::detail
