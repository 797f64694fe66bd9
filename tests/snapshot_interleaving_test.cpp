// SPDX-License-Identifier: MIT
// A client that is killed at any kernel call, and goes on from its last snapshot, on the simulated
// kernel: in the end it has the names and the contents that there are.
#include "any_operation.hpp"
#include "exhaustive.hpp"
#include "forwarding_kernel.hpp"
#include "operation.hpp"
#include "picture.hpp"
#include "schedule.hpp"
#include "sim_kernel.hpp"
#include "sim_tree.hpp"
#include "support.hpp"

#include <inotify/inotify_tree.hpp>
#include <inotify/snapshot.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using test::Op;
using test::Script;
using test::Totals;

const std::string root = "/r";
const Op kill_op{"kill", {}};

/// A client that mirrors the files, too. What an event was about it reads at the empty value, when
/// each path leads to what it takes it for; until then its contents are none.
class Mirror {
public:
    using Contents = std::optional<std::pair<sim::Id, std::size_t>>;

    /// It looks for itself.
    void look(const sim::World& world) {
        picture_ = test::Picture(root, world.tree(root));
        picture_.set_has_root(world.is_dir(root));
        files_.clear();
        forget_all();
        read(world);
    }

    /// The watch descriptors that it knows are not those of another tree.
    void go_on() {
        const bool has_root = picture_.has_root();
        picture_ = test::Picture(root, picture_.entries());
        picture_.set_has_root(has_root);
    }

    void read(const sim::World& world) {
        for (auto& [path, contents] : files_)
            if (!contents)
                contents = world.contents(path);
    }

    std::string apply(const inotify::Event& event) {
        namespace IN = inotify::IN;
        const std::string wrong = picture_.apply(event);
        const std::string path = event.full_path().native();
        if (event.mask.intersects(IN::Q_OVERFLOW)) {
            forget_all();
        } else if (event.filename.empty()) {
            if (picture_.entries().empty())
                files_.clear();
        } else if (event.mask.intersects(IN::DELETE | IN::MOVED_FROM)) {
            take(path, event.cookie);
        } else if (event.mask.intersects(IN::MOVED_TO) && !event.moved_from.empty()) {
            for (const auto& [name, contents] : moved_[event.cookie])
                files_[path + name] = contents;
        } else if (!event.is_dir() && event.mask.intersects(IN::CREATE | IN::MOVED_TO | IN::MODIFY |
                                                            IN::ATTRIB | IN::CLOSE_WRITE)) {
            files_[path] = std::nullopt;
        }
        return wrong;
    }

    [[nodiscard]] std::string wrong(const sim::World& world) const {
        if (picture_.has_root() != world.is_dir(root))
            return picture_.has_root() ? "has the root" : "lacks the root";
        const auto disk = world.tree(root);
        for (const auto& [path, directory] : disk) {
            const auto entry = picture_.entries().find(path);
            if (entry == picture_.entries().end() || entry->second != directory)
                return "lacks " + path;
            const auto file = files_.find(path);
            if (!directory && (file == files_.end() || file->second != world.contents(path)))
                return "has other contents of " + path;
        }
        for (const auto& [path, directory] : picture_.entries())
            if (!disk.contains(path))
                return "has " + path;
        return "";
    }

private:
    void forget_all() {
        for (const auto& [path, directory] : picture_.entries())
            if (!directory)
                files_[path] = std::nullopt;
    }

    void take(const std::string& path, std::uint32_t cookie) {
        auto& taken = moved_[cookie];
        taken.clear();
        std::erase_if(files_, [&](const auto& file) {
            const bool lies_there = file.first == path || file.first.starts_with(path + '/');
            if (lies_there)
                taken.emplace(file.first.substr(path.size()), file.second);
            return lies_there;
        });
    }

    test::Picture picture_{root};
    std::map<std::string, Contents> files_;
    std::map<std::uint32_t, std::map<std::string, Contents>> moved_;
};

struct Killed {};

