// SPDX-License-Identifier: MIT
// The directories that failed: which, with what error, and when each is tried again.
#include <inotify/detail/retry_queue.hpp>

#include <algorithm>
#include <cerrno>

namespace inotify::detail {

bool RetryQueue::is_shortage(int error) noexcept {
    return error == ENOSPC || error == EMFILE || error == ENFILE || error == ENOMEM;
}

// Due times lie on a grid, so that directories which failed together wake the loop once.
void RetryQueue::Turn::put_off(Time now) {
    constexpr std::chrono::milliseconds grid{250};
    const auto since_epoch = (now + delay).time_since_epoch();
    due = Time((since_epoch + grid - Time::duration{1}) / grid * grid);
    delay = std::min(delay * 2, longest_delay);
}

bool RetryQueue::fail(NodeId node, int error, Time now) {
    const auto [entry, is_new] = failures_.try_emplace(node);
    Failure& failure = entry->second;
    if (!is_new && failure.error == error)
        return false;
    bool is_reported = is_shortage(error) && !shortages_.contains(error);
    if (!is_shortage(error))  // a shortage may have been reported of another directory
        is_reported = is_new || is_shortage(failure.error);
    if (!is_new)
        leave(node, failure);
    failure.error = error;
    enter(node, failure, now);
    return is_reported;
}

void RetryQueue::succeed(NodeId node) {
    const auto found = failures_.find(node);
    if (found == failures_.end())
        return;
    const int error = found->second.error;
    erase(node);
    end_shortage(error);
}

void RetryQueue::erase(NodeId node) {
    const auto found = failures_.find(node);
    if (found == failures_.end())
        return;
    leave(node, found->second);
    failures_.erase(found);
}

void RetryQueue::expedite(NodeId node) {
    const auto found = failures_.find(node);
    if (found == failures_.end() || is_shortage(found->second.error))
        return;
    leave(node, found->second);
    found->second.turn = {};
    turns_.emplace(at_once, node);
}

void RetryQueue::end_shortage(int error) {
    if (const auto found = shortages_.find(error); found != shortages_.end())
        found->second.turn = {};
}

std::vector<NodeId> RetryQueue::take(Time now) {
    std::vector<NodeId> due;
    while (!turns_.empty() && turns_.begin()->first <= now) {
        const NodeId node = turns_.begin()->second;
        turns_.erase(turns_.begin());
        Turn& turn = failures_.at(node).turn;
        turn.put_off(now);
        turns_.emplace(turn.due, node);
        due.push_back(node);
    }
    for (auto& [error, shortage] : shortages_) {
        if (shortage.turn.due > now)
            continue;
        shortage.turn.put_off(now);
        // In turn, so that one whose try comes to nothing does not hold up the others.
        auto next = shortage.waiting.upper_bound(shortage.last_taken);
        if (next == shortage.waiting.end())
            next = shortage.waiting.begin();
        shortage.last_taken = *next;
        due.push_back(*next);
    }
    return due;
}

RetryQueue::Time RetryQueue::next_due() const {
    Time next = turns_.empty() ? Time::max() : turns_.begin()->first;
    for (const auto& [error, shortage] : shortages_)
        next = std::min(next, shortage.turn.due);
    return next;
}

std::chrono::milliseconds RetryQueue::until_due(Time now) const {
    using std::chrono::milliseconds;
    return std::max(std::chrono::ceil<milliseconds>(next_due() - now), milliseconds::zero());
}

void RetryQueue::enter(NodeId node, Failure& failure, Time now) {
    if (is_shortage(failure.error)) {
        const auto [shortage, begins] = shortages_.try_emplace(failure.error);
        shortage->second.waiting.insert(node);
        if (begins)
            shortage->second.turn.put_off(now);
    } else {
        failure.turn = {};
        failure.turn.put_off(now);
        turns_.emplace(failure.turn.due, node);
    }
}

void RetryQueue::leave(NodeId node, const Failure& failure) {
    if (!is_shortage(failure.error)) {
        turns_.erase({failure.turn.due, node});
        return;
    }
    const auto shortage = shortages_.find(failure.error);
    shortage->second.waiting.erase(node);
    if (shortage->second.waiting.empty())
        shortages_.erase(shortage);
}

}  // namespace inotify::detail
