// SPDX-License-Identifier: MIT
// Where handlers run: futures, other executors, threads around one strand; and no busy loop.
#include "watcher_support.hpp"

#include <asio/bind_executor.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>

#include <atomic>
#include <ctime>
#include <future>
#include <thread>

using namespace inotify;
using namespace std::chrono_literals;
using test::TempDir;

TEST_CASE("a handler is never invoked from within async_get()") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    test::Outcome outcome;
    asio::post(loop, [&] {
        watcher.async_get(outcome.handler());
        CHECK(!outcome.done);
    });
    test::run(loop);
    CHECK(outcome.event.filename == "f");
}

TEST_CASE("a handler runs on its own executor, and that one has work until then") {
    TempDir dir;
    asio::io_context loop;
    asio::io_context other;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::Outcome outcome;
    watcher.async_get(asio::bind_executor(other.get_executor(), outcome.handler()));
    test::touch(dir / "f");
    test::run(loop);
    CHECK(!outcome.done);
    CHECK(!other.stopped());
    test::run(other);
    CHECK(outcome.event.filename == "f");
}

TEST_CASE("a waiting Watcher takes no processor time") {
    TempDir dir;
    asio::io_context loop;
    Watcher watcher(loop.get_executor());
    watcher.watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    std::size_t handlers = 0;
    test::spawn(loop, [&]() -> asio::awaitable<void> {
        CHECK(co_await watcher.get(100ms));
        CHECK(!co_await watcher.get(100ms));
    });
    while (loop.run_one() > 0)
        ++handlers;
    CHECK(handlers < 20);
}

TEST_SUITE("threads") {
    TEST_CASE("a future, with the loop in another thread") {
        TempDir dir;
        asio::io_context loop;
        Watcher watcher(loop.get_executor());
        watcher.watch(dir.path(), IN::CREATE);
        const auto work = asio::make_work_guard(loop);
        std::jthread thread([&] { loop.run(); });
        // Started on the loop, as everything of a Watcher is.
        std::promise<std::future<Event>> started;
        asio::post(loop, [&] { started.set_value(watcher.async_get(asio::use_future)); });
        std::future<Event> future = started.get_future().get();
        test::touch(dir / "f");
        CHECK(future.get().filename == "f");
        std::promise<std::error_code> last;
        asio::post(loop, [&] {
            watcher.async_get([&](std::error_code error, const Event&) { last.set_value(error); });
            const Watcher ended = std::move(watcher);
        });
        CHECK(last.get_future().get() == asio::error::operation_aborted);
        loop.stop();
    }

    TEST_CASE("a strand on a pool of threads serves many coroutines") {
        constexpr int coroutines = 8;
        constexpr int each = 50;
        TempDir dir;
        asio::thread_pool pool(3);
        auto strand = asio::make_strand(pool);
        Watcher watcher(strand);
        watcher.watch(dir.path(), IN::CREATE);
        std::set<std::string> names;
        int timeouts = 0;
        std::atomic<int> running = coroutines;
        std::promise<void> all_ended;
        for (int n = 0; n < coroutines; ++n)
            asio::co_spawn(
                strand,
                [&]() -> asio::awaitable<void> {
                    for (int got = 0; got < each;) {
                        if (const auto event = co_await watcher.get(1ms)) {
                            names.insert(event->filename);
                            ++got;
                        } else {
                            ++timeouts;
                        }
                    }
                },
                [&](const std::exception_ptr&) {
                    if (--running == 0)
                        all_ended.set_value();
                });
        for (int n = 0; n < coroutines * each; ++n)
            test::touch(dir / std::to_string(n));
        const auto ended = all_ended.get_future();
        CHECK(ended.wait_for(test::plenty) == std::future_status::ready);
        pool.stop();
        pool.join();
        CHECK(names.size() == coroutines * each);
    }
}
