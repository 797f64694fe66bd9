// SPDX-License-Identifier: MIT
// The cycle: all that is queued, then one empty value, which is a fact and a barrier.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <iterator>

using namespace inotify;
using namespace std::chrono_literals;
using test::Lines;
using test::record;
using test::ScriptedInotify;
using test::TempDir;

namespace {

// The file names of the next `count` elements; "" for the empty value.
Lines next(Inotify& i, int count, EventGenOptions options = {}) {
    Lines names;
    for (auto& event : i.event_gen(std::move(options))) {
        names.push_back(event ? event->filename : "");
        if (--count == 0)
            break;
    }
    return names;
}

}  // namespace

TEST_CASE("a cycle is all that was queued and then one empty value") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "1");
    test::touch(dir / "2");
    auto range = i.event_gen();
    auto it = range.begin();
    CHECK((*it)->filename == "1");
    CHECK((*++it)->filename == "2");
    CHECK(!*++it);
    test::touch(dir / "3");
    CHECK((*++it)->filename == "3");
    CHECK(!*++it);
    CHECK(!*++it);  // idle
}

TEST_CASE("with nothing queued and a block duration of zero every element is empty, at once") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path());
    CHECK(next(i, 3) == Lines{"", "", ""});
}

TEST_CASE("a finite block duration is waited before the empty value") {
    Inotify i{20ms};
    const auto start = test::Clock::now();
    CHECK(next(i, 2) == Lines{"", ""});
    CHECK(test::Clock::now() - start >= 40ms);
    CHECK(test::Clock::now() - start < test::plenty);
}

TEST_CASE("the empty value after events comes without a wait") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().queue(record(1, IN::CREATE, "f"));
    CHECK(next(i, 2) == Lines{"f", ""});
    CHECK(i.kernel().waited.empty());
}

TEST_CASE("no empty value before the kernel's queue was read empty") {
    ScriptedInotify i;
    i.add_watch("/d");
    i.kernel().queue(record(1, IN::CREATE, "1"));
    i.kernel().queue(record(1, IN::CREATE, "2"));
    i.kernel().queue(record(1, IN::CREATE, "3"));
    CHECK(next(i, 3) == Lines{"1", "2", "3"});
    CHECK(i.kernel().reads == 3);
    CHECK(next(i, 1) == Lines{""});
    CHECK(i.kernel().reads == 4);
}

TEST_CASE("what a wait brings comes before the empty value") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return 1;
    });
    CHECK(next(i, 2) == Lines{"f", ""});
    CHECK(i.kernel().waited == std::vector{forever});
}

TEST_CASE("a wait that brings only records of no watch ends with the empty value") {
    ScriptedInotify i;
    i.kernel().on_wait([&] {
        i.kernel().queue(record(9, IN::CREATE, "f"));
        return 1;
    });
    CHECK(next(i, 1) == Lines{""});
    CHECK(i.kernel().waited.size() == 1);
}

TEST_CASE("the block duration may change between cycles, and inside the loop") {
    ScriptedInotify i{0ms};
    CHECK(next(i, 1) == Lines{""});
    i.set_block_duration(50ms);
    CHECK(i.block_duration() == 50ms);
    for (auto& event : i.event_gen()) {
        CHECK(!event);
        if (i.block_duration() == forever)
            break;
        i.set_block_duration(forever);
    }
    CHECK(i.kernel().waited == std::vector<Duration>{0ms, 50ms, forever});
}

TEST_CASE("negative block durations other than `forever` are refused") {
    CHECK(test::error_of([] { Inotify i{-2ms}; }).code() == std::errc::invalid_argument);
    Inotify i{5ms};
    CHECK(test::error_of([&] { i.set_block_duration(-1s); }).code() == std::errc::invalid_argument);
    CHECK(i.block_duration() == 5ms);
}

TEST_CASE("without empty values a range is events only") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "1");
    Lines names;
    for (auto& event : i.event_gen({.timeout = 0ms, .yield_empty = false})) {
        REQUIRE(event);
        names.push_back(event->filename);
        if (names.size() < 3)  // each in a cycle of its own
            test::touch(dir / std::to_string(names.size() + 1));
    }
    CHECK(names == Lines{"1", "2", "3"});
}

TEST_CASE("an empty value that was only compared is no element of a range without them") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    {
        auto range = i.event_gen();
        CHECK(range.begin() != range.end());  // an empty value is ready
    }
    test::touch(dir / "1");
    CHECK(next(i, 1, {.yield_empty = false}) == Lines{"1"});
}

TEST_CASE("the empty value is a barrier: what was done before it has been reported before it") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE | IN::DELETE);
    for (int round = 0; round < 500; ++round) {
        test::touch(dir / "f");
        REQUIRE(test::drain_lines(i, dir) == Lines{"CREATE f"});
        test::fs::remove(dir / "f");
        REQUIRE(test::drain_lines(i, dir) == Lines{"DELETE f"});
    }
}
