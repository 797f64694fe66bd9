// SPDX-License-Identifier: MIT
// The seven rules that a tree goes by, each shown by what it yields and by the calls that it makes.
#include "sim_tree.hpp"
#include "support.hpp"
#include "tree_client.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace IN = inotify::IN;
using test::Lines;
using test::names;

namespace {

using Calls = std::map<std::string, int>;

/// A tree of /r on the simulated kernel, with the directories a and b; /o lies outside.
struct Rules {
    sim::World world;
    inotify::TreeOptions options;
    std::unique_ptr<test::KernelTree> tree;
    Calls calls;                                        // but for reads and waits
    std::function<void(std::string_view)> before_call;  // of the library

    explicit Rules(inotify::Mask mask = names, bool track_files = false) {
        options.mask = mask;
        options.track_files = track_files;
        for (const char* path : {"/r", "/r/a", "/r/b", "/o"})
            world.mkdir(path);
    }
    ~Rules() { world.before_call = nullptr; }
    Rules(const Rules&) = delete;
    Rules& operator=(const Rules&) = delete;

    void start() {
        tree = std::make_unique<test::KernelTree>(world.make_kernel(), options);
        tree->add_tree("/r");
    }

    /// Makes the tree, and counts calls from now on.
    void watch() {
        start();
        CHECK(yielded().empty());
        world.before_call = [this](std::string_view call) {
            if (before_call)
                before_call(call);
            if (call != "read" && call != "wait")
                ++calls[std::string(call)];
            return 0;
        };
    }

    /// An exchange of which only the first `records` are queued until it is finished.
    void begin_exchange(const char* one, const char* other, std::size_t records) {
        world.begin_operation(records);
        CHECK(world.exchange(one, other) == 0);
        CHECK(world.end_operation());
    }

    /// The events up to the empty value, as lines; those that were found by looking end with *.
    Lines yielded() {
        calls.clear();
        Lines result;
        for (const inotify::Event& event : test::drain(*tree))
            result.push_back(test::lines({event}, "/r").at(0) + (event.synthetic ? " *" : ""));
        CHECK(tree->check() == "");
        return result;
    }

    [[nodiscard]] int wd_of(const std::string& path) const {
        for (const inotify::Watch& watch : tree->watches())
            if (watch.path == path)
                return watch.wd;
        return -1;
    }
};

}  // namespace

TEST_CASE("rule 1: where the queue ends within a rename its directory is waited for once") {
    Rules it;
    it.world.create("/r/a/f");
    it.watch();
    it.world.begin_operation(1);
    it.world.rename("/r/a/f", "/r/b/g");
    CHECK(it.world.end_operation());
    CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "MOVED_TO b/g < a/f"});
    CHECK(it.calls["await_changes"] == 1);
}

TEST_CASE("rule 1: a rename that is queued costs its records and nothing else") {
    Rules it;
    for (const char* path : {"/r/a/f", "/r/a/g", "/r/b/g"})
        it.world.create(path);
    it.world.mkdir("/r/a/d");
    it.watch();
    it.world.rename("/r/a/f", "/r/b/f");
    it.world.rename("/r/a/g", "/r/b/g");
    it.world.rename("/r/a/d", "/r/b/d");
    CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "MOVED_TO b/f < a/f", "MOVED_FROM a/g",
                                "MOVED_TO b/g < a/g", "MOVED_FROM|ISDIR a/d",
                                "MOVED_TO|ISDIR b/d < a/d"});
    CHECK(it.calls == Calls{});
}

TEST_CASE("rule 1: a rename out of the tree is known as one behind the next change") {
    Rules it;
    it.world.create("/r/a/f");
    it.watch();
    it.world.rename("/r/a/f", "/o/f");
    it.world.create("/r/a/g");
    CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "CREATE a/g"});
    CHECK(it.calls == Calls{});
}

// What is at a/d cannot be watched. So nothing says that it leaves in an exchange: it is replaced,
// and what leaves a/d next is not what has arrived there.
TEST_CASE("rule 2: a directory that does not say itself that it has moved is still at its place") {
    Rules it;
    for (const char* path : {"/r/a/d", "/r/b/of b"})
        it.world.mkdir(path);
    it.world.deny("/r/a/d");
    it.start();
    CHECK(it.yielded() == Lines{"0 a/d"});  // an error
    const int b = it.wd_of("/r/b");
    it.world.exchange("/r/b", "/r/a/d");
    CHECK(it.yielded() == Lines{"MOVED_FROM|ISDIR b", "DELETE|ISDIR a/d *",
                                "MOVED_TO|ISDIR a/d < b", "MOVED_TO|ISDIR b", "0 b"});
    CHECK(it.wd_of("/r/a/d") == b);
    it.world.create("/r/a/d/of b/f");
    CHECK(it.yielded() == Lines{"CREATE a/d/of b/f"});
}

