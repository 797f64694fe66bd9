// SPDX-License-Identifier: MIT
// The command that is run after a batch.
#pragma once

#include <inotify/batch.hpp>

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

/// The paths that a command is run for.
using Paths = std::vector<std::string>;

/// A command, at most one of which runs at a time.
///
/// An argument `{}` becomes the paths, one argument each. The environment has INOTIFY_PATHS, the
/// paths with a newline between, if they are not too long for it, and INOTIFY_COUNT, their number.
class Command {
public:
    /// `own_group`: it can be ended with all its children.
    Command(std::vector<std::string> arguments, bool own_group);
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;
    ~Command() = default;

    /// Throws std::system_error if there is no such program; a command line that is too long is a
    /// run that has failed.
    void start(const Paths& paths);
    /// Also notices the end of one that ran.
    [[nodiscard]] bool is_running();
    /// Sends a signal to it, if it runs, and waits for its end.
    void end(int signal);
    /// Waits for its end.
    void wait();
    [[nodiscard]] bool has_failed() const noexcept { return status_ != 0; }

private:
    int spawn(const Paths& paths, std::vector<std::string>& environment);
    void finish(int status);

    std::vector<std::string> arguments_;
    bool own_group_;
    pid_t pid_ = 0;
    int status_ = 0;
};

/// Tells what somebody has changed while a command ran from what it has made itself, as far as that
/// can be known: inotify does not say who did it.
///
/// What has ever changed while the command did not run is somebody's: it starts another run. All
/// else starts one the first time, when nobody can know; then it counts as output. So no edit is
/// missed for being made at the wrong moment, and output costs one run more, once. Something may be
/// both, and never stop: then it is given up after `most_in_a_row`, until the next change.
class OutputFilter {
public:
    static constexpr int most_in_a_row = 10;

    /// Notes what has changed while the command did not run.
    void idle(const inotify::Batch& batch);
    /// Of what has changed while the command ran, what starts another run.
    Paths during(const inotify::Batch& batch);
    /// True when what during() returned last shall start none.
    [[nodiscard]] bool gives_up() const noexcept { return in_a_row_ >= most_in_a_row; }

private:
    std::set<std::string> edited_;
    std::set<std::string> outputs_;
    int in_a_row_ = 0;
};
