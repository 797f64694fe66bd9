// SPDX-License-Identifier: MIT
// The shell session of the README yields its twelve events, as it does in the Python ancestors.
#include "support.hpp"

#include <cstdlib>

using namespace inotify;
using namespace std::chrono_literals;
using test::Lines;
using test::TempDir;

TEST_CASE("the shell session yields its twelve events in order") {
    TempDir dir;
    test::fs::create_directory(dir / "test");
    Inotify i{0ms};
    const int wd = i.add_watch(dir / "test");
    const std::string session = "cd '" + dir.str() +
                                "' && echo hi >test/f1; mv test/f1 test/f2; "
                                "cat test/f2 >/dev/null; rm test/f2; rmdir test";
    REQUIRE(std::system(session.c_str()) == 0);

    const auto events = test::drain(i);
    REQUIRE(test::lines(events, (dir / "test").native()) ==
            Lines{"CREATE f1", "OPEN f1", "MODIFY f1", "CLOSE_WRITE f1", "MOVED_FROM f1",
                  "MOVED_TO f2 < f1", "OPEN f2", "ACCESS f2", "CLOSE_NOWRITE f2", "DELETE f2",
                  "DELETE_SELF .", "IGNORED ."});
    for (std::size_t n = 0; n < events.size(); ++n) {
        const Event& event = events[n];
        CHECK(event.wd == wd);
        CHECK(event.path == (dir / "test").native());
        CHECK(!event.synthetic);
        CHECK(!event.error);
        CHECK((event.cookie != 0) == (n == 4 || n == 5));
    }
    CHECK(events[4].cookie == events[5].cookie);
    CHECK(i.watches().empty());
}
