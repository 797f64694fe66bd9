// SPDX-License-Identifier: MIT
// How a wait ends without an event: cancellation, the end of the Watcher or of the loop, errors.
#include "watcher_support.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/post.hpp>

#include <fcntl.h>

using namespace inotify;
using namespace std::chrono_literals;
using test::TempDir;

static_assert(!std::is_copy_constructible_v<Watcher> && !std::is_copy_assignable_v<Watcher>);
static_assert(std::is_nothrow_move_constructible_v<Watcher>);
static_assert(std::is_nothrow_move_assignable_v<Watcher>);

TEST_CASE("a cancelled get completes with operation_aborted and its event goes to the next") {
    asio::cancellation_type type{};
    SUBCASE("terminal") { type = asio::cancellation_type::terminal; }
    SUBCASE("partial") { type = asio::cancellation_type::partial; }
    SUBCASE("total") { type = asio::cancellation_type::total; }
    for (const std::string when : {"before it looked", "while it sleeps", "when it was woken",
                                   "with another one behind it"}) {
        CAPTURE(when);
        TempDir dir;
        asio::io_context loop;
        Watcher watcher(loop.get_executor());
        watcher.watch(dir.path(), IN::CREATE);
        asio::cancellation_signal signal;
        test::Outcome cancelled;
        test::Outcome next;
        watcher.async_get(asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
        if (when == "with another one behind it")
            watcher.async_get(next.handler());
        if (when != "before it looked")
            loop.poll();
        test::touch(dir / "f");
        if (when == "when it was woken")
            loop.poll_one();
        signal.emit(type);
        CHECK(!cancelled.done);  // never from within the call
        if (when != "with another one behind it")
            watcher.async_get(next.handler());
        test::run(loop);
        CHECK(cancelled.error == asio::error::operation_aborted);
        CHECK(!next.error);
        CHECK(next.event.filename == "f");
        signal.emit(type);  // late: nothing happens
    }
}

TEST_CASE("the last get that is cancelled leaves nothing to do") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    asio::cancellation_signal signal;
    test::Outcome outcome;
    watcher.async_get(asio::bind_cancellation_slot(signal.slot(), outcome.handler()));
    loop.poll();
    CHECK(!loop.stopped());
    signal.emit(asio::cancellation_type::total);
    test::run(loop);
    CHECK(outcome.error == asio::error::operation_aborted);
}

TEST_CASE("get() || a timer: whoever loses takes no event") {
    using namespace asio::experimental::awaitable_operators;
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    std::vector<std::string> names;
    std::vector<std::string> expected;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(loop);
        for (int n = 0; n < 200; ++n) {
            timer.expires_after(100us);
            test::touch(dir / std::to_string(n));
            expected.push_back(std::to_string(n));
            const auto either = co_await (timer.async_wait(asio::use_awaitable) || watcher.get());
            if (either.index() == 1)
                names.push_back(std::get<1>(either).filename);
            timer.expires_after(0us);
            const auto polled = co_await (timer.async_wait(asio::use_awaitable) || watcher.get());
            if (polled.index() == 1)
                names.push_back(std::get<1>(polled).filename);
        }
        while (const auto event = co_await watcher.get(0ms))
            names.push_back(event->filename);
    });
    test::run(loop);
    CHECK(names == expected);
}

TEST_CASE("destroying the Watcher completes what waits with operation_aborted") {
    TempDir dir;
    asio::io_context loop;
    {
        const Watcher first(loop.get_executor());  // the loop opens its own descriptors for it
    }
    const auto before = test::open_descriptors();
    auto watcher = std::make_unique<Watcher>(loop.get_executor());
    watcher->watch(dir.path(), IN::CREATE);
    std::vector<test::Outcome> outcomes(3);
    bool thrown = false;
    SUBCASE("while they sleep") {
        for (auto& outcome : outcomes)
            watcher->async_get(outcome.handler());
        loop.poll();
    }
    SUBCASE("before they looked") {
        for (auto& outcome : outcomes)
            watcher->async_get(outcome.handler());
    }
    SUBCASE("when an event is there") {
        for (auto& outcome : outcomes)
            watcher->async_get(outcome.handler());
        loop.poll();
        test::touch(dir / "f");
    }
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        try {
            (void)co_await watcher->get(1h);
        } catch (const std::system_error& error) {
            thrown = error.code() == asio::error::operation_aborted;
        }
    });
    if (loop.stopped())
        loop.restart();
    asio::post(loop, [&] { watcher.reset(); });
    test::run(loop);
    int aborted = 0;
    for (const auto& outcome : outcomes)
        aborted += outcome.error == asio::error::operation_aborted;
    CHECK(aborted >= 2);  // the first may have got the event
    CHECK(thrown);
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("a handler may destroy the Watcher") {
    TempDir dir;
    asio::io_context loop;
    auto watcher = std::make_unique<Watcher>(loop.get_executor());
    watcher->watch(dir.path(), IN::CREATE);
    test::Outcome other;
    watcher->async_get([&](std::error_code, const Event&) { watcher.reset(); });
    watcher->async_get(other.handler());
    test::touch(dir / "f");
    test::touch(dir / "g");
    test::run(loop);
    CHECK(other.error == asio::error::operation_aborted);
}