TEST_CASE("rule 3: directories that are exchanged keep their descriptors and are not scanned") {
    Rules it;
    for (const char* path : {"/r/a/x", "/r/a/x/of x", "/r/b/y", "/r/b/y/of y"})
        it.world.mkdir(path);
    it.watch();
    const int x = it.wd_of("/r/a/x");
    const int of_x = it.wd_of("/r/a/x/of x");
    const int y = it.wd_of("/r/b/y");
    const int of_y = it.wd_of("/r/b/y/of y");
    it.world.exchange("/r/a/x", "/r/b/y");
    CHECK(it.yielded() == Lines{"MOVED_FROM|ISDIR a/x", "MOVED_FROM|ISDIR b/y",
                                "MOVED_TO|ISDIR b/y < a/x", "MOVED_TO|ISDIR a/x < b/y"});
    CHECK(it.calls == Calls{});
    CHECK(it.wd_of("/r/b/y") == x);
    CHECK(it.wd_of("/r/b/y/of x") == of_x);
    CHECK(it.wd_of("/r/a/x") == y);
    CHECK(it.wd_of("/r/a/x/of y") == of_y);
    it.world.create("/r/a/x/of y/f");
    CHECK(it.yielded() == Lines{"CREATE a/x/of y/f"});
}

TEST_CASE("rule 3: a directory and a file that are exchanged leave before they arrive") {
    Rules it(names, true);
    it.world.mkdir("/r/a/d");
    it.world.mkdir("/r/a/d/e");
    it.world.create("/r/b/f");
    it.watch();
    const int d = it.wd_of("/r/a/d");
    it.world.exchange("/r/a/d", "/r/b/f");
    CHECK(it.yielded() == Lines{"MOVED_FROM|ISDIR a/d", "MOVED_FROM b/f",
                                "MOVED_TO|ISDIR b/f < a/d", "MOVED_TO a/d < b/f"});
    CHECK(it.calls["list"] == 0);
    CHECK(it.wd_of("/r/b/f") == d);
    it.world.create("/r/b/f/e/g");
    CHECK(it.yielded() == Lines{"CREATE b/f/e/g"});
}

TEST_CASE("rule 3: an empty directory that is renamed over is reported to be gone") {
    Rules it;
    for (const char* path : {"/r/a/x", "/r/b/y"})
        it.world.mkdir(path);
    it.watch();
    const int x = it.wd_of("/r/a/x");
    it.world.rename("/r/a/x", "/r/b/y");
    CHECK(it.yielded() ==
          Lines{"MOVED_FROM|ISDIR a/x", "DELETE|ISDIR b/y *", "MOVED_TO|ISDIR b/y < a/x"});
    CHECK(it.wd_of("/r/b/y") == x);
}

TEST_CASE("rule 4: of two files that are exchanged the one that seems to leave is found") {
    Rules it(names | IN::MODIFY | IN::CLOSE_WRITE, true);
    it.world.create("/r/a/f");
    it.world.create("/r/b/g");
    it.watch();
    const Lines exchanged{"MOVED_FROM a/f", "MOVED_TO b/g < a/f", "MOVED_FROM b/g",
                          "MOVED_TO a/f < b/g"};
    it.world.exchange("/r/a/f", "/r/b/g");
    SUBCASE("by a look, when nothing more is queued") {
        Lines expected = exchanged;
        for (const char* line : {"CREATE b/g *", "MODIFY b/g *", "CLOSE_WRITE b/g *",
                                 "MODIFY a/f *", "CLOSE_WRITE a/f *"})
            expected.emplace_back(line);
        CHECK(it.yielded() == expected);
    }
    SUBCASE("by the next record about it") {
        it.world.unlink("/r/b/g");
        Lines expected = exchanged;
        for (const char* line : {"CREATE b/g *", "MODIFY a/f *", "CLOSE_WRITE a/f *", "DELETE b/g"})
            expected.emplace_back(line);
        CHECK(it.yielded() == expected);
    }
    CHECK(it.yielded().empty());
    CHECK(it.calls == Calls{});
}

