// SPDX-License-Identifier: MIT
// A batch in the making.
#pragma once

#include <inotify/batch.hpp>
#include <inotify/detail/change_list.hpp>
#include <inotify/detail/change_tree.hpp>

#include <chrono>
#include <utility>

namespace inotify::detail {

/// What a BatchBuilder holds.
struct BatchState {
    ChangeTree tree;
    bool overflow = false;

    /// False for what is no change.
    bool add(const Event& event, Arrival arrival = Arrival::unknown) {
        if (!event.mask.intersects(IN::Q_OVERFLOW))
            return tree.add(event, arrival);
        tree.overflow();
        return overflow = true;
    }

    [[nodiscard]] bool empty() const noexcept { return tree.empty() && !overflow; }

    Batch take() {
        Batch batch;
        if (!tree.empty())
            batch.changes = ChangeList(tree).make();
        batch.overflow = std::exchange(overflow, false);
        tree.clear();
        return batch;
    }
};

/// What a stream holds for its ranges of batches.
struct PendingBatch {
    enum class Element { none, fetched, yielded };
    using Time = std::chrono::steady_clock::time_point;

    BatchState state;
    bool has_changes = false;  // in `state`, though they may come to nothing
    bool cycle_has_changes = false;
    Time first;   // when the first of them was read
    Time last;    // when the last one was, to the cycle
    Batch batch;  // the element
    Element element = Element::none;
};

}  // namespace inotify::detail
