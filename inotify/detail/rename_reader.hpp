// SPDX-License-Identifier: MIT
// The rename reader: which records belong together.
#pragma once

#include <inotify/detail/disk.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/tree_model.hpp>
#include <inotify/mask.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>

namespace inotify::detail {

/// One record of a rename, kept while others are read.
struct RenameRecord {
    Position position = 0;
    std::size_t size = 0;
    int wd = -1;
    Mask mask;
    std::uint32_t cookie = 0;
    std::string name;

    [[nodiscard]] bool is_dir() const noexcept { return mask.contains(IN::ISDIR); }
    [[nodiscard]] Position end() const noexcept { return position + size; }
};

/// Finds the records of one rename(2) among the records of others.
///
/// The kernel locks both directories until all records of the rename are queued. So these lie
/// before the next change of either directory; and where the queue ends, waiting for the lock of
/// one of them shows the rest.
class RenameReader {
public:
    RenameReader(RecordQueue& queue, Disk& disk, const TreeModel& model)
        : queue_(queue), disk_(disk), model_(model) {}

    /// Keeps the record at `position`.
    static void keep(Position position, const Record& record, RenameRecord& kept);

    /// Finds the MOVED_TO that belongs to a MOVED_FROM.
    bool find_counterpart(const RenameRecord& from, RenameRecord& to);

    /// Whether a watched directory says itself, by MOVE_SELF, that it is what moved. `to` is the
    /// counterpart of `from`, or null.
    bool moves_itself(const RenameRecord& from, const RenameRecord* to, NodeId node);

    /// Whether what is known to be at the name of an arrival leaves it by the next record, `from`:
    /// then the rename is an exchange. That is certain of two directories, which say themselves
    /// that they have moved, and of a directory and a file, which cannot replace each other.
    bool leaves_next(NodeId directory, const RenameRecord& to, RenameRecord& from);

    // An arrival may be part of an exchange of files, the rest of which is not queued yet: the same
    // records come when it leaves again. So the last arrival in each directory is kept.

    void note_arrival(NodeId directory, std::string_view name, bool is_dir);
    /// The directory has changed: forgets its last arrival, and returns whether it was the entry.
    bool forget_arrival(NodeId directory, std::string_view name, bool is_dir);
    /// Records were lost.
    void forget_arrivals() noexcept { arrivals_.clear(); }
    /// True when so many directories are kept that they should be waited for.
    [[nodiscard]] bool is_full() const noexcept { return arrivals_.size() > most_arrivals; }
    /// Waits for the directories of the last arrivals, so that what these are part of has ended.
    /// Forgets the arrivals and returns true, unless there are records to handle now.
    bool await_arrivals();

private:
    struct Arrival {
        std::string name;  // empty: none; the entry is kept for its storage
        bool is_dir = false;
    };
    static constexpr std::size_t most_arrivals = 256;

    // Where to look for a record: up to the next change of one of two directories.
    struct Range {
        Position since = 0;
        int wd_a = -1;
        int wd_b = -1;
        Position skipped = std::numeric_limits<Position>::max();  // the record there is no change
    };
    template <typename Matches>
    bool find(const Range& range, Matches matches);

    RecordQueue& queue_;
    Disk& disk_;
    const TreeModel& model_;
    std::map<NodeRef, Arrival> arrivals_;
};

}  // namespace inotify::detail
