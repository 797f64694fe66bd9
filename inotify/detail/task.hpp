// SPDX-License-Identifier: MIT
// A task: something of the disk that is to be looked at.
#pragma once

#include <inotify/detail/tree_model.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace inotify::detail {

/// How what is found is reported: not at all, as what was there before, or as what is new.
enum class Report : std::uint8_t { nothing, existing, fresh };

/// What is asked of the disk about one directory.
struct Task {
    enum class Kind : std::uint8_t {
        list,       // what the directory holds
        look_up,    // what is at some of its names
        confirm,    // whether what was reported to leave some of its names is still there
        find_root,  // where the directory, a root that was renamed, is now
    };

    NodeRef directory;
    Kind kind = Kind::look_up;
    Report report = Report::fresh;
    bool recursive = false;   // compare the contents of directories that are known, too
    bool were_known = false;  // the client knew the names: what is not known any more is gone
    bool by_fd = false;       // paths changed while they were used: use descriptors only
    std::vector<std::string> names = {};
    // What Agenda::progress() was when the directory could not be reached; 0: it could.
    std::uint64_t unreachable_at = 0;
};

}  // namespace inotify::detail
