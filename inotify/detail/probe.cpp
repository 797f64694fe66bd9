// SPDX-License-Identifier: MIT
// A probe: the system calls of a first scan for one directory, which any thread can make.
#include <inotify/detail/probe.hpp>

#include <inotify/detail/source.hpp>

#include <algorithm>
#include <utility>

namespace inotify::detail {
namespace {

// Gives entries from `first` on their types where the listing had none; what has gone since is
// erased. 0 or −errno.
int complete_types(DirectoryCalls& calls, int directory, Listing& listing, std::size_t first) {
    bool asked = false;
    for (std::size_t i = first; i < listing.size(); ++i) {
        DirectoryEntry& entry = listing[i];
        if (entry.type != FileType::unknown)
            continue;
        asked = true;
        Stat stat;
        if (const int error = calls.stat(directory, entry.name, false, stat); error == 0)
            entry.type = stat.type;
        else if (!is_absent(-error))
            return error;
    }
    if (!asked)
        return 0;
    calls.await_changes(directory);  // what has gone is reported by its record, queued with this
    std::erase_if(listing, [](const DirectoryEntry& e) { return e.type == FileType::unknown; });
    return 0;
}

// The directories of a listing, from `first` on, are to be looked up.
void add_listed(Probe& probe, std::size_t first) {
    if (!probe.looks_up_listed)
        return;
    for (std::size_t i = first; i < probe.listing.size(); ++i)
        if (probe.listing[i].type == FileType::directory)
            probe.names.push_back(probe.listing[i].name);
}

// One part of the listing.
using ListPart = int (DirectoryCalls::*)(int, Listing&);
void list(DirectoryCalls& calls, ListPart part, int directory, Probe& probe) {
    const std::size_t first = probe.listing.size();
    int error = (calls.*part)(directory, probe.listing);
    if (error == 0)
        error = complete_types(calls, directory, probe.listing, first);
    probe.error = -error;
    add_listed(probe, first);
}

// Looks up the first names. They are relative where the thread can be in the directory, which is
// exact; else paths lead to them, and the caller sees whether these may have led elsewhere.
void look_up(DirectoryCalls& calls, int directory, bool is_inside, Probe& probe) {
    const std::size_t count = std::min(probe.names.size(), ProbeBatch::most_names);
    probe.entries.reserve(count);
    std::string path;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string& name = probe.names[i];
        if (!is_inside) {
            path = probe.path;
            append_name(path, name);
        }
        Probe::Entry& entry = probe.entries.emplace_back();
        entry.wd = calls.add_watch(is_inside ? name : path, probe.entry_mask);
        Stat stat;
        entry.is_seen = entry.wd >= 0 && calls.stat(directory, name, false, stat) == 0;
        entry.is_leaf = stat.leaf;
    }
}

void see(DirectoryCalls& calls, Probe& probe) {
    const OpenDirectory directory(
        calls, calls.open_directory(DirectoryCalls::no_directory, probe.path, probe.via_link));
    if (!directory.is_open()) {
        probe.error = directory.error();
        return;
    }
    if (probe.lists)
        list(calls, &DirectoryCalls::list_first, directory.get(), probe);
    if (probe.error != 0)
        return;
    const bool is_inside = calls.enter(directory.get());
    look_up(calls, directory.get(), is_inside, probe);
    // What was seen is on the disk; with this the records that report it are queued, too.
    if (probe.lists)
        list(calls, &DirectoryCalls::list_rest, directory.get(), probe);
    else
        calls.await_changes(directory.get());
    probe.own_wd = calls.add_watch(is_inside ? "." : probe.path, probe.own_mask);
}

}  // namespace

ProbeBatch::ProbeBatch(std::vector<Probe> probes) : probes_(std::move(probes)) {}

void ProbeBatch::work(DirectoryCalls& calls) {
    while (found_.load(std::memory_order_relaxed) < most_found) {
        const std::size_t i = next_.fetch_add(1, std::memory_order_relaxed);
        if (i >= probes_.size())
            return;
        Probe& probe = probes_[i];
        see(calls, probe);
        probe.is_done = true;
        found_.fetch_add(probe.listing.size() + probe.entries.size(), std::memory_order_relaxed);
    }
}

int list_with_types(DirectoryCalls& calls, int directory, Listing& listing) {
    const int error = calls.list(directory, listing);
    return error < 0 ? error : complete_types(calls, directory, listing, 0);
}

}  // namespace inotify::detail
