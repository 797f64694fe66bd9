// SPDX-License-Identifier: MIT
// The data of a snapshot: trees of entries, and of each by what it would be known to be another.
#pragma once

#include <inotify/detail/kernel.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace inotify::detail {

using EntryId = std::uint32_t;
inline constexpr EntryId no_entry = std::numeric_limits<EntryId>::max();

inline constexpr std::int64_t one_second = 1'000'000'000;  // of mtime and ctime

/// An entry, or a root. What is unknown is equal to nothing.
struct SnapshotEntry {
    std::string name;  // a root's: the root as it was given
    EntryId parent = no_entry;
    FileType type = FileType::unknown;  // a root that has ended: unknown
    bool has_contents = false;          // size and times are known
    std::uint64_t inode = 0;            // 0: unknown
    std::uint64_t size = 0;
    std::int64_t mtime = 0;  // nanoseconds since 1970
    std::int64_t ctime = 0;
    std::vector<EntryId> children = {};  // sorted by name

    // Of a snapshot that is compared at once; a file has nothing of them.
    bool is_unlisted = false;  // what is in the directory has not been read
    bool is_alias = false;     // what is in the directory is in another one's entry

    friend bool operator==(const SnapshotEntry&, const SnapshotEntry&) = default;
};

/// The roots, in the order in which they were given, and all that lies in them.
///
/// An entry that has been taken out stays in `entries`, where nothing leads to it any more.
struct SnapshotData {
    std::vector<SnapshotEntry> entries;
    std::vector<EntryId> roots;

    [[nodiscard]] const SnapshotEntry& operator[](EntryId id) const noexcept { return entries[id]; }
    SnapshotEntry& operator[](EntryId id) noexcept { return entries[id]; }

    EntryId add_root(std::string_view name);
    void remove_root(std::string_view name);
    /// Adds an entry behind all others of its directory.
    EntryId append(EntryId directory, std::string_view name, FileType type);
    /// Adds an entry at a name that is free.
    EntryId insert(EntryId directory, std::string_view name, FileType type);
    /// Takes an entry with all below it out of its directory.
    void take_out(EntryId id);
    /// Puts what was taken out at a name that is free.
    void put_in(EntryId id, EntryId directory, std::string_view name);

    /// no_entry if there is none.
    [[nodiscard]] EntryId root(std::string_view name) const noexcept;
    [[nodiscard]] EntryId child(EntryId directory, std::string_view name) const noexcept;

    /// The entries in the roots.
    [[nodiscard]] std::size_t count() const noexcept;

    /// The path, as events have it.
    void path(EntryId id, std::string& result) const;
};

/// The entry behind `id` when what lies in `top` is visited depth first; no_entry behind the last.
/// `place` says where in its directory each entry on the way to `id` is; it begins empty, with
/// `top`.
EntryId next_entry(const SnapshotData& data, EntryId id, std::vector<std::size_t>& place) noexcept;

/// Makes an entry unknown: it is another one, whatever there is.
inline void forget_entry(SnapshotEntry& entry) noexcept {
    entry.inode = 0;
    entry.has_contents = false;
}

}  // namespace inotify::detail
