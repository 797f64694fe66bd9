// SPDX-License-Identifier: MIT
// The promises of InotifyTree under every interleaving of short scripts, every lost record and
// every fault, on the simulated kernel.
#include "any_operation.hpp"
#include "exhaustive.hpp"
#include "schedule.hpp"
#include "sim_client.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using test::Op;
using test::Outcome;
using test::report;
using test::Script;
using test::Setup;
using test::Totals;

// What there is before a script: a directory with a file, an empty one, and a small tree outside.
Setup make_setup(bool report_existing, bool track_files) {
    Setup setup;
    for (const char* path : {"/r", "/r/a", "/r/b", "/o", "/o/d", "/o/d/e"})
        setup.world.mkdir(path);
    for (const char* path : {"/r/a/f", "/o/d/f"})
        setup.world.create(path);
    setup.options.report_existing = report_existing;
    setup.options.track_files = track_files;
    return setup;
}

std::vector<Op> universe() {
    std::vector<Op> ops;
    const auto add = [&](std::string_view name, std::initializer_list<const char*> paths) {
        for (const char* path : paths)
            ops.push_back({name, path});
    };
    const auto add_pairs = [&](std::string_view name,
                               std::initializer_list<std::pair<const char*, const char*>> pairs) {
        for (const auto& [a, b] : pairs)
            ops.push_back({name, a, b});
    };
    add("mkdir", {"/r/c", "/r/a/c", "/r/b/c", "/r/c/d"});
    add("rmdir", {"/r/a", "/r/b", "/r/c", "/r/a/c"});
    add("create", {"/r/f", "/r/c/f", "/r/b/f"});
    add("unlink", {"/r/f", "/r/a/f"});
    add_pairs("rename", {{"/r/a", "/r/c"},
                         {"/r/c", "/r/a"},
                         {"/r/a", "/r/b"},
                         {"/r/b", "/r/a"},
                         {"/r/b", "/r/a/c"},
                         {"/r/a/c", "/r/b"},
                         {"/r/c", "/r/b/c"},
                         {"/r/a", "/o/a"},
                         {"/o/a", "/r/a"},
                         {"/o/d", "/r/c"},
                         {"/r/c", "/o/x"},
                         {"/r/a/f", "/r/f"},
                         {"/r/f", "/r/a/f"}});
    add_pairs("exchange", {{"/r/a", "/r/b"},
                           {"/r/a", "/r/c"},
                           {"/r/a", "/o/d"},
                           {"/r/a/f", "/r/f"},
                           {"/r/a/f", "/r/b"}});
    return ops;
}

Totals run_exhaustively(const Setup& setup, std::size_t length, bool lossy = false,
                        std::optional<std::size_t> split = {}) {
    return test::run_exhaustively(setup, universe(), length, test::run_all, lossy, split);
}

// A script that is too long, or about too special a place, to be among those that are exhausted.
void run_at_every_moment(std::initializer_list<const char*> directories,
                         std::initializer_list<const char*> files, const Script& script) {
    Setup setup;
    for (const char* path : directories)
        setup.world.mkdir(path);
    for (const char* path : files)
        setup.world.create(path);
    setup.script = script;
    for (const bool report_existing : {true, false})
        for (const bool track_files : {false, true}) {
            setup.options.report_existing = report_existing;
            setup.options.track_files = track_files;
            std::string failure;
            const std::size_t schedules = test::run_all(setup, failure);
            CHECK_MESSAGE(failure.empty(), failure);
            CHECK(schedules > script.size());
        }
}

}  // namespace

