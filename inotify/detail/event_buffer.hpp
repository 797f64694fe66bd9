// SPDX-License-Identifier: MIT
// A queue of events whose slots keep their strings' storage.
#pragma once

#include <inotify/detail/source.hpp>
#include <inotify/event.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace inotify::detail {

/// First in, first out; when it runs empty it starts over in the same slots. What a burst made of
/// them is given back by give_back().
class EventBuffer {
public:
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }

    /// A slot at the end, with whatever event it held before.
    Event& push(Arrival arrival = Arrival::unknown) {
        if (end_ == slots_.size())
            slots_.emplace_back();
        slots_[end_].arrival = arrival;
        return slots_[end_++].event;
    }

    /// The event that was pushed last.
    [[nodiscard]] Event& back() noexcept { return slots_[end_ - 1].event; }

    /// Swaps the first event into `event`; returns what it was pushed with.
    Arrival pop(Event& event) noexcept {
        Slot& first = slots_[begin_++];
        std::swap(event, first.event);
        if (begin_ == end_)
            begin_ = end_ = 0;
        return first.arrival;
    }

    /// Puts events before all others; where they arrive, nothing was there.
    void prepend(std::vector<Event> events) {
        std::vector<Slot> slots;
        slots.reserve(events.size() + size());
        for (Event& event : events)
            slots.push_back({std::move(event), Arrival::free});
        for (; begin_ != end_; ++begin_)
            slots.push_back(std::move(slots_[begin_]));
        slots_ = std::move(slots);
        begin_ = 0;
        end_ = slots_.size();
    }

    /// Calls `visit` with each event and what it was pushed with, the last one first.
    template <typename Visit>
    void for_each_backwards(Visit visit) const {
        for (std::size_t i = end_; i-- > begin_;)
            visit(slots_[i].event, slots_[i].arrival);
    }

    /// Frees the slots of an empty queue, unless they are few.
    void give_back() noexcept {
        begin_ = end_ = 0;
        std::size_t bytes = slots_.capacity() * sizeof(Slot);
        for (std::size_t i = 0; i < slots_.size() && bytes <= most_kept; ++i)
            bytes += slots_[i].event.path.capacity() + slots_[i].event.filename.capacity() +
                     slots_[i].event.moved_from.capacity();
        if (bytes > most_kept)
            std::vector<Slot>().swap(slots_);
    }

    /// Removes the events for which `predicate` holds.
    template <typename Predicate>
    void erase_if(Predicate predicate) {
        std::size_t kept = begin_;
        for (std::size_t i = begin_; i < end_; ++i)
            if (!predicate(slots_[i].event))
                std::swap(slots_[kept++], slots_[i]);
        end_ = kept;
    }

private:
    static constexpr std::size_t most_kept = 16 * 1024;  // bytes

    struct Slot {
        Event event;
        Arrival arrival = Arrival::unknown;
    };
    std::vector<Slot> slots_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace inotify::detail
