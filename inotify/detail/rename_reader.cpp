// SPDX-License-Identifier: MIT
// The rename reader: which records belong together.
#include <inotify/detail/rename_reader.hpp>

#include <algorithm>
#include <set>

namespace inotify::detail {

void RenameReader::keep(Position position, const Record& record, RenameRecord& kept) {
    kept.position = position;
    kept.size = record.size;
    kept.wd = record.wd;
    kept.mask = record.mask;
    kept.cookie = record.cookie;
    kept.name = record.name;
}

// Finds the first record for which `matches` holds, but none behind the next change of one of the
// two directories, and none behind an overflow.
template <typename Matches>
bool RenameReader::find(const Range& range, Matches matches) {
    for (bool waited = false;; waited = true) {
        Record record;
        for (Position at = std::max(range.since, queue_.position()); queue_.peek(at, record);
             at += record.size) {
            const Mask mask = record.mask;
            if (mask.intersects(IN::Q_OVERFLOW))
                return false;
            if (matches(at, record))
                return true;
            if (at != range.skipped && mask.intersects(membership) &&
                (record.wd == range.wd_a || record.wd == range.wd_b))
                return false;
        }
        if (waited)
            return false;
        if (!disk_.await_changes(model_.watched_by(range.wd_a)) && range.wd_a != range.wd_b)
            disk_.await_changes(model_.watched_by(range.wd_b));
    }
}

bool RenameReader::find_counterpart(const RenameRecord& from, RenameRecord& to) {
    return find({.since = from.end(), .wd_a = from.wd, .wd_b = from.wd},
                [&](Position at, const Record& record) {
                    if ((record.mask & IN::MOVED_TO.bits()) == 0 || record.cookie != from.cookie)
                        return false;
                    keep(at, record, to);
                    return true;
                });
}

bool RenameReader::moves_itself(const RenameRecord& from, const RenameRecord* to, NodeId node) {
    Range range{.since = from.end(), .wd_a = from.wd, .wd_b = from.wd};
    if (to != nullptr) {
        range.wd_b = to->wd;
        range.skipped = to->position;
    }
    const int wd = model_[node].wd;
    return find(range, [&](Position, const Record& record) {
        return record.wd == wd && (record.mask & IN::MOVE_SELF.bits()) != 0;
    });
}

bool RenameReader::leaves_next(NodeId directory, const RenameRecord& to, RenameRecord& from) {
    const Range range{.since = to.end(), .wd_a = to.wd, .wd_b = to.wd};
    const bool changes = find(range, [&](Position at, const Record& record) {
        if (record.wd != to.wd || (record.mask & membership.bits()) == 0)
            return false;
        keep(at, record, from);
        return true;
    });
    if (!changes || !from.mask.intersects(IN::MOVED_FROM) || from.name != to.name)
        return false;
    if (to.is_dir() != from.is_dir())
        return true;
    const NodeId held = model_.child(directory, to.name);
    if (!to.is_dir() || held == no_node || model_[held].wd < 0)
        return false;
    RenameRecord counterpart;
    return moves_itself(from, find_counterpart(from, counterpart) ? &counterpart : nullptr, held);
}

void RenameReader::note_arrival(NodeId directory, std::string_view name, bool is_dir) {
    Arrival& arrival = arrivals_[model_.ref(directory)];
    arrival.name = name;
    arrival.is_dir = is_dir;
}

bool RenameReader::forget_arrival(NodeId directory, std::string_view name, bool is_dir) {
    if (arrivals_.empty())
        return false;
    const auto arrival = arrivals_.find(model_.ref(directory));
    if (arrival == arrivals_.end())
        return false;
    const bool same = arrival->second.name == name && arrival->second.is_dir == is_dir;
    arrival->second.name.clear();
    return same;
}

bool RenameReader::await_arrivals() {
    std::set<NodeRef> unreached;  // they were renamed; their arrivals are still the last ones
    for (const auto& [directory, arrival] : arrivals_)
        if (!arrival.name.empty() && model_.alive(directory) && model_[directory.id].wd >= 0 &&
            !disk_.await_changes(directory.id))
            unreached.insert(directory);
    if (queue_.front() != nullptr)
        return false;
    std::erase_if(arrivals_, [&](const auto& entry) { return !unreached.contains(entry.first); });
    return true;
}

}  // namespace inotify::detail
