// SPDX-License-Identifier: MIT
// The tree model: the directories of the picture that was told, as pure data.
#pragma once

#include <inotify/detail/node_index.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace inotify::detail {

/// One directory. Its path is built from the names up to the root, so a rename is one relink.
struct Node {
    NodeId parent = no_node;
    NodeId first_child = no_node;
    NodeId next = no_node;  // sibling
    NodeId previous = no_node;
    int wd = -1;                   // −1: not watched
    std::uint32_t generation = 0;  // of this slot, so that a reference to a former node is known
    bool in_use = false;
    bool symlink = false;  // reached through a symbolic link
    bool alias = false;    // its inode is watched at another place
    bool pruned = false;   // told, but not to be watched: another file system, or too deep
    bool missing = false;  // its parent's listing does not show it
    bool lost = false;     // its watch ended with no word from its parent
    bool stale = false;    // not listed since records were lost
    bool deleted = false;  // its DELETE_SELF has been reported, its IGNORED not yet
    std::string name;      // a root's: the root as it was given
};

/// A node, unless it has been removed since.
struct NodeRef {
    NodeId id = no_node;
    std::uint32_t generation = 0;
};

/// wd → node and (parent, name) → node.
class TreeModel {
public:
    TreeModel() = default;
    TreeModel(const TreeModel&) = delete;
    TreeModel& operator=(const TreeModel&) = delete;

    Node& operator[](NodeId id) noexcept { return nodes_[id]; }
    const Node& operator[](NodeId id) const noexcept { return nodes_[id]; }

    [[nodiscard]] NodeRef ref(NodeId id) const noexcept { return {id, nodes_[id].generation}; }
    [[nodiscard]] bool alive(NodeRef ref) const noexcept {
        return nodes_[ref.id].in_use && nodes_[ref.id].generation == ref.generation;
    }

    /// Adds a node; `parent` is no_node for a root.
    NodeId add(NodeId parent, std::string_view name);

    /// Removes a node that has no children.
    void remove(NodeId id);

    /// no_node if there is none.
    [[nodiscard]] NodeId child(NodeId parent, std::string_view name) const;
    [[nodiscard]] NodeId watched_by(int wd) const;

    /// −1: not watched any more.
    void set_wd(NodeId id, int wd);

    /// Takes a node, and all below it, out of its parent.
    void detach(NodeId id);

    /// Puts a detached node in again.
    void attach(NodeId id, NodeId parent, std::string_view name);

    [[nodiscard]] bool is_within(NodeId id, NodeId ancestor) const noexcept;
    [[nodiscard]] std::size_t depth(NodeId id) const noexcept;
    [[nodiscard]] NodeId root_of(NodeId id) const noexcept;

    /// Builds the path; `root_path` replaces the root's own name when it is given.
    void path(NodeId id, std::string& result, const std::string* root_path = nullptr) const;

    [[nodiscard]] std::size_t watched_count() const noexcept { return by_wd_.size(); }

    /// Calls `visit` with each node that is watched.
    template <typename Visit>
    void for_each_watched(Visit visit) const {
        for (NodeId id = 0; id < nodes_.size(); ++id)
            if (nodes_[id].wd >= 0)
                visit(id);
    }

private:
    std::deque<Node> nodes_;  // no slack while growing, and references stay valid
    std::vector<NodeId> free_;
    NodeIndex by_wd_;
    NodeIndex by_name_;  // (parent, name)
};

}  // namespace inotify::detail