TEST_SUITE("exhaustive") {
    TEST_CASE("every interleaving of one and two operations keeps the promises") {
        for (const bool report_existing : {true, false})
            for (const bool track_files : {false, true})
                for (const std::size_t length : {1U, 2U}) {
                    const std::string name = std::to_string(length) + " operations" +
                                             (report_existing ? ", from the first call" : "") +
                                             (track_files ? ", files tracked" : "");
                    report(name,
                           run_exhaustively(make_setup(report_existing, track_files), length));
                }
    }

    // Among them directories that lie at the same paths below two that change places.
    TEST_CASE("whatever changes during a first scan, what is watched is right in the end") {
        Setup setup = make_setup(false, false);
        setup.while_scanning = true;
        for (const char* path : {"/r/a/d", "/r/a/d/e", "/r/b/d", "/r/b/d/e"})
            setup.world.mkdir(path);
        for (const std::size_t length : {1U, 2U})
            report(std::to_string(length) + " operations, while scanning",
                   run_exhaustively(setup, length));
        for (const std::size_t split : {0U, 1U, 2U, 3U, 4U, 5U})
            report(
                "1 operations, while scanning, split behind " + std::to_string(split) + " records",
                run_exhaustively(setup, 1, false, split));
    }

    // A rewind is one more moment in every listing.
    TEST_CASE("listings as of their rewind, as on btrfs, keep the promises") {
        for (const bool report_existing : {true, false})
            for (const std::size_t length : {1U, 2U}) {
                Setup setup = make_setup(report_existing, !report_existing);
                setup.world.lists_as_of_rewind = true;
                report(std::to_string(length) + " operations, listed as of the rewind" +
                           (report_existing ? ", from the first call" : ", files tracked"),
                       run_exhaustively(setup, length));
            }
        Setup setup = make_setup(false, false);
        setup.world.lists_as_of_rewind = true;
        setup.while_scanning = true;
        report("1 operations, listed as of the rewind, while scanning", run_exhaustively(setup, 1));
        for (const std::size_t split : {0U, 1U, 2U, 3U, 4U, 5U}) {
            setup = make_setup(true, true);
            setup.world.lists_as_of_rewind = true;
            report("1 operations, listed as of the rewind, split behind " + std::to_string(split) +
                       " records",
                   run_exhaustively(setup, 1, false, split));
        }
    }

    TEST_CASE("every interleaving of three operations keeps the promises") {
        report("3 operations", run_exhaustively(make_setup(false, false), 3));
    }

    TEST_CASE("whichever operation's records are lost, healing is exact") {
        for (const bool report_existing : {true, false})
            for (const std::size_t length : {1U, 2U})
                report(std::to_string(length) + " operations, one lost",
                       run_exhaustively(make_setup(report_existing, true), length, true));
    }
}

// The half that takes longest: a suite of its own, to run beside the other.
TEST_SUITE("exhaustive_split") {
    // An operation is split behind each of its records: a change that is on the disk, half a
    // rename, half an exchange.
    TEST_CASE("what is seen before its records are queued is neither lost nor told twice") {
        for (const bool track_files : {false, true})
            for (const std::size_t split : {0U, 1U, 2U, 3U, 4U, 5U}) {
                Setup setup = make_setup(true, track_files);
                const std::string name = " operations, split behind " + std::to_string(split) +
                                         " records" + (track_files ? ", files tracked" : "");
                report("1" + name + ", from the first call",
                       run_exhaustively(setup, 1, false, split));
                setup.options.report_existing = false;
                report("1" + name, run_exhaustively(setup, 1, false, split));
                if (!track_files && split < 4)  // of more there are samples below
                    report("2" + name, run_exhaustively(setup, 2, false, split));
            }
    }
}

// Whether the file /r/a/c/a is still there cannot be asked when its directory has moved; what is
// renamed over it in the end, and that it leaves then, tells.
TEST_CASE("a file of which it is not known whether it exists is told when it is known") {
    run_at_every_moment({"/r", "/r/a", "/r/a/b", "/r/a/c", "/r/c"}, {"/r/a/c/a", "/r/b", "/r/c/a"},
                        {{"exchange", "/r/c/a", "/r/a/c/a"},
                         {"exchange", "/r/a", "/r/b"},
                         {"exchange", "/r/b/b", "/r/b/c/a"}});
}