TEST_CASE("what waits stays when the Watcher is moved, and ends when it is assigned to") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::Outcome first;
    test::Outcome second;
    watcher.async_get(first.handler());
    watcher.async_get(second.handler());
    loop.poll();
    auto pending = watcher.get(1h);
    Watcher moved = std::move(watcher);
    test::touch(dir / "f");
    loop.poll();
    CHECK(first.event.filename == "f");
    CHECK(!second.done);
    moved = Watcher(loop.get_executor());
    test::run(loop);
    CHECK(second.error == asio::error::operation_aborted);
}

TEST_CASE("a loop that ends before its waiters leaks nothing") {
    TempDir dir;
    const auto before = test::open_descriptors();
    {
        asio::io_context loop;
        asio::co_spawn(
            loop,
            [&]() -> asio::awaitable<void> {
                Watcher watcher(loop.get_executor());  // lives in what waits for it
                watcher.watch(dir.path(), IN::CREATE);
                (void)co_await watcher.get();
            },
            asio::detached);
        asio::co_spawn(
            loop,
            [&]() -> asio::awaitable<void> {
                Watcher watcher(loop.get_executor(), InotifyTree(dir.path()));
                (void)co_await watcher.get(1h);
            },
            asio::detached);
        loop.poll();
    }
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("an exception in a handler leaves the Watcher usable") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::Outcome outcome;
    watcher.async_get([](std::error_code, const Event&) { throw std::runtime_error("mine"); });
    watcher.async_get(outcome.handler());
    test::touch(dir / "f");
    test::touch(dir / "g");
    CHECK_THROWS_AS(loop.run(), std::runtime_error);
    test::run(loop);
    CHECK(outcome.event.filename == "g");
}

TEST_CASE("an error of the stream reaches the token, and the Watcher goes on") {
    TempDir dir;
    asio::io_context loop;
    const auto before = test::open_descriptors();
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    // The inotify instance is the one of the new descriptors that says so.
    int inotify_fd = -1;
    for (const int fd : test::open_descriptors())
        if (!before.contains(fd) &&
            test::contains(test::fs::read_symlink("/proc/self/fd/" + std::to_string(fd)).native(),
                           "inotify"))
            inotify_fd = fd;
    REQUIRE(inotify_fd >= 0);
    const int kept = ::fcntl(inotify_fd, F_DUPFD_CLOEXEC, 0);
    const test::OpenFile directory(dir.path(), O_RDONLY | O_DIRECTORY);

    REQUIRE(::dup2(directory.fd(), inotify_fd) == inotify_fd);  // read(2) fails with EISDIR now
    test::Outcome callback;
    watcher.async_get(callback.handler());
    std::error_code thrown;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        try {
            (void)co_await watcher.get();
        } catch (const std::system_error& error) {
            thrown = error.code();
        }
    });
    test::run(loop);
    CHECK(callback.error == std::errc::is_a_directory);
    CHECK(thrown == std::errc::is_a_directory);

    REQUIRE(::dup2(kept, inotify_fd) == inotify_fd);
    ::fcntl(inotify_fd, F_SETFD, FD_CLOEXEC);
    ::close(kept);
    test::touch(dir / "f");
    test::Outcome next;
    watcher.async_get(next.handler());
    test::run(loop);
    CHECK(!next.error);
    CHECK(next.event.filename == "f");
}
