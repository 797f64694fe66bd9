// SPDX-License-Identifier: MIT
// Mask: a set of inotify(7) event bits, and IN: their names.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace inotify {
inline namespace v0 {

/// A set of `IN_*` bits, as inotify_add_watch(2) takes them and as records carry them.
///
/// Implicit from `std::uint32_t`, so the kernel's own macros can be passed anywhere. The mask of an
/// event of a directory holds IN::ISDIR too, so `event->mask == IN::CREATE` is false for it: test
/// with `&`, contains() or intersects().
class Mask {
public:
    /// The empty set.
    constexpr Mask() noexcept = default;
    /// The set of `bits`, numbered as in the kernel; none is refused.
    constexpr Mask(std::uint32_t bits) noexcept : bits_(bits) {}

    /// The bits as the kernel numbers them.
    [[nodiscard]] constexpr std::uint32_t bits() const noexcept { return bits_; }

    /// True when every bit of `all` is set.
    [[nodiscard]] constexpr bool contains(Mask all) const noexcept {
        return (bits_ & all.bits_) == all.bits_;
    }

    /// True when at least one bit of `any` is set.
    [[nodiscard]] constexpr bool intersects(Mask any) const noexcept {
        return (bits_ & any.bits_) != 0;
    }

    /// True when any bit is set.
    constexpr explicit operator bool() const noexcept { return bits_ != 0; }

    /// The kernel's names of the bits, such as `{"IN_CREATE", "IN_ISDIR"}`; unknown bits as one
    /// hexadecimal number.
    [[nodiscard]] INOTIFY_EXPORT std::vector<std::string> names() const;

    /// The bits of either set.
    friend constexpr Mask operator|(Mask a, Mask b) noexcept { return a.bits_ | b.bits_; }
    /// The bits of both sets.
    friend constexpr Mask operator&(Mask a, Mask b) noexcept { return a.bits_ & b.bits_; }
    /// The bits of exactly one of the sets.
    friend constexpr Mask operator^(Mask a, Mask b) noexcept { return a.bits_ ^ b.bits_; }
    /// The bits that are not in the set.
    friend constexpr Mask operator~(Mask a) noexcept { return ~a.bits_; }
    /// Adds the bits of `other`; returns this set.
    constexpr Mask& operator|=(Mask other) noexcept { return *this = *this | other; }
    /// Keeps only the bits of `other`; returns this set.
    constexpr Mask& operator&=(Mask other) noexcept { return *this = *this & other; }
    /// True when both have the same bits.
    friend constexpr bool operator==(Mask, Mask) noexcept = default;

private:
    std::uint32_t bits_ = 0;
};

/// The names without `IN_`, joined: `CREATE|ISDIR`; an empty mask gives `0`.
[[nodiscard]] INOTIFY_EXPORT std::string to_string(Mask mask);

/// Prints `to_string(mask)`; returns `out`.
INOTIFY_EXPORT std::ostream& operator<<(std::ostream& out, Mask mask);

/// The bits of inotify(7), under the kernel's own words.
namespace IN {

/// A file was read (IN_ACCESS).
inline constexpr Mask ACCESS = 0x0000'0001;
/// A file was written or truncated (IN_MODIFY).
inline constexpr Mask MODIFY = 0x0000'0002;
/// Permissions, times, extended attributes, link count or owner changed (IN_ATTRIB).
inline constexpr Mask ATTRIB = 0x0000'0004;
/// A file that was open for writing was closed (IN_CLOSE_WRITE).
inline constexpr Mask CLOSE_WRITE = 0x0000'0008;
/// A file or directory that was not open for writing was closed (IN_CLOSE_NOWRITE).
inline constexpr Mask CLOSE_NOWRITE = 0x0000'0010;
/// A file or directory was opened (IN_OPEN).
inline constexpr Mask OPEN = 0x0000'0020;
/// An entry of the watched directory was renamed away (IN_MOVED_FROM).
inline constexpr Mask MOVED_FROM = 0x0000'0040;
/// An entry was renamed to here (IN_MOVED_TO).
inline constexpr Mask MOVED_TO = 0x0000'0080;
/// An entry was created (IN_CREATE).
inline constexpr Mask CREATE = 0x0000'0100;
/// An entry was deleted (IN_DELETE).
inline constexpr Mask DELETE = 0x0000'0200;
/// The watched file or directory itself was deleted (IN_DELETE_SELF).
inline constexpr Mask DELETE_SELF = 0x0000'0400;
/// The watched file or directory itself was renamed (IN_MOVE_SELF).
inline constexpr Mask MOVE_SELF = 0x0000'0800;

/// Either kind of close (IN_CLOSE).
inline constexpr Mask CLOSE = CLOSE_WRITE | CLOSE_NOWRITE;
/// Either record of a rename (IN_MOVE).
inline constexpr Mask MOVE = MOVED_FROM | MOVED_TO;
/// What changes names and contents: CREATE, DELETE, MOVE and CLOSE_WRITE, the mask that most
/// programs want. Reading is no part of it, so a program may open what is reported. The kernel has
/// no such name.
inline constexpr Mask CHANGES = CREATE | DELETE | MOVE | CLOSE_WRITE;
/// Every event that can be asked for (IN_ALL_EVENTS).
inline constexpr Mask ALL_EVENTS = 0x0000'0fff;

/// The file system was unmounted; always sent (IN_UNMOUNT).
inline constexpr Mask UNMOUNT = 0x0000'2000;
/// The kernel's queue was full and events were dropped; always sent (IN_Q_OVERFLOW).
inline constexpr Mask Q_OVERFLOW = 0x0000'4000;
/// The watch is gone: removed, deleted or unmounted; always sent (IN_IGNORED).
inline constexpr Mask IGNORED = 0x0000'8000;

/// The path is watched only if it is a directory (IN_ONLYDIR).
inline constexpr Mask ONLYDIR = 0x0100'0000;
/// A symbolic link is watched itself, not what it points to (IN_DONT_FOLLOW).
inline constexpr Mask DONT_FOLLOW = 0x0200'0000;
/// No events for entries after they are unlinked (IN_EXCL_UNLINK).
inline constexpr Mask EXCL_UNLINK = 0x0400'0000;
/// Fail with EEXIST if the file is watched already (IN_MASK_CREATE).
inline constexpr Mask MASK_CREATE = 0x1000'0000;
/// Add to the mask of a watched path instead of replacing it (IN_MASK_ADD).
inline constexpr Mask MASK_ADD = 0x2000'0000;
/// The subject of the event is a directory (IN_ISDIR).
inline constexpr Mask ISDIR = 0x4000'0000;
/// Remove the watch after one event (IN_ONESHOT).
inline constexpr Mask ONESHOT = 0x8000'0000;

}  // namespace IN
}  // namespace v0
}  // namespace inotify

#endif  // C++20