// The kernel queues one IN_MOVED_TO for both operations.
TEST_CASE("an arrival that is merged with an exchange's does not hide what stays") {
    SUBCASE("a file, renamed inside")
    run_at_every_moment({"/r", "/o"}, {"/r/c", "/r/d", "/o/x"},
                        {{"rename", "/r/c", "/r/d"}, {"exchange", "/o/x", "/r/d"}});
    SUBCASE("a file from outside")
    run_at_every_moment({"/r", "/o"}, {"/o/w", "/o/x"},
                        {{"rename", "/o/w", "/r/d"}, {"exchange", "/o/x", "/r/d"}});
    SUBCASE("a directory from outside")
    run_at_every_moment({"/r", "/o", "/o/w", "/o/w/a", "/o/x", "/o/x/b"}, {},
                        {{"rename", "/o/w", "/r/d"}, {"exchange", "/o/x", "/r/d"}});
    SUBCASE("the second half of an exchange")
    run_at_every_moment({"/r", "/o"}, {"/r/c", "/r/d", "/o/x"},
                        {{"exchange", "/r/d", "/r/c"}, {"exchange", "/o/x", "/r/d"}});
    SUBCASE("a file that leaves after it")
    run_at_every_moment(
        {"/r", "/o"}, {"/r/c", "/r/d", "/o/x"},
        {{"rename", "/r/c", "/r/d"}, {"exchange", "/o/x", "/r/d"}, {"rename", "/r/d", "/o/y"}});
}

TEST_CASE("a directory may be watched between the halves of an exchange") {
    for (const auto& [one, other] :
         std::initializer_list<std::pair<const char*, const char*>>{{"/r/b", "/r/a/f"},
                                                                    {"/r/a/f", "/r/b"},
                                                                    {"/r/b", "/r/a/d"},
                                                                    {"/r/f", "/r/a/f"},
                                                                    {"/r/a/d", "/r/a/f"},
                                                                    {"/r/a/f", "/r/a/d"},
                                                                    {"/r/a/f", "/r/a/g"},
                                                                    {"/o/d", "/r/a/d"},
                                                                    {"/r/a/d", "/o/d"},
                                                                    {"/o/d/f", "/r/a/d"},
                                                                    {"/r/a/f", "/o/d"}})
        for (const std::size_t split : {0U, 1U, 2U, 3U, 4U, 5U})
            run_at_every_moment({"/r", "/r/a", "/r/a/d", "/r/b", "/o", "/o/d"},
                                {"/r/f", "/r/a/f", "/r/a/g", "/o/d/f"},
                                {{"exchange", one, other, false, split}});
}

// Among them that what a link leads to is renamed between its opening and its watch.
TEST_CASE("a followed link that comes to lead elsewhere is reported with what is there") {
    const auto run = [](const Script& script) {
        Setup setup;
        for (const char* path : {"/r", "/r/d", "/r/d/e", "/o", "/o/x", "/o/x/a", "/o/y", "/o/y/b"})
            setup.world.mkdir(path);
        for (const char* path : {"/r/d/e/f", "/o/x/f", "/o/y/g"})
            setup.world.create(path);
        setup.world.symlink("/o/x", "/r/a");
        setup.world.symlink("/o/x", "/r/d/l");
        setup.world.symlink("d/e", "/r/c");
        setup.world.symlink("a", "/r/k");
        setup.options.follow_symlinks = true;
        setup.script = script;
        for (const bool report_existing : {true, false})
            for (const bool track_files : {false, true}) {
                if (report_existing && script.size() > 1)
                    continue;  // too many moments
                setup.options.report_existing = report_existing;
                setup.options.track_files = track_files;
                std::string failure;
                const std::size_t schedules = test::run_all(setup, failure);
                CHECK_MESSAGE(failure.empty(), failure);
                CHECK(schedules > script.size());
            }
    };
    SUBCASE("its target outside changes places with another")
    run({{"exchange", "/o/x", "/o/y"}});
    SUBCASE("another takes its target's place")
    run({{"rename", "/o/x", "/o/z"}, {"rename", "/o/y", "/o/x"}});
    SUBCASE("its target comes into the tree")
    run({{"rename", "/o/x", "/r/x"}});
    SUBCASE("its target in the tree is renamed")
    run({{"rename", "/r/d/e", "/r/d/g"}});
    SUBCASE("its target in the tree lies below what is renamed")
    run({{"rename", "/r/d", "/r/g"}});
    SUBCASE("its target leaves the tree with what it lies in")
    run({{"rename", "/r/d", "/o/d"}});
    SUBCASE("another link that it leads through is replaced")
    run({{"symlink", "/o/y", "/r/n"}, {"rename", "/r/n", "/r/a"}});
    SUBCASE("it changes places with a directory")
    run({{"exchange", "/r/a", "/r/d"}});
}