/// One run: what happens at which kernel call is up to `moment`. The script holds the kill.
class Run {
public:
    Run(const sim::World& world, const Script& script, bool ages, const test::Moment& moment,
        const test::Moment& snapshot_early)
        : world_(world),
          script_(script),
          ages_(ages),
          moment_(moment),
          snapshot_early_(snapshot_early) {}

    /// The root is a name, and may go and come again.
    void follow_root() { follows_root_ = true; }

    std::string run() {
        world_.merges_moves = false;
        mirror_.look(world_);
        world_.before_call = [this](std::string_view call) { return before_call(call); };
        make_tree({});
        save();
        try {
            acts_ = true;
            save();
            go_on();
        } catch (const Killed&) {
        }
        was_killed_ = std::exchange(is_killed_, false);
        tree_.reset();
        log("restart");
        mirror_ = saved_mirror_;
        mirror_.go_on();
        saves_ = false;
        if (error_.empty()) {
            make_tree(snapshot_);
            go_on();
            if (!tree_->coverage().unwatched.empty()) {  // what failed is tried again
                world_.time += std::chrono::seconds(2);
                go_on();
            }
        }
        world_.before_call = nullptr;
        fail_if(mirror_.wrong(world_));
        if (error_.empty() && !follows_root_)
            fail_if(test::wrong_watches(world_, *tree_, root));
        if (world_.open_directories() != 0)
            fail_if("a directory was left open");
        return error_;
    }

    [[nodiscard]] const std::string& text() const { return text_; }
    /// It is killed before that kernel call, too.
    void kill_at(std::size_t call) { kill_at_ = call; }
    /// Whether it came to that.
    [[nodiscard]] bool was_killed() const { return was_killed_; }

private:
    void fail_if(const std::string& wrong) {
        if (error_.empty())
            error_ = wrong;
    }

    template <typename... Parts>
    void log(const Parts&... parts) {
        std::ostringstream line;
        (line << ... << parts);
        text_ += line.str() + '\n';
    }

    void make_tree(std::optional<inotify::Snapshot> since) {
        inotify::TreeOptions options;
        options.track_files = true;
        options.since = std::move(since);
        options.follow_roots = follows_root_;
        tree_.emplace(world_.make_kernel(), options);
        tree_->add_tree(root);
    }

    void save() {
        if (ages_)
            world_.file_time += 10'000'000'000;
        log("snapshot");
        snapshot_ = tree_->snapshot();
        saved_mirror_ = mirror_;
        log("saved");
    }

    void go_on() {
        for (;;) {
            std::size_t events = 0;
            for (auto& event : tree_->event_gen()) {
                if (!event)
                    break;
                log("-> ", *event);
                if (const std::string wrong = mirror_.apply(*event); !wrong.empty()) {
                    std::ostringstream text;
                    text << wrong << ": " << *event;
                    fail_if(text.str());
                }
                if (saves_ && snapshot_early_(1) != 0)
                    save();
                if (++events > 1000) {
                    fail_if("its events do not end");
                    return;
                }
            }
            log("-> (empty)");
            if (!is_split_)  // else a path may lead to what it is to be the name of
                mirror_.read(world_);
            if (saves_)
                save();
            if (left() == 0)
                return;
            if (act())
                throw Killed{};
        }
    }

    [[nodiscard]] std::size_t left() const { return script_.size() - done_ + (is_split_ ? 1 : 0); }

    // True when it was the kill.
    bool act() {
        if (std::exchange(is_split_, false)) {
            world_.finish_operation();
            log("    its records");
            return false;
        }
        const Op& op = script_[done_++];
        if (op.name == kill_op.name) {
            log("    kill");
            return is_killed_ = true;
        }
        if (ages_)
            world_.file_time += 10'000'000'000;
        if (op.split)
            world_.begin_operation(*op.split);
        const int result = op.run(world_);
        is_split_ = world_.end_operation();
        log("    ", op.text(), " = ", result);
        return false;
    }

