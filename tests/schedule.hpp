// SPDX-License-Identifier: MIT
// Scripts of file-system operations, run against a tree on the simulated kernel at chosen moments.
#pragma once

#include "picture.hpp"
#include "sim_tree.hpp"

#include <inotify/inotify_tree.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

/// One operation of another process.
struct Op {
    std::string_view name;
    std::string a;
    std::string b;
    bool lossy = false;  // the queue is full: its records are lost
    // When it is set, the change is seen, and so many records are queued, a moment before the
    // others are.
    std::optional<std::size_t> split = {};

    int run(sim::World& world) const {
        if (!lossy)
            return execute(world);
        const std::size_t limit = std::exchange(world.max_queued_events, 0);
        const int result = execute(world);
        world.max_queued_events = limit;
        return result;
    }

    int execute(sim::World& world) const {
        if (name == "mkdir")
            return world.mkdir(a);
        if (name == "rmdir")
            return world.rmdir(a);
        if (name == "create")
            return world.create(a);
        if (name == "write")
            return world.write(a);
        if (name == "unlink")
            return world.unlink(a);
        if (name == "rename")
            return world.rename(a, b);
        if (name == "symlink")
            return world.symlink(b, a);
        if (name == "link")
            return world.link(a, b);
        if (name == "chmod")
            return world.chmod(a);
        if (name == "deny")
            return world.deny(a);
        if (name == "allow")
            return world.allow(a);
        return world.exchange(a, b);
    }
};

using Script = std::vector<Op>;

inline std::string to_string(const Script& script) {
    std::string result;
    for (const Op& op : script)
        result += std::string(result.empty() ? "" : "; ") + (op.lossy ? "(lost) " : "") +
                  (op.split ? "(split " + std::to_string(*op.split) + ") " : "") +
                  std::string(op.name) + ' ' + op.a + (op.b.empty() ? "" : ' ' + op.b);
    return result;
}

/// The shortest script that still fails, by leaving out operations one at a time.
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

/// Finds out whether a followed link may lead to a directory and no event says so: it led to none
/// before, and the directory is no part of the tree.
class SilentLinks {
public:
    SilentLinks(std::string root, const inotify::TreeOptions& options)
        : root_(std::move(root)), options_(options) {}

    /// Called after each operation.
    void check(const sim::World& world) {
        std::set<sim::Id> inside;
        for (const auto& [path, directory] : told_tree(world, root_, options_))
            if (directory)
                inside.insert(world.inode(path));
        for (const char* top : {"/r", "/o"})
            for (const auto& [path, directory] : world.tree(top)) {
                const sim::Id link = world.inode(path);
                const sim::Id target = world.directory(path);
                if (directory)
                    continue;
                if (target == 0)
                    dangling_.insert(link);
                else
                    found_ |= dangling_.contains(link) && !inside.contains(target);
            }
    }

    [[nodiscard]] bool found() const { return found_; }

private:
    std::string root_;
    inotify::TreeOptions options_;
    std::set<sim::Id> dangling_;
    bool found_ = false;
};

/// Everything about a run but the moments of its operations.
struct Setup {
    sim::World world;  // with the root
    std::string root = "/r";
    Script script;
    inotify::TreeOptions options;
    // Without report_existing: the operations happen from the first call on, when there is no
    // picture yet. What can be checked is that a file in each directory is told, that is created
    // once the scan has returned, and what is watched in the end.
    bool while_scanning = false;
};

/// At which kernel calls how many operations happen.
class Plan {
public:
    /// The number of operations before the next call; `most` are left.
    std::size_t choose(std::size_t most) {
        if (at_ == choices_.size())
            choices_.push_back({0, most});
        choices_[at_].most = most;
        return std::min(choices_[at_++].taken, most);
    }

    /// Makes this the next plan in order; false when all have been run.
    bool next() {
        while (!choices_.empty() && choices_.back().taken >= choices_.back().most)
            choices_.pop_back();
        if (choices_.empty())
            return false;
        ++choices_.back().taken;
        at_ = 0;
        return true;
    }

    void restart() { at_ = 0; }

    [[nodiscard]] std::string describe() const {
        std::string result;
        for (std::size_t i = 0; i < choices_.size(); ++i)
            if (choices_[i].taken > 0)
                result += " " + std::to_string(choices_[i].taken) + "@" + std::to_string(i);
        return result;
    }

private:
    struct Choice {
        std::size_t taken;
        std::size_t most;
    };
    std::vector<Choice> choices_;
    std::size_t at_ = 0;
};

/// What one run said and what is wrong with it.
struct Outcome {
    bool thrown = false;  // by add_tree
    std::string error;
    std::string log;
    bool silent_links = false;  // what links lead to could not be checked
};

/// The result of a kernel call that fails, or 0.
using Fault = std::function<int(std::string_view call)>;

