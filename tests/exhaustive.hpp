// SPDX-License-Identifier: MIT
// Every script of a few operations, and every call of one that can fail; unless the tests run
// whole, every 19th script of several operations.
#pragma once

#include "operation.hpp"
#include "sim_kernel.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// Calls `visit` with each script of `length` operations that all succeed, or a fixed part of them,
/// until it returns false.
template <typename Visit>
void for_each_script(const sim::World& start, const std::vector<Op>& ops, std::size_t length,
                     Visit visit) {
    // A prime, which is in step with no number of operations.
    const std::size_t step = length < 2 || runs_whole() ? 1 : 19;
    std::size_t scripts = 0;
    Script script;
    const auto extend = [&](auto& self, const sim::World& world) -> bool {
        if (script.size() == length)
            return scripts++ % step != 0 || visit(script);
        for (const Op& op : ops) {
            sim::World next = world;
            if (op.run(next) != 0)
                continue;
            script.push_back(op);
            const bool go_on = self(self, next);
            script.pop_back();
            if (!go_on)
                return false;
        }
        return true;
    };
    extend(extend, start);
}

struct Totals {
    std::size_t scripts = 0;
    std::size_t schedules = 0;
    std::string failure;
};

/// Runs each script by `run_all(setup, failure)`, which returns the number of schedules. `lossy`:
/// each operation in turn meets a full queue. `split`: as in Op.
template <typename Setup, typename RunAll>
Totals run_exhaustively(Setup setup, const std::vector<Op>& ops, std::size_t length, RunAll run_all,
                        bool lossy, std::optional<std::size_t> split) {
    Totals totals;
    for_each_script(setup.world, ops, length, [&](const Script& script) {
        ++totals.scripts;
        for (std::size_t lost = 0; lost < (lossy ? length : 1); ++lost) {
            setup.script = script;
            setup.script[lost].lost = lossy;
            for (Op& op : setup.script)
                op.split = split;
            totals.schedules += run_all(setup, totals.failure);
            if (!totals.failure.empty())
                return false;
        }
        return true;
    });
    return totals;
}

inline void report(std::string_view what, const Totals& totals) {
    std::cout << what << ": " << totals.scripts << " scripts, " << totals.schedules
              << " schedules, " << (totals.failure.empty() ? "no" : "A") << " divergence\n";
    CHECK_MESSAGE(totals.failure.empty(), totals.failure);
    CHECK(totals.schedules >= totals.scripts);
    CHECK(totals.schedules > 0);
}

/// Which call of a run fails, and how: each call in turn, in each way that it can.
class FaultPlan {
public:
    /// The errors that a call can fail with.
    using Errors = std::vector<int> (*)(std::string_view call);

    explicit FaultPlan(Errors errors) : errors_(errors) {}

    /// The result of the next call that fails, or 0.
    int choose(std::string_view call) {
        if (calls_++ != position_)
            return 0;
        const std::vector<int> kinds = errors_(call);
        ways_ = kinds.size();
        return way_ < ways_ ? -kinds[way_] : 0;
    }

    /// Makes this the next plan in order; false when all calls have been gone through.
    bool next() {
        if (calls_ <= position_)
            return false;
        if (way_ < ways_)
            ++injected_;
        if (++way_ >= ways_) {
            way_ = 0;
            ++position_;
        }
        restart();
        return true;
    }

    void restart() { calls_ = 0; }

    [[nodiscard]] std::size_t position() const noexcept { return position_; }
    /// The faults that next() has passed.
    [[nodiscard]] std::size_t injected() const noexcept { return injected_; }

private:
    Errors errors_;
    std::size_t calls_ = 0;
    std::size_t position_ = 0;
    std::size_t way_ = 0;
    std::size_t ways_ = 0;
    std::size_t injected_ = 0;
};

}  // namespace test