TEST_CASE(
    "rule 4: of two files that are exchanged the one that has arrived is reported where it is") {
    Rules it(IN::MOVE | IN::MODIFY, true);
    it.world.create("/r/a/f");
    it.world.create("/r/b/g");
    it.watch();
    it.world.exchange("/r/a/f", "/r/b/g");
    SUBCASE("after another rename") {
        it.world.rename("/r/a/f", "/r/a/h");
        CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "MOVED_TO b/g < a/f", "MOVED_FROM b/g",
                                    "MOVED_TO a/f < b/g", "MOVED_FROM a/f", "MOVED_TO a/h < a/f",
                                    "MODIFY b/g *", "MODIFY a/h *"});
    }
    SUBCASE("not if another one was renamed over it") {
        it.world.write("/r/a/f");  // the kernel would queue one record for both arrivals
        it.world.create("/o/f");
        it.world.rename("/o/f", "/r/a/f");
        CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "MOVED_TO b/g < a/f", "MOVED_FROM b/g",
                                    "MOVED_TO a/f < b/g", "MODIFY a/f", "MOVED_TO a/f",
                                    "MODIFY b/g *"});
    }
    SUBCASE("not if it has left the tree") {
        it.world.rename("/r/a/f", "/o/f");
        CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "MOVED_TO b/g < a/f", "MOVED_FROM b/g",
                                    "MOVED_TO a/f < b/g", "MOVED_FROM a/f", "MODIFY b/g *"});
    }
}

TEST_CASE("rule 4: of a file that was renamed there and back nothing more is reported") {
    Rules it(names | IN::MODIFY | IN::CLOSE_WRITE, true);
    it.world.create("/r/a/f");
    it.watch();
    it.world.rename("/r/a/f", "/r/b/g");
    it.world.rename("/r/b/g", "/r/a/f");
    CHECK(it.yielded() ==
          Lines{"MOVED_FROM a/f", "MOVED_TO b/g < a/f", "MOVED_FROM b/g", "MOVED_TO a/f < b/g"});
    CHECK(it.calls["list"] == 0);
}

TEST_CASE("rule 4: a file from outside that seems to leave again is found") {
    Rules it(names, true);
    for (const char* path : {"/r/a/f", "/o/one"})
        it.world.create(path);
    it.watch();
    it.world.rename("/o/one", "/r/b/g");
    it.yielded();
    it.world.exchange("/r/a/f", "/r/b/g");
    it.yielded();
    it.world.exchange("/o/one", "/r/b/g");
    it.yielded();
    CHECK(it.world.exists("/r/b/g"));
    it.world.unlink("/r/b/g");
    CHECK(it.yielded() == Lines{"DELETE b/g"});
}

// The records that are queued first are MOVED_FROM f and MOVED_TO g; nothing says yet that this is
// more than a rename.
TEST_CASE("rule 5: an exchange whose halves an empty value separates is known as one") {
    Rules it(names, true);
    it.world.create("/r/a/f");
    it.world.create("/r/b/g");
    it.watch();
    it.begin_exchange("/r/a/f", "/r/b/g", 2);
    CHECK(it.yielded() == Lines{"MOVED_FROM a/f", "MOVED_TO b/g < a/f"});
    CHECK(it.calls == Calls{});  // not even a wait
    it.world.finish_operation();
    CHECK(it.yielded() == Lines{"MOVED_FROM b/g", "MOVED_TO a/f < b/g", "CREATE b/g *"});
}

TEST_CASE("rule 5: before a look the directories of the last arrivals are waited for") {
    Rules it(names, true);
    it.world.mkdir("/r/c");
    it.world.create("/r/a/f");
    it.world.create("/r/b/g");
    it.watch();
    it.begin_exchange("/r/a/f", "/r/b/g", 2);
    SUBCASE("the look is for something else")
    it.world.mkdir("/r/c/new");
    SUBCASE("the queue is never empty before")
    it.world.rename("/o", "/r/c/o");
    Lines lines = it.yielded();
    CHECK(std::ranges::count(lines, "CREATE b/g *") == 1);
    CHECK(it.calls["await_changes"] > 0);
    CHECK(it.yielded().empty());
}

