// SPDX-License-Identifier: MIT
// The file of --since: what had been printed when it was written.
#pragma once

#include <inotify/inotify_tree.hpp>

#include <chrono>
#include <filesystem>
#include <utility>

/// The snapshot in a file; if there is no file yet, an empty one, to which everything is new.
inotify::Snapshot load_since(const std::filesystem::path& file);

/// Keeps the file up to date with what is printed.
class Since {
public:
    Since(std::filesystem::path file, inotify::Duration interval, inotify::InotifyTree& tree)
        : file_(std::move(file)), interval_(interval), tree_(tree) {}

    /// An event has been printed, or left out.
    void note_event() noexcept { is_saved_ = false; }

    /// All that has happened has been printed: saves it, unless it did so within the interval. A
    /// failure is printed, and it is tried again.
    void idle();

    /// Saves what has been printed. Throws std::system_error.
    void save();

private:
    using Clock = std::chrono::steady_clock;

    std::filesystem::path file_;
    inotify::Duration interval_;
    inotify::InotifyTree& tree_;
    bool is_saved_ = false;
    Clock::time_point next_ = Clock::time_point::min();
};
