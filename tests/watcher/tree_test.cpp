// SPDX-License-Identifier: MIT
// Watcher over a tree: what the tree holds itself, what it finds, what it has to try again.
#include "watcher_support.hpp"

#include <algorithm>

using namespace inotify;
using namespace std::chrono_literals;
using test::Lines;
using test::TempDir;

TEST_CASE("events that the tree holds itself come although the descriptor shows nothing") {
    TempDir dir;
    test::fs::create_directories(dir / "a/b/c");
    test::touch(dir / "a/f");
    asio::io_context loop;
    Watcher watcher(loop.get_executor(),
                    InotifyTree(dir.path(), {.mask = IN::CREATE, .report_existing = true}));
    std::vector<Event> events;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        while (const auto event = co_await watcher.get(0ms))
            events.push_back(*event);
    });
    test::run(loop);
    Lines found = test::lines(events, dir);
    std::ranges::sort(found);
    CHECK(found == Lines{"CREATE a/f", "CREATE|ISDIR a", "CREATE|ISDIR a/b", "CREATE|ISDIR a/b/c"});
    for (const Event& event : events)
        CHECK(event.synthetic);
}

TEST_CASE("several waiters share the events that one record brings") {
    TempDir dir;
    TempDir outside;
    test::fs::create_directories(outside / "a/b/c");
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), InotifyTree(dir.path(), IN::CREATE));
    std::vector<test::Outcome> outcomes(3);
    for (auto& outcome : outcomes)
        watcher.async_get(outcome.handler());
    loop.poll();
    test::fs::rename(outside / "a", dir / "a");  // one record in the queue, three entries
    test::run(loop);
    std::vector<Event> events(outcomes.size());
    std::ranges::transform(outcomes, events.begin(), &test::Outcome::event);
    CHECK(test::lines(events, dir) ==
          Lines{"MOVED_TO|ISDIR a", "CREATE|ISDIR a/b", "CREATE|ISDIR a/b/c"});
}

TEST_CASE("a directory that could not be watched is tried again while a get waits") {
    TempDir dir;
    test::fs::create_directories(dir / "closed/inner");
    asio::io_context loop;
    test::fs::permissions(dir / "closed", test::fs::perms::none);
    const auto tree = [&] {
        const test::WithoutCapabilities unprivileged;
        return InotifyTree(dir.path(), IN::CREATE);
    };
    Watcher watcher(loop.get_executor(), tree());
    std::vector<Event> events;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        events.push_back(co_await watcher.get());
        CHECK(events.back().error == std::errc::permission_denied);
        // No record says that root may read it: only the next try finds what is inside.
        if (::geteuid() != 0)
            test::fs::permissions(dir / "closed", test::fs::perms::owner_all);
        events.push_back(co_await watcher.get());
    });
    test::run(loop);
    REQUIRE(events.size() == 2);
    CHECK(test::lines({events[1]}, dir) == Lines{"CREATE|ISDIR closed/inner"});
}
