// SPDX-License-Identifier: MIT
// Inotify::follow() where something cannot be watched, on the simulated kernel: rights, limits, a
// full queue, and what is mounted and unmounted.
#include "forwarding_kernel.hpp"
#include "sim_kernel.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

using inotify::Event;
using test::KernelInotify;
using test::Lines;
namespace IN = inotify::IN;

Lines lines(inotify::Inotify& inotify) {
    Lines result;
    for (const Event& event : test::drain(inotify))
        result.push_back((event.synthetic ? "*" : "") + to_string(event.mask) + ' ' + event.path +
                         (event.error ? " errno " + std::to_string(event.error.value()) : ""));
    return result;
}

std::string failed(const std::string& path, int error) {
    return "0 " + path + " errno " + std::to_string(error);
}

sim::World make_world() {
    sim::World world;
    for (const char* path : {"/a", "/a/b"})
        world.mkdir(path);
    world.create("/a/b/c");
    return world;
}

}  // namespace

TEST_CASE("what a name leads to is followed once it may be read, at once") {
    sim::World world = make_world();
    const std::string name = "/a/b/c";
    std::string denied;
    SUBCASE("a file") { denied = "/a/b/c"; }
    SUBCASE("a directory on the way") { denied = "/a/b"; }
    SUBCASE("a directory above it") { denied = "/a"; }
    world.deny(denied);
    KernelInotify inotify(world.make_kernel());
    inotify.follow(name, IN::MODIFY);
    CHECK(lines(inotify) == Lines{failed(name, EACCES)});
    CHECK(lines(inotify).empty());
    // A directory need not be read to go through it.
    CHECK((inotify.watches().front().wd < 0) == (denied == name));
    world.allow(denied);
    CHECK(lines(inotify) == (denied == name ? Lines{"*CREATE " + name} : Lines{}));
    world.write(name);
    CHECK(lines(inotify) == Lines{"MODIFY " + name});
    world.rename("/a", "/x");
    CHECK(lines(inotify) == Lines{"*DELETE " + name});
}

TEST_CASE("a file that may not be read any more stays what it was while it is there") {
    sim::World world = make_world();
    KernelInotify inotify(world.make_kernel());
    inotify.follow("/a/b/c", IN::MODIFY);
    world.deny("/a/b/c");
    world.rename("/a/b", "/a/x");
    world.rename("/a/x", "/a/b");
    CHECK(lines(inotify) == Lines{failed("/a/b/c", EACCES)});
    world.write("/a/b/c");
    CHECK(lines(inotify) == Lines{"MODIFY /a/b/c"});
    world.unlink("/a/b/c");
    CHECK(lines(inotify) == Lines{"*DELETE /a/b/c"});
}

TEST_CASE("what cannot be seen for want of descriptors stays what it was reported to be") {
    for (int first = 0; first < 4; ++first) {
        CAPTURE(first);
        sim::World world = make_world();
        KernelInotify inotify(world.make_kernel());
        inotify.follow("/a/b/c", IN::MODIFY);
        world.rename("/a", "/x");
        world.rename("/x", "/a");
        int opened = 0;
        world.before_call = [&](std::string_view call) {
            return call == "open_path" && opened++ >= first ? -EMFILE : 0;
        };
        CHECK(lines(inotify) == Lines{failed("/a/b/c", EMFILE)});
        world.before_call = nullptr;
        world.write("/a/b/c");
        CHECK(lines(inotify) == Lines{"MODIFY /a/b/c"});
        world.time += std::chrono::seconds{2};
        CHECK(lines(inotify).empty());
        world.unlink("/a/b/c");
        CHECK(lines(inotify) == Lines{"*DELETE /a/b/c"});
    }
}

TEST_CASE("what failed is tried again, less and less often") {
    sim::World world = make_world();
    world.deny("/a/b/c");
    KernelInotify inotify(world.make_kernel());
    inotify.follow("/a/b/c", IN::MODIFY);
    CHECK(lines(inotify).size() == 1);
    std::size_t looks = 0;
    world.before_call = [&](std::string_view call) {
        looks += call == "read_link" || call == "add_watch" ? 1 : 0;
        return 0;
    };
    for (int second = 0; second < 300; ++second) {
        world.time += std::chrono::seconds{1};
        CHECK(lines(inotify).empty());
    }
    // After 1, 2, 4, ... 32 seconds more, then once a minute; each looks at four inodes.
    CHECK(looks == (6 + 3) * 4);
}

TEST_CASE("without watches a name waits for them, and a shortage is reported once") {
    sim::World world = make_world();
    world.create("/a/b/d");
    world.mkdir("/o");
    world.max_user_watches = 4;
    KernelInotify inotify(world.make_kernel());
    inotify.add_watch("/o", IN::CREATE);
    inotify.follow("/a/b/c", IN::MODIFY);
    inotify.follow("/a/b/d", IN::MODIFY);
    const auto reported = test::drain(inotify);
    REQUIRE(reported.size() == 1);
    CHECK(reported[0].path == "/a/b/c");
    CHECK(reported[0].error == std::errc::no_space_on_device);
    CHECK(inotify.watches().size() == 3);
    inotify.remove_watch("/o");
    CHECK(lines(inotify) == Lines{"*CREATE /a/b/c"});
    world.max_user_watches = 5;
    world.time += std::chrono::seconds{2};
    CHECK(lines(inotify) == Lines{"*CREATE /a/b/d"});
    world.write("/a/b/c");
    world.write("/a/b/d");
    CHECK(lines(inotify) == Lines{"MODIFY /a/b/c", "MODIFY /a/b/d"});
}

