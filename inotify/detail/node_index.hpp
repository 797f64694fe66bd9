// SPDX-License-Identifier: MIT
// A hash table of node numbers whose keys stay in the nodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace inotify::detail {

using NodeId = std::uint32_t;
inline constexpr NodeId no_node = std::numeric_limits<NodeId>::max();

/// Open addressing with linear probing. A slot holds the hash as well, so that searching and
/// growing need not look into nodes, which are spread over memory.
class NodeIndex {
public:
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The node of `hash` for which `matches` holds, or no_node.
    template <typename Matches>
    [[nodiscard]] NodeId find(std::uint32_t hash, Matches matches) const {
        if (slots_.empty())
            return no_node;
        for (std::size_t at = hash & mask();; at = (at + 1) & mask()) {
            const Slot& slot = slots_[at];
            if (slot.id == no_node || (slot.hash == hash && matches(slot.id)))
                return slot.id;
        }
    }

    /// Inserts a node that is not in.
    void insert(NodeId id, std::uint32_t hash) {
        if ((size_ + 1) * 4 > slots_.size() * 3)
            resize(slots_.empty() ? least_slots : slots_.size() * 2);
        place({id, hash});
        ++size_;
    }

    /// Erases a node that is in.
    void erase(NodeId id, std::uint32_t hash) {
        std::size_t hole = hash & mask();
        while (slots_[hole].id != id)
            hole = (hole + 1) & mask();
        // What was pushed on by the erased one moves up, so that no search ends early.
        for (std::size_t at = (hole + 1) & mask(); slots_[at].id != no_node;
             at = (at + 1) & mask()) {
            const std::size_t home = slots_[at].hash & mask();
            if (((at - home) & mask()) >= ((at - hole) & mask()))
                slots_[std::exchange(hole, at)] = slots_[at];
        }
        slots_[hole] = {};
        --size_;
        if (slots_.size() > least_slots && size_ * 8 < slots_.size())
            resize(slots_.size() / 2);
    }

private:
    struct Slot {
        NodeId id = no_node;
        std::uint32_t hash = 0;
    };

    static constexpr std::size_t least_slots = 16;

    [[nodiscard]] std::size_t mask() const noexcept { return slots_.size() - 1; }

    void resize(std::size_t size) {
        const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(size));
        for (const Slot& slot : old)
            if (slot.id != no_node)
                place(slot);
    }

    void place(Slot slot) {
        std::size_t at = slot.hash & mask();
        while (slots_[at].id != no_node)
            at = (at + 1) & mask();
        slots_[at] = slot;
    }

    std::vector<Slot> slots_;  // a power of two
    std::size_t size_ = 0;
};

}  // namespace inotify::detail
