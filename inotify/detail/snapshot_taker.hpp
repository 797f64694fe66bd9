// SPDX-License-Identifier: MIT
// Takes a snapshot of a picture.
#pragma once

#include <inotify/detail/agenda.hpp>
#include <inotify/detail/disk.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/picture.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/snapshot_data.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace inotify::detail {

/// Reads what the picture has from the disk, and takes back what the client has not seen.
/// docs/design.md says why each step is necessary.
class SnapshotTaker {
public:
    SnapshotTaker(Kernel& kernel, RecordQueue& queue, Disk& disk, const Picture& picture,
                  const Agenda& agenda)
        : kernel_(kernel), queue_(queue), disk_(disk), picture_(picture), agenda_(agenda) {}

    /// Reads the names of the picture, and what their files are now.
    void read();
    /// Makes unknown what records are queued about: what was read may be what they are to report.
    void forget_queued();
    /// Makes unknown what an exchange may have changed, and what may change without a trace.
    void forget_uncertain();
    /// Takes back the pending events, and `fetched`, which the client has not seen; it may be null.
    void undo_pending(const Event* fetched);

    [[nodiscard]] SnapshotData take() noexcept { return std::move(data_); }
    [[nodiscard]] const SnapshotData& data() const noexcept { return data_; }
    /// The directory that an entry is.
    [[nodiscard]] NodeId node_of(EntryId entry) const { return nodes_.at(entry); }

private:
    void read_directory(NodeId node, EntryId entry);
    void add_entries(NodeId node, EntryId entry);
    void add_node(NodeId node, EntryId entry);
    void read_entry(int directory, EntryId entry);
    void forget_suspects();
    void forget_young();
    void forget_contents();
    void undo(const Event& event, Arrival arrival);
    void undo_arrival(const Event& event, EntryId directory, Arrival arrival);
    void undo_departure(const Event& event, EntryId directory);
    void undo_end(const Event& event);
    void add_unknown(EntryId directory, const std::string& name, bool is_dir);
    [[nodiscard]] EntryId resolve(std::string_view path) const;
    [[nodiscard]] EntryId resolve_in(EntryId root, std::string_view path) const;
    [[nodiscard]] EntryId entry_of(NodeId node) const;

    Kernel& kernel_;
    RecordQueue& queue_;
    Disk& disk_;
    const Picture& picture_;
    const Agenda& agenda_;

    SnapshotData data_;
    std::vector<EntryId> entries_;                       // by node
    std::unordered_map<EntryId, NodeId> nodes_;          // of directories
    std::unordered_set<EntryId> reached_;                // directories that were read as such
    std::int64_t begun_at_ = 0;                          // by the clock of files
    std::unordered_map<std::uint32_t, EntryId> undone_;  // taken out of where it came, by cookie
    std::string name_;
};

}  // namespace inotify::detail
