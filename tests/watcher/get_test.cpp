// SPDX-License-Identifier: MIT
// co_await watcher.get(): the events in order, one for each waiter, none lost by a timeout.
#include "watcher_support.hpp"

#include <cstdlib>

using namespace inotify;
using namespace std::chrono_literals;
using test::Lines;
using test::TempDir;

TEST_CASE("the shell session yields its twelve events through co_await get()") {
    TempDir dir;
    test::fs::create_directory(dir / "test");
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    const int wd = watcher.watch(dir / "test", IN::ALL_EVENTS);
    std::vector<Event> events;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        while (events.size() < 12)
            events.push_back(co_await watcher.get());
    });
    loop.poll();  // it waits already
    const std::string session = "cd '" + dir.str() +
                                "' && echo hi >test/f1; mv test/f1 test/f2; "
                                "cat test/f2 >/dev/null; rm test/f2; rmdir test";
    REQUIRE(std::system(session.c_str()) == 0);
    test::run(loop);

    REQUIRE(test::lines(events, (dir / "test").native()) ==
            Lines{"CREATE f1", "OPEN f1", "MODIFY f1", "CLOSE_WRITE f1", "MOVED_FROM f1",
                  "MOVED_TO f2 < f1", "OPEN f2", "ACCESS f2", "CLOSE_NOWRITE f2", "DELETE f2",
                  "DELETE_SELF .", "IGNORED ."});
    CHECK(events[4].cookie != 0);
    CHECK(events[4].cookie == events[5].cookie);
    for (const Event& event : events)
        CHECK(event.wd == wd);
    CHECK(watcher.watches().empty());
}

TEST_CASE("200 events with a timeout of 1 ms between: none is lost") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    int timeouts = 0;
    std::vector<std::string> names;
    std::vector<std::string> expected;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        for (int n = 0; n < 200; ++n) {
            if (co_await watcher.get(1ms))
                FAIL("an event that nobody made");
            ++timeouts;
            test::touch(dir / std::to_string(n));
            const std::optional<Event> event = co_await watcher.get(test::plenty);
            REQUIRE(event);
            names.push_back(event->filename);
            expected.push_back(std::to_string(n));
        }
    });
    test::run(loop);
    CHECK(timeouts == 200);
    CHECK(names == expected);
}

TEST_CASE("events that come while timeouts of 1 ms expire are not lost") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    asio::steady_timer timer(loop);
    std::vector<std::string> names;
    std::vector<std::string> expected;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        for (int n = 0; n < 200; ++n) {
            timer.expires_after(1ms);  // as long as the timeout: either may be first
            co_await timer.async_wait(asio::use_awaitable);
            test::touch(dir / std::to_string(n));
            expected.push_back(std::to_string(n));
        }
    });
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        while (names.size() < 200)
            if (const auto event = co_await watcher.get(1ms))
                names.push_back(event->filename);
    });
    test::run(loop);
    CHECK(names == expected);
}

TEST_CASE("two coroutines on one Watcher get five each of ten") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    std::vector<std::string> first;
    std::vector<std::string> second;
    for (auto* names : {&first, &second})
        test::spawn(loop, [&watcher, names]() -> asio::awaitable<void> {
            for (int n = 0; n < 5; ++n)
                names->push_back((co_await watcher.get()).filename);
        });
    SUBCASE("the events are there before") {}
    SUBCASE("the events come while both wait") { loop.poll(); }
    for (int n = 0; n < 10; ++n)
        test::touch(dir / std::to_string(n));
    test::run(loop);
    CHECK(first == std::vector<std::string>{"0", "2", "4", "6", "8"});
    CHECK(second == std::vector<std::string>{"1", "3", "5", "7", "9"});
}

TEST_CASE("waiters are served in the order in which they came") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    std::vector<test::Outcome> outcomes(8);
    for (auto& outcome : outcomes)
        watcher.async_get(outcome.handler());
    loop.poll();
    for (std::size_t n = 0; n < outcomes.size(); ++n) {
        test::touch(dir / std::to_string(n));
        loop.restart();
        loop.poll();
        for (std::size_t other = 0; other < outcomes.size(); ++other)
            CHECK(outcomes[other].done == (other <= n));
        CHECK(outcomes[n].event.filename == std::to_string(n));
    }
}

TEST_CASE("only as many events are taken as there are waiters") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    for (const char* name : {"a", "b", "c"})
        test::touch(dir / name);
    std::string names;
    for (int n = 0; n < 3; ++n) {
        watcher.async_get([&](std::error_code, const Event& event) { names += event.filename; });
        test::run(loop);  // ends: with nobody waiting there is nothing to do
    }
    CHECK(names == "abc");
}

TEST_CASE("a timeout of zero takes what is there") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        CHECK(!co_await watcher.get(0ms));
        test::touch(dir / "f");
        const auto event = co_await watcher.get(0ms);
        REQUIRE(event);
        CHECK(event->filename == "f");
        CHECK(!co_await watcher.get(0ms));
    });
    test::run(loop);
}

TEST_CASE("a timeout does not end before its time, and forever has none") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        const auto begin = test::Clock::now();
        CHECK(!co_await watcher.get(20ms));
        CHECK(test::Clock::now() - begin >= 20ms);
    });
    test::run(loop);
    std::vector<std::string> names;
    for (const Duration timeout : {forever, Duration::max()})
        test::spawn(loop, [&watcher, &names, timeout]() -> asio::awaitable<void> {
            const auto event = co_await watcher.get(timeout);
            REQUIRE(event);
            names.push_back(event->filename);
        });
    loop.restart();
    loop.poll();
    CHECK(names.empty());
    test::touch(dir / "a");
    test::touch(dir / "b");
    test::run(loop);
    CHECK(names == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a negative timeout that is not forever is refused") {
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    CHECK(test::error_of([&] { (void)watcher.get(-2ms); }).code().value() == EINVAL);
}

TEST_CASE("watch() adds, and replaces the mask of a watched path") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    const int wd = watcher.watch(dir.path(), IN::CREATE);
    CHECK(watcher.watches() == std::vector<Watch>{{wd, dir.str(), IN::CREATE}});
    test::Outcome outcome;
    watcher.async_get(outcome.handler());
    loop.poll();
    test::touch(dir / "a");
    CHECK(watcher.watch(dir.path(), IN::DELETE) == wd);  // reads CREATE a off the descriptor
    CHECK(watcher.watches() == std::vector<Watch>{{wd, dir.str(), IN::DELETE}});
    test::run(loop);
    CHECK(outcome.event.mask == IN::CREATE);
    test::touch(dir / "b");
    test::fs::remove(dir / "b");
    test::Outcome next;
    watcher.async_get(next.handler());
    test::run(loop);
    CHECK(next.event.mask == IN::DELETE);
}

TEST_CASE("watch() of a missing path throws") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    CHECK(test::error_of([&] { watcher.watch(dir / "none", IN::CREATE); }).code().value() ==
          ENOENT);
}
