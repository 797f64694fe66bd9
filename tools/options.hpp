// SPDX-License-Identifier: MIT
// The command line of inotify-watch.
#pragma once

#include <inotify/inotify_tree.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the command line asks for.
struct Options {
    std::vector<std::filesystem::path> paths;
    std::vector<std::string> command;  // what comes behind `--`

    bool tree = false;
    bool follow = false;  // the paths are names
    std::optional<inotify::Mask> mask;
    std::vector<std::string> exclude;  // globs, as is include
    std::vector<std::string> include;
    std::size_t max_depth = inotify::unlimited;
    bool follow_symlinks = false;
    bool one_file_system = false;
    bool existing = false;
    std::optional<std::filesystem::path> since;
    inotify::Duration since_interval{};

    std::optional<inotify::Duration> batch;  // how long it is quiet before a batch
    std::optional<inotify::Duration> timeout;
    std::size_t count = 0;  // 0: no limit
    bool restart = false;

    bool json = false;
    bool null = false;
    bool timestamps = false;
    bool quiet = false;
};

/// Reads the command line. Prints the help or the version and ends, with status 0; ends with status
/// 2 and one line if something is wrong.
Options parse(int argc, char** argv);

/// Whether one of the globs matches the path, or its last component; see fnmatch(3).
bool matches(const std::vector<std::string>& globs, std::string_view path);
