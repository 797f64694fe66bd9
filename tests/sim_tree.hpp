// SPDX-License-Identifier: MIT
// A tree on the simulated kernel: whether its watches are the directories.
#pragma once

#include "forwarding_kernel.hpp"
#include "sim_kernel.hpp"

#include <inotify/inotify_tree.hpp>

#include <cstddef>
#include <map>
#include <string>

namespace test {

/// What is wrong with the watches of a tree whose one root is `root`; nothing if every directory
/// is watched under its path and nothing else is.
inline std::string wrong_watches(const sim::World& world, const inotify::InotifyTree& tree,
                                 const std::string& root) {
    std::map<std::string, int> by_path;
    for (const auto& watch : tree.watches())
        by_path[watch.path] = watch.wd;
    const auto watched = world.watches();
    std::size_t directories = 1;
    for (const auto& [path, directory] : world.tree(root)) {
        if (!directory)
            continue;
        ++directories;
        const auto watch = by_path.find(path);
        if (watch == by_path.end())
            return "not watched: " + path;
        if (const auto inode = watched.find(watch->second);
            inode == watched.end() || inode->second != world.inode(path))
            return "watched as another directory: " + path;
    }
    if (watched.size() != directories || by_path.size() != directories)
        return "watches are left over: " + std::to_string(watched.size()) + " in the kernel, " +
               std::to_string(by_path.size()) + " in the tree, " + std::to_string(directories) +
               " directories";
    return "";
}

}  // namespace test
