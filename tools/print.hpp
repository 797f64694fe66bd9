// SPDX-License-Identifier: MIT
// Events and batches as lines for people, as lines of JSON, or as paths.
#pragma once

#include "options.hpp"

#include <inotify/batch.hpp>

#include <iosfwd>

/// Flushes, so that a reader at the other end of a pipe has it at once; throws std::system_error if
/// it cannot be written.
void flush(std::ostream& out);

/// Prints to standard output what the options ask for.
class Printer {
public:
    explicit Printer(const Options& options);

    void print(const inotify::Event& event) const;
    void print(const inotify::Batch& batch) const;

    /// Notes are for people: where programs read, standard output is left to them.
    void note(const std::string& text) const;

private:
    void print_time() const;
    void print_json(const inotify::Event& event) const;
    void print_json(const inotify::Batch& batch) const;

    const Options& options_;
    bool colours_;
};
