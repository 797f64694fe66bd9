// SPDX-License-Identifier: MIT
// Looks at the disk that meet an unlucky moment, on the simulated kernel.
#include "sim_tree.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

using test::KernelTree;

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

TEST_CASE("a root that another one covered is watched once its path is there again") {
    sim::World world;
    world.mkdir("/a");
    world.symlink("/a", "/l");
    KernelTree tree(world.make_kernel(), {});
    tree.add_tree("/a");
    tree.add_tree("/l");
    world.unlink("/l");
    tree.remove_tree("/a");
    test::drain(tree);
    CHECK(tree.coverage().unwatched.size() == 1);
    world.symlink("/a", "/l");
    world.time += std::chrono::seconds(2);
    test::drain(tree);
    CHECK(tree.coverage().unwatched.empty());
    CHECK(tree.coverage().watched == 1);
}