    int before_call(std::string_view call) {
        if (is_killed_ || !acts_)
            return 0;
        if (++calls_ > 20'000) {
            fail_if("it does not end");
            return -EIO;
        }
        if (const std::string wrong = tree_->check(); !wrong.empty())
            fail_if("an invariant is broken: " + wrong);
        log("  ", call);
        if (call == "close_directory")
            return 0;  // it cannot throw
        if (saves_ && calls_ >= kill_at_) {
            log("    kill");
            is_killed_ = true;
            throw Killed{};
        }
        for (std::size_t steps = moment_(left()); steps > 0 && left() > 0; --steps)
            if (act())
                throw Killed{};
        return 0;
    }

    sim::World world_;
    const Script& script_;
    const bool ages_;
    const test::Moment& moment_;
    const test::Moment& snapshot_early_;
    std::optional<test::KernelTree> tree_;
    Mirror mirror_;
    Mirror saved_mirror_;
    std::optional<inotify::Snapshot> snapshot_;
    std::size_t done_ = 0;
    std::size_t calls_ = 0;
    std::size_t kill_at_ = SIZE_MAX;
    bool was_killed_ = false;
    bool acts_ = false;
    bool follows_root_ = false;
    bool saves_ = true;
    bool is_killed_ = false;
    bool is_split_ = false;  // records of the last operation are to be queued
    std::string error_;
    std::string text_;
};

sim::World start() {
    sim::World world;
    for (const char* path : {"/r", "/r/a", "/r/b", "/o", "/o/d"})
        world.mkdir(path);
    for (const char* path : {"/r/a/f", "/r/g", "/o/d/f"})
        world.create(path);
    world.file_time += 10'000'000'000;
    return world;
}

const std::vector<Op>& universe() {
    static const std::vector<Op> ops = {{"mkdir", "/r/c"},
                                        {"mkdir", "/r/a/c"},
                                        {"rmdir", "/r/b"},
                                        {"rmdir", "/r/a"},
                                        {"create", "/r/f"},
                                        {"create", "/r/b/f"},
                                        {"write", "/r/g"},
                                        {"write", "/r/a/f"},
                                        {"unlink", "/r/g"},
                                        {"unlink", "/r/a/f"},
                                        {"rename", "/r/a", "/r/c"},
                                        {"rename", "/r/a", "/r/b"},
                                        {"rename", "/r/b", "/r/a/c"},
                                        {"rename", "/r/a", "/o/a"},
                                        {"rename", "/o/a", "/r/a"},
                                        {"rename", "/o/d", "/r/c"},
                                        {"rename", "/r/a/f", "/r/g"},
                                        {"rename", "/r/g", "/r/f"},
                                        {"rename", "/r/f", "/r/g"},
                                        {"rename", "/o/d/f", "/r/g"},
                                        {"rename", "/r/g", "/o/g"},
                                        {"exchange", "/r/a", "/r/b"},
                                        {"exchange", "/r/a", "/o/d"},
                                        {"exchange", "/r/a/f", "/r/g"},
                                        {"exchange", "/r/g", "/r/b"}};
    return ops;
}

const test::Moment never = [](std::size_t) -> std::size_t { return 0; };

// A kill before each kernel call, until the script has ended and its end was saved; the operations
// happen at moments that depend on `seed`.
void run_kills(const sim::World& world, const Script& script, unsigned seed, Totals& totals) {
    ++totals.scripts;
    bool goes_on = totals.failure.empty();
    for (std::size_t call = 1; goes_on; ++call) {
        ++totals.schedules;
        std::mt19937_64 random(seed);
        const test::Moment moment = [&](std::size_t left) -> std::size_t {
            return left == 0 || random() % 12 != 0 ? 0 : 1 + random() % left;
        };
        Run run(world, script, seed % 4 != 0, moment, never);
        run.kill_at(call);
        if (const std::string wrong = run.run(); !wrong.empty())
            totals.failure = wrong + "\n  script: " + test::to_string(script) + '\n' + run.text();
        goes_on = totals.failure.empty() && run.was_killed();
    }
}

