// SPDX-License-Identifier: MIT
// RetryQueue: who is tried again when, and of what the client hears.
#include <inotify/detail/retry_queue.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <vector>

using inotify::detail::NodeId;
using inotify::detail::RetryQueue;
using namespace std::chrono_literals;

namespace {

using Nodes = std::vector<NodeId>;
using Seconds = std::vector<int>;

RetryQueue::Time time_of(std::chrono::milliseconds time) { return RetryQueue::Time(time); }

/// The seconds from `first` to `last` in which something is due.
Seconds seconds_due(RetryQueue& queue, int first, int last) {
    Seconds result;
    for (int second = first; second <= last; ++second)
        if (!queue.take(time_of(std::chrono::seconds(second))).empty())
            result.push_back(second);
    return result;
}

}  // namespace

TEST_CASE("a directory that fails by itself is tried after 1 s, 2 s, 4 s and so on up to 60 s") {
    RetryQueue queue;
    CHECK(queue.empty());
    CHECK(queue.next_due() == RetryQueue::Time::max());
    CHECK(queue.fail(7, EACCES, time_of(0s)));
    CHECK(queue.next_due() == time_of(1s));
    CHECK(queue.take(time_of(999ms)).empty());
    CHECK(queue.take(time_of(1s)) == Nodes{7});
    CHECK(!queue.fail(7, EACCES, time_of(1s)));
    CHECK(seconds_due(queue, 1, 250) == Seconds{3, 7, 15, 31, 63, 123, 183, 243});
    CHECK(!queue.empty());
}

TEST_CASE(
    "a try that comes to nothing is followed by another, although no failure of it is noted") {
    RetryQueue queue;
    queue.fail(1, EACCES, time_of(0s));
    queue.fail(2, ENOSPC, time_of(0s));
    CHECK(queue.take(time_of(1s)) == Nodes{1, 2});
    CHECK(queue.take(time_of(1s)).empty());
    CHECK(queue.take(time_of(3s)) == Nodes{1, 2});
}

TEST_CASE("directories that failed within a moment are due together") {
    RetryQueue queue;
    queue.fail(1, EACCES, time_of(10ms));
    queue.fail(2, EACCES, time_of(200ms));
    CHECK(queue.next_due() == time_of(1250ms));
    CHECK(queue.take(time_of(1250ms)) == Nodes{1, 2});
}

TEST_CASE("a directory to which something happened is due at once, and then backs off anew") {
    RetryQueue queue;
    queue.fail(1, EACCES, time_of(0s));
    CHECK(seconds_due(queue, 0, 40) == Seconds{1, 3, 7, 15, 31});
    queue.expedite(1);
    CHECK(queue.next_due() <= time_of(0s));
    CHECK(queue.take(time_of(40s)) == Nodes{1});
    CHECK(seconds_due(queue, 40, 50) == Seconds{41, 43, 47});
    queue.expedite(2);
    CHECK(queue.next_due() == time_of(55s));
}

TEST_CASE("a directory that was watched or is gone is not tried any more") {
    RetryQueue queue;
    queue.fail(1, EACCES, time_of(0s));
    queue.fail(2, EACCES, time_of(0s));
    queue.fail(3, ENOSPC, time_of(0s));
    queue.succeed(1);
    queue.erase(2);
    CHECK(!queue.contains(1));
    CHECK(!queue.contains(2));
    CHECK(queue.take(time_of(1s)) == Nodes{3});
    queue.erase(3);
    CHECK(queue.empty());
    CHECK(queue.next_due() == RetryQueue::Time::max());
    queue.succeed(9);
    queue.erase(9);
}

TEST_CASE("in a shortage one directory is tried for all, each in its turn") {
    RetryQueue queue;
    for (const NodeId node : {5U, 3U, 8U})
        queue.fail(node, ENOSPC, time_of(0s));
    CHECK(queue.take(time_of(1s)) == Nodes{3});
    CHECK(queue.take(time_of(3s)) == Nodes{5});
    CHECK(queue.take(time_of(7s)) == Nodes{8});
    CHECK(queue.take(time_of(15s)) == Nodes{3});
    CHECK(queue.next_due() == time_of(31s));
    queue.fail(4, ENOSPC, time_of(16s));  // one more does not bring the turn of all nearer
    CHECK(queue.next_due() == time_of(31s));
}

TEST_CASE("when one of a shortage succeeds, or something is given back, the next is due at once") {
    RetryQueue queue;
    for (const NodeId node : {1U, 2U, 3U})
        queue.fail(node, ENOSPC, time_of(0s));
    queue.fail(4, EMFILE, time_of(0s));
    CHECK(queue.take(time_of(1s)) == Nodes{4, 1});
    queue.succeed(1);
    CHECK(queue.take(time_of(1s)) == Nodes{2});
    queue.succeed(2);
    CHECK(queue.take(time_of(1s)) == Nodes{3});
    CHECK(queue.take(time_of(1s)).empty());
    queue.end_shortage(ENOSPC);
    CHECK(queue.take(time_of(1s)) == Nodes{3});
    CHECK(queue.next_due() == time_of(2s));
    queue.end_shortage(ENOMEM);
    CHECK(queue.next_due() == time_of(2s));
}

TEST_CASE("the client hears once of each directory, and once of a whole shortage") {
    RetryQueue queue;
    CHECK(queue.fail(1, EACCES, time_of(0s)));
    CHECK(queue.fail(2, EACCES, time_of(0s)));
    CHECK(!queue.fail(1, EACCES, time_of(1s)));
    CHECK(!queue.fail(1, EIO, time_of(1s)));

    CHECK(queue.fail(3, ENOSPC, time_of(0s)));
    CHECK(!queue.fail(4, ENOSPC, time_of(0s)));
    CHECK(queue.fail(5, EMFILE, time_of(0s)));
    CHECK(!queue.fail(6, EMFILE, time_of(0s)));

    queue.succeed(3);
    CHECK(!queue.fail(7, ENOSPC, time_of(0s)));
    queue.succeed(4);
    queue.succeed(7);
    CHECK(queue.fail(7, ENOSPC, time_of(0s)));  // a new one
}

TEST_CASE("of a directory that a shortage kept silent the client hears when it fails by itself") {
    RetryQueue queue;
    queue.fail(1, ENOSPC, time_of(0s));
    CHECK(!queue.fail(2, ENOSPC, time_of(0s)));
    CHECK(queue.fail(2, EACCES, time_of(0s)));
    CHECK(!queue.fail(2, ENOSPC, time_of(0s)));
    CHECK(queue.fail(1, EACCES, time_of(0s)));
    CHECK(queue.fail(1, EMFILE, time_of(0s)));  // a shortage that was not reported yet
    std::vector<std::pair<NodeId, int>> errors;
    queue.for_each([&](NodeId node, int error) { errors.emplace_back(node, error); });
    CHECK(errors == std::vector<std::pair<NodeId, int>>{{1, EMFILE}, {2, ENOSPC}});
}

TEST_CASE("a success of a directory that failed by itself is nothing to those in a shortage") {
    RetryQueue queue;
    queue.fail(1, EACCES, time_of(0s));
    queue.fail(2, ENOSPC, time_of(0s));
    queue.succeed(1);
    CHECK(queue.take(time_of(500ms)).empty());
}
