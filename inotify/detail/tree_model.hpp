// SPDX-License-Identifier: MIT
// The tree model: the directories of the picture that was told, as pure data.
#pragma once

#include <inotify/detail/node_index.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
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
    std::uint32_t generation = 0;  // of this id, so that a reference to a former node is known
    bool symlink = false;          // reached through a symbolic link
    bool pruned = false;           // told, but not to be watched: another file system, or too deep
    bool missing = false;          // its parent's listing does not show it
    bool lost = false;             // its watch ended with no word from its parent
    bool stale = false;            // not listed since records were lost
    std::string name;              // a root's: the root as it was given
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

    /// The node must exist.
    Node& operator[](NodeId id) noexcept {
        return blocks_[id / block_size]->nodes[id % block_size];
    }
    const Node& operator[](NodeId id) const noexcept {
        return blocks_[id / block_size]->nodes[id % block_size];
    }

    [[nodiscard]] NodeRef ref(NodeId id) const noexcept { return {id, (*this)[id].generation}; }
    [[nodiscard]] bool alive(NodeRef ref) const noexcept {
        const std::size_t block = ref.id / block_size;
        return block < blocks_.size() && blocks_[block] != nullptr && is_used(ref.id) &&
               (*this)[ref.id].generation == ref.generation;
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
        for (std::size_t block = 0; block < blocks_.size(); ++block)
            for (std::size_t i = 0; blocks_[block] != nullptr && i < block_size; ++i)
                if (blocks_[block]->nodes[i].wd >= 0)
                    visit(static_cast<NodeId>(block * block_size + i));
    }

private:
    // Nodes do not move, and a block that has none goes back to the heap, wherever it lies.
    static constexpr std::size_t block_size = 64;
    struct Block {
        std::uint64_t used = 0;  // a bit for each node
        std::array<Node, block_size> nodes;
    };

    [[nodiscard]] bool is_used(NodeId id) const noexcept {
        return (blocks_[id / block_size]->used >> (id % block_size) & 1U) != 0;
    }
    NodeId take_id();

    std::vector<std::unique_ptr<Block>> blocks_;  // null: without a node
    std::size_t null_blocks_ = 0;
    std::unique_ptr<Block> spare_;       // for a model whose size changes around a block's end
    std::set<std::size_t> open_blocks_;  // which have both nodes and room for more
    std::uint32_t last_generation_ = 0;
    NodeIndex by_wd_;
    NodeIndex by_name_;  // (parent, name)
};

}  // namespace inotify::detail