TEST_CASE("long scripts keep the promises at sampled moments") {
    const auto [first, last] = test::seeds(100'000);
    const std::vector<Op> ops = universe();
    std::size_t operations = 0;
    std::size_t followed = 0;
    std::size_t checked = 0;  // what all links lead to
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        const bool lossy = seed % 4 == 0;
        // Where records are lost, too, the events of a link that changed places with a directory
        // are not always in order yet.
        const bool follows = seed % 11 < 2;
        const bool any = follows || seed % 3 != 0;  // or else of the few that are run exhaustively
        Setup setup = make_setup(seed % 2 == 0, lossy || random() % 3 == 0);
        setup.while_scanning = seed % 10 == 1;
        setup.options.follow_symlinks = follows;
        if (seed % 13 == 0 && !setup.while_scanning)
            setup.options.max_depth = 1;
        if (seed % 17 == 0 && !setup.while_scanning)
            setup.options.exclude = test::excluding(setup.exclude = "*d");
        setup.world.unknown_types = seed % 5 == 0;
        setup.world.counts_subdirectories = seed % 7 != 0;
        setup.world.lists_as_of_rewind = seed % 8 < 3;
        if (seed % 9 < 3)
            setup.world.listed_at_once = 1 + seed % 3;
        const std::size_t names = 2 + random() % 3;
        const auto next_operation = [&] {
            return follows ? test::any_operation_with_links(random, names)
                           : test::any_operation(random, names);
        };
        for (int i = 0; any && i < 60; ++i)
            if (const Op op = next_operation(); !test::puts_link_outside(setup.world, op))
                op.run(setup.world);
        const bool splits = random() % 2 == 0;
        const std::size_t length = 8 + random() % 16;
        sim::World world = setup.world;
        for (std::size_t tries = 0; setup.script.size() < length && tries < 1000; ++tries) {
            Op op = any ? next_operation() : ops[random() % ops.size()];
            if (test::puts_link_outside(world, op) || op.run(world) != 0)
                continue;
            op.lost = lossy && random() % 4 == 0;
            if (splits && random() % 4 != 0)
                op.split = random() % 6;
            setup.script.push_back(op);
        }
        const std::size_t rarely = 2 + random() % 6;  // once in so many calls, on average
        operations += setup.script.size();
        const Outcome outcome = test::run(setup, test::sampled_moments(seed, rarely));
        followed += follows ? 1 : 0;
        checked += follows && !outcome.silent_links ? 1 : 0;
        if (outcome.error.empty())
            continue;
        FAIL("seed " << seed << ": "
                     << test::describe_failure(setup, test::sampled_moments(seed, rarely)));
    }
    std::cout << "sampled: seeds " << first << " to " << last << ", " << operations
              << " operations; " << followed << " scripts with links, all of them checked in "
              << checked << '\n';
}

