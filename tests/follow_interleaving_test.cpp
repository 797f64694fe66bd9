// SPDX-License-Identifier: MIT
// The promise of Inotify::follow() under every interleaving of short scripts, lost records and
// every fault, on the simulated kernel: at an empty value, a name leads to what was reported.
#include "exhaustive.hpp"
#include "forwarding_kernel.hpp"
#include "schedule.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using inotify::Event;
using inotify::Mask;
using test::KernelInotify;
using test::Op;
using test::Script;
namespace IN = inotify::IN;

struct Setup {
    sim::World world;
    std::string name;
    Script script;
    bool while_following = false;  // the operations happen from the call of follow() on
    bool beside = false;           // an ordinary watch of the target and of a directory on the way
};

// Links that lead to links, up and down, and in a circle.
sim::World make_world(bool link) {
    sim::World world;
    for (const char* path : {"/a", "/a/b", "/o", "/o/b"})
        world.mkdir(path);
    for (const char* path : {"/a/b/c", "/o/b/c", "/o/f"})
        world.create(path);
    if (link)
        world.symlink("b", "/a/l");
    return world;
}

std::vector<Setup> make_setups() {
    std::vector<Setup> setups;
    setups.push_back({.world = make_world(false), .name = "/a/b/c", .script = {}});
    setups.push_back({.world = make_world(true), .name = "/a/l/c", .script = {}});
    return setups;
}

// Operations at every level of the chain, and outside.
std::vector<Op> universe(bool short_ones) {
    const std::vector<std::string> places{"/a", "/a/b", "/a/b/c", "/a/l",
                                          "/o", "/o/b", "/o/b/c", "/o/f"};
    std::vector<Op> ops;
    for (const std::string& place : places) {
        for (const char* name : {"mkdir", "create", "rmdir", "unlink"})
            ops.push_back({name, place});
        if (!short_ones)
            for (const char* name : {"deny", "allow", "chmod", "write"})
                ops.push_back({name, place});
        for (const char* target : {"/o/b", "b", "../o/b", "l"})
            if (place == "/a/l" || (!short_ones && place == "/a/b"))
                ops.push_back({"symlink", target, place});
        if (!short_ones && (place == "/a" || place == "/a/b/c"))
            ops.push_back({"symlink", place == "/a" ? "/o" : "../../o/f", place});
        for (const std::string& other : places) {
            const bool is_deep = short_ones && place.size() != other.size();
            if (place != other && !is_deep)
                ops.push_back({"rename", place, other});
            if (place < other && !is_deep)
                ops.push_back({"exchange", place, other});
        }
    }
    return ops;
}

// The shortest script that still fails, by leaving out operations one at a time.
template <typename Fails>
Script shrink(Script script, Fails fails) {
    for (std::size_t i = 0; i < script.size();) {
        Script shorter = script;
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
        if (fails(shorter)) {
            script = shorter;
            i = 0;
        } else {
            ++i;
        }
    }
    return script;
}

// What a client knows of a followed name.
class Client {
public:
    explicit Client(std::string name) : name_(std::move(name)) {}

    void begin(const inotify::Inotify& inotify) { wd_ = wd_of(inotify); }

    std::string apply(const Event& event) {
        if (event.path != name_ || !event.synthetic)
            return event.path == name_ &&
                           event.mask.intersects(IN::DELETE_SELF | IN::MOVE_SELF | IN::IGNORED)
                       ? "the inode's own end"
                       : "";
        const bool was_there = wd_ >= 0;
        const bool is_there = event.wd >= 0;
        const Mask mask = event.mask & ~IN::ISDIR;
        const Mask expected = !is_there ? IN::DELETE : was_there ? IN::MOVED_TO : IN::CREATE;
        if (mask != expected || (!was_there && !is_there) || wd_ == event.wd)
            return "not what happened to the name";
        if (!event.filename.empty())
            return "a name has no file name";
        wd_ = event.wd;
        return "";
    }

    // What is wrong; nothing if the name leads to what was reported.
    [[nodiscard]] std::string check(const sim::World& world,
                                    const inotify::Inotify& inotify) const {
        if (wd_of(inotify) != wd_)
            return "watches() does not say what was reported";
        const sim::Id target = world.leads_to(name_);
        const auto watches = world.watches();
        const auto watch = watches.find(wd_);
        const sim::Id reported = watch == watches.end() ? 0 : watch->second;
        if (target == reported && (target != 0 || wd_ < 0))
            return "";
        return "it leads to " + std::to_string(target) + ", and reported is " +
               std::to_string(reported) + " (wd " + std::to_string(wd_) + ")";
    }

private:
    [[nodiscard]] int wd_of(const inotify::Inotify& inotify) const {
        for (const inotify::Watch& watch : inotify.watches())
            if (watch.path == name_)
                return watch.wd;
        return -2;
    }

