// SPDX-License-Identifier: MIT
// Overflow: the kernel's record of dropped events is an event with wd == -1, and the stream goes
// on.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <sys/stat.h>

#include <fstream>

using namespace inotify;
using namespace std::chrono_literals;
using test::record;
using test::ScriptedInotify;
using test::TempDir;

TEST_CASE("an overflow is an event without a descriptor or a path, whatever the masks") {
    ScriptedInotify i;
    i.add_watch("/d", IN::CREATE);
    i.kernel().queue(record(1, IN::CREATE, "before") + record(-1, IN::Q_OVERFLOW) +
                     record(1, IN::CREATE, "after"));
    const auto events = test::drain(i);
    REQUIRE(events.size() == 3);
    CHECK(events[0].filename == "before");
    CHECK(events[1] == test::make_event(-1, IN::Q_OVERFLOW));
    CHECK(events[2].filename == "after");
}

TEST_CASE("an overflow is reported once, even with no watch or with several paths") {
    ScriptedInotify i;
    i.kernel().queue(record(-1, IN::Q_OVERFLOW));
    CHECK(test::drain(i).size() == 1);
    i.kernel().wds["/link"] = i.add_watch("/d");
    i.add_watch("/link");
    i.kernel().queue(record(-1, IN::Q_OVERFLOW) + record(-1, IN::Q_OVERFLOW));
    CHECK(test::drain(i).size() == 2);
}

TEST_CASE("past max_queued_events the real kernel overflows, and the loop goes on") {
    long limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    if (limit <= 0 || limit > 1'000'000) {
        MESSAGE("skipped: fs.inotify.max_queued_events is ", limit);
        return;
    }
    TempDir dir;
    const test::OpenFile a(dir / "a"), b(dir / "b");
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::ATTRIB);
    // By turns, as the kernel merges records that are identical to the one before.
    for (long n = 0; n < limit + 10; ++n)
        REQUIRE(::fchmod(n % 2 == 0 ? a.fd() : b.fd(), 0600) == 0);

    const auto events = test::drain(i);
    REQUIRE(events.size() == static_cast<std::size_t>(limit) + 1);
    CHECK(events.back() == test::make_event(-1, IN::Q_OVERFLOW));
    CHECK(events[events.size() - 2].mask == IN::ATTRIB);

    REQUIRE(::fchmod(a.fd(), 0600) == 0);
    CHECK(test::drain_lines(i, dir) == test::Lines{"ATTRIB a"});
}