/// Runs the setup's script; `moment` says before each call how many operations happen. Without
/// report_existing they happen only once the tree is made, when the client makes its own picture.
inline Outcome run(const Setup& setup,
                   const std::function<std::size_t(std::string_view, std::size_t)>& moment,
                   bool log = false, const Fault& fault = {}) {
    sim::World world = setup.world;
    Outcome outcome;
    std::ostringstream text;
    const bool follows = setup.options.follow_symlinks;
    SilentLinks silent_links(setup.root, setup.options);
    if (follows)
        silent_links.check(world);
    std::size_t done = 0;
    bool under_way = false;
    const auto act = [&] {
        if (std::exchange(under_way, false)) {
            world.finish_operation();
            if (log)
                text << "    its records\n";
            return;
        }
        const Op& op = setup.script[done++];
        if (op.split && !op.lossy)
            world.begin_operation(*op.split);
        const int result = op.run(world);
        if (follows)
            silent_links.check(world);
        under_way = world.end_operation();
        if (log)
            text << "    " << to_string(Script{op}) << " = " << result << '\n';
    };
    // The steps that are certain to be left; in how many an operation is split shows when it runs.
    const auto left = [&]() -> std::size_t {
        if (under_way)
            return 1;
        const std::size_t ops = setup.script.size() - done;
        return ops > 0 && setup.script[done].split ? 1 : ops;
    };
    const auto happen = [&](std::string_view call) {
        for (std::size_t most = left(); most > 0; most = left()) {
            const std::size_t steps = moment(call, most);
            for (std::size_t n = steps; n > 0; --n)
                act();
            if (steps < most)
                break;
        }
    };
    const bool reports = setup.options.report_existing;
    bool made = reports || setup.while_scanning;
    std::optional<KernelTree> tree;
    std::size_t calls = 0;
    world.before_call = [&](std::string_view call) {
        if (++calls > 20'000)
            throw std::runtime_error("it does not end");
        if (tree)
            if (const std::string wrong = tree->check(); !wrong.empty())
                throw std::runtime_error("an invariant is broken: " + wrong);
        if (made)
            happen(call);
        const int result = fault ? fault(call) : 0;
        if (log)
            text << "  " << call << (result < 0 ? " fails" : "") << '\n';
        return result;
    };
    Picture picture(setup.root, {}, follows);
    tree.emplace(world.make_kernel(), setup.options);
    try {
        tree->add_tree(setup.root);
    } catch (const std::system_error& error) {
        outcome.thrown = true;
        if (world.open_directories() != 0)
            outcome.error = "a directory was left open";
        return outcome;
    }
    const auto expected = [&] {
        return follows ? followed_tree(world, *tree, setup.options)
                       : told_tree(world, setup.root, setup.options);
    };
    if (!reports)
        picture = Picture(setup.root, expected(), follows);
    made = true;
    std::set<std::string> probes;
    const auto probe = [&] {
        if (follows)  // which link reports it, is the tree's choice
            return;
        probes.insert(setup.root + "/probe");
        for (const auto& [path, directory] : world.tree(setup.root))
            if (directory)
                probes.insert(path + "/probe");
        for (const std::string& path : probes)
            world.create(path);
    };
    if (setup.while_scanning && left() == 0)
        probe();
    const auto fail = [&](const std::string& error) {
        if (outcome.error.empty())
            outcome.error = error;
    };
    const auto drain = [&] {
        int events = 0;
        for (auto& event : tree->event_gen()) {
            if (!event)
                break;
            if (log)
                text << "-> " << *event << '\n';
            std::ostringstream line;
            line << *event;
            if (event->is_dir() && event->mask.intersects(inotify::IN::OPEN | inotify::IN::ACCESS |
                                                          inotify::IN::CLOSE_NOWRITE))
                fail("it heard itself: " + line.str());
            if (event->error && !fault)
                fail("an error: " + line.str());
            // What an error kept from the first scan comes as new later.
            if (event->error && !reports && done == 0)
                picture.forget(event->path);
            if (event->mask == inotify::IN::CREATE)
                probes.erase(event->full_path());
            const std::string wrong = picture.apply(*event);
            if (!wrong.empty() && !setup.while_scanning)
                fail(wrong + ": " + line.str());
            if (++events > 10'000) {
                fail("it does not end");
                break;
            }
        }
        if (log)
            text << "-> (empty)\n";
    };
    try {
        drain();
        while (left() > 0)
            act();
        drain();
        if (fault) {
            world.time += std::chrono::seconds(2);  // what failed is tried again
            drain();
            drain();
            probe();  // nothing of a directory that failed is taken for told
            drain();
        }
    } catch (const std::runtime_error& error) {
        fail(error.what());
        outcome.log = text.str().substr(0, 10'000);
        return outcome;
    }
    world.before_call = nullptr;

    outcome.silent_links = silent_links.found();
    const auto disk = expected();
    if (!setup.while_scanning && picture.entries() != disk) {
        std::string difference = "the picture is not the disk:";
        for (const auto& [path, directory] : disk)
            if (!picture.entries().contains(path))
                difference += " lacks " + path;
        for (const auto& [path, directory] : picture.entries())
            if (!disk.contains(path))
                difference += " has " + path;
        fail(difference);
    }
    if (const std::string wrong =
            follows ? wrong_followed(world, *tree, setup.root, setup.options, !silent_links.found())
                    : wrong_watches(world, *tree, setup.root, setup.options);
        !wrong.empty())
        fail(wrong);
    if (!probes.empty())
        fail("not told: " + *probes.begin());
    if (!tree->coverage().unwatched.empty())
        fail("not covered: " + tree->coverage().unwatched.front().path);
    if (world.open_directories() != 0)
        fail("a directory was left open");
    if (world.replaced_masks != 0)
        fail("a mask was replaced, not added to");
    outcome.log = text.str();
    return outcome;
}

/// Runs one plan.
inline Outcome run(const Setup& setup, Plan& plan, bool log = false) {
    plan.restart();
    return run(setup, [&](std::string_view, std::size_t left) { return plan.choose(left); }, log);
}

/// Every plan of the setup; stops at the first failure, which `outcome` then holds.
inline std::size_t run_all(const Setup& setup, std::string& failure) {
    Plan plan;
    std::size_t count = 0;
    do {
        ++count;
        const Outcome outcome = run(setup, plan);
        if (!outcome.error.empty()) {
            failure = outcome.error + "\n  script: " + to_string(setup.script) +
                      "\n  plan (operations@call):" + plan.describe() + '\n' +
                      run(setup, plan, true).log;
            return count;
        }
    } while (plan.next());
    return count;
}

}  // namespace test