    std::string name_;
    int wd_ = -1;
};

std::set<sim::Id> watched_inodes(const sim::World& world) {
    std::set<sim::Id> result;
    for (const auto& [wd, inode] : world.watches())
        result.insert(inode);
    return result;
}

// What one watches who begins to follow the name now.
std::set<sim::Id> needed_inodes(const sim::World& world, const std::string& name) {
    sim::World copy = world;
    copy.before_call = nullptr;
    KernelInotify fresh(copy.make_kernel());
    fresh.follow(name);
    return watched_inodes(copy);
}

struct Outcome {
    std::string error;
    std::string log;
};

using Moment = std::function<std::size_t(std::string_view call, std::size_t left)>;
using Fault = std::function<int(std::string_view call)>;

Outcome run(const Setup& setup, const Moment& moment, bool log = false, const Fault& fault = {}) {
    sim::World world = setup.world;
    Outcome outcome;
    std::ostringstream text;
    const auto fail = [&](const std::string& error) {
        if (outcome.error.empty())
            outcome.error = error;
    };
    std::size_t done = 0;
    bool under_way = false;
    bool denied = false;
    const auto act = [&] {
        if (std::exchange(under_way, false)) {
            world.finish_operation();
            if (log)
                text << "    its records\n";
            return;
        }
        const Op& op = setup.script[done++];
        if (op.split && !op.lost)
            world.begin_operation(*op.split);
        const int result = op.run(world);
        under_way = world.end_operation();
        denied = denied || op.name == "deny";
        if (log)
            text << "    " << test::to_string(Script{op}) << " = " << result << '\n';
    };
    const auto left = [&]() -> std::size_t {
        if (under_way)
            return 1;
        const std::size_t ops = setup.script.size() - done;
        return ops > 0 && setup.script[done].split ? 1 : ops;
    };
    bool begun = false;
    std::size_t calls = 0;
    world.before_call = [&](std::string_view call) {
        if (++calls > 20'000)
            throw std::runtime_error("it does not end");
        // Nothing of what is there can be seen by these.
        const bool sees = call != "stat" && call != "close_directory";
        for (std::size_t most = begun && sees ? left() : 0; most > 0; most = left()) {
            const std::size_t steps = moment(call, most);
            for (std::size_t n = steps; n > 0; --n)
                act();
            if (steps < most)
                break;
        }
        const int result = fault ? fault(call) : 0;
        if (log)
            text << "  " << call << (result < 0 ? " fails" : "") << '\n';
        return result;
    };
    KernelInotify inotify(world.make_kernel());
    Client client(setup.name);
    const auto drain = [&](std::vector<Event>* events = nullptr) {
        int count = 0;
        for (auto& event : inotify.event_gen()) {
            if (!event)
                break;
            if (log)
                text << "-> " << event->wd << ": " << *event << '\n';
            if (const std::string wrong = client.apply(*event); !wrong.empty())
                fail(wrong + ": " + event->full_path().native());
            if (event->error && !fault && !denied && event->error.value() != ELOOP)
                fail("an error: " + event->error.message());
            if (events != nullptr)
                events->push_back(*event);
            if (++count > 10'000) {
                fail("it does not end");
                break;
            }
        }
        if (log)
            text << "-> (empty)\n";
        if (!denied && !fault && !under_way)
            if (const std::string wrong = client.check(world, inotify); !wrong.empty())
                fail(wrong);
    };
    const auto expect = [&](const char* what, const std::string& path, Mask mask, bool is_heard,
                            const std::function<int()>& action) {
        std::vector<Event> events;
        if (action() != 0)
            return;
        drain(&events);
        const bool heard = std::ranges::any_of(events, [&](const Event& event) {
            return event.path == setup.name && event.full_path() == path &&
                   event.mask.contains(mask) && !event.synthetic;
        });
        if (heard != is_heard)
            fail(std::string(what) + (is_heard ? " is not heard" : " is heard"));
    };
    try {
        if (setup.beside && world.leads_to(setup.name) != 0) {
            inotify.add_watch('/' + setup.name, IN::MODIFY);
            inotify.add_watch("//a", IN::CREATE);
        }
        begun = setup.while_following;
        inotify.follow(setup.name);
        client.begin(inotify);
        begun = true;
        drain();
        while (left() > 0)
            act();
        drain();
        world.before_call = nullptr;
        if (denied) {
            world.allow("/");
            for (const auto& [path, directory] : world.tree("/"))
                world.allow(path);
            drain();
        }
        for (int i = 0; (fault || denied) && i < 2; ++i) {
            world.time += std::chrono::seconds(2);  // what failed is tried again
            drain();
        }
        denied = false;
        if (const std::string wrong = client.check(world, inotify); !wrong.empty())
            fail(wrong);
        for (const inotify::Watch& watch : inotify.watches())
            if (watch.path != setup.name)
                inotify.remove_watch(watch.path);
        drain();
        if (watched_inodes(world) != needed_inodes(world, setup.name))
            fail("the watches are not those of the chain");
        const sim::Id target = world.leads_to(setup.name);
        for (const auto& [path, directory] : world.tree("/")) {
            if (directory)
                expect("an entry", setup.name + "/probe", IN::CREATE, target == world.inode(path),
                       [&] { return world.create(path + "/probe"); });
            else if (!world.is_symlink(path))
                expect("a write", setup.name, IN::MODIFY, target == world.inode(path),
                       [&] { return world.write(path); });
        }
        if (world.open_directories() != 0)
            fail("a descriptor was left open");
        if (world.replaced_masks != 0)
            fail("a mask was replaced, not added to");
        inotify.remove_watch(setup.name);
        for (auto& event : inotify.event_gen()) {
            if (!event)
                break;
            fail("an event after the end");
        }
        if (!world.watches().empty())
            fail("watches are left over");
    } catch (const std::exception& error) {
        fail(error.what());
    }
    outcome.log = text.str().substr(0, 20'000);
    return outcome;
}

Outcome run(const Setup& setup, test::Plan& plan, bool log = false) {
    plan.restart();
    return run(setup, [&](std::string_view, std::size_t most) { return plan.choose(most); }, log);
}

std::string describe(const Setup& setup, const Outcome& outcome) {
    return outcome.error + "\n  name: " + setup.name +
           "\n  script: " + test::to_string(setup.script) + '\n' + outcome.log;
}

// Every moment of every operation, until the first failure.
std::size_t run_all(const Setup& setup, std::string& failure) {
    test::Plan plan;
    std::size_t schedules = 0;
    do {
        ++schedules;
        if (!run(setup, plan).error.empty())
            failure = describe(setup, run(setup, plan, true));
    } while (failure.empty() && plan.next());
    return schedules;
}

test::Totals run_exhaustively(const Setup& setup, const std::vector<Op>& ops, std::size_t length,
                              bool lossy = false, std::optional<std::size_t> split = {}) {
    return test::run_exhaustively(setup, ops, length, run_all, lossy, split);
}

void report(const std::string& what, const test::Totals& totals) {
    test::report("follow, " + what, totals);
}

}  // namespace

TEST_CASE("a followed name leads to what was reported, whenever an operation happens") {
    for (Setup setup : make_setups())
        for (const bool beside : {false, true})
            for (const bool while_following : {false, true}) {
                setup.beside = beside;
                setup.while_following = while_following;
                const std::string where = setup.name + (beside ? ", beside a watch" : "") +
                                          (while_following ? ", during the call" : "");
                report("one operation, " + where, run_exhaustively(setup, universe(false), 1));
                if (beside || while_following)
                    continue;
                report("one lost operation, " + where,
                       run_exhaustively(setup, universe(false), 1, true));
                for (const std::size_t split : {0U, 1U, 2U, 3U})
                    report("one operation, split at " + std::to_string(split) + ", " + where,
                           run_exhaustively(setup, universe(false), 1, false, split));
            }
}

// ENOENT and ENOTDIR come by themselves, where they are true, in the interleavings.
TEST_CASE("each kernel call may fail once, in every way, and a name is followed again afterwards") {
    const auto errors = [](std::string_view call) -> std::vector<int> {
        if (call == "read" || call == "wait")
            return {EINTR};
        if (call == "add_watch")
            return {ENOSPC, EACCES, ENOMEM};
        if (call == "open_path")
            return {EMFILE, ENFILE, EACCES, ENOMEM, ELOOP};
        if (call == "stat" || call == "read_link")
            return {EACCES, ENOMEM};
        return {};
    };
    std::size_t faults = 0;
    for (Setup setup : make_setups())
        for (const bool while_following : {false, true}) {
            setup.while_following = while_following;
            test::for_each_script(setup.world, universe(true), 2, [&](const Script& script) {
                setup.script = script;
                test::FaultPlan plan(errors);
                const auto fault = [&](std::string_view call) { return plan.choose(call); };
                const auto early = [](std::string_view, std::size_t left) { return left; };
                do {
                    if (run(setup, early, false, fault).error.empty())
                        continue;
                    plan.restart();
                    FAIL_CHECK("fault at call " << plan.position() << ": "
                                                << describe(setup, run(setup, early, true, fault)));
                    return false;
                } while (plan.next());
                faults += plan.injected();
                return true;
            });
        }
    std::cout << "follow, faults: " << faults << " injected\n";
    CHECK(faults > 0);
}

TEST_CASE("a name is followed through long scripts at sampled moments") {
    const auto [first, last] = test::seeds(50'000);
    std::size_t operations = 0;
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        const auto pick = [&](const auto& choices) { return choices[random() % choices.size()]; };
        const std::vector<std::string> paths{"/a",     "/a/b",   "/a/b/c", "/a/l",   "/o",
                                             "/o/b",   "/o/b/c", "/a/c",   "/o/l",   "/o/a/b",
                                             "/a/b/l", "/x",     "/o/a",   "/a/l/c", "/a/b/b"};
        const std::vector<std::string> targets{"b", "..",   ".",  "/o", "../o/b",
                                               "l", "/a/l", "c/", "/"};
        const std::vector<std::string> names{"/a/b/c",    "/a/l/c",        "/a/b/../l/c", "/a/l/",
                                             "/a/./b//c", "/a/b/c/../../", "a/l"};
        Setup setup{.world = make_world(random() % 2 == 0),
                    .name = pick(names),
                    .script = {},
                    .while_following = random() % 3 == 0,
                    .beside = random() % 3 == 0};
        const bool lossy = seed % 4 == 0;
        const bool denies = seed % 5 == 0;
        const bool splits = seed % 2 == 0;
        sim::World world = setup.world;
        const std::size_t length = 4 + random() % 20;
        for (std::size_t tries = 0; setup.script.size() < length && tries < 1000; ++tries) {
            const std::string a = pick(paths);
            const std::string b = pick(paths);
            Op op;
            switch (random() % (denies ? 14 : 12)) {
            case 0:
            case 1: op = {"mkdir", a}; break;
            case 2:
            case 3: op = {"create", a}; break;
            case 4: op = {"unlink", a}; break;
            case 5: op = {"rmdir", a}; break;
            case 6:
            case 7: op = {"rename", a, b}; break;
            case 8: op = {"exchange", a, b}; break;
            case 9:
            case 10: op = {"symlink", pick(targets), a}; break;
            case 11: op = {"link", a, b}; break;
            case 12: op = {"deny", a}; break;
            default: op = {"allow", a}; break;
            }
            if (op.run(world) != 0)
                continue;
            op.lost = lossy && random() % 4 == 0;
            if (splits && random() % 2 == 0)
                op.split = random() % 5;
            setup.script.push_back(op);
        }
        operations += setup.script.size();
        const std::size_t rarely = 1 + random() % 8;
        const auto run_script = [&](const Script& script, bool log) {
            Setup shorter = setup;
            shorter.script = script;
            const test::Moment moment = test::sampled_moments(seed, rarely);
            return run(
                shorter, [&](std::string_view, std::size_t left) { return moment(left); }, log);
        };
        if (run_script(setup.script, false).error.empty())
            continue;
        const Script shortest = shrink(setup.script, [&](const Script& script) {
            return !run_script(script, false).error.empty();
        });
        setup.script = shortest;
        FAIL("seed " << seed << ": " << describe(setup, run_script(shortest, true)));
    }
    std::cout << "follow, sampled: seeds " << first << " to " << last << ", " << operations
              << " operations\n";
}

TEST_SUITE("exhaustive_names") {
    TEST_CASE("a followed name leads to what was reported, whenever two operations happen") {
        for (Setup setup : make_setups()) {
            report("two operations, " + setup.name, run_exhaustively(setup, universe(false), 2));
            report("two operations, one lost, " + setup.name,
                   run_exhaustively(setup, universe(true), 2, true));
            report("two operations, split at 1, " + setup.name,
                   run_exhaustively(setup, universe(true), 2, false, 1));
            setup.while_following = true;
            report("two operations during the call, " + setup.name,
                   run_exhaustively(setup, universe(true), 2));
        }
    }

    TEST_CASE("a followed name leads to what was reported, whenever three operations happen") {
        for (const Setup& setup : make_setups())
            report("three operations, " + setup.name, run_exhaustively(setup, universe(true), 3));
    }
}
