// SPDX-License-Identifier: MIT
// A case: a script of lines, run on the simulated kernel.
//
// A line is a command or, after `expect`, an event; # begins a comment. Paths are relative to the
// root /r, or absolute; /o lies outside. Commands before `watch` make what is there already.
//
//   mkdir, rmdir, mkfifo, create, write, read, unlink, chmod, list PATH
//   mount, unmount, deny, allow PATH
//   rename, exchange, link, bind A B
//   symlink TARGET PATH
//   move_out PATH, move_in PATH   rename to and from outside
//   lost COMMAND           the queue is full for it: one of the above, whose records are lost
//   split N COMMAND        only its first N records are queued,
//   rest                   and these are the others
//   option track_files, report_existing, follow_symlinks, follow_roots, one_file_system,
//       max_depth N, mask MASK, exclude PATH, exclude *SUFFIX
//   watch [PATH...]        makes the tree, of the root or of several roots
//   follow PATH...         or follows names, with no tree
//   remove_tree PATH
//   overflow N             the queue holds N records for the commands from here to the next expect
//   watch_limit N
//   lists_as_of_rewind     listings are as on btrfs
//   no_link_counts         link counts are as on btrfs: they say nothing
//   unknown_types          listings know no types
//   late_half              the second half of the last rename is queued behind what follows it
//   short_reads            each read ends after one record
//   during CALL N COMMAND  happens before the N-th such call of the library from here on
//   later                  a second passes
//   expect                 every event up to the empty value, in order:
//       MASK PATH [< MOVED_FROM] [(synthetic)], or: error ERRNO PATH
//
// What a random script finds says how the client is left, instead of every event. For one root:
//
//   cycle                  reads up to the empty value; the client can apply every event, and none
//                          is an error or comes of the library's own reading
//   picture                the same, and then the client knows what is there
//   probes                 a file that is created in each directory is reported in the next cycle
//   watches                every directory is watched under its path, and nothing else is
//
// In a path \n and \xHH are bytes, and a{255} is the a 255 times. "." is the root itself.
#pragma once

#include "operation.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace test {

using CaseLines = std::vector<std::string>;

/// Lines that are no case: a command that cannot be read, or an operation that fails.
struct Refused : std::runtime_error {
    using runtime_error::runtime_error;
};

/// Runs a case. Returns what is wrong, each with its line; throws Refused.
std::vector<std::string> run_case(const CaseLines& lines);

/// The shortest case that still fails, found by leaving out and simplifying its lines one at a
/// time. Its options stay.
CaseLines shrink_case(CaseLines lines);

std::string to_string(const CaseLines& lines);

/// What `option exclude` names: a path, or * and the end of it.
std::function<bool(std::string_view)> excluding(const std::string& pattern);

}  // namespace test
