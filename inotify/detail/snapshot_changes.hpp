// SPDX-License-Identifier: MIT
// What has changed from one snapshot to a later one, as events.
#pragma once

#include <inotify/detail/snapshot_data.hpp>
#include <inotify/event.hpp>

#include <functional>
#include <utility>
#include <vector>

namespace inotify::detail {

/// The events that bring a client from one snapshot to the other, and what they leave open.
struct SnapshotChanges {
    std::vector<Event> events;  // without watch descriptors
    // Directories that the later snapshot could not list, and their entries in the former one. What
    // is in these is not mentioned, unless it has moved.
    std::vector<std::pair<EntryId, EntryId>> unlisted;
    std::vector<bool> is_left;  // by entry of the former one: it is in such a directory
};

/// Compares the roots of the later snapshot with those of the former that have the same names.
/// `wanted` says which events the client asks for.
SnapshotChanges compare_snapshots(const SnapshotData& before, const SnapshotData& now,
                                  const std::function<bool(Mask)>& wanted);

}  // namespace inotify::detail
