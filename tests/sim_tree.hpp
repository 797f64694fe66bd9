// SPDX-License-Identifier: MIT
// A tree on the simulated kernel: whether its watches are the directories.
#pragma once

#include "forwarding_kernel.hpp"
#include "sim_kernel.hpp"

#include <inotify/inotify_tree.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace test {

/// An entry of `root` itself lies at 1.
inline std::size_t depth_below(const std::string& root, const std::string& path) {
    return static_cast<std::size_t>(
        std::count(path.begin() + static_cast<std::ptrdiff_t>(root.size()), path.end(), '/'));
}

/// What is reported of the world to a client: path → whether it is a directory.
inline std::map<std::string, bool> told_tree(const sim::World& world, const std::string& root,
                                             const inotify::TreeOptions& options) {
    auto result = world.tree(root);
    const auto is_excluded = [&](const std::string& path) {
        for (std::size_t end = root.size(); options.exclude && end != std::string::npos;) {
            end = path.find('/', end + 1);
            if (options.exclude(path.substr(0, end)))
                return true;
        }
        return false;
    };
    std::erase_if(result, [&](const auto& entry) {
        return depth_below(root, entry.first) - 1 > options.max_depth || is_excluded(entry.first);
    });
    return result;
}

inline std::set<sim::Id> watched_inodes(const sim::World& world) {
    std::set<sim::Id> result;
    for (const auto& [wd, inode] : world.watches())
        result.insert(inode);
    return result;
}

/// What is watched by a tree that is made now, of these roots.
inline std::set<sim::Id> needed_inodes(const sim::World& world,
                                       const std::vector<std::string>& roots,
                                       const inotify::TreeOptions& options) {
    sim::World copy = world;
    copy.before_call = nullptr;
    KernelTree fresh(copy.make_kernel(), options);
    for (const std::string& root : roots)
        fresh.add_tree(root);
    for (auto& event : fresh.event_gen())
        if (!event)
            break;
    return watched_inodes(copy);
}

/// What is wrong with the watches of a tree whose one root is `root`; nothing if every directory
/// is watched under its path and nothing else is, but for the way to a followed root.
inline std::string wrong_watches(const sim::World& world, const inotify::InotifyTree& tree,
                                 const std::string& root,
                                 const inotify::TreeOptions& options = {}) {
    std::map<std::string, int> by_path;
    for (const auto& watch : tree.watches())
        by_path[watch.path] = watch.wd;
    const auto watched = world.watches();
    const bool is_there = !options.follow_roots || world.directory(root) != 0;
    std::size_t directories = is_there ? 1 : 0;
    for (const auto& [path, directory] : told_tree(world, root, options)) {
        if (!directory || depth_below(root, path) > options.max_depth)
            continue;
        ++directories;
        const auto watch = by_path.find(path);
        if (watch == by_path.end())
            return "not watched: " + path;
        if (const auto inode = watched.find(watch->second);
            inode == watched.end() || inode->second != world.inode(path))
            return "watched as another directory: " + path;
    }
    if (options.follow_roots) {
        if (is_there && watched.at(by_path[root]) != world.directory(root))
            return "watched as another directory: " + root;
        if (watched_inodes(world) != needed_inodes(world, {root}, options))
            return "the watches are not those of the roots and of the way to them";
        return by_path.size() == directories ? "" : "watches are left over in the tree";
    }
    if (watched.size() != directories || by_path.size() != directories)
        return "watches are left over: " + std::to_string(watched.size()) + " in the kernel, " +
               std::to_string(by_path.size()) + " in the tree, " + std::to_string(directories) +
               " directories";
    return "";
}

/// What a client of a tree that follows symbolic links has to hold: in each directory that is
/// watched what the world has there. Which link to a directory reports it, is the tree's choice.
inline std::map<std::string, bool> followed_tree(const sim::World& world,
                                                 const inotify::InotifyTree& tree,
                                                 const inotify::TreeOptions& options) {
    std::map<std::string, bool> result;
    const auto watched = world.watches();
    for (const auto& watch : tree.watches()) {
        const auto inode = watched.find(watch.wd);
        if (inode == watched.end())
            continue;
        for (const auto& [name, directory] : world.entries(inode->second))
            if (const std::string path = watch.path + '/' + name;
                !options.exclude || !options.exclude(path))
                result.emplace(path, directory);
    }
    return result;
}

/// What is wrong with the watches of a tree that follows symbolic links; nothing if each watched
/// path leads to what is watched, and each directory and each link, but for the `silent` ones,
/// leads to something that is.
inline std::string wrong_followed(const sim::World& world, const inotify::InotifyTree& tree,
                                  const std::string& root, const inotify::TreeOptions& options,
                                  const std::set<sim::Id>& silent) {
    std::set<sim::Id> reached;
    for (const auto& [wd, inode] : world.watches())
        reached.insert(inode);
    const auto watched = world.watches();
    const auto watches = tree.watches();
    if (watches.size() != watched.size())
        return "watches are left over: " + std::to_string(watched.size()) + " in the kernel, " +
               std::to_string(watches.size()) + " in the tree";
    for (const auto& watch : watches)
        if (const auto inode = watched.find(watch.wd);
            inode == watched.end() || world.directory(watch.path) != inode->second)
            return "watched as another directory: " + watch.path;
    for (const auto& [path, directory] : followed_tree(world, tree, options))
        if (const sim::Id inode = world.directory(path);
            inode != 0 && !reached.contains(inode) && !silent.contains(world.inode(path)) &&
            depth_below(root, path) <= options.max_depth)
            return "not watched: " + path;
    return "";
}

}  // namespace test