TEST_CASE("rule 5: when arrivals in many directories are kept they are waited for") {
    Rules it;
    constexpr int directories = 300;
    for (int i = 0; i < directories; ++i) {
        it.world.mkdir("/r/a/" + std::to_string(i));
        it.world.create("/r/b/" + std::to_string(i));
    }
    it.watch();
    int waits = 0;
    for (int i = 0; i < directories; ++i) {
        const std::string name = std::to_string(i);
        it.world.rename("/r/b/" + name, "/r/a/" + name + "/f");
        it.yielded();
        const int waited = it.calls["await_changes"];
        CHECK((waited == 0 || waited == 257));
        waits += waited;
    }
    CHECK(waits == 257);
}

TEST_CASE(
    "rule 6: what happens in a directory before it is listed is reported by its listing alone") {
    Rules it;
    it.options.report_existing = true;
    it.start();
    it.world.create("/r/f");
    it.world.create("/r/g");
    it.world.unlink("/r/g");
    it.world.mkdir("/r/d");
    it.world.rmdir("/r/b");
    Lines lines = it.yielded();
    std::ranges::sort(lines);
    CHECK(lines == Lines{"CREATE f *", "CREATE|ISDIR a *", "CREATE|ISDIR d *"});
    CHECK(it.yielded().empty());
    CHECK(test::wrong_watches(it.world, *it.tree, "/r") == "");
}

TEST_CASE("rule 7: its own reading of a directory is not reported, and that of others is") {
    Rules it(IN::ALL_EVENTS);
    for (const char* path : {"/o/in", "/o/in/x"})
        it.world.mkdir(path);
    it.world.create("/r/f");
    it.watch();
    it.world.mkdir("/r/new");
    it.world.rename("/o/in", "/r/in");
    CHECK(it.yielded() == Lines{"CREATE|ISDIR new", "MOVED_TO|ISDIR in", "CREATE|ISDIR in/x *"});
    CHECK(it.calls["list"] > 0);
    it.world.list("/r/a");
    const Lines lines = it.yielded();
    CHECK(std::ranges::count(lines, "OPEN|ISDIR a") == 1);
    CHECK(std::ranges::count(lines, "CLOSE_NOWRITE|ISDIR a") == 1);
}

// The rename out of the tree is waited for, when what came before it is still to be handled.
TEST_CASE("rule 7: what others have read before a directory is waited for is reported") {
    Rules it(IN::ALL_EVENTS);
    it.world.mkdir("/r/c");
    it.watch();
    it.world.rename("/r/c", "/o/c");
    it.world.list("/r/a");
    const Lines lines = it.yielded();
    CHECK(it.calls["await_changes"] > 0);
    CHECK(std::ranges::count(lines, "OPEN|ISDIR a") == 1);
    CHECK(std::ranges::count(lines, "CLOSE_NOWRITE|ISDIR a") == 1);
}

TEST_CASE("rule 7: the reading of a file during a look is reported") {
    Rules it(IN::ALL_EVENTS);
    it.world.create("/r/f");
    it.watch();
    it.world.mkdir("/r/new");
    it.before_call = [&, done = false](std::string_view call) mutable {
        if (call == "list" && !std::exchange(done, true))
            it.world.read_file("/r/f");
    };
    const Lines lines = it.yielded();
    CHECK(std::ranges::count(lines, "OPEN f") == 1);
    CHECK(std::ranges::count(lines, "CLOSE_NOWRITE f") == 1);
}

TEST_CASE("records come first: nothing is looked at while there is a record to handle") {
    Rules it;
    it.watch();
    it.world.mkdir("/r/new");
    it.world.mkdir("/r/new/deep");
    it.world.rename("/r/new", "/r/b/new");
    it.world.rename("/r/b/new", "/o/new");
    CHECK(it.yielded() == Lines{"CREATE|ISDIR new", "MOVED_FROM|ISDIR new",
                                "MOVED_TO|ISDIR b/new < new", "MOVED_FROM|ISDIR b/new"});
    CHECK(it.calls["list"] == 0);
}

TEST_CASE("an exclude that throws leaves no directory open") {
    Rules it;
    it.options.exclude = [](std::string_view path) -> bool {
        if (path.ends_with("/bad"))
            throw std::runtime_error("bad");
        return false;
    };
    it.world.mkdir("/r/bad");
    CHECK_THROWS_AS(it.start(), std::runtime_error);
    CHECK(it.world.open_directories() == 0);
}
