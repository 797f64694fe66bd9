// SPDX-License-Identifier: MIT
// Names that are followed: the directories and links that lead to what each one means.
#pragma once

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record.hpp>
#include <inotify/detail/retry_queue.hpp>
#include <inotify/inotify.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace inotify::detail {

/// What a name leads to.
struct Target {
    int wd = -1;  // its watch; -1: the name leads nowhere
    bool is_directory = false;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
};

/// For each followed name the chain that leads to its target: the directories on the way, through
/// links too, each with the entry that is looked up in it.
///
/// Each directory on a chain is watched for what can change its entry, and watched before the entry
/// is looked up; so whatever makes a name lead elsewhere after it was looked up leaves a record.
/// A link needs no watch: it never changes, and its directory shows that it is replaced. Names
/// share their watches. A name is looked up again when the records say that it may have changed,
/// but only when all records have been handled; a watch descriptor distinguishes one target from
/// another.
///
///     settled ──(a record of its chain, an overflow, its time)──> suspect ──(look)──> settled
class NameChains {
public:
    using Id = NodeId;
    using Time = RetryQueue::Time;

    /// What a look at a name has found.
    struct Finding {
        Id name = no_node;
        Target before;
        Target now;
        std::string location =
            {};         // a path without links to what it leads to now, if that was seen
        int error = 0;  // why a part of the chain could not be watched; 0: nothing to report
    };

    explicit NameChains(Kernel& kernel) : kernel_(kernel) {}

    /// Adds a name, which leads nowhere until it is looked up. Of the mask the events and
    /// DONT_FOLLOW, ONLYDIR and EXCL_UNLINK count, for the target. Throws std::system_error when a
    /// relative path cannot be resolved, because the working directory is gone.
    Id add(const std::string& path, Mask mask);

    /// The name with this path, as it was given; no_node if there is none.
    [[nodiscard]] Id find(std::string_view path) const;

    void remove(Id name);

    /// Replaces the mask. True if it is in effect for the target; otherwise the name is suspect.
    bool set_mask(Id name, Mask mask);

    [[nodiscard]] bool empty() const noexcept { return names_.empty(); }
    [[nodiscard]] const std::string& path(Id name) const { return names_.at(name).path; }
    [[nodiscard]] Mask mask(Id name) const { return names_.at(name).mask; }
    [[nodiscard]] const Target& target(Id name) const { return names_.at(name).target; }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [id, name] : names_)
            visit(id);
    }

    /// A record was handled: the names that it may have changed become suspects. True when there
    /// are any.
    bool handle(const Record& record);

    /// Something else has happened to what a name leads to.
    void suspect(std::string_view path);

    /// True when there is a name to look up.
    [[nodiscard]] bool has_suspect();

    /// After so many looks in a row each suspect has been looked up: what has changed again by then
    /// may wait, so that a name that never stops changing does not hold up the loop.
    [[nodiscard]] std::size_t most_looks() const noexcept { return names_.size() + 64; }

    /// Looks up a name that is suspect, and reports what it leads to now.
    Finding look();
    /// The same for any name.
    Finding look(Id name);

    /// Calls `visit` with each name that failed and its error.
    template <typename Visit>
    void for_each_failure(Visit visit) const {
        failures_.for_each(visit);
    }

    /// How long until there is a name to look up if nothing happens; `forever`: there is none.
    [[nodiscard]] Duration until_due() const;

    /// True when a chain needs the watch, for its target or on the way.
    [[nodiscard]] bool uses(int wd) const { return users_.contains(wd); }

    /// The watches that chains have ceased to need since the last call.
    std::vector<int> take_released();

    /// A watch was given back: a name that lacks one may get it.
    void end_shortage() { failures_.end_shortage(ENOSPC); }

private:
    struct Step {
        int wd = -1;  // -1: the directory could not be watched
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        std::string entry;
    };

    struct Name {
        std::string path;      // as it was given
        std::string absolute;  // the same, behind the working directory of its time
        Mask mask;
        std::vector<Step> chain;
        Target target;
    };

    // The names that need a watch.
    struct Users {
        std::map<std::string, std::set<Id>, std::less<>> entries;  // by what is looked up there
        std::set<Id> targets;
    };

    // What a walk along a name has seen.
    struct Sight {
        std::vector<Step> chain;
        Target target;
        std::string location;  // of the target, without links
        bool is_known = true;  // false: the error says nothing of the target
        int error = 0;
    };

    class Walk;

    Sight see(Id id);
    void replace_chain(Id id, Sight sight);
    void release(Id id, const std::vector<Step>& chain, int target);
    void release_if_unused(int wd);
    void discard(const Sight& sight);
    void suspect_all(const Users& users);
    void expedite(const std::set<Id>& names);

    Kernel& kernel_;
    std::map<Id, Name> names_;
    std::map<std::string, Id, std::less<>> ids_;  // by path
    std::unordered_map<int, Users> users_;        // by watch descriptor
    std::set<Id> suspects_;
    std::set<int> released_;  // watches that may be nobody's
    RetryQueue failures_;
    Id next_id_ = 0;
    Id last_look_ = no_node;
};

}  // namespace inotify::detail
