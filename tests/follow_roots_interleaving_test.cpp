// SPDX-License-Identifier: MIT
// The promises of InotifyTree with follow_roots under every interleaving of short scripts along the
// way to a root, lost records and every fault, on the simulated kernel.
#include "exhaustive.hpp"
#include "picture.hpp"
#include "schedule.hpp"
#include "sim_tree.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using test::Op;
using test::Outcome;
using test::Script;
using test::Setup;

// The root is a directory, lies behind a link, or is one.
const std::vector<std::string> followed_roots{"/r/a/b", "/r/l/b", "/r/k"};

sim::World make_world() {
    sim::World world;
    for (const char* path : {"/r", "/r/a", "/r/a/b", "/r/a/b/d", "/o", "/o/b", "/o/b/e"})
        world.mkdir(path);
    for (const char* path : {"/r/a/b/d/f", "/o/b/e/f", "/o/f"})
        world.create(path);
    world.symlink("a", "/r/l");
    world.symlink("l/b", "/r/k");
    return world;
}

Setup make_setup(const std::string& root) {
    Setup setup;
    setup.world = make_world();
    setup.root = root;
    setup.options.follow_roots = true;
    setup.options.track_files = true;
    return setup;
}

// Operations at every level of the way to a root, in the root and outside.
std::vector<Op> universe(bool short_ones) {
    std::vector<Op> ops;
    const std::vector<std::string> places{"/r/a",     "/r/a/b", "/r/l", "/r/k",
                                          "/r/a/b/d", "/o/b",   "/o/x"};
    for (const std::string& place : places) {
        for (const char* name : {"mkdir", "unlink", "rmdir"})
            ops.push_back({name, place});
        if (!short_ones)
            ops.push_back({"create", place});
        for (const std::string& other : places) {
            if (place != other)
                ops.push_back({"rename", place, other});
            if (place < other)
                ops.push_back({"exchange", place, other});
        }
    }
    for (const char* target : {"a", "/o", "/o/b", "a/b"})
        for (const char* link : {"/r/l", "/r/k", "/o/x"})
            ops.push_back({"symlink", target, link});
    for (const char* file : {"/r/a/b/f", "/r/a/b/d/f", "/o/b/f"})
        for (const char* name : {"create", "unlink"})
            ops.push_back({name, file});
    return ops;
}

void run_exhaustively(const std::string& what, const Setup& setup, std::size_t length,
                      bool lossy = false, std::optional<std::size_t> split = {}) {
    test::report(
        "follow_roots, " + what + ", " + setup.root,
        test::run_exhaustively(setup, universe(length > 1), length, test::run_all, lossy, split));
}

}  // namespace

TEST_CASE("a followed root is what was reported, whenever an operation happens") {
    for (const std::string& root : followed_roots) {
        Setup setup = make_setup(root);
        run_exhaustively("one operation", setup, 1);
        run_exhaustively("one lost operation", setup, 1, true);
        for (const std::size_t split : {0U, 1U, 2U, 3U})
            run_exhaustively("one operation, split at " + std::to_string(split), setup, 1, false,
                             split);
        setup.options.report_existing = true;
        run_exhaustively("one operation, from the first call", setup, 1);
        setup.options.report_existing = false;
        setup.options.track_files = false;
        setup.while_scanning = true;
        run_exhaustively("one operation, while scanning", setup, 1);
    }
}

// ENOENT and ENOTDIR come by themselves, where they are true, in the interleavings.
TEST_CASE("each kernel call may fail once, and a root is followed again afterwards") {
    const auto errors = [](std::string_view call) -> std::vector<int> {
        if (call == "read" || call == "wait")
            return {EINTR};
        if (call == "add_watch")
            return {ENOSPC, EACCES, ENOMEM};
        if (call == "open_path" || call == "open_directory")
            return {EMFILE, EACCES, ENOMEM};
        if (call == "list")
            return {EIO, ENOMEM};
        if (call == "stat" || call == "read_link")
            return {ENOMEM};
        return {};
    };
    std::size_t faults = 0;
    for (const std::string& root : followed_roots)
        for (const bool report_existing : {true, false}) {
            Setup setup = make_setup(root);
            setup.options.report_existing = report_existing;
            test::for_each_script(setup.world, universe(true), 1, [&](const Script& script) {
                setup.script = script;
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
                    FAIL_CHECK(outcome.error << "\n  root: " << root
                                             << ", script: " << test::to_string(script)
                                             << ", fault at call " << plan.position() << '\n'
                                             << transcript.text);
                    return false;
                } while (plan.next());
                faults += plan.injected();
                return true;
            });
        }
    std::cout << "follow_roots, faults: " << faults << " injected\n";
    CHECK(faults > 0);
}