// Of a script with many plans the first ones, fewer unless the tests run whole.
std::size_t most_plans(std::size_t most = SIZE_MAX) {
    return test::runs_whole() ? most : std::min<std::size_t>(most, 500);
}

void run_plans(const sim::World& world, const Script& script, bool ages, Totals& totals,
               std::size_t most) {
    ++totals.scripts;
    test::Plan plan;
    const test::Moment moment = [&](std::size_t left) { return plan.choose(left); };
    for (bool goes_on = totals.failure.empty(); goes_on && most > 0; --most) {
        ++totals.schedules;
        Run run(world, script, ages, moment, never);
        if (const std::string wrong = run.run(); !wrong.empty())
            totals.failure = wrong + "\n  script: " + test::to_string(script) + '\n' + run.text();
        goes_on = totals.failure.empty() && plan.next();
    }
}

}  // namespace

TEST_SUITE("exhaustive") {
    TEST_CASE("a client that is killed goes on from its snapshot: one operation, at every moment") {
        Totals totals;
        test::for_each_script(start(), universe(), 1, [&](const Script& ops) {
            for (const bool ages : {true, false}) {
                run_plans(start(), {kill_op, ops[0]}, ages, totals, most_plans());
                run_plans(start(), {ops[0], kill_op}, ages, totals, most_plans());
            }
            return totals.failure.empty();
        });
        test::report("snapshots, one operation", totals);
    }

    TEST_CASE("a client that is killed goes on from its snapshot: up to three operations") {
        for (std::size_t length = 1; length <= 3; ++length) {
            Totals totals;
            unsigned number = 0;
            test::for_each_script(start(), universe(), length, [&](const Script& ops) {
                run_kills(start(), ops, ++number, totals);
                return totals.failure.empty();
            });
            test::report(
                "snapshots, killed at every call, " + std::to_string(length) + " operations",
                totals);
        }
    }

    TEST_CASE("a client that is killed goes on from its snapshot: chosen scripts") {
        Totals totals;
        // What is seen of a rename before its records are queued is waited for.
        Op rename{"rename", "/r/a/f", "/r/g"};
        rename.split = 0;
        run_plans(start(), {rename, kill_op}, true, totals, most_plans(50'000));
        // What was read of a name is ahead of the picture by the records that are queued.
        run_plans(start(), {kill_op, {"rename", "/r/a/f", "/r/c"}, {"rename", "/r/g", "/r/a/f"}},
                  true, totals, most_plans(50'000));
        test::report("snapshots, chosen scripts", totals);
    }

    TEST_CASE("what lies in a directory that cannot be read is taken to be still there") {
        sim::World world;
        for (const char* path : {"/r", "/o", "/r/a", "/r/a/x"})
            world.mkdir(path);
        for (const char* path : {"/r/a/f", "/r/a/g", "/r/a/x/f"})
            world.create(path);
        Totals totals;
        for (const Script& script :
             {Script{kill_op, {"deny", "/r/a"}, {"allow", "/r/a"}},
              Script{{"deny", "/r/a"}, kill_op, {"allow", "/r/a"}},
              Script{kill_op, {"deny", "/r/a"}, {"write", "/r/a/f"}, {"allow", "/r/a"}},
              Script{kill_op, {"deny", "/r/a"}, {"unlink", "/r/a/g"}, {"allow", "/r/a"}},
              Script{kill_op, {"deny", "/r/a"}, {"rename", "/r/a/x", "/r/x"}, {"allow", "/r/a"}}})
            run_plans(world, script, true, totals, most_plans(20'000));
        test::report("snapshots, directories that cannot be read", totals);
    }
}

TEST_CASE("of a directory that cannot be read nothing is said to be gone") {
    sim::World world;
    for (const char* path : {"/r", "/r/a", "/r/a/x"})
        world.mkdir(path);
    for (const char* path : {"/r/a/f", "/r/a/g", "/r/a/x/f"})
        world.create(path);
    world.file_time += 10'000'000'000;
    inotify::TreeOptions options;
    options.track_files = true;
    options.mask = inotify::IN::CREATE | inotify::IN::DELETE | inotify::IN::MODIFY;
    {
        test::KernelTree tree(world.make_kernel(), options);
        tree.add_tree(root);
        options.since = tree.snapshot();
    }
    const auto reported = [](inotify::InotifyTree& tree) {
        test::Lines result;
        for (const inotify::Event& event : test::drain(tree)) {
            std::ostringstream line;
            line << event;
            result.push_back(line.str());
        }
        return result;
    };
    world.deny("/r/a");
    world.unlink("/r/a/g");
    test::KernelTree tree(world.make_kernel(), options);
    tree.add_tree(root);
    const test::Lines first = reported(tree);
    REQUIRE(first.size() == 1);
    CHECK(test::contains(first[0], "Permission denied"));
    CHECK(tree.snapshot().size() == 5);  // it is handed on
    world.allow("/r/a");
    CHECK(reported(tree) == test::Lines{"MODIFY /r/a/f (synthetic)", "DELETE /r/a/g (synthetic)",
                                        "MODIFY /r/a/x/f (synthetic)"});
    CHECK(tree.check() == "");
}

namespace {

// An operation in the root, or one that takes it away, or brings one.
Op any_operation_or_root(std::mt19937_64& random, std::size_t names) {
    const std::string outside = std::string("/o/") + "wxyz"[random() % names];
    switch (random() % 12) {
    case 0: return {"rename", root, outside};
    case 1:
    case 2: return {"rename", outside, root};
    case 3: return {"exchange", root, outside};
    case 4: return {"mkdir", root};
    default: return test::any_operation(random, names);
    }
}

// The operations happen at random moments, and snapshots are taken within cycles, too; the kill is
// at a random one as well.
void run_randomly(std::string_view what, unsigned count, bool follows_root) {
    const auto [first, last] = test::seeds(count);
    const auto any_operation = [&](std::mt19937_64& random, std::size_t names) {
        return follows_root ? any_operation_or_root(random, names)
                            : test::any_operation(random, names);
    };
    Totals totals;
    for (unsigned seed = first; seed <= last && totals.failure.empty(); ++seed) {
        std::mt19937_64 random(seed);
        const std::size_t names = 2 + random() % 3;
        sim::World world;
        for (const char* path : {"/r", "/o"})
            world.mkdir(path);
        for (int i = 0; i < 20; ++i)
            any_operation(random, names).run(world);
        world.file_time += 10'000'000'000;
        sim::World later = world;
        Script script;
        const std::size_t length = 1 + random() % 8;
        while (script.size() < length)
            if (Op op = any_operation(random, names); op.run(later) == 0) {
                // A write(2) that takes longer than a snapshot is what this cannot see.
                if (random() % 2 == 0 && op.name != "write" && op.name != "create")
                    op.split = random() % 6;
                script.push_back(op);
            }
        script.insert(script.begin() + static_cast<std::ptrdiff_t>(random() % (script.size() + 1)),
                      kill_op);
        const bool ages = seed % 4 != 0;
        const std::size_t rarely = 2 + random() % 30;
        const std::size_t early = 1 + random() % 5;
        const test::Moment moment = [&](std::size_t left) -> std::size_t {
            return left == 0 || random() % rarely != 0 ? 0 : 1 + random() % left;
        };
        const test::Moment snapshot_early = [&](std::size_t) -> std::size_t {
            return random() % early == 0 ? 1 : 0;
        };
        ++totals.scripts;
        ++totals.schedules;
        Run run(world, script, ages, moment, snapshot_early);
        if (follows_root)
            run.follow_root();
        if (const std::string wrong = run.run(); !wrong.empty())
            totals.failure = "seed " + std::to_string(seed) + ": " + wrong + '\n' + run.text();
    }
    test::report(what, totals);
}

}  // namespace

TEST_CASE("a client that is killed goes on from its snapshot: random scripts") {
    run_randomly("snapshots, random", 20'000, false);
}

TEST_CASE("a client that is killed goes on from its snapshot: a followed root, random scripts") {
    run_randomly("snapshots, random, a followed root", 10'000, true);
}
