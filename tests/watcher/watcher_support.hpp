// SPDX-License-Identifier: MIT
// What the Watcher's tests need: ways to run coroutines to their end, and a limit on all of it.
#pragma once

#include "../support.hpp"

#include <inotify/watcher.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <exception>
#include <utility>

namespace test {

/// Runs until nothing is left to do; what a coroutine threw is thrown here. A failed check if it
/// takes too long.
inline void run(asio::io_context& loop) {
    loop.restart();
    loop.run_for(plenty);
    CHECK_MESSAGE(loop.stopped(), "something still waits");
}

/// Starts a coroutine whose exceptions leave through run().
template <typename Coroutine>
void spawn(asio::io_context& loop, Coroutine&& coroutine) {
    asio::co_spawn(loop, std::forward<Coroutine>(coroutine), [](const std::exception_ptr& error) {
        if (error)
            std::rethrow_exception(error);
    });
}

/// What async_get() completed with.
struct Outcome {
    bool done = false;
    std::error_code error = {};
    inotify::Event event = {};

    /// A completion handler that writes here.
    auto handler() {
        return [this](std::error_code code, inotify::Event next) {
            REQUIRE(!done);
            done = true;
            error = code;
            event = std::move(next);
        };
    }
};

}  // namespace test
