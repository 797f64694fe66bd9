// SPDX-License-Identifier: MIT
// The directories that failed: which, with what error, and when each is tried again.
#pragma once

#include <inotify/detail/node_index.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace inotify::detail {

/// Directories that could not be watched or listed. Pure data: the caller brings the time.
///
/// A directory that fails by itself (EACCES) backs off by itself: it is due after 1 s, then after
/// 2 s more, 4 s, and so on up to 60 s. Those that failed for want of something (watches,
/// descriptors, memory) wait for it together: one of them is due for all, and when that one
/// succeeds the next is due at once.
///
///     fail ──> waiting ──(take, at its time or at once)──> waiting, twice as long
///                 └──(succeed, erase)──> forgotten
class RetryQueue {
public:
    using Time = std::chrono::steady_clock::time_point;

    static constexpr std::chrono::seconds first_delay{1};
    static constexpr std::chrono::seconds longest_delay{60};

    /// Errors that hit every directory alike.
    static bool is_shortage(int error) noexcept;

    /// The directory failed, or failed again. True when that is to be reported: once for each
    /// directory, and once for a whole shortage.
    bool fail(NodeId node, int error, Time now);

    /// The directory is watched and listed: what it lacked may be there for the others, too.
    void succeed(NodeId node);

    /// The directory is gone.
    void erase(NodeId node);

    /// Something happened to a directory that fails by itself: it is due at once.
    void expedite(NodeId node);

    /// Some of what was lacking has been given back: one of those that wait for it is due at once.
    void end_shortage(int error);

    /// The directories that are due. Each is due again, later, whatever comes of this try.
    std::vector<NodeId> take(Time now);

    /// When the next one is due; Time::max() if none ever is.
    [[nodiscard]] Time next_due() const;
    /// How long that is from `now` on; zero if it is over. There has to be one.
    [[nodiscard]] std::chrono::milliseconds until_due(Time now) const;

    [[nodiscard]] bool empty() const noexcept { return failures_.empty(); }
    [[nodiscard]] bool contains(NodeId node) const { return failures_.contains(node); }

    /// Calls `visit` with each directory and its error.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [node, failure] : failures_)
            visit(node, failure.error);
    }

private:
    static constexpr Time at_once{};

    struct Turn {
        Time due = at_once;
        std::chrono::seconds delay = first_delay;  // from this turn to the next

        void put_off(Time now);
    };

    struct Failure {
        int error = 0;
        Turn turn;  // no meaning in a shortage
    };

    struct Shortage {
        Turn turn;
        std::set<NodeId> waiting;
        NodeId last_taken = no_node;
    };

    void enter(NodeId node, Failure& failure, Time now);
    void leave(NodeId node, const Failure& failure);

    std::map<NodeId, Failure> failures_;
    std::set<std::pair<Time, NodeId>> turns_;  // of those that fail by themselves
    std::map<int, Shortage> shortages_;        // by error
};

}  // namespace inotify::detail
