// SPDX-License-Identifier: MIT
// A probe: the system calls of a first scan for one directory, which any thread can make.
#pragma once

#include <inotify/detail/kernel.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace inotify::detail {

using Listing = std::vector<DirectoryEntry>;

/// True when an error says that there is no directory, or not the one that was expected.
constexpr bool is_absent(int error) noexcept {
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESTALE;
}

/// What is asked of a directory, and what there was; it holds nothing of the picture.
///
/// A first scan needs no file names, so a directory that has no subdirectories by its link count
/// need not be opened: two calls instead of seven, and they are most of a tree.
struct Probe {
    struct Entry {
        int wd = -1;           // its watch
        bool is_seen = false;  // false: this way does not do
        bool is_leaf = false;  // it has no subdirectory
    };

    std::string path = {};         // leads to the directory
    bool via_link = false;         // the path may end at a symbolic link
    int wd = -1;                   // of the directory
    std::uint32_t own_mask = 0;    // to watch the directory again
    std::uint32_t entry_mask = 0;  // to watch what is in it
    bool lists = false;
    bool looks_up_listed = false;  // the directories of the listing
    std::vector<std::string> names = {};

    bool is_done = false;  // false: there was no room for it
    int error = 0;
    int own_wd = -1;  // what the path led to in the end
    Listing listing = {};
    std::vector<Entry> entries = {};  // of the first names
};

/// Makes the calls of one probe after the other, until there are no more or they have found as much
/// as there is room for. Called by several threads at once, they share the probes.
class ProbeBatch {
public:
    explicit ProbeBatch(std::vector<Probe> probes);

    void work(DirectoryCalls& calls);
    std::vector<Probe>& probes() noexcept { return probes_; }

    /// Names that are looked up by one probe, and entries that are found by all.
    static constexpr std::size_t most_names = 512;
    static constexpr std::size_t most_found = 16384;

private:
    std::vector<Probe> probes_;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::size_t> found_ = 0;
};

/// Replaces `listing` by what is in a directory, with all types; 0 or −errno.
int list_with_types(DirectoryCalls& calls, int directory, Listing& listing);

}  // namespace inotify::detail