// The client knows both roots by the same paths. The inner root stays where it is.
TEST_CASE("an outer root is removed at any moment, and the inner one goes on") {
    const auto [first, last] = test::seeds(20'000);
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        const std::size_t names = 2 + random() % 3;
        sim::World world;
        for (const char* path : {"/r", "/o", "/r/a", "/r/a/a"})
            world.mkdir(path);
        const auto operate = [&](std::size_t most, Script& script) {
            for (std::size_t left = random() % most; left > 0; --left) {
                const Op op = test::any_operation(random, names);
                if (op.a != "/r/a" && op.b != "/r/a" && op.run(world) == 0)
                    script.push_back(op);
            }
        };
        Script script;
        operate(60, script);
        script.clear();
        inotify::TreeOptions options;
        options.track_files = seed % 3 == 0;
        options.report_existing = seed % 4 == 0;
        test::KernelTree tree(world.make_kernel(), options);
        tree.add_tree("/r");
        test::Picture picture(
            "/r", options.report_existing ? test::Picture::Entries{} : world.tree("/r"));
        std::ostringstream wrong;
        const auto read = [&](std::size_t most) {
            for (auto& event : tree.event_gen()) {
                if (!event)
                    return;
                if (const std::string error = picture.apply(*event); !error.empty())
                    wrong << error << ": " << *event << "; ";
                if (--most == 0)
                    return;
            }
        };
        read(1'000'000);
        tree.add_tree("/r/a");
        for (std::size_t rounds = random() % 3; rounds > 0; --rounds) {
            operate(12, script);
            read(1 + random() % 20);
        }
        script.push_back({"remove_tree", "/r"});
        tree.remove_tree("/r");
        picture.narrow("/r/a");
        operate(12, script);
        read(1'000'000);
        if (picture.entries() != world.tree("/r/a"))
            wrong << "the picture is not the disk; ";
        wrong << test::wrong_watches(world, tree, "/r/a");
        REQUIRE_MESSAGE(wrong.str().empty(),
                        "seed " << seed << ": " << wrong.str() << test::to_string(script));
    }
}

// ENOENT and ENOTDIR come by themselves, where they are true, in the interleavings.
TEST_CASE("each kernel call may fail once, in every way, and the promises hold again afterwards") {
    const auto errors = [](std::string_view call) -> std::vector<int> {
        if (call == "read" || call == "wait")
            return {EINTR};
        if (call == "add_watch")
            return {ENOSPC, EACCES, ENOMEM};
        if (call == "open_directory")
            return {EMFILE, ENFILE, EACCES, ENOMEM};
        if (call == "list")
            return {EIO, ENOMEM};
        if (call == "stat")
            return {ENOMEM};
        if (call == "resolve")
            return {EACCES};
        return {};
    };
    const std::vector<Op> ops = universe();
    std::size_t faults = 0;
    for (const bool report_existing : {true, false})
        for (const bool track_files : {false, true})
            for (const std::size_t length : {1U, 2U}) {
                Setup setup = make_setup(report_existing, track_files);
                test::for_each_script(setup.world, ops, length, [&](const Script& script) {
                    setup.script = script;
                    setup.world.unknown_types = faults % 2 == 0;
                    setup.world.lists_as_of_rewind = faults % 3 == 0;
                    test::FaultPlan plan(errors);
                    const auto fault = [&](std::string_view call) { return plan.choose(call); };
                    const auto never = [](std::size_t) { return std::size_t{0}; };
                    do {
                        const Outcome outcome = test::run(setup, never, fault);
                        if (outcome.error.empty())
                            continue;
                        plan.restart();
                        test::Transcript transcript;
                        test::run(setup, never, fault, &transcript);
                        FAIL_CHECK(outcome.error << "\n  script: " << test::to_string(script)
                                                 << ", fault at call " << plan.position() << '\n'
                                                 << transcript.text);
                        return false;
                    } while (plan.next());
                    faults += plan.injected();
                    return true;
                });
            }
    std::cout << "faults: " << faults << " injected\n";
    CHECK(faults > 0);
}