namespace {

template <typename Choices>
const auto& pick(std::mt19937_64& random, const Choices& choices) {
    return choices[random() % choices.size()];
}

// An operation on one of a few places, on the way to roots, in them and outside.
Op any_operation(std::mt19937_64& random) {
    static const std::vector<std::string> paths{
        "/r/a",   "/r/a/b", "/r/a/b/d", "/r/a/b/f", "/r/a/b/d/e", "/r/l",   "/r/k",     "/r/l/b",
        "/r/k/d", "/r/c",   "/r/c/b",   "/o/a",     "/o/b",       "/o/b/e", "/o/b/e/f", "/o/l"};
    static const std::vector<std::string> targets{"a",  "b", "l/b",    "/o", "/o/b",
                                                  "..", ".", "/r/a/b", "k"};
    const std::string& a = pick(random, paths);
    switch (random() % 12) {
    case 0:
    case 1:
    case 2: return {"mkdir", a};
    case 3: return {"rmdir", a};
    case 4: return {"create", a};
    case 5: return {"unlink", a};
    case 6:
    case 7: return {"rename", a, pick(random, paths)};
    case 8: return {"exchange", a, pick(random, paths)};
    case 9: return {"symlink", pick(random, targets), "/o/n"};
    case 10: return {"rename", "/o/n", random() % 2 == 0 ? "/r/l" : "/r/k"};
    default: return {"symlink", pick(random, targets), a};
    }
}

}  // namespace

TEST_CASE("a root is followed through long scripts at sampled moments") {
    const auto [first, last] = test::seeds(50'000);
    std::size_t operations = 0;
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        static const std::vector<std::string> names{"/r/a/b", "/r/l/b",      "/r/k",
                                                    "/r/a",   "/r/l/../a/b", "/r/k/d"};
        Setup setup = make_setup(pick(random, names));
        setup.while_scanning = seed % 7 == 0;
        setup.options.report_existing = !setup.while_scanning && seed % 3 == 0;
        const bool lossy = seed % 4 == 0;
        setup.options.track_files = lossy || seed % 5 != 0;
        setup.world.lists_as_of_rewind = seed % 8 < 3;
        for (int i = 0; i < 20; ++i)
            any_operation(random).run(setup.world);
        const bool splits = random() % 2 == 0;
        const std::size_t length = 4 + random() % 16;
        sim::World world = setup.world;
        for (std::size_t tries = 0; setup.script.size() < length && tries < 1000; ++tries) {
            Op op = any_operation(random);
            if (op.run(world) != 0)
                continue;
            op.lost = lossy && random() % 4 == 0;
            if (splits && random() % 2 == 0)
                op.split = random() % 6;
            setup.script.push_back(op);
        }
        operations += setup.script.size();
        const std::size_t rarely = 1 + random() % 8;
        if (test::run(setup, test::sampled_moments(seed, rarely)).error.empty())
            continue;
        FAIL("seed " << seed << ": root " << setup.root << ": "
                     << test::describe_failure(setup, test::sampled_moments(seed, rarely)));
    }
    std::cout << "follow_roots, sampled: seeds " << first << " to " << last << ", " << operations
              << " operations\n";
}

namespace {

// What is known of several followed roots, none of which lies below another by its path. What two
// of them hold is reported in one of them, which is the tree's choice.
class Roots {
public:
    Roots(sim::World& world, const inotify::TreeOptions& options)
        : world_(world), options_(options), tree_(world.make_kernel(), options) {}

    test::KernelTree& tree() { return tree_; }

    void add(const std::string& root) {
        tree_.add_tree(root);
        test::Picture& picture = pictures_.emplace(root, test::Picture(root)).first->second;
        picture.set_has_root(watched().contains(root));
    }

    // What another root goes on with is known: it was reported in this one.
    void remove(const std::string& root) {
        const sim::World before = world_;
        tree_.remove_tree(root);
        pictures_.erase(root);
        const auto by_path = watched();
        for (auto& [other, picture] : pictures_)
            if (!picture.has_root() && by_path.contains(other))
                picture = test::Picture(other, entries(other, before));
    }

    [[nodiscard]] std::vector<std::string> roots() const {
        std::vector<std::string> result;
        for (const auto& [root, picture] : pictures_)
            result.push_back(root);
        return result;
    }

