// SPDX-License-Identifier: MIT
// Looks at the disk that meet an unlucky moment, on the simulated kernel.
#include "sim_tree.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using test::KernelTree;

namespace {

// From now on `most` is how many such calls there were at most between two reads.
void count_between_reads(sim::World& world, std::string_view counted, std::size_t& most) {
    world.before_call = [counted, &most, count = std::size_t{0}](std::string_view call) mutable {
        count = call == "read" ? 0 : count + (call == counted ? 1 : 0);
        most = std::max(most, count);
        return 0;
    };
}

}  // namespace

TEST_CASE("of many directories none is skipped when one vanishes while they are looked at") {
    sim::World world;
    world.mkdir("/r");
    for (int i = 100; i < 200; ++i)
        world.mkdir("/r/" + std::to_string(i));
    bool listed = false;
    world.before_call = [&](std::string_view call) {
        if (listed)
            world.rmdir("/r/110");
        listed = call == "list";
        return 0;
    };
    inotify::TreeOptions options;
    options.report_existing = true;
    KernelTree tree(world.make_kernel(), options);
    tree.add_tree("/r");
    test::drain(tree);
    CHECK(!world.exists("/r/110"));
    CHECK(test::wrong_watches(world, tree, "/r") == "");
}

TEST_CASE("a directory that comes up from below the depth limit is watched") {
    sim::World world;
    for (const char* path : {"/r", "/r/a", "/r/a/x"})
        world.mkdir(path);
    inotify::TreeOptions options;
    options.max_depth = 1;
    KernelTree tree(world.make_kernel(), options);
    tree.add_tree("/r");
    test::drain(tree);
    world.rename("/r/a/x", "/r/x");
    CHECK(test::lines(test::drain(tree), "/r") ==
          test::Lines{"MOVED_FROM|ISDIR a/x", "MOVED_TO|ISDIR x"});
    CHECK(test::wrong_watches(world, tree, "/r") == "");
}

