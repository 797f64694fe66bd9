// SPDX-License-Identifier: MIT
// The agenda: everything that is to be looked at, now or again later.
#pragma once

#include <inotify/detail/retry_queue.hpp>
#include <inotify/detail/task.hpp>
#include <inotify/detail/tree_model.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace inotify::detail {

/// One queue of tasks, which is worked off in rounds. A round ends when no task of it is left: then
/// what was not found at its old place is not found at another either. What is to be looked at
/// again, once other things are known, waits for the next round.
///
///     now <── postponed, rechecks, suspects      when a round begins
///     now <── failures                           when they are due
class Agenda {
public:
    using Time = RetryQueue::Time;

    explicit Agenda(const TreeModel& model) : model_(model) {}

    // Of this round.

    /// Looks at it next.
    void look_up(NodeId directory, std::vector<std::string> names, const Task& like);
    void add_next(Task task);
    /// Looks at it after all else of this round.
    void add_last(Task task);

    // Of the next round.

    void postpone(Task task) { postponed_.push_back(std::move(task)); }
    /// What is at the place of a node is not certain.
    void recheck(NodeId node, bool recursive = false, std::uint64_t unreachable_at = 0);

    // Suspects: names that were reported to be left by what had just arrived there. An exchange of
    // two files leaves the same records, but for the last one to come; then both names hold
    // another file, whose contents the client does not know.

    /// `destination`: where what left went; without a directory, nowhere that is known.
    void suspect(Place place, Place destination);
    [[nodiscard]] bool has_suspects() const noexcept { return !suspects_.empty(); }
    [[nodiscard]] bool is_suspect(const Place& place) const { return suspects_.contains(place); }
    /// It is certain now what is at a suspect: returns its destination, or nothing for any other.
    std::optional<Place> clear_suspect(const Place& place);
    /// Calls `visit` with each suspect and its destination.
    template <typename Visit>
    void for_each_suspect(Visit visit) const {
        for (const auto& [place, suspect] : suspects_)
            visit(place, suspect.destination);
    }
    /// What was at a place is at another, or, without a directory, gone.
    void move_destination(const Place& from, const Place& to);

    // Failures.

    /// A directory could not be watched, or not be looked at. True when that is to be reported.
    bool fail(NodeId node, int error, Time now);
    /// What is to be done when a watched directory that failed is due.
    void retry(NodeId node, Task task);
    /// A directory was watched or looked at; it has failed no more, unless there is more to be done
    /// with it.
    void succeed(NodeId node);
    /// The rights of a directory have changed.
    void expedite(NodeId node) { failures_.expedite(node); }
    /// A watch was given back: others may get it.
    void end_shortage(int error) { failures_.end_shortage(error); }
    [[nodiscard]] bool has_failures() const noexcept { return !failures_.empty(); }
    [[nodiscard]] bool has_failed(NodeId node) const { return failures_.contains(node); }
    template <typename Visit>
    void for_each_failure(Visit visit) const {
        failures_.for_each(visit);
    }
    /// When the next failure is due; Time::max() if there is none.
    [[nodiscard]] Time next_due() const { return failures_.next_due(); }
    /// How long that is from `now` on; there has to be a failure.
    [[nodiscard]] std::chrono::milliseconds until_due(Time now) const {
        return failures_.until_due(now);
    }

    // Working it off.

    /// True when there is a task of this round.
    [[nodiscard]] bool has_task() const noexcept { return !now_.empty(); }
    /// True when the next round has tasks, at the time `now`.
    [[nodiscard]] bool has_next_round(Time now) const;
    /// The next task of this round; none: the round has ended.
    std::optional<Task> take();
    /// The same, if `matches` holds for it.
    template <typename Matches>
    std::optional<Task> take_if(Matches matches) {
        drop_dead();
        return !now_.empty() && matches(now_.front()) ? take() : std::nullopt;
    }
    /// Begins the next round.
    void begin_round(Time now);

    /// A record of a watched directory was handled: what was in vain may succeed now.
    void note_progress() noexcept { ++progress_; }
    [[nodiscard]] std::uint64_t progress() const noexcept { return progress_; }

    /// Records were lost: directories that are still stale at the end of this round are compared.
    void compare_stale() noexcept { compares_stale_ = true; }

    /// What a scan that reports nothing has not reached yet is reported as new.
    void report_all();

    /// Nothing is left to do: gives back what a burst has made of the queue.
    void give_back_storage();

    /// A node was removed: returns the destinations of the suspects in it, which are none now.
    std::vector<Place> forget(NodeRef node);

private:
    struct Recheck {
        bool recursive = false;
        std::uint64_t unreachable_at = 0;
    };
    struct Suspect {
        Place destination;
        std::uint64_t asked_at = 0;  // progress() then
    };
    struct Retry {
        NodeRef node;
        std::vector<Task> tasks;
    };

    void drop_dead();
    void add_recheck(NodeId node, const Recheck& recheck);
    void add_rechecks();
    void add_suspects();
    void add_failures(Time now);

    const TreeModel& model_;
    std::deque<Task> now_;
    std::size_t most_now_ = 0;  // tasks there were at once
    std::vector<Task> postponed_;
    std::map<NodeRef, Recheck> rechecks_;
    std::map<Place, Suspect> suspects_;
    bool compares_stale_ = false;
    RetryQueue failures_;
    std::map<NodeId, Retry> retries_;  // a node that failed, and what is to be done with it
    std::uint64_t progress_ = 1;
};

}  // namespace inotify::detail
