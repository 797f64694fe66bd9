// SPDX-License-Identifier: MIT
// Timeouts: a range, or get(), ends once no event has come for so long, whatever the block
// duration.
#include "scripted_kernel.hpp"
#include "support.hpp"

using namespace inotify;
using namespace std::chrono_literals;
using test::Clock;
using test::Lines;
using test::record;
using test::ScriptedInotify;
using test::TempDir;

namespace {

// How long a whole loop takes.
Clock::duration time_of_loop(Inotify& i, EventGenOptions options) {
    const auto start = Clock::now();
    for ([[maybe_unused]] auto& event : i.event_gen(std::move(options))) {
    }
    return Clock::now() - start;
}

}  // namespace

TEST_CASE("a range ends after its timeout, under any block duration") {
    for (const Duration block : {Duration{0ms}, Duration{7ms}, Duration{1h}, forever}) {
        CAPTURE(block.count());
        Inotify i{block};
        const auto time = time_of_loop(i, {.timeout = 30ms});
        CHECK(time >= 30ms);
        CHECK(time < test::plenty);
    }
}

TEST_CASE("a wait lasts no longer than what is left of the timeout") {
    ScriptedInotify i{2h};
    i.kernel().on_wait([&] {
        i.stop();
        return 1;
    });
    time_of_loop(i, {.timeout = 1h});
    REQUIRE(i.kernel().waited.size() == 1);
    CHECK(i.kernel().waited[0] <= 1h);
    CHECK(i.kernel().waited[0] > 30min);  // the rest is for a slow machine
}

TEST_CASE("a wait lasts no longer than the block duration") {
    ScriptedInotify i{20ms};
    i.kernel().on_wait([&] {
        i.stop();
        return 1;
    });
    time_of_loop(i, {.timeout = 1h});
    CHECK(i.kernel().waited == std::vector<Duration>{20ms});
}

TEST_CASE("a timeout of `forever` is none") {
    ScriptedInotify i{forever};
    i.kernel().on_wait([&] {
        i.stop();
        return 1;
    });
    time_of_loop(i, {.timeout = forever});
    CHECK(i.kernel().waited == std::vector{forever});
}

TEST_CASE("a timeout of zero takes what is queued and waits for nothing") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().queue(record(1, IN::CREATE, "f"));
    int events = 0, empty = 0;
    for (auto& event : i.event_gen({.timeout = 0ms}))
        ++(event ? events : empty);
    CHECK(events == 1);
    CHECK(empty == 1);
    time_of_loop(i, {.timeout = 0ms});  // nothing queued: no element at all
    for (const auto waited : i.kernel().waited)
        CHECK(waited == 0ms);
}

TEST_CASE("an event starts the timeout anew, also when the loop takes longer over it") {
    TempDir dir;
    Inotify i{forever}, other{forever};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    Clock::time_point done{};
    for (auto& event : i.event_gen({.timeout = 25ms}))
        if (event) {
            CHECK(other.get(30ms) == std::nullopt);
            done = Clock::now();
        }
    CHECK(Clock::now() - done >= 25ms);
}

TEST_CASE("a range that has ended stays ended, and a new one goes on") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    auto range = i.event_gen({.timeout = 0ms});
    CHECK(range.begin() == range.end());
    test::touch(dir / "f");
    CHECK(range.begin() == range.end());
    CHECK(test::drain_lines(i, dir) == Lines{"CREATE f"});
}

TEST_CASE("get() gives the next event, or nothing after its timeout") {
    TempDir dir;
    Inotify i{forever};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "1");
    test::touch(dir / "2");
    CHECK(i.get()->filename == "1");
    CHECK(i.get(10ms)->filename == "2");

    const auto start = Clock::now();
    CHECK(i.get(30ms) == std::nullopt);
    CHECK(Clock::now() - start >= 30ms);
    CHECK(i.get(0ms) == std::nullopt);
    CHECK(Clock::now() - start < test::plenty);
}

TEST_CASE("get() waits through many block durations") {
    ScriptedInotify i{1ms};
    i.add_watch("/d");
    for (int wait = 0; wait < 10; ++wait)
        i.kernel().on_wait([] { return 0; });
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return 1;
    });
    CHECK(i.get()->filename == "f");
    CHECK(i.kernel().waited.size() == 11);
}

TEST_CASE("negative timeouts other than `forever` are refused") {
    Inotify i{0ms};
    CHECK(test::error_of([&] { (void)i.event_gen({.timeout = -5ms}); }).code() ==
          std::errc::invalid_argument);
    CHECK(test::error_of([&] { i.get(-5ms); }).code() == std::errc::invalid_argument);
}
