// SPDX-License-Identifier: MIT
// Batches of a tree under random scripts, on the simulated kernel: applied one after another they
// give the disk, and no change of theirs can be left out.
#include "any_operation.hpp"
#include "batch_support.hpp"
#include "sim_tree.hpp"

#include <doctest/doctest.h>

#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

using namespace inotify;
using test::Op;

namespace {

// Of an entry: whether it is a directory, which inode it is, and how often that was written.
using What = std::tuple<bool, sim::Id, int>;
using Client = test::BatchClient<What>;

enum class Script { inside, across, lossy };

/// A tree on the simulated kernel, and a client of its batches.
class Run {
public:
    Run(std::mt19937_64& random, Script kind) : random_(random), kind_(kind) {
        for (const char* path : {"/r", "/o"})
            world_.mkdir(path);
        operate(random_() % 60);
        TreeOptions options;
        options.track_files = true;
        tree_ = std::make_unique<test::KernelTree>(world_.make_kernel(), options);
        tree_->add_tree("/r");
        client_ = std::make_unique<Client>("/r", disk());
    }

    void run() {
        const std::size_t rounds = 1 + random_() % 4;
        for (std::size_t round = 0; round < rounds && wrong_.empty(); ++round) {
            for (std::size_t left = random_() % 12; left > 0; --left) {
                operate(1);
                if (kind_ == Script::inside)
                    collect();
            }
            std::size_t left = kind_ == Script::inside ? 0 : random_() % 8;
            world_.before_call = [&](std::string_view) {
                if (left > 0 && random_() % 3 == 0) {
                    --left;
                    operate(1);
                }
                return 0;
            };
            for (const Batch& batch :
                 batches(*tree_, {.quiet = Duration::zero(), .timeout = Duration::zero()}))
                apply(batch);
            world_.before_call = nullptr;
            if (client_->entries() != disk() && wrong_.empty())
                wrong_ = "the batches do not give the disk";
        }
    }

    [[nodiscard]] std::string wrong() const { return wrong_.empty() ? "" : wrong_ + "\n" + log_; }
    [[nodiscard]] std::size_t changes() const { return changes_; }
    [[nodiscard]] std::size_t overflows() const { return overflows_; }

private:
    void operate(std::size_t count) {
        for (; count > 0; --count) {
            Op op = test::any_operation(random_, 3);
            if (kind_ == Script::inside && !is_certain(op))
                continue;
            op.lost = kind_ == Script::lossy && tree_ != nullptr && random_() % 6 == 0;
            if (op.run(world_) != 0)
                continue;
            if (op.name == "write" || op.name == "create")
                ++written_[world_.inode(op.a)];
            log_ += "  " + op.text() + '\n';
        }
    }

    // Has the tree read all there is, without ending the batch: so each new directory is watched
    // when something moves into it.
    void collect() {
        world_.before_call = [this](std::string_view call) {
            if (call == "wait")
                tree_->stop();
            return 0;
        };
        for (const Batch& batch : batches(*tree_, {.quiet = forever, .longest = forever}))
            wrong_ += "the batch has ended: " + test::to_string(batch);
        world_.before_call = nullptr;
    }

    // What comes from outside may be what was there before, and of files that are exchanged only
    // the names are certain.
    [[nodiscard]] bool is_certain(const Op& op) const {
        return !op.a.starts_with("/o") && !op.b.starts_with("/o") &&
               (op.name != "exchange" || (world_.is_dir(op.a) && world_.is_dir(op.b)));
    }

    [[nodiscard]] What look(const std::string& path) const {
        const sim::Id inode = world_.inode(path);
        if (kind_ != Script::inside)
            return {world_.is_dir(path), 0, 0};
        const auto written = written_.find(inode);
        return {world_.is_dir(path), inode, written == written_.end() ? 0 : written->second};
    }

    [[nodiscard]] Client::Entries disk() const {
        Client::Entries entries;
        for (const auto& [path, is_dir] : world_.tree("/r"))
            entries.emplace(path, look(path));
        return entries;
    }

    void apply(const Batch& batch) {
        log_ += "-> " + test::to_string(batch) + '\n';
        changes_ += batch.changes.size();
        overflows_ += batch.overflow ? 1 : 0;
        std::set<std::string> paths;
        for (const Change& change : batch.changes) {
            if (!paths.insert(change.path).second)
                wrong_ += "twice: " + change.path + "; ";
            // What is gone has no contents to look at, and a directory may be carried on.
            if (change.kind != ChangeKind::removed && change.kind != ChangeKind::renamed &&
                !world_.exists(change.path))
                wrong_ += "not there: " + change.path + "; ";
        }
        const auto look_now = [this](const std::string& path) { return look(path); };
        const Client before = *client_;
        wrong_ += client_->apply(batch.changes, look_now);
        if (client_->entries() != disk())
            wrong_ += "the batch does not give the disk; ";
        if (kind_ != Script::inside)
            return;
        for (std::size_t i = 0; i < batch.changes.size(); ++i) {
            std::vector<Change> shorter = batch.changes;
            shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
            Client other = before;
            if (other.apply(shorter, look_now).empty() && other.entries() == client_->entries())
                wrong_ += "can be left out: " + test::to_string(batch.changes[i]) + "; ";
        }
    }

    std::mt19937_64& random_;
    Script kind_;
    sim::World world_;
    std::unique_ptr<test::KernelTree> tree_;
    std::unique_ptr<Client> client_;
    std::map<sim::Id, int> written_;
    std::size_t changes_ = 0;
    std::size_t overflows_ = 0;
    std::string wrong_;
    std::string log_;
};

void run_scripts(Script kind) {
    const auto [first, last] = test::seeds(3000);
    std::size_t changes = 0;
    std::size_t overflows = 0;
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        Run run(random, kind);
        run.run();
        changes += run.changes();
        overflows += run.overflows();
        REQUIRE_MESSAGE(run.wrong().empty(), "seed " << seed << ": " << run.wrong());
    }
    std::cout << "batches: " << last - first + 1 << " scripts, " << changes << " changes, "
              << overflows << " overflows\n";
    CHECK(changes > last - first);
    CHECK((overflows > 0) == (kind == Script::lossy));
}

}  // namespace

TEST_CASE("batches of what happens in a tree give the disk, and none of their changes too many") {
    run_scripts(Script::inside);
}

TEST_CASE("batches of what happens in a tree and around it give the disk") {
    run_scripts(Script::across);
}

TEST_CASE("batches give the disk over overflows, when the tree tracks files") {
    run_scripts(Script::lossy);
}
