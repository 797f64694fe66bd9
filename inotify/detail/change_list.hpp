// SPDX-License-Identifier: MIT
// The changes of a batch, in an order in which they can be applied.
#pragma once

#include <inotify/batch.hpp>
#include <inotify/detail/change_tree.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace inotify::detail {

/// Makes the list of what a tree of changes comes to.
///
/// What matters is the name: a name whose entry was removed and that another one has now is
/// modified, or the destination of a rename, and has no removal of its own. `counterpart` and
/// `successor` lead from a directory as it is now to the one that it was, and back.
///
/// Renames are put in order by a search in depth: before an entry can be put at a name, the
/// directory around the name has to be at its place, what was there has to have left, and so has
/// everything that goes on elsewhere and lay in what is replaced. A file on a cycle of these is
/// split, and is no rename any more. Of the cycles of directories that are left, some are undone by
/// putting an entry into a directory that carries it on; in the others a name is taken before it is
/// free.
class ChangeList {
public:
    explicit ChangeList(ChangeTree& tree) : tree_(tree) {}

    [[nodiscard]] std::vector<Change> make();

private:
    enum class Mark : std::uint8_t { none, active, done };
    // An entry that visit() has begun, and how many of its requirements it has gone through.
    struct Visit {
        NodeId id;
        std::size_t requirements = 0;
    };
    struct Notes {
        NodeId counterpart = no_node;  // of a directory: the one that its path was before
        NodeId successor = no_node;    // of a removed directory: what was made there
        bool is_renamed = false;
        bool is_on_cycle = false;
        bool is_carried = false;  // to its path, by the rename of a directory around it
        Mark mark = Mark::none;
    };

    void index_before();
    void walk();
    void split_modified();
    bool order_renames();
    void visit(NodeId first);
    void postpone_visits();
    [[nodiscard]] bool can_be_carried(NodeId directory) const;
    [[nodiscard]] NodeId requirement(NodeId id, std::size_t number) const;
    void note_cycle(NodeId id);

    [[nodiscard]] NodeId held_before(NodeId id) const;
    [[nodiscard]] NodeId find_before(NodeId directory, std::string_view name) const;
    [[nodiscard]] const std::string& name_before(NodeId id) const;
    [[nodiscard]] ChangeKind kind_of_new(NodeId id) const;
    [[nodiscard]] bool comes_early(NodeId id) const;
    [[nodiscard]] bool is_leaf(NodeId id) const;
    [[nodiscard]] NodeId place_of_removed(NodeId id) const;
    [[nodiscard]] NodeId directory_now_at(NodeId directory) const;
    [[nodiscard]] bool is_removed_first(NodeId id, NodeId place) const;

    void clear_marks();
    void put_removals(bool first);
    void put_steps();
    void put_additions();
    void put_rest();
    void put(ChangeKind kind, NodeId id);
    [[nodiscard]] std::string path(NodeId id) const;
    [[nodiscard]] std::string placed_path(NodeId id) const;
    [[nodiscard]] std::string path_so_far(NodeId directory, std::string_view name) const;

    ChangeTree& tree_;
    std::vector<Notes> notes_;
    NodeIndex before_;            // those that are not where they were, by {directory, name}
    std::vector<NodeId> there_;   // all that is there, parents first
    std::vector<Visit> visits_;   // those that go on, innermost last
    std::vector<NodeId> cycles_;  // files that lie on one
    std::vector<NodeId> steps_;   // renames, and what has to come before one
    // What lay in a removed directory and goes on elsewhere.
    std::unordered_map<NodeId, std::vector<NodeId>> survivors_;
    std::vector<Change> changes_;
};

}  // namespace inotify::detail
