// SPDX-License-Identifier: MIT
// Snapshot: what a tree held, to be compared with later.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <cstddef>
#include <filesystem>
#include <memory>

namespace inotify {

namespace detail {
struct SnapshotData;
}

inline namespace v0 {

/// What a client of an InotifyTree knows: the names, and of each file its inode, size, mtime and
/// ctime, as far as these are certain. A value; copies share what they hold, which never changes.
///
/// InotifyTree::snapshot() makes one, TreeOptions::since takes one.
class INOTIFY_EXPORT Snapshot {
public:
    /// A snapshot of no root: to a tree that is made with it everything is new.
    Snapshot() noexcept = default;

    /// Reads a snapshot. Throws std::system_error: EBADMSG for what save() has not written, with a
    /// word that says what is wrong ("foreign", "of another version", "truncated", "damaged"), and
    /// otherwise what open(2), fstat(2) or read(2) says.
    static Snapshot load(const std::filesystem::path& file);

    /// Writes the snapshot in place of `file`, so that whatever happens, a `kill -9` or the loss of
    /// power, there is the former file or the new one: a new file in the same directory is written,
    /// synchronised by fsync(2) and renamed, and so is the directory. Only its owner may read it.
    /// Throws std::system_error with what the system call says (ENOSPC, EROFS, ...); unless that is
    /// the last fsync(2), the former file is as it was.
    void save(const std::filesystem::path& file) const;

    /// The number of entries, the roots not among them.
    [[nodiscard]] std::size_t size() const noexcept;
    /// True when there are none.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// For the library, which alone can make one.
    explicit Snapshot(std::shared_ptr<const detail::SnapshotData> data) noexcept;
    /// For the library.
    [[nodiscard]] const detail::SnapshotData& data() const noexcept;

private:
    std::shared_ptr<const detail::SnapshotData> data_;  // null: of no root
};

}  // namespace v0
}  // namespace inotify

#endif  // C++20