    // Reads up to the empty value; returns what is wrong then.
    std::string read() {
        std::ostringstream wrong;
        for (auto& event : tree_.event_gen()) {
            if (!event)
                break;
            if (const std::string error = apply(*event); !error.empty())
                wrong << error << ": " << *event << "; ";
        }
        wrong << this->wrong();
        return wrong.str();
    }

private:
    [[nodiscard]] std::map<std::string, int> watched() const {
        std::map<std::string, int> result;
        for (const auto& watch : tree_.watches())
            result.emplace(watch.path, watch.wd);
        return result;
    }

    std::string apply(const inotify::Event& event) {
        if (event.mask.contains(inotify::IN::Q_OVERFLOW))
            return "";
        test::Picture* const picture = find(event.path);
        if (picture == nullptr)
            return "an event of no root";
        if (test::Picture* const other = find(event.moved_from); other && other != picture)
            picture->adopt(*other, event.cookie);
        return picture->apply(event);
    }

    test::Picture* find(const std::string& path) {
        for (auto& [root, picture] : pictures_)
            if (path == root || path.starts_with(root + '/'))
                return &picture;
        return nullptr;
    }

    // What the world has in the directories that are watched under a root.
    [[nodiscard]] test::Picture::Entries entries(const std::string& root,
                                                 const sim::World& world) const {
        test::Picture::Entries result;
        for (const auto& [path, wd] : watched())
            if (path == root || path.starts_with(root + '/'))
                for (const auto& [name, directory] : world.entries(world.directory(path)))
                    result.emplace(path + '/' + name, directory);
        return result;
    }

    [[nodiscard]] std::string wrong() const {
        const auto watches = world_.watches();
        const auto by_path = watched();
        for (const auto& [root, picture] : pictures_) {
            if (picture.has_root() != by_path.contains(root))
                return "it is not known whether there is " + root;
            if (picture.entries() != entries(root, world_))
                return "the picture is not the disk: " + root;
        }
        for (const auto& [path, wd] : by_path)
            if (!watches.contains(wd) || watches.at(wd) != world_.directory(path))
                return "watched as another directory: " + path;
        return test::watched_inodes(world_) == test::needed_inodes(world_, roots(), options_)
                   ? ""
                   : "the watches are not those of the roots and of the way to them";
    }

    sim::World& world_;
    inotify::TreeOptions options_;
    test::KernelTree tree_;
    std::map<std::string, test::Picture> pictures_;
};

}  // namespace

TEST_CASE("several followed roots that share their way, and what they lead to") {
    const auto [first, last] = test::seeds(20'000);
    static const std::vector<std::string> names{"/r/k", "/r/a", "/r/l", "/o/b", "/o/l", "/r/c/b"};
    std::size_t operations = 0;
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        sim::World world = make_world();
        for (int i = 0; i < 10; ++i)
            any_operation(random).run(world);
        inotify::TreeOptions options;
        options.follow_roots = true;
        options.track_files = true;
        options.report_existing = true;
        Script script;
        const std::size_t rarely = 1 + random() % 20;
        world.before_call = [&](std::string_view) {
            if (script.size() < 40 && random() % rarely == 0)
                if (const Op op = any_operation(random); op.run(world) == 0)
                    script.push_back(op);
            return 0;
        };
        Roots roots(world, options);
        const auto toggle = [&](const std::string& name) {
            const auto known = roots.roots();
            const bool adds = std::ranges::find(known, name) == known.end();
            script.push_back({adds ? "add_tree" : "remove_tree", name});
            if (adds)
                roots.add(name);
            else
                roots.remove(name);
        };
        for (const std::string& name : names)
            if (random() % 2 == 0)
                toggle(name);
        std::string wrong = roots.read();
        for (std::size_t rounds = random() % 6; rounds > 0 && wrong.empty(); --rounds) {
            if (random() % 4 == 0)
                toggle(pick(random, names));
            wrong = roots.read();
        }
        operations += script.size();
        world.before_call = nullptr;
        REQUIRE_MESSAGE(wrong.empty(),
                        "seed " << seed << ": " << wrong << "\n  " << test::to_string(script));
    }
    std::cout << "follow_roots, several: seeds " << first << " to " << last << ", " << operations
              << " operations\n";
}

TEST_SUITE("exhaustive_names") {
    TEST_CASE("a followed root is what was reported, whenever two operations happen") {
        for (const std::string& root : followed_roots) {
            run_exhaustively("two operations", make_setup(root), 2);
            run_exhaustively("two operations, one lost", make_setup(root), 2, true);
        }
    }
}
