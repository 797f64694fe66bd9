// SPDX-License-Identifier: MIT
// The tree model: the directories that the client knows, as pure data.
#pragma once

#include <inotify/detail/node_index.hpp>
#include <inotify/detail/node_store.hpp>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace inotify::detail {

/// What is known of a directory. Those from `unlisted` to `stale` are watched; docs/design.md draws
/// the transitions.
enum class NodeState : std::uint8_t {
    found,     // the client knows it; it is still to be looked up
    alias,     // its inode is watched at another place
    pruned,    // it is not to be watched: too deep, or on another file system
    failed,    // it could not be watched, and is tried again
    ended,     // its watch ended, and its parent has not said why yet
    unlisted,  // watched; its records say nothing that its listing will not
    listed,    // watched; the client knows what is in it
    stale,     // watched; records were lost since it was listed
};
inline constexpr std::size_t node_states = static_cast<std::size_t>(NodeState::stale) + 1;

/// True for the states of a directory that has a watch descriptor.
constexpr bool is_watched(NodeState state) noexcept { return state >= NodeState::unlisted; }

/// One directory. Its path is built from the names up to the root, so a rename is one relink.
struct Node {
    NodeId parent = no_node;
    NodeId first_child = no_node;
    NodeId next = no_node;  // sibling
    NodeId previous = no_node;
    int wd = -1;                   // −1: not watched
    std::uint32_t generation = 0;  // of this number, so that a reference to a former node is known
    NodeState state = NodeState::found;
    bool is_root = false;
    bool via_link = false;          // reached through a symbolic link
    bool hears_attributes = false;  // its watch is for IN_ATTRIB, too
    bool is_deleted = false;        // its DELETE_SELF was reported, its IGNORED not yet
    bool is_missing = false;        // not seen at this place; it may be found at another
    bool is_remembered = false;     // not listed yet; the client knows what a snapshot had of it
    std::string name;               // a root's: the root as it was given
};

/// A node, unless it has been removed since.
struct NodeRef {
    NodeId id = no_node;
    std::uint32_t generation = 0;

    friend auto operator<=>(const NodeRef&, const NodeRef&) = default;
};

/// A name in a directory.
struct Place {
    NodeRef directory;
    std::string name;

    friend auto operator<=>(const Place&, const Place&) = default;
};

/// wd → node and (parent, name) → node.
///
/// A node without a parent is a root, or it is detached: it has left its place, and where it is now
/// is not known yet.
class TreeModel {
public:
    TreeModel() = default;
    TreeModel(const TreeModel&) = delete;
    TreeModel& operator=(const TreeModel&) = delete;

    const Node& operator[](NodeId id) const noexcept { return nodes_[id]; }

    [[nodiscard]] NodeRef ref(NodeId id) const noexcept { return {id, nodes_[id].generation}; }
    [[nodiscard]] bool alive(NodeRef ref) const noexcept {
        return nodes_.contains(ref.id) && nodes_[ref.id].generation == ref.generation;
    }

    /// Adds a node in the state `found`.
    NodeId add(NodeId parent, std::string_view name);
    NodeId add_root(std::string_view name);

    /// Removes a node that has no children.
    void remove(NodeId id);

    /// no_node if there is none.
    [[nodiscard]] NodeId child(NodeId parent, std::string_view name) const;
    [[nodiscard]] NodeId watched_by(int wd) const;

    /// Gives a node that is not watched a watch descriptor; it becomes `unlisted`.
    void watch(NodeId id, int wd);
    /// Takes the descriptor of a watched node away; it becomes `state`, one that is not watched.
    void unwatch(NodeId id, NodeState state);
    /// Changes the state of a node that stays watched, or not watched, as it is.
    void set_state(NodeId id, NodeState state);
    void set_via_link(NodeId id, bool via_link) noexcept;
    void set_hears_attributes(NodeId id) noexcept { nodes_[id].hears_attributes = true; }
    void set_deleted(NodeId id, bool is_deleted) noexcept { nodes_[id].is_deleted = is_deleted; }
    void set_missing(NodeId id, bool is_missing) noexcept { nodes_[id].is_missing = is_missing; }
    void set_remembered(NodeId id, bool is_remembered) noexcept {
        nodes_[id].is_remembered = is_remembered;
    }

    /// Takes a node, and all below it, out of its parent.
    void detach(NodeId id);
    /// Makes a detached node a root.
    void make_root(NodeId id, std::string_view name);
    /// Puts a detached node in again, where it is not missing.
    void attach(NodeId id, NodeId parent, std::string_view name);

    [[nodiscard]] bool is_within(NodeId id, NodeId ancestor) const noexcept;
    [[nodiscard]] std::size_t depth(NodeId id) const noexcept;
    /// The topmost node above; a root, or the one that is detached.
    [[nodiscard]] NodeId top_of(NodeId id) const noexcept;

    /// Builds the path; `root_path` replaces the root's own name when it is given.
    void path(NodeId id, std::string& result, const std::string* root_path = nullptr) const;

    [[nodiscard]] std::size_t count(NodeState state) const noexcept {
        return counts_[static_cast<std::size_t>(state)];
    }
    [[nodiscard]] std::size_t watched_count() const noexcept { return by_wd_.size(); }
    [[nodiscard]] std::size_t via_link_count() const noexcept { return via_link_count_; }

    /// Calls `visit` with each node for which `matches` holds.
    template <typename Matches, typename Visit>
    void for_each(Matches matches, Visit visit) const {
        nodes_.for_each([&](NodeId id) {
            if (matches(nodes_[id]))
                visit(id);
        });
    }
    template <typename Visit>
    void for_each(NodeState state, Visit visit) const {
        if (count(state) != 0)
            for_each([=](const Node& node) { return node.state == state; }, visit);
    }

    /// What is wrong with the model, in a sentence; empty when all invariants hold. Slow, for
    /// tests.
    [[nodiscard]] std::string check() const;

private:
    NodeId add_node();
    void count_state(NodeId id, NodeState state) noexcept;

    NodeStore<Node> nodes_;
    std::uint32_t last_generation_ = 0;
    NodeIndex by_wd_;
    NodeIndex by_name_;  // (parent, name)
    std::array<std::size_t, node_states> counts_{};
    std::size_t via_link_count_ = 0;
};

}  // namespace inotify::detail
