// SPDX-License-Identifier: MIT
// Watcher over names that are followed: what they come to lead to, and what is tried again.
#include "watcher_support.hpp"

using namespace inotify;
using test::Lines;
using test::TempDir;

TEST_CASE("a get waits for what a followed name comes to lead to") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.follow(dir / "d/file", IN::CLOSE_WRITE);
    test::Outcome outcome;
    watcher.async_get(outcome.handler());
    loop.poll();
    CHECK(!outcome.done);
    test::fs::create_directory(dir / "d");
    loop.poll();
    CHECK(!outcome.done);
    test::write_file(dir / "d/file");
    test::run(loop);
    CHECK(test::lines({outcome.event}, dir) == Lines{"CREATE d/file"});
    CHECK(outcome.event.synthetic);
    watcher.remove_watch(dir / "d/file");
    CHECK(watcher.watches().empty());
}

TEST_CASE("a name that could not be followed is tried again while a get waits") {
    TempDir dir;
    test::write_file(dir / "file");
    test::fs::permissions(dir / "file", test::fs::perms::none);
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    {
        const test::WithoutCapabilities unprivileged;
        watcher.follow(dir / "file", IN::CLOSE_WRITE);
    }
    std::vector<Event> events;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        {
            // The name is looked at once more, and its directory watched for changes of rights.
            const test::WithoutCapabilities unprivileged;
            events.push_back(*co_await watcher.get(Duration::zero()));
            CHECK(!co_await watcher.get(Duration::zero()));
        }
        // No record says that root may read it: only the next try finds it.
        if (::geteuid() != 0)
            test::fs::permissions(dir / "file", test::fs::perms::owner_all);
        events.push_back(co_await watcher.get());
    });
    test::run(loop);
    REQUIRE(events.size() == 2);
    CHECK(events[0].error == std::errc::permission_denied);
    CHECK(test::lines({events[1]}, dir) == Lines{"CREATE file"});
}

TEST_CASE("over a tree follow() throws std::logic_error") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), InotifyTree(dir.path(), IN::CREATE));
    CHECK_THROWS_AS(watcher.follow(dir / "file", IN::CREATE), std::logic_error);
}
