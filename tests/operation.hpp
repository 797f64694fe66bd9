// SPDX-License-Identifier: MIT
// An operation of another process: read from a line of text, printed as one, and run on the
// simulated or the real file system.
#pragma once

#include "sim_kernel.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// The words of a line; # begins a comment.
using Words = std::vector<std::string>;
Words split_words(const std::string& line);

/// In a path of a line \n and \xHH are bytes, and a{255} is the a 255 times.
std::string unescape(const std::string& text);
/// The path that a line names: relative to /r, which is ".", or absolute.
std::string full_path(const std::string& text);

/// One operation of another process. `operation.cpp` lists the names.
struct Op {
    std::string_view name;
    std::string a;
    std::string b = {};
    bool lost = false;  // the queue is full: its records are lost
    // When it is set, the change is seen, and so many records are queued, a moment before the
    // others are.
    std::optional<std::size_t> split = {};

    /// Reads `[lost] [split N] NAME A [B]`; throws std::runtime_error if that is no operation.
    static Op parse(std::span<const std::string> words);
    /// The same operation as a line.
    [[nodiscard]] std::string text() const;

    /// The same operation in another directory: its absolute paths, and empty ones, begin there.
    [[nodiscard]] Op below(const std::string& directory) const;

    // The result is 0 or −errno.

    /// Runs it; `split` is left to the caller, who decides when it goes on.
    int run(sim::World& world) const;
    /// Runs it on the real file system, where no records can be lost or split.
    int run() const;

    friend bool operator==(const Op&, const Op&) = default;
};

using Script = std::vector<Op>;

std::string to_string(const Script& script);

}  // namespace test