TEST_CASE("after an overflow every name is looked up again") {
    sim::World world = make_world();
    world.create("/a/x");
    world.create("/a/y");
    KernelInotify inotify(world.make_kernel());
    for (const char* path : {"/a/b/c", "/a/x", "/a/y"})
        inotify.follow(path, IN::MODIFY);
    world.max_queued_events = 1;
    world.chmod("/");
    world.write("/a/y");
    world.rename("/a/b", "/b");
    world.unlink("/a/x");
    world.create("/a/x");
    world.max_queued_events = 100;
    CHECK(lines(inotify) ==
          Lines{"MODIFY /a/y", "Q_OVERFLOW ", "*DELETE /a/b/c", "*MOVED_TO /a/x"});
}

TEST_CASE("what is unmounted is gone, and what was below is there") {
    sim::World world = make_world();
    world.mount("/a/b");
    world.create("/a/b/c");
    KernelInotify inotify(world.make_kernel());
    inotify.follow("/a/b/c", IN::MODIFY);
    CHECK(world.unmount("/a/b") == 0);  // no descriptor is held
    CHECK(lines(inotify) == Lines{"UNMOUNT /a/b/c", "*MOVED_TO /a/b/c"});
    world.write("/a/b/c");
    CHECK(lines(inotify) == Lines{"MODIFY /a/b/c"});
}

TEST_CASE("a chain of forty links is followed, one more is an error") {
    sim::World world;
    world.create("/0");
    for (int i = 1; i <= 41; ++i)
        world.symlink(std::to_string(i - 1), "/" + std::to_string(i));
    KernelInotify inotify(world.make_kernel());
    inotify.follow("/40", IN::MODIFY);
    CHECK(lines(inotify).empty());
    CHECK(inotify.watches().front().wd > 0);
    inotify.follow("/41", IN::MODIFY);
    CHECK(lines(inotify) == Lines{failed("/41", ELOOP)});
    world.write("/0");
    CHECK(lines(inotify) == Lines{"MODIFY /40"});
    world.unlink("/10");
    CHECK(lines(inotify) == Lines{"*DELETE /40"});
    world.create("/10");
    CHECK(lines(inotify) == Lines{"*CREATE /40", "*CREATE /41"});
}

TEST_CASE("a name that never stops changing does not hold up the loop") {
    for (const bool is_tree : {false, true}) {
        sim::World world = make_world();
        // What is on the way is made or removed whenever somebody looks.
        world.before_call = [&](std::string_view call) {
            if (call == "open_path" && world.mkdir("/way") != 0)
                world.rmdir("/way");
            return 0;
        };
        if (is_tree) {
            test::KernelTree tree(world.make_kernel(), {.follow_roots = true});
            tree.add_tree("/way/to");
            tree.add_tree("/a");
            for (int i = 0; i < 3; ++i)
                CHECK(test::drain(tree).empty());
            world.create("/a/new");
            CHECK(test::drain(tree).at(0).full_path() == "/a/new");
            world.before_call = nullptr;
            world.mkdir("/way");
            world.mkdir("/way/to");
            CHECK(test::drain(tree).at(0).path == "/way/to");
        } else {
            KernelInotify inotify(world.make_kernel());
            inotify.follow("/way/to", IN::MODIFY);
            inotify.follow("/a/b/c", IN::MODIFY);
            for (int i = 0; i < 3; ++i)
                CHECK(lines(inotify).empty());
            world.write("/a/b/c");
            CHECK(lines(inotify) == Lines{"MODIFY /a/b/c"});
            world.before_call = nullptr;
            world.mkdir("/way");
            world.create("/way/to");
            CHECK(lines(inotify) == Lines{"*CREATE /way/to"});
        }
    }
}

TEST_CASE("a root that has gone does not come again where its way cannot be seen") {
    sim::World world;
    for (const char* path : {"/p", "/p/r"})
        world.mkdir(path);
    test::KernelTree tree(world.make_kernel(), {.mask = IN::ALL_EVENTS, .follow_roots = true});
    tree.add_tree("/p/r");
    world.rename("/p/r", "/q");
    world.before_call = [](std::string_view call) { return call == "open_path" ? -EMFILE : 0; };
    CHECK(lines(tree) == Lines{"MOVE_SELF /p/r", "*IGNORED /p/r", failed("/p/r", EMFILE)});
    CHECK(tree.watches().empty());
    world.before_call = nullptr;
    world.rename("/q", "/p/r");
    world.time += std::chrono::seconds{1};
    CHECK(lines(tree) == Lines{"*CREATE|ISDIR /p/r"});
}

TEST_CASE("names that are suspects at an empty value wake other event loops") {
    class WakeCounter final : public test::ForwardingKernel {
    public:
        WakeCounter(std::unique_ptr<Kernel> inner, int& wakes)
            : ForwardingKernel(std::move(inner)), wakes_(wakes) {}
        void wake() noexcept override { ++wakes_; }

    private:
        int& wakes_;
    };
    sim::World world = make_world();
    int wakes = 0;
    KernelInotify inotify(std::make_unique<WakeCounter>(world.make_kernel(), wakes));
    inotify.follow("/a/b/c", IN::MODIFY);
    lines(inotify);
    world.before_call = [&](std::string_view call) {
        if (call == "open_path" && world.rename("/a/b", "/a/x") != 0)
            world.rename("/a/x", "/a/b");
        return 0;
    };
    world.rename("/a/b", "/a/x");
    wakes = 0;
    lines(inotify);
    CHECK(wakes > 0);
}
