// SPDX-License-Identifier: MIT
// Allocations: once warm, the loop makes none, as the range's element keeps its strings' storage.
#include "heap.hpp"
#include "support.hpp"

#include <inotify/inotify_tree.hpp>

#ifdef INOTIFY_TESTS_SANITIZED

TEST_CASE("once warm, the loop allocates nothing per event") {
    MESSAGE("skipped: a sanitizer has an operator new of its own");
}

#else

using namespace inotify;
using namespace std::chrono_literals;
using test::TempDir;

namespace {

// Beyond any string's own buffer.
const std::string long_name(100, 'x');

// How many allocations one cycle costs, and how many events it had.
struct Cost {
    long allocations = 0;
    int events = 0;
};

Cost cost_of_cycle(EventRange::Iterator& it) {
    Cost cost;
    const long before = test::allocations();
    for (; *it; ++it)
        ++cost.events;
    ++it;
    cost.allocations = test::allocations() - before;
    return cost;
}

}  // namespace

TEST_CASE("once warm, the loop allocates nothing per event") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path());
    const auto a = dir / (long_name + "a"), b = dir / (long_name + "b");
    auto range = i.event_gen();
    auto it = range.begin();
    // The first cycles make the strings as long as they get.
    for (int round = 0; round < 6; ++round) {
        for (int n = 0; n < 100; ++n) {
            test::write_file(a);
            test::fs::rename(a, b);
            test::fs::remove(b);
        }
        const Cost cost = cost_of_cycle(it);
        CHECK(cost.events == 700);
        if (round >= 3)
            CHECK(cost.allocations == 0);
    }
    CHECK(cost_of_cycle(it).allocations == 0);  // nor does an idle cycle
}

TEST_CASE("once warm, a tree allocates nothing per event about a file") {
    TempDir dir;
    test::fs::create_directory(dir / long_name);
    TreeOptions options;
    options.block_duration = 0ms;
    InotifyTree tree(dir.path(), options);
    auto range = tree.event_gen();
    auto it = range.begin();
    for (int round = 0; round < 4; ++round) {
        for (int n = 0; n < 100; ++n) {
            test::write_file(dir / long_name / (long_name + "a"));
            test::fs::remove(dir / long_name / (long_name + "a"));
        }
        const Cost cost = cost_of_cycle(it);
        CHECK(cost.events == 500);
        if (round >= 2)
            CHECK(cost.allocations == 0);
    }
    CHECK(cost_of_cycle(it).allocations == 0);
}

TEST_CASE("once warm, a break and a new loop allocate once, not per event") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    for (int n = 0; n < 100; ++n)
        test::touch(dir / (long_name + std::to_string(100 + n)));
    for (int n = 0; n < 100; ++n) {
        const long before = test::allocations();
        bool got_event = false;
        for (auto& event : i.event_gen()) {
            got_event = event.has_value();
            break;
        }
        const long cost = test::allocations() - before;  // doctest's own come after
        CHECK(got_event);
        if (n > 0)
            CHECK(cost <= 1);
    }
}

#endif
