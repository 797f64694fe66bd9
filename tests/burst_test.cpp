// SPDX-License-Identifier: MIT
// Memory: what a burst of events, directories, links, roots or watches took is given back.
#include "forwarding_kernel.hpp"
#include "heap.hpp"
#include "sim_kernel.hpp"
#include "support.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>

#ifdef INOTIFY_TESTS_SANITIZED

TEST_CASE("what a burst took is given back") {
    MESSAGE("skipped: a sanitizer has an operator new of its own");
}

#else

using namespace inotify;
using inotify::detail::Kernel;
using sim::World;
using test::ForwardingKernel;
using test::KernelInotify;
using test::KernelTree;

namespace {

constexpr int many = 20'000;
constexpr long most_kept = 64 * 1024;

// What a burst of names begins with: longer than any string's own buffer.
const std::string burst_name(40, 'x');

// Two cycles: a MOVED_FROM is kept for one.
void drain_twice(Inotify& adapter) {
    for (int cycle = 0; cycle < 2; ++cycle)
        for (auto& event : adapter.event_gen())
            if (!event)
                break;
}

// The bytes that an adapter uses when `burst` has passed: those that are freed with it. Its kernel,
// which takes memory as well, goes on.
template <typename Adapter, typename... Options>
long used_after(World& world, const std::function<void(Adapter&)>& burst, Options... options) {
    const std::shared_ptr<Kernel> kernel = world.make_kernel();
    auto adapter =
        std::make_unique<Adapter>(std::make_unique<ForwardingKernel>(kernel), options...);
    burst(*adapter);
    drain_twice(*adapter);
    const long before = test::bytes_in_use();
    adapter.reset();
    return before - test::bytes_in_use();
}

struct BurstWorld {
    World world;
    TreeOptions options;

    BurstWorld() {
        for (const char* path : {"/r", "/r/d", "/o"})
            world.mkdir(path);
        world.max_user_watches = 10'000'000;
        world.max_queued_events = 10'000'000;
    }

    // The tree of /r as it is after the burst, and a new one.
    void check(const std::function<void(InotifyTree&)>& burst) {
        const long after = used_after<KernelTree>(
            world,
            [&](KernelTree& tree) {
                tree.add_tree("/r");
                drain_twice(tree);
                burst(tree);
            },
            options);
        const long fresh =
            used_after<KernelTree>(world, [&](KernelTree& tree) { tree.add_tree("/r"); }, options);
        CHECK(after <= fresh + most_kept);
    }

    void check_flat(const std::function<void(Inotify&)>& burst) {
        const auto watch = [](KernelInotify& flat) { flat.add_watch("/r"); };
        const long after = used_after<KernelInotify>(world, [&](KernelInotify& flat) {
            watch(flat);
            drain_twice(flat);
            burst(flat);
        });
        const long fresh = used_after<KernelInotify>(world, watch);
        CHECK(after <= fresh + most_kept);
    }
};

std::string numbered(const std::string& directory, int number) {
    return directory + '/' + burst_name + std::to_string(number);
}

template <typename Action>
void repeat(int count, Action action) {
    for (int n = 0; n < count; ++n)
        action(n);
}

}  // namespace

TEST_CASE("what a burst of files took is given back") {
    BurstWorld place;
    World& world = place.world;
    SUBCASE("without their names") {}
    SUBCASE("with their names") { place.options.track_files = true; }
    place.check([&](InotifyTree& tree) {
        world.mkdir("/o/in");
        repeat(many, [&](int n) { world.create(numbered("/o/in", n)); });
        world.rename("/o/in", "/r/in");
        drain_twice(tree);
        repeat(many, [&](int n) { world.rename(numbered("/r/in", n), numbered("/r/d", n)); });
        drain_twice(tree);
        repeat(many, [&](int n) { world.unlink(numbered("/r/d", n)); });
    });
}

TEST_CASE("what a burst of directories took is given back") {
    BurstWorld place;
    World& world = place.world;
    int stays = -1;
    SUBCASE("all go") {}
    SUBCASE("the first stays") { stays = 0; }
    SUBCASE("the last stays") { stays = many - 1; }
    SUBCASE("with track_files") { place.options.track_files = true; }
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int n) { world.mkdir(numbered("/r", n)); });
        drain_twice(tree);
        repeat(many, [&](int n) { world.rename(numbered("/r", n), numbered("/r/d", n)); });
        drain_twice(tree);
        repeat(many, [&](int n) {
            if (n != stays)
                world.rmdir(numbered("/r/d", n));
        });
    });
}

TEST_CASE("what a tree that was moved in and out took is given back") {
    BurstWorld place;
    World& world = place.world;
    world.mkdir("/o/in");
    repeat(many, [&](int n) {
        if (n % 100 == 0)
            world.mkdir(numbered("/o/in", n));
        world.mkdir(numbered(numbered("/o/in", n / 100 * 100), n));
    });
    place.check([&](InotifyTree& tree) {
        world.rename("/o/in", "/r/in");
        drain_twice(tree);
        world.rename("/r/in", "/o/in");
    });
}

