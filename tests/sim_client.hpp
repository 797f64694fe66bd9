// SPDX-License-Identifier: MIT
// A client of a tree on the simulated kernel: what it knows, and whether that is right.
#pragma once

#include "operation.hpp"
#include "picture.hpp"
#include "sim_tree.hpp"

#include <inotify/inotify_tree.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace test {

/// Finds the followed links that may lead to a directory and no event says so: they led to none
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
        for (const auto& [path, directory] : world.tree("/")) {  // paths may lead through links
            if (directory)
                continue;
            const sim::Id link = world.inode(path);
            const sim::Id target = world.directory(path);
            if (target == 0)
                dangling_.insert(link);
            else if (dangling_.contains(link) && !inside.contains(target))
                found_.insert(link);
        }
    }

    [[nodiscard]] const std::set<sim::Id>& found() const { return found_; }

private:
    std::string root_;
    inotify::TreeOptions options_;
    std::set<sim::Id> dangling_;
    std::set<sim::Id> found_;
};

/// Keeps a picture of a tree with one root, and runs the operations of another process.
class SimClient {
public:
    SimClient(sim::World& world, std::string root, const inotify::TreeOptions& options)
        : world_(world),
          root_(std::move(root)),
          options_(options),
          picture_(root_, {}, options.follow_symlinks),
          silent_links_(root_, options) {
        if (options_.follow_symlinks)
            silent_links_.check(world_);
    }
    SimClient(const SimClient&) = delete;
    SimClient& operator=(const SimClient&) = delete;
    ~SimClient() = default;

    KernelTree& make_tree(std::unique_ptr<inotify::detail::Kernel> kernel) {
        return tree_.emplace(std::move(kernel), options_);
    }
    [[nodiscard]] bool has_tree() const { return tree_.has_value(); }
    [[nodiscard]] KernelTree& tree() { return *tree_; }
    [[nodiscard]] Picture& picture() { return picture_; }

    /// Runs an operation, or the part of it that comes first; returns 0 or −errno.
    int operate(const Op& op) {
        if (op.split && !op.lost)
            world_.begin_operation(*op.split);
        const int result = op.run(world_);
        if (options_.follow_symlinks)
            silent_links_.check(world_);
        is_split_ = world_.end_operation();
        return result;
    }
    /// True when the rest of a split operation is to be queued.
    [[nodiscard]] bool is_split() const { return is_split_; }
    /// Queues the rest of it, unless waiting for its directories has done so.
    void finish_operation() {
        is_split_ = false;
        world_.finish_operation();
    }

    /// Adds the root. Whether it is there is known then.
    void add_root() {
        tree_->add_tree(root_);
        picture_.set_has_root(
            !options_.follow_roots ||
            std::ranges::any_of(tree_->watches(), [&](const auto& w) { return w.path == root_; }));
    }

    /// The client looks for itself, as one does who does not ask for what exists.
    void look() {
        if (picture_.has_root())
            picture_ = Picture(root_, expected(), options_.follow_symlinks);
    }

    /// What is wrong with the picture; empty when it is what there is.
    [[nodiscard]] std::string wrong_picture() const {
        const auto disk = expected();
        if (picture_.has_root() != has_root())
            return has_root() ? "the root is there" : "the root is not there";
        if (picture_.entries() == disk)
            return "";
        std::string difference = "the picture is not the disk:";
        for (const auto& [path, directory] : disk)
            if (!picture_.entries().contains(path))
                difference += " lacks " + path;
        for (const auto& [path, directory] : picture_.entries())
            if (!disk.contains(path))
                difference += " has " + path;
        return difference;
    }

    /// What is wrong with the watches; empty when every directory is watched under its path.
    [[nodiscard]] std::string wrong_watches() const {
        if (const std::string wrong =
                options_.follow_symlinks
                    ? wrong_followed(world_, *tree_, root_, options_, silent_links_.found())
                    : test::wrong_watches(world_, *tree_, root_, options_);
            !wrong.empty())
            return wrong;
        for (const auto& unwatched : tree_->coverage().unwatched)
            if (has_root() || unwatched.error.value() != ELOOP)  // to a name that is a loop
                return "not covered: " + unwatched.path;
        return "";
    }

    /// True when it could not be checked what each link leads to.
    [[nodiscard]] bool has_silent_links() const { return !silent_links_.found().empty(); }

    /// Creates a file "probe" in each directory, and in those that had one before: the paths that
    /// have to be reported. Where links are followed none: which link reports it is the tree's
    /// choice.
    void probe() {
        if (options_.follow_symlinks)
            return;
        if (has_root())
            probes_.insert(root_ + "/probe");
        for (const auto& [path, directory] : world_.tree(root_))
            if (directory)
                probes_.insert(path + "/probe");
        for (const std::string& path : probes_)
            world_.create(path);
    }
    /// The probes that were not reported.
    [[nodiscard]] const std::set<std::string>& probes() const { return probes_; }

    /// Applies an event to the picture; returns what is wrong with it, or nothing.
    std::string apply(const inotify::Event& event) {
        if (event.mask == inotify::IN::CREATE)
            probes_.erase(event.full_path());
        return picture_.apply(event);
    }

private:
    [[nodiscard]] bool has_root() const {
        return !options_.follow_roots || world_.directory(root_) != 0;
    }
    [[nodiscard]] Picture::Entries expected() const {
        if (!has_root())  // but perhaps a file
            return {};
        return options_.follow_symlinks ? followed_tree(world_, *tree_, options_)
                                        : told_tree(world_, root_, options_);
    }

    sim::World& world_;
    std::string root_;
    inotify::TreeOptions options_;
    std::optional<KernelTree> tree_;
    Picture picture_;
    SilentLinks silent_links_;
    bool is_split_ = false;
    std::set<std::string> probes_;
};

}  // namespace test
