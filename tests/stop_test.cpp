// SPDX-License-Identifier: MIT
// stop() and stop tokens: they end a range from anywhere and lose nothing.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <pthread.h>
#include <csignal>

#include <atomic>
#include <stop_token>
#include <thread>

using namespace inotify;
using namespace std::chrono_literals;
using test::Lines;
using test::ScriptedInotify;
using test::TempDir;

namespace {

void run_to_the_end(Inotify& i, EventGenOptions options = {}) {
    for ([[maybe_unused]] auto& event : i.event_gen(std::move(options))) {
    }
}

Inotify* stopped_by_signal = nullptr;

// SIGUSR1 calls stop() as long as this lives.
class StopOnSignal {
public:
    explicit StopOnSignal(Inotify& i) {
        stopped_by_signal = &i;
        struct sigaction action{};
        action.sa_handler = [](int) { stopped_by_signal->stop(); };
        ::sigaction(SIGUSR1, &action, &before_);
    }
    ~StopOnSignal() { ::sigaction(SIGUSR1, &before_, nullptr); }
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;

private:
    struct sigaction before_{};
};

}  // namespace

// Each of these blocks for ever if the stop is missed.

TEST_CASE("stop() before a range ends that range, and only that one") {
    TempDir dir;
    Inotify i{forever};
    i.add_watch(dir.path(), IN::CREATE);
    i.stop();
    i.stop();
    run_to_the_end(i);
    test::touch(dir / "f");
    CHECK(test::drain_lines(i, dir) == Lines{"CREATE f"});
}

TEST_CASE("stop() inside the loop ends it after the element at hand") {
    Inotify i{0ms};
    int elements = 0;
    for ([[maybe_unused]] auto& event : i.event_gen())
        if (++elements == 3)
            i.stop();
    CHECK(elements == 3);
}

TEST_CASE("stop() loses nothing: what was not yielded comes in the next range") {
    TempDir dir;
    Inotify i{forever};
    i.add_watch(dir.path(), IN::CREATE);
    for (const char* name : {"1", "2", "3"})
        test::touch(dir / name);
    Lines names;
    for (auto& event : i.event_gen()) {
        names.push_back(event->filename);
        i.stop();
    }
    CHECK(names == Lines{"1"});
    i.stop();
    run_to_the_end(i);
    CHECK(test::drain_lines(i, dir) == Lines{"CREATE 2", "CREATE 3"});
}

TEST_CASE("stop() ends get() with nothing") {
    TempDir dir;
    Inotify i{forever};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    i.stop();
    CHECK(i.get() == std::nullopt);
    CHECK(i.get()->filename == "f");
}

TEST_CASE("stop() leaves no early wake-up behind") {
    ScriptedInotify i{forever};
    i.stop();
    run_to_the_end(i);
    CHECK(!i.kernel().woken);
    CHECK(i.kernel().waited.empty());
}

TEST_CASE("a signal handler may call stop() before the loop waits") {
    Inotify i{forever};
    const StopOnSignal handler(i);
    std::raise(SIGUSR1);
    run_to_the_end(i);
}

TEST_CASE("a signal handler may call stop() while the loop waits") {
    ScriptedInotify i{forever};
    const StopOnSignal handler(i);
    i.kernel().on_wait([] {
        std::raise(SIGUSR1);
        return -EINTR;
    });
    run_to_the_end(i);
    CHECK(i.kernel().waited.size() == 1);
}

TEST_CASE("stop() in a signal handler leaves errno alone") {
    Inotify i{forever};
    const StopOnSignal handler(i);
    errno = EDOM;
    std::raise(SIGUSR1);
    CHECK(errno == EDOM);
}

TEST_CASE("a stop token ends its range, before it and inside it") {
    Inotify i{forever};
    std::stop_source source;
    source.request_stop();
    run_to_the_end(i, {.stop = source.get_token()});

    i.set_block_duration(0ms);
    std::stop_source other;
    int elements = 0;
    for ([[maybe_unused]] auto& event : i.event_gen({.stop = other.get_token()}))
        if (++elements == 3)
            other.request_stop();
    CHECK(elements == 3);
}

