// SPDX-License-Identifier: MIT
// What the loop draws events from: single paths, or trees.
#pragma once

#include <inotify/inotify.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace inotify::detail {

/// Writes every member of `event`; its strings keep their storage.
inline void write_event(Event& event, int wd, Mask mask, std::uint32_t cookie,
                        std::string_view path, std::string_view filename) {
    event.wd = wd;
    event.mask = mask;
    event.cookie = cookie;
    event.path = path;
    event.filename = filename;
    event.moved_from.clear();
    event.synthetic = false;
    event.error.clear();
}

/// The path of the entry `name` in `directory`.
inline void append_name(std::string& directory, std::string_view name) {
    if (!directory.ends_with('/'))
        directory += '/';
    directory += name;
}

/// Whether `path` is `directory`, or lies below it.
inline bool is_within(const std::string& path, const std::string& directory) {
    std::string below = directory;
    append_name(below, {});
    return path == directory || path.starts_with(below);
}

/// The shorter of two limits, of which a negative one is none.
inline Duration shorter(Duration a, Duration b) {
    if (a.count() < 0 || b.count() < 0)
        return std::max(a, b);
    return std::min(a, b);
}

/// What a source knows of the name that an entry arrives at: whether it was another entry's until
/// then.
enum class Arrival { unknown, free, taken };

/// Turns the records of one inotify instance into events.
class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    /// Writes the next event into `event`, every member; false when all that had happened before
    /// the call has been reported and the kernel's queue was read empty. Never blocks.
    virtual bool next(Event& event) = 0;

    /// Of the event that next() wrote last, if it says that an entry arrived.
    [[nodiscard]] virtual Arrival arrival() const noexcept { return Arrival::unknown; }

    /// True when whatever is watched is a directory, which DELETE_SELF does not say.
    [[nodiscard]] virtual bool watches_directories() const noexcept { return false; }

    /// How long the loop may wait before next() has something to do of its own; `forever`: it has
    /// nothing.
    virtual Duration until_due() { return forever; }

    virtual int add_watch(const std::filesystem::path& path, Mask mask) = 0;
    virtual void follow(const std::filesystem::path& path, Mask mask) = 0;
    virtual void remove_watch(const std::filesystem::path& path) = 0;
    virtual void remove_watch(int wd) = 0;
    [[nodiscard]] virtual std::vector<Watch> watches() const = 0;
};

}  // namespace inotify::detail
