// SPDX-License-Identifier: MIT
// fd(): for other event loops; readable means that there is something to loop over.
#include "support.hpp"

#include <inotify/inotify_tree.hpp>

#include <poll.h>

using namespace inotify;
using namespace std::chrono_literals;
using test::readable;
using test::TempDir;

TEST_CASE("fd() is readable when events are queued, and not after the empty value") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    CHECK(!readable(i));
    for (int round = 0; round < 3; ++round) {
        test::touch(dir / std::to_string(round));
        CHECK(readable(i));
        CHECK(readable(i));  // asking takes nothing away
        CHECK(test::drain(i).size() == 1);
        CHECK(!readable(i));
    }
}

TEST_CASE("fd() is readable while a new tree holds what it found, and not for ever") {
    TempDir dir;
    test::touch(dir / "f");
    inotify::TreeOptions options;
    options.block_duration = inotify::Duration::zero();
    options.report_existing = true;
    inotify::InotifyTree tree(dir.path(), options);
    CHECK(readable(tree));
    CHECK(test::drain(tree).size() == 1);
    CHECK(test::drain(tree).empty());
    CHECK(!readable(tree));
}

TEST_CASE("fd() can be waited on without a limit") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    pollfd descriptor{.fd = i.fd(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&descriptor, 1, -1) == 1);
}

TEST_CASE("stop() makes fd() readable until a range has ended by it") {
    Inotify i{0ms};
    i.stop();
    CHECK(readable(i));
    CHECK(i.get() == std::nullopt);
    CHECK(!readable(i));
}

TEST_CASE("looping until the empty value quiets fd() also when a stop token was the reason") {
    Inotify i{0ms};
    std::stop_source source;
    for ([[maybe_unused]] auto& event : i.event_gen({.stop = source.get_token()}))
        source.request_stop();
    CHECK(test::drain(i).empty());
    CHECK(!readable(i));
}

TEST_CASE("fd() stays the same when the adapter is moved") {
    Inotify i;
    const int fd = i.fd();
    const Inotify moved = std::move(i);
    CHECK(moved.fd() == fd);
}