TEST_CASE("a stop token ends only its own range, and loses nothing") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    std::stop_source source;
    source.request_stop();
    run_to_the_end(i, {.stop = source.get_token()});
    CHECK(test::drain_lines(i, dir) == Lines{"CREATE f"});
}

TEST_SUITE("threads") {
    TEST_CASE("stop() from another thread ends a loop that waits") {
        ScriptedInotify i{forever};
        i.kernel().on_wait([&] {
            std::thread([&] { i.stop(); }).join();
            return 1;
        });
        run_to_the_end(i);
        CHECK(i.kernel().waited.size() == 1);
    }

    TEST_CASE("stop() from another thread ends the loop, whenever it comes") {
        for (int round = 0; round < 200; ++round) {
            Inotify i{forever};
            std::jthread stopper([&] { i.stop(); });
            run_to_the_end(i);
        }
    }

    TEST_CASE("stop() from another thread ends get(), whenever it comes") {
        for (int round = 0; round < 200; ++round) {
            Inotify i{forever};
            std::jthread stopper([&] { i.stop(); });
            CHECK(i.get() == std::nullopt);
        }
    }

    TEST_CASE("a signal handler's stop() ends a loop that waits in the kernel") {
        Inotify i{forever};
        const StopOnSignal handler(i);
        std::jthread sender([loop = ::pthread_self()] { ::pthread_kill(loop, SIGUSR1); });
        run_to_the_end(i);
    }

    TEST_CASE("a stop token ends a loop that waits") {
        ScriptedInotify i{forever};
        std::stop_source source;
        i.kernel().on_wait([&] {
            std::thread([&] { source.request_stop(); }).join();
            CHECK(i.kernel().woken);
            return 1;
        });
        run_to_the_end(i, {.stop = source.get_token()});
        CHECK(i.kernel().waited.size() == 1);
    }

    TEST_CASE("a stop token ends the loop, whenever it comes") {
        for (int round = 0; round < 200; ++round) {
            Inotify i{forever};
            std::stop_source source;
            std::jthread stopper([&] { source.request_stop(); });
            run_to_the_end(i, {.stop = source.get_token()});
        }
    }

    TEST_CASE("a loop in a jthread ends with it") {
        Inotify i{forever};
        std::jthread loop([&](const std::stop_token& stop) { run_to_the_end(i, {.stop = stop}); });
    }

    TEST_CASE("many stops from several threads lose no event") {
        TempDir dir;
        Inotify i{forever};
        i.add_watch(dir.path(), IN::CREATE);
        constexpr int count = 300;
        std::atomic<bool> done = false;
        std::jthread writer([&] {
            for (int n = 0; n < count; ++n)
                test::touch(dir / std::to_string(n));
        });
        const auto stop_on_and_on = [&] {
            while (!done) {
                i.stop();
                std::this_thread::yield();
            }
        };
        std::jthread one(stop_on_and_on), two(stop_on_and_on);
        Lines names;
        while (names.size() < count)
            for (auto& event : i.event_gen())
                if (event)
                    names.push_back(event->filename);
        done = true;
        Lines expected;
        for (int n = 0; n < count; ++n)
            expected.push_back(std::to_string(n));
        CHECK(names == expected);
    }

    TEST_CASE("events can be handed to another thread") {
        TempDir dir;
        Inotify i{forever};
        i.add_watch(dir.path(), IN::CREATE);
        std::vector<Event> seen;
        std::thread loop([&] {
            for (auto& event : i.event_gen({.yield_empty = false})) {
                seen.push_back(std::move(*event));
                if (seen.size() == 3)
                    break;
            }
        });
        for (const char* name : {"1", "2", "3"})
            test::touch(dir / name);
        loop.join();
        CHECK(test::lines(seen, dir) == Lines{"CREATE 1", "CREATE 2", "CREATE 3"});
    }
}
