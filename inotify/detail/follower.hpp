// SPDX-License-Identifier: MIT
// The follower: what a record does to the picture.
#pragma once

#include <inotify/detail/agenda.hpp>
#include <inotify/detail/picture.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/rename_reader.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace inotify::detail {

/// Handles records in their order. What a record does not show goes onto the agenda.
class Follower {
public:
    Follower(RecordQueue& queue, RenameReader& renames, Picture& picture, Agenda& agenda,
             const TreeOptions& options)
        : queue_(queue), renames_(renames), picture_(picture), agenda_(agenda), options_(options) {}

    /// Handles and consumes the queue's first record.
    void handle(const Record& record);

    /// Handles the records that were kept for directories which are in their places again.
    void handle_kept();
    /// True when so many are kept that their directories should be dropped.
    [[nodiscard]] bool keeps_many() const noexcept { return kept_.size() > most_kept; }

private:
    // What is being renamed: taken from its place, and not put at another yet.
    struct Move {
        Taken taken;
        RenameRecord to;
        NodeRef to_directory;     // where it is put; none: it has left the tree
        bool is_carried = false;  // false: it is put as something new
    };
    struct Kept {
        NodeRef directory;
        RenameRecord record;
    };

    void handle_overflow();
    void handle_self(NodeId node, Mask mask);
    void handle_ignored(NodeId node, Mask mask);
    void handle_use(NodeId node, const Record& record);
    void handle_entry(NodeId node, const RenameRecord& record);
    void handle_created(NodeId node, const RenameRecord& record);
    void handle_moved_from(NodeId node, const RenameRecord& from, bool follows_arrival);
    void keep(NodeId node, const Record& record);
    void handle_alone(NodeId node, const RenameRecord& record);

    Move take(NodeId node, const RenameRecord& from, const RenameRecord* counterpart);
    void put(const Move& move);
    void arrive(NodeId node, const RenameRecord& to);
    std::optional<Move> make_room(NodeId node, const RenameRecord& to);
    void create(NodeId node, const RenameRecord& record);
    void look_up(NodeId node, const std::string& name);
    void note_arrival(NodeId node, const RenameRecord& to, bool says_itself);
    [[nodiscard]] bool can_carry(NodeId from_directory, const RenameRecord& from,
                                 NodeId to_directory) const;
    void clear_suspect(NodeId node, std::string_view name, Mask mask);
    void forget_destination(NodeId node, const std::string& name);
    [[nodiscard]] NodeId watched_by(int wd);

    RecordQueue& queue_;
    RenameReader& renames_;
    Picture& picture_;
    Agenda& agenda_;
    const TreeOptions& options_;

    static constexpr std::size_t most_kept = 4096;

    RenameRecord record_;     // that is being handled; kept for its storage
    std::vector<Kept> kept_;  // for directories that are detached

    // The node of the last record's descriptor.
    int last_wd_ = -1;
    NodeRef last_node_;
};

}  // namespace inotify::detail
