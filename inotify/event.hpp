// SPDX-License-Identifier: MIT
// Event: one thing that happened to a watched file or directory.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <inotify/mask.hpp>

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <system_error>

namespace inotify {
inline namespace v0 {

/// One event of the stream; it owns its strings, so it can be stored, moved and sent elsewhere.
///
/// Names are raw bytes, as the file system holds them; they are never decoded.
struct Event {
    /// The watch descriptor; -1 for IN_Q_OVERFLOW, for errors, and when a followed name has come to
    /// lead nowhere.
    int wd = -1;
    /// What happened: one event bit, with IN_ISDIR when the subject is a directory. So
    /// `mask == IN::CREATE` is false for a directory: test with `&`, contains() or intersects().
    Mask mask = {};
    /// Ties IN_MOVED_FROM to IN_MOVED_TO; otherwise 0.
    std::uint32_t cookie = 0;
    /// The watched file or directory, spelled as it was given (in a tree: the root as given and the
    /// relative part behind it).
    std::string path = {};
    /// The entry inside `path`; empty when the event is about `path` itself.
    std::string filename = {};
    /// IN_MOVED_TO only: the full path it came from, when this stream saw the MOVED_FROM.
    std::string moved_from = {};
    /// Found by the library itself, not sent by the kernel: by InotifyTree (a race, an overflow,
    /// the initial listing), or of a name that is followed (Inotify::follow()).
    bool synthetic = false;
    /// Set when `path`, or a part of the way to a followed one, could not be watched; then `mask`
    /// is empty. Compare it with a std::errc: at a limit its category is one of this library, whose
    /// message says how to raise the limit.
    std::error_code error = {};

    /// `path / filename`, or `path` when there is no file name.
    [[nodiscard]] INOTIFY_EXPORT std::filesystem::path full_path() const;

    /// True when the subject is a directory.
    [[nodiscard]] bool is_dir() const noexcept { return mask.contains(IN::ISDIR); }

    /// True when every member is equal.
    friend bool operator==(const Event&, const Event&) = default;

    /// Prints an element of a range: the event as its own line, or `(empty)`. Without this the
    /// nearest way to print one would be `*event`, which is undefined for the empty value. A
    /// friend, so that only elements are printed this way, whatever else converts to one. Returns
    /// `out`.
    friend INOTIFY_EXPORT std::ostream& operator<<(std::ostream& out,
                                                   const std::optional<Event>& event);
};

/// Prints one readable line without its end; control characters and backslashes in names come as
/// `\xHH`. Returns `out`.
INOTIFY_EXPORT std::ostream& operator<<(std::ostream& out, const Event& event);

}  // namespace v0
}  // namespace inotify

#endif  // C++20