TEST_CASE("below a path that leads nowhere any more a new directory costs a look at each level") {
    sim::World world;
    std::string path = "/p";
    world.mkdir(path);
    path += "/r";
    world.mkdir(path);
    for (int level = 0; level < 20; ++level)
        world.mkdir(path += "/d");
    KernelTree tree(world.make_kernel(), {});
    tree.add_tree("/p/r");
    test::drain(tree);
    world.rename("/p", "/q");
    path[1] = 'q';
    world.mkdir(path + "/new");
    std::size_t calls = 0;
    world.before_call = [&](std::string_view) {
        ++calls;
        return 0;
    };
    test::drain(tree);
    CHECK(calls < 500);
    calls = 0;
    for (int i = 0; i < 10; ++i) {
        world.time += std::chrono::seconds(2);
        test::drain(tree);
    }
    CHECK(calls < 5'000);
}

TEST_CASE("a root that another one covered goes on without its path") {
    sim::World world;
    world.mkdir("/a");
    world.symlink("/a", "/l");
    KernelTree tree(world.make_kernel(), {});
    tree.add_tree("/a");
    tree.add_tree("/l");
    world.unlink("/l");
    tree.remove_tree("/a");
    world.mkdir("/a/b");
    world.mkdir("/a/b/c");
    CHECK(test::lines(test::drain(tree), "/l") ==
          test::Lines{"CREATE|ISDIR b", "CREATE|ISDIR b/c"});
    CHECK(tree.coverage().unwatched.empty());
    CHECK(tree.coverage().watched == 3);
}

// What one entry of a look has watched is not taken back for another that turns out to lead there.
TEST_CASE("what changes places while it is looked at is not reported to be deleted") {
    std::size_t calls = 1;
    for (std::size_t first = 0; first < calls; ++first)
        for (std::size_t second = first; second < calls; ++second) {
            sim::World world;
            for (const char* path : {"/r", "/o", "/o/n", "/o/n/d1", "/o/n/d1/x", "/o/n/d2"})
                world.mkdir(path);
            world.create("/o/f");
            KernelTree tree(world.make_kernel(), {});
            tree.add_tree("/r");
            test::drain(tree);
            world.rename("/o/n", "/r/n");
            calls = 0;
            world.before_call = [&](std::string_view) {
                if (calls == first)
                    world.rename("/o/f", "/r/n/d1/f");
                if (calls++ == second)
                    world.exchange("/r/n/d1", "/r/n/d2");
                return 0;
            };
            const test::Lines lines = test::lines(test::drain(tree), "/r");
            world.before_call = nullptr;
            CAPTURE(first);
            CAPTURE(second);
            CAPTURE(lines);
            CHECK(std::ranges::none_of(
                lines, [](const std::string& line) { return line.starts_with("DELETE"); }));
            CHECK(test::wrong_watches(world, tree, "/r") == "");
        }
}

TEST_CASE("of two links to one directory one goes while both are looked at; the other stays") {
    bool unlinked = true;
    for (std::size_t moment = 0; unlinked; ++moment) {
        sim::World world;
        for (const char* path : {"/r", "/o", "/o/d"})
            world.mkdir(path);
        world.symlink("/o", "/r/l1");
        world.symlink("/o", "/r/l2");
        inotify::TreeOptions options;
        options.follow_symlinks = options.report_existing = true;
        KernelTree tree(world.make_kernel(), options);
        tree.add_tree("/r");
        std::size_t calls = 0;
        unlinked = false;
        world.before_call = [&](std::string_view) {
            if (calls++ == moment)
                unlinked = world.unlink("/r/l1") == 0;
            return 0;
        };
        std::vector<inotify::Event> events = test::drain(tree);
        world.before_call = nullptr;
        std::ranges::move(test::drain(tree), std::back_inserter(events));
        const test::Lines lines = test::lines(events, "/r");
        CAPTURE(moment);
        CAPTURE(lines);
        CHECK(std::ranges::count(lines, "CREATE l2") == 1);
        CHECK(std::ranges::count(lines, "CREATE|ISDIR l2/d") == (unlinked ? 1 : 0));
        CHECK(std::ranges::count(lines, "DELETE|ISDIR l2/d") == 0);
    }
}

// So that the queue cannot overflow by what happens, or is caused, meanwhile.
TEST_CASE("while large directories are compared the queue is read") {
    sim::World world;
    world.mkdir("/r");
    for (int d = 0; d < 10; ++d) {
        const std::string directory = "/r/" + std::to_string(d);
        world.mkdir(directory);
        for (int f = 0; f < 2'000; ++f)
            world.create(directory + '/' + std::to_string(f));
    }
    KernelTree tree(world.make_kernel(), {});
    tree.add_tree("/r");
    test::drain(tree);
    world.max_queued_events = 0;
    world.mkdir("/r/new");
    world.max_queued_events = 16'384;
    std::size_t most = 0;
    count_between_reads(world, "list", most);
    CHECK(test::lines(test::drain(tree), "/r") == test::Lines{"Q_OVERFLOW", "CREATE|ISDIR new"});
    CHECK(most > 1);
    CHECK(most <= 4);  // the root, and 3 of 10
}

TEST_CASE("while a renamed root is looked for the queue is read") {
    sim::World world;
    for (const char* path : {"/p", "/p/r", "/q"})
        world.mkdir(path);
    for (int d = 0; d < 50; ++d)
        world.mkdir("/p/" + std::to_string(d));
    KernelTree tree(world.make_kernel(), {});
    tree.add_tree("/p/r");
    test::drain(tree);
    world.rename("/p/r", "/q/r");
    std::size_t most = 0;
    count_between_reads(world, "add_watch", most);
    CHECK(test::lines(test::drain(tree), "/p/r") == test::Lines{"MOVE_SELF ."});
    CHECK(most == 1);
}

TEST_CASE("a first scan ends though directories are renamed all the time") {
    sim::World world;
    for (const char* path : {"/r", "/r/a", "/r/a/s", "/r/b"})
        world.mkdir(path);
    KernelTree tree(world.make_kernel(), {});
    std::size_t opened = 0;
    std::size_t calls = 0;
    world.before_call = [&](std::string_view call) {
        opened += call == "open_directory" ? 1 : 0;
        if (opened == 2 && world.rename("/r/a", "/r/z") == 0)
            ++opened;
        if (opened > 2 && ++calls % 2 == 0 && world.rename("/r/b", "/r/c") != 0)
            world.rename("/r/c", "/r/b");
        return 0;
    };
    tree.add_tree("/r");
    world.before_call = nullptr;
    world.mkdir("/r/z/s/new");
    const test::Lines lines = test::lines(test::drain(tree), "/r");
    CHECK(std::ranges::count(lines, "CREATE|ISDIR z/s/new") == 1);
    CHECK(test::wrong_watches(world, tree, "/r") == "");
}
