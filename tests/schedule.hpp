// SPDX-License-Identifier: MIT
// Scripts of file-system operations, run against a tree on the simulated kernel at chosen moments.
#pragma once

#include "case.hpp"
#include "operation.hpp"
#include "sim_kernel.hpp"

#include <inotify/inotify_tree.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// Everything about a run but the moments of its operations.
struct Setup {
    sim::World world = {};  // with /r and /o
    std::string root = "/r";
    Script script = {};
    inotify::TreeOptions options = {};
    std::string exclude = {};  // of options.exclude, as a case has it
    // Without report_existing: the operations happen from the first call on, when there is no
    // picture yet. What can be checked is that a file in each directory is reported, that is
    // created once the scan has returned, and what is watched in the end.
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

private:
    struct Choice {
        std::size_t taken;
        std::size_t most;
    };
    std::vector<Choice> choices_;
    std::size_t at_ = 0;
};

/// Says before each kernel call how many operations happen, of those that are certain to be left.
using Moment = std::function<std::size_t(std::size_t left)>;
/// At random, about once in `rarely` calls; the same each time it is made for a seed.
Moment sampled_moments(std::uint64_t seed, std::size_t rarely);
/// The result of a kernel call that fails, or 0.
using Fault = std::function<int(std::string_view call)>;

/// What is wrong with one run.
struct Outcome {
    std::string error;
    bool silent_links = false;  // what links lead to could not be checked
};

/// What happened in one run.
struct Transcript {
    CaseLines lines;   // the run as a case; not of faults
    std::string text;  // kernel calls, operations and events
};

/// Runs the setup's script. Without report_existing the operations happen only once the tree is
/// made, when the client makes its own picture.
Outcome run(const Setup& setup, const Moment& moment, const Fault& fault = {},
            Transcript* transcript = nullptr);

/// What a failed run comes to, made shorter: a case for tests/cases, and how it went.
std::string describe_failure(const Setup& setup, const Moment& moment);

/// Every plan of the setup; stops at the first failure, which `failure` then describes.
std::size_t run_all(const Setup& setup, std::string& failure);

}  // namespace test
