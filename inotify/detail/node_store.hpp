// SPDX-License-Identifier: MIT
// Numbered storage for the nodes of a tree.
#pragma once

#include <inotify/detail/give_back.hpp>
#include <inotify/detail/node_index.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace inotify::detail {

/// Nodes by number. They do not move, and a block that has none goes back to the heap, wherever it
/// lies; the lowest numbers are used first, so that the higher blocks run empty.
template <typename Node>
class NodeStore {
public:
    /// The node must exist.
    Node& operator[](NodeId id) noexcept {
        return blocks_[id / block_size]->nodes[id % block_size];
    }
    const Node& operator[](NodeId id) const noexcept {
        return blocks_[id / block_size]->nodes[id % block_size];
    }

    [[nodiscard]] bool contains(NodeId id) const noexcept {
        const std::size_t block = id / block_size;
        return block < blocks_.size() && blocks_[block] != nullptr &&
               (blocks_[block]->used >> (id % block_size) & 1U) != 0;
    }

    /// Adds a node as its type makes it.
    NodeId add() {
        const std::size_t block = open_block();
        std::uint64_t& used = blocks_[block]->used;
        const auto i = static_cast<std::size_t>(std::countr_one(used));
        used |= std::uint64_t{1} << i;
        if (used == ~std::uint64_t{0})
            open_blocks_.erase(block);
        return static_cast<NodeId>(block * block_size + i);
    }

    void remove(NodeId id) {
        const std::size_t block = id / block_size;
        std::uint64_t& used = blocks_[block]->used;
        used &= ~(std::uint64_t{1} << (id % block_size));
        (*this)[id] = Node{};
        if (used != 0) {
            open_blocks_.insert(block);
            return;
        }
        spare_ = std::move(blocks_[block]);
        ++null_blocks_;
        open_blocks_.erase(block);
        for (; !blocks_.empty() && blocks_.back() == nullptr; --null_blocks_)
            blocks_.pop_back();
        give_back(blocks_);
    }

    /// Calls `visit` with the number of each node, in order.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (std::size_t block = 0; block < blocks_.size(); ++block)
            for (std::size_t i = 0; blocks_[block] != nullptr && i < block_size; ++i)
                if ((blocks_[block]->used >> i & 1U) != 0)
                    visit(static_cast<NodeId>(block * block_size + i));
    }

private:
    static constexpr std::size_t block_size = 64;
    struct Block {
        std::uint64_t used = 0;  // a bit for each node
        std::array<Node, block_size> nodes;
    };

    // The first block with room, made if there is none.
    std::size_t open_block() {
        if (!open_blocks_.empty())
            return *open_blocks_.begin();
        std::size_t block = blocks_.size();
        if (null_blocks_ > 0) {
            block = static_cast<std::size_t>(std::find(blocks_.begin(), blocks_.end(), nullptr) -
                                             blocks_.begin());
            --null_blocks_;
        } else {
            blocks_.emplace_back();
        }
        blocks_[block] = spare_ != nullptr ? std::move(spare_) : std::make_unique<Block>();
        open_blocks_.insert(block);
        return block;
    }

    std::vector<std::unique_ptr<Block>> blocks_;  // null: without a node
    std::size_t null_blocks_ = 0;
    std::unique_ptr<Block> spare_;       // for a tree whose size changes around a block's end
    std::set<std::size_t> open_blocks_;  // which have both nodes and room for more
};

}  // namespace inotify::detail
