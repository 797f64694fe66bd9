// SPDX-License-Identifier: MIT
// The data of a snapshot: trees of entries, and of each by what it would be known to be another.
#include <inotify/detail/snapshot_data.hpp>

#include <inotify/detail/source.hpp>

#include <algorithm>

namespace inotify::detail {
namespace {

auto place_of(const SnapshotData& data, EntryId directory, std::string_view name) {
    return std::ranges::lower_bound(data[directory].children, name, {},
                                    [&](EntryId id) { return std::string_view(data[id].name); });
}

}  // namespace

EntryId SnapshotData::add_root(std::string_view name) {
    const auto id = static_cast<EntryId>(entries.size());
    SnapshotEntry& entry = entries.emplace_back();
    entry.name = name;
    entry.type = FileType::directory;
    roots.push_back(id);
    return id;
}

void SnapshotData::remove_root(std::string_view name) { std::erase(roots, root(name)); }

EntryId SnapshotData::append(EntryId directory, std::string_view name, FileType type) {
    const auto id = static_cast<EntryId>(entries.size());
    SnapshotEntry& entry = entries.emplace_back();
    entry.name = name;
    entry.parent = directory;
    entry.type = type;
    entries[directory].children.push_back(id);
    return id;
}

EntryId SnapshotData::insert(EntryId directory, std::string_view name, FileType type) {
    const auto id = static_cast<EntryId>(entries.size());
    entries.emplace_back().type = type;
    put_in(id, directory, name);
    return id;
}

void SnapshotData::take_out(EntryId id) {
    SnapshotEntry& entry = entries[id];
    std::vector<EntryId>& siblings = entries[entry.parent].children;
    siblings.erase(siblings.begin() + (place_of(*this, entry.parent, entry.name) -
                                       entries[entry.parent].children.begin()));
    entry.parent = no_entry;
}

void SnapshotData::put_in(EntryId id, EntryId directory, std::string_view name) {
    entries[id].name = name;
    entries[id].parent = directory;
    std::vector<EntryId>& siblings = entries[directory].children;
    siblings.insert(place_of(*this, directory, name), id);
}

EntryId SnapshotData::root(std::string_view name) const noexcept {
    const auto found =
        std::ranges::find_if(roots, [&](EntryId id) { return entries[id].name == name; });
    return found == roots.end() ? no_entry : *found;
}

EntryId SnapshotData::child(EntryId directory, std::string_view name) const noexcept {
    const auto found = place_of(*this, directory, name);
    return found == entries[directory].children.end() || entries[*found].name != name ? no_entry
                                                                                      : *found;
}

std::size_t SnapshotData::count() const noexcept {
    std::size_t result = 0;
    std::vector<EntryId> left = roots;
    while (!left.empty()) {
        const SnapshotEntry& entry = entries[left.back()];
        left.pop_back();
        result += entry.children.size();
        left.insert(left.end(), entry.children.begin(), entry.children.end());
    }
    return result;
}

void SnapshotData::path(EntryId id, std::string& result) const {
    std::vector<EntryId> below;
    for (; entries[id].parent != no_entry; id = entries[id].parent)
        below.push_back(id);
    result = entries[id].name;
    for (auto it = below.rbegin(); it != below.rend(); ++it)
        append_name(result, entries[*it].name);
}

EntryId next_entry(const SnapshotData& data, EntryId id, std::vector<std::size_t>& place) noexcept {
    place.push_back(0);
    for (;;) {
        const std::vector<EntryId>& children = data[id].children;
        if (place.back() < children.size())
            return children[place.back()++];
        place.pop_back();
        if (place.empty())
            return no_entry;
        id = data[id].parent;
    }
}

}  // namespace inotify::detail
