// SPDX-License-Identifier: MIT
// What a tree could not watch: how often it is tried again, and what the client hears of it.
#include "sim_tree.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

using namespace inotify;
using namespace std::chrono_literals;

namespace {

TreeOptions reporting(Mask mask) {
    TreeOptions options;
    options.mask = mask;
    return options;
}

std::string directory(int number) { return "/r/" + std::to_string(number); }

}  // namespace

TEST_CASE("10,000 unreadable directories are tried 14 times in ten minutes, 64 at a time") {
    constexpr int count = 10'000;
    sim::World world;
    world.max_user_watches = 2 * count;
    world.mkdir("/r");
    for (int i = 0; i < count; ++i) {
        world.mkdir(directory(i));
        world.deny(directory(i));
    }
    test::KernelTree tree(world.make_kernel(), reporting(IN::CREATE));
    tree.add_tree("/r");
    CHECK(test::drain(tree).size() == count);

    std::size_t opens = 0;
    std::size_t others = 0;
    world.before_call = [&](std::string_view call) {
        // One wait and one read a second are those of this loop.
        (call == "open_directory" ? opens : others) += call == "wait" || call == "read" ? 0 : 1;
        return 0;
    };
    for (int second = 1; second <= 600; ++second) {
        world.time += 1s;
        CHECK(test::drain(tree).empty());
    }
    const std::size_t tries = 14;
    const std::size_t steps = (count + 63) / 64;
    CHECK(opens == tries * (count + steps));
    CHECK(others <= tries * steps * 4);
    CHECK(tree.coverage().unwatched.size() == count);

    for (int i = 0; i < count; ++i)
        world.allow(directory(i));
    CHECK(test::drain(tree).empty());
    CHECK(tree.coverage().unwatched.empty());
    world.before_call = nullptr;
}

TEST_CASE(
    "of 1,000 directories beyond the limit of watches the first is an event, and one is tried") {
    constexpr int count = 1'000;
    sim::World world;
    world.mkdir("/r");
    for (int i = 0; i < count; ++i)
        world.mkdir(directory(i));
    world.max_user_watches = 1;
    test::KernelTree tree(world.make_kernel(), reporting(IN::CREATE));
    tree.add_tree("/r");
    const auto events = test::drain(tree);
    REQUIRE(events.size() == 1);
    CHECK(events[0].error == std::errc::no_space_on_device);
    CHECK(test::contains(events[0].error.message(), "watches"));
    CHECK(tree.coverage().unwatched.size() == count);

    std::size_t opens = 0;
    world.before_call = [&](std::string_view call) {
        opens += call == "open_directory" ? 1 : 0;
        return 0;
    };
    for (int second = 1; second <= 600; ++second) {
        world.time += 1s;
        CHECK(test::drain(tree).empty());
    }
    CHECK(opens == 14 * 2);  // its parent and it

    world.max_user_watches = 2 * count;
    world.time += 60s;
    CHECK(test::drain(tree).empty());
    CHECK(tree.coverage().unwatched.empty());
    CHECK(tree.coverage().watched == count + 1);
    world.before_call = nullptr;
}

TEST_CASE("a failed directory over which something is mounted is covered, or not to be watched") {
    sim::World world;
    for (const char* path : {"/r", "/r/a", "/r/b"})
        world.mkdir(path);
    world.deny("/r/a");
    TreeOptions options = reporting(IN::CREATE);
    SUBCASE("another directory of the tree") {}
    SUBCASE("a file system to stay out of") { options.one_file_system = true; }
    test::KernelTree tree(world.make_kernel(), options);
    tree.add_tree("/r");
    CHECK(test::drain(tree).size() == 1);
    CHECK(tree.coverage().unwatched.size() == 1);
    CHECK((options.one_file_system ? world.mount("/r/a") : world.bind("/r/b", "/r/a")) == 0);
    world.time += 1s;
    CHECK(test::drain(tree).empty());
    CHECK(tree.coverage().unwatched.empty());
    CHECK(tree.coverage().watched == 2);
}

TEST_CASE("a watched directory that may not be read when it is to be listed heals at once") {
    sim::World world;
    world.mkdir("/r");
    world.mkdir("/r/a");
    test::KernelTree tree(world.make_kernel(), reporting(IN::CREATE));
    tree.add_tree("/r");
    world.deny("/r/a");
    world.max_queued_events = 0;
    world.mkdir("/r/a/lost");
    world.max_queued_events = 16384;
    auto events = test::drain(tree);
    REQUIRE(events.size() == 2);
    CHECK(events[0].mask == IN::Q_OVERFLOW);
    CHECK(events[1].error == std::errc::permission_denied);
    CHECK(tree.coverage().unwatched.size() == 1);
    for (int second = 1; second <= 600; ++second) {
        world.time += 1s;
        CHECK(test::drain(tree).empty());
    }
    world.allow("/r/a");
    events = test::drain(tree);
    REQUIRE(events.size() == 1);
    CHECK(events[0].full_path() == "/r/a/lost");
    CHECK(tree.coverage().unwatched.empty());
}
