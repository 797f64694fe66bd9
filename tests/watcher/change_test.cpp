// SPDX-License-Identifier: MIT
// Changing what a Watcher watches: single paths removed, roots added and removed, the coverage.
#include "watcher_support.hpp"

#include <cerrno>

using namespace inotify;
using namespace std::chrono_literals;
using test::error_of;
using test::Lines;
using test::TempDir;

namespace {

/// All events up to the moment at which nothing is left to read.
std::vector<Event> drain(asio::io_context& loop, Watcher& watcher) {
    std::vector<Event> events;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        while (auto event = co_await watcher.get(0ms))
            events.push_back(*event);
    });
    test::run(loop);
    return events;
}

InotifyTree tree_of(const TempDir& dir) { return {dir.path(), IN::CREATE}; }

}  // namespace

TEST_CASE("after remove_watch(path) nothing more of the path comes, nor what was queued") {
    TempDir one, two;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(one.path(), IN::CREATE);
    const int wd = watcher.watch(two.path(), IN::CREATE);
    test::touch(one / "before");
    watcher.remove_watch(one.path());
    test::touch(one / "after");
    test::touch(two / "f");
    CHECK(test::lines(drain(loop, watcher), two) == Lines{"CREATE f"});
    CHECK(watcher.watches() == std::vector{Watch{wd, two.str(), IN::CREATE}});
}

TEST_CASE("remove_watch(wd) removes every path of the descriptor") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    const int wd = watcher.watch(dir.path(), IN::CREATE);
    CHECK(watcher.watch(dir / ".", IN::CREATE) == wd);
    watcher.remove_watch(wd);
    test::touch(dir / "f");
    CHECK(drain(loop, watcher).empty());
    CHECK(watcher.watches().empty());
}

TEST_CASE("a path that was removed can be watched again while a get waits") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::Outcome outcome;
    watcher.async_get(outcome.handler());
    loop.poll();
    watcher.remove_watch(dir.path());
    test::touch(dir / "unseen");
    loop.poll();
    CHECK(!outcome.done);
    watcher.watch(dir.path(), IN::CREATE);
    test::touch(dir / "seen");
    test::run(loop);
    CHECK(outcome.event.filename == "seen");
}

TEST_CASE("remove_watch of what is not watched throws EINVAL") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    const int wd = watcher.watch(dir.path(), IN::CREATE);
    CHECK(error_of([&] { watcher.remove_watch(dir / "other"); }).code().value() == EINVAL);
    CHECK(error_of([&] { watcher.remove_watch(wd + 1); }).code().value() == EINVAL);
    CHECK(watcher.watches().size() == 1);
}

TEST_CASE("add_tree adds a root, and what had been read until then comes to the get that waits") {
    TempDir one, two;
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), tree_of(one));
    test::Outcome outcome;
    watcher.async_get(outcome.handler());
    loop.poll();
    test::touch(one / "f");
    watcher.add_tree(two.path());
    test::run(loop);
    CHECK(outcome.event.filename == "f");
    test::touch(two / "g");
    CHECK(test::lines(drain(loop, watcher), two) == Lines{"CREATE g"});
    CHECK(watcher.coverage().watched == 2);
}

TEST_CASE("add_tree with report_existing brings what is there to the get that waits") {
    TempDir one, two;
    test::touch(two / "f");
    asio::io_context loop;
    Watcher watcher(loop.get_executor(),
                    InotifyTree(one.path(), {.mask = IN::CREATE, .report_existing = true}));
    test::Outcome outcome;
    watcher.async_get(outcome.handler());
    loop.poll();
    watcher.add_tree(two.path());
    test::run(loop);
    CHECK(outcome.event.filename == "f");
    CHECK(outcome.event.synthetic);
}

TEST_CASE("after remove_tree nothing more of the root comes") {
    TempDir one, two;
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), tree_of(one));
    watcher.add_tree(two.path());
    test::touch(one / "before");
    watcher.remove_tree(one.path());
    test::touch(one / "after");
    test::touch(two / "f");
    CHECK(test::lines(drain(loop, watcher), two) == Lines{"CREATE f"});
    CHECK(watcher.coverage().watched == 1);
}

TEST_CASE("a root that is missing, and one that is none, throw as InotifyTree does") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), tree_of(dir));
    CHECK(error_of([&] { watcher.add_tree(dir / "missing"); }).code().value() == ENOENT);
    CHECK(error_of([&] { watcher.remove_tree(dir / "missing"); }).code().value() == EINVAL);
    CHECK(watcher.coverage().watched == 1);
}

TEST_CASE("coverage() counts the directories of the tree") {
    TempDir dir;
    test::fs::create_directories(dir / "a/b");
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), tree_of(dir));
    CHECK(watcher.coverage().watched == 3);
    CHECK(watcher.coverage().unwatched.empty());
    test::fs::create_directory(dir / "c");
    drain(loop, watcher);
    CHECK(watcher.coverage().watched == 4);
}

TEST_CASE("over single paths the functions of trees throw std::logic_error") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    CHECK_THROWS_AS(watcher.add_tree(dir.path()), std::logic_error);
    CHECK_THROWS_AS(watcher.remove_tree(dir.path()), std::logic_error);
    CHECK_THROWS_AS(static_cast<void>(watcher.coverage()), std::logic_error);
    CHECK(watcher.watches().empty());
}

TEST_CASE("over a tree the functions of single paths throw std::logic_error") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor(), tree_of(dir));
    CHECK_THROWS_AS(watcher.watch(dir.path(), IN::CREATE), std::logic_error);
    CHECK_THROWS_AS(watcher.remove_watch(dir.path()), std::logic_error);
    CHECK_THROWS_AS(watcher.remove_watch(watcher.watches()[0].wd), std::logic_error);
    CHECK(watcher.watches().size() == 1);
}