TEST_CASE("what the healing of an overflow took is given back") {
    BurstWorld place;
    World& world = place.world;
    place.options.track_files = true;
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int n) { world.mkdir(numbered("/r/d", n)); });
        drain_twice(tree);
        world.max_queued_events = 100;
        repeat(many, [&](int n) {
            world.rmdir(numbered("/r/d", n));
            world.create(numbered("/r/d", n));
        });
        drain_twice(tree);
        world.max_queued_events = 10'000'000;
        repeat(many, [&](int n) { world.unlink(numbered("/r/d", n)); });
    });
}

TEST_CASE("what records that wait in memory took is given back") {
    BurstWorld place;
    World& world = place.world;
    place.check([&](InotifyTree&) {
        world.mkdir("/r/new");      // it is looked at first
        repeat(5'000, [&](int n) {  // 800 kB
            world.create(numbered("/r", n));
            world.unlink(numbered("/r", n));
        });
    });
}

TEST_CASE("what symbolic links to directories took is given back") {
    BurstWorld place;
    World& world = place.world;
    place.options.follow_symlinks = true;
    world.mkdir("/o/linked");
    SUBCASE("one after the other, to a directory of the tree")
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int) {
            world.symlink("/r/d", "/r/link");
            drain_twice(tree);
            world.unlink("/r/link");
            drain_twice(tree);
        });
    });
    SUBCASE("one after the other, to one outside")
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int) {
            world.symlink("/o/linked", "/r/link");
            drain_twice(tree);
            world.unlink("/r/link");
            drain_twice(tree);
        });
    });
    SUBCASE("many at once")
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int n) { world.symlink("/r/d", numbered("/r", n)); });
        drain_twice(tree);
        repeat(many, [&](int n) { world.unlink(numbered("/r", n)); });
    });
}

TEST_CASE("what roots took is given back") {
    BurstWorld place;
    World& world = place.world;
    SUBCASE("one within another, one after the other")
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int) {
            tree.add_tree("/r/d");
            tree.remove_tree("/r/d");
        });
    });
    SUBCASE("one beside another, one after the other")
    place.check([&](InotifyTree& tree) {
        repeat(many, [&](int) {
            tree.add_tree("/o");
            tree.remove_tree("/o");
            drain_twice(tree);
        });
    });
    SUBCASE("many at once")
    place.check([&](InotifyTree& tree) {
        constexpr int roots = 3'000;  // each is compared with each
        repeat(roots, [&](int n) {
            world.mkdir(numbered("/o", n));
            tree.add_tree(numbered("/o", n));
        });
        repeat(roots, [&](int n) { tree.remove_tree(numbered("/o", n)); });
    });
}

TEST_CASE("what directories that cannot be read took is given back") {
    BurstWorld place;
    World& world = place.world;
    world.mkdir("/o/in");
    repeat(many, [&](int n) {
        world.mkdir(numbered("/o/in", n));
        world.deny(numbered("/o/in", n));
    });
    place.check([&](InotifyTree& tree) {
        world.rename("/o/in", "/r/in");
        drain_twice(tree);
        CHECK(tree.coverage().unwatched.size() == many);
        world.rename("/r/in", "/o/in");
    });
}

TEST_CASE("what a long path took is given back") {
    BurstWorld place;
    World& world = place.world;
    place.check([&](InotifyTree& tree) {
        std::string path = "/r/deep";
        for (int level = 0; level < 500; ++level) {
            world.mkdir(path);
            path += '/' + std::string(200, 'x');
        }
        drain_twice(tree);
        CHECK(tree.coverage().watched > 500);
        world.rename("/r/deep", "/o/deep");
    });
}

TEST_CASE("what the watches of single files took is given back") {
    BurstWorld place;
    World& world = place.world;
    repeat(many, [&](int n) { world.create(numbered("/o", n)); });
    SUBCASE("they are removed")
    place.check_flat([&](Inotify& flat) {
        repeat(many, [&](int n) { flat.add_watch(numbered("/o", n)); });
        repeat(many, [&](int n) { flat.remove_watch(numbered("/o", n)); });
    });
    SUBCASE("the files are removed")
    place.check_flat([&](Inotify& flat) {
        repeat(many, [&](int n) { flat.add_watch(numbered("/o", n)); });
        repeat(many, [&](int n) { world.unlink(numbered("/o", n)); });
    });
    SUBCASE("many paths lead to one file")
    place.check_flat([&](Inotify& flat) {
        constexpr int paths = 2'000;  // each is compared with each
        world.create("/r/f");
        flat.add_watch("/r/f");
        repeat(paths, [&](int n) {
            world.link("/r/f", numbered("/r", n));
            flat.add_watch(numbered("/r", n));
        });
        drain_twice(flat);
        repeat(paths, [&](int n) { flat.remove_watch(numbered("/r", n)); });
    });
    SUBCASE("files are renamed")
    place.check_flat([&](Inotify&) {
        repeat(many, [&](int n) {
            world.rename(numbered("/o", n), numbered("/r", n));
            world.rename(numbered("/r", n), numbered("/o", n));
        });
    });
}

#endif
