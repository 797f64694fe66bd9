// SPDX-License-Identifier: MIT
// Inotify: a blocking range of events over single files and directories.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <inotify/event.hpp>
#include <inotify/mask.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

/// Linux inotify(7) as a blocking range.
///
/// Only what says so waits for events, and only what says so throws, beside std::bad_alloc. One
/// thread at a time uses an adapter (Inotify, InotifyTree, Watcher) with its ranges; only
/// Inotify::stop() may come from any other. Values (Event, Mask, Watch) may go to any thread.
namespace inotify {

namespace detail {
class Stream;
struct Session;
}  // namespace detail

// The version of the ABI; inline, so that `inotify::Event` is enough.
inline namespace v0 {

/// All durations are milliseconds, the unit of epoll_wait(2).
using Duration = std::chrono::milliseconds;

/// The duration without a limit; any other negative duration is refused with EINVAL.
inline constexpr Duration forever{-1};

/// How one range behaves.
struct EventGenOptions {
    /// The range ends once no event has come for this long (to the millisecond, also when
    /// block_duration is longer); unset or `forever`: never.
    std::optional<Duration> timeout = {};
    /// False: no empty values, only events.
    bool yield_empty = true;
    /// The range ends when a stop is requested here.
    std::stop_token stop = {};
};

class BatchRange;
struct BatchOptions;

/// One watch of inotify_add_watch(2), or one name that is followed.
struct Watch {
    /// The watch descriptor; -1 while a followed name leads nowhere.
    int wd = -1;
    /// The path as it was given.
    std::string path;
    /// The events that are asked for.
    Mask mask;

    /// True when every member is equal.
    friend bool operator==(const Watch&, const Watch&) = default;
};

/// The stream of one adapter as a range: an input range and a view of `std::optional<Event>`.
///
/// An element is an event, or empty at the end of each cycle. The empty value is a fact: the
/// kernel's queue had been read empty, so every change that finished before the call is reported.
///
/// `begin()` and `++` never block; `*` and the comparison with the end do. So a loop can be left
/// by `break` and a new one goes on with the next event. All ranges of one adapter are one stream;
/// one of them is iterated at a time, by one thread. A range must not outlive its adapter, which
/// may be moved.
///
/// `*` and the comparison throw std::system_error if the inotify instance itself fails (read(2),
/// epoll_wait(2)); never because of a single path.
class EventRange : public std::ranges::view_base {
public:
    /// Move-only; lazy: invalidated by `++`, fetched by `*` and by the comparison.
    class Iterator {
    public:
        /// An input iterator: the stream is passed once.
        using iterator_concept = std::input_iterator_tag;
        /// An event, or empty at the end of a cycle.
        using value_type = std::optional<Event>;
        /// Asked for by std::weakly_incrementable; nothing is subtracted.
        using difference_type = std::ptrdiff_t;

        /// Takes the place of the other.
        Iterator(Iterator&&) = default;
        /// Takes the place of the other.
        Iterator& operator=(Iterator&&) = default;
        Iterator(const Iterator&) = delete;
        Iterator& operator=(const Iterator&) = delete;

        /// The element, valid until `++`; it may be changed and moved from. Blocks until there is
        /// one. Throws as EventRange says.
        std::optional<Event>& operator*() const { return range_->current(); }

        /// Steps on and returns itself; never blocks.
        Iterator& operator++() noexcept {
            range_->consume();
            return *this;
        }
        /// Steps on; never blocks.
        void operator++(int) noexcept { ++*this; }

        /// True when the range has ended: by its timeout, a stop token or Inotify::stop().
        /// Blocks until that or the next element is known. Throws as EventRange says.
        bool operator==(std::default_sentinel_t) const { return !range_->fetch(); }

    private:
        friend EventRange;
        explicit Iterator(EventRange& range) noexcept : range_(&range) {}
        EventRange* range_;
    };

    /// Takes the place of the other, whose iterators are no longer valid.
    INOTIFY_EXPORT EventRange(EventRange&&) noexcept;
    /// Takes the place of the other, whose iterators are no longer valid.
    INOTIFY_EXPORT EventRange& operator=(EventRange&&) noexcept;
    EventRange(const EventRange&) = delete;
    EventRange& operator=(const EventRange&) = delete;
    /// Drops nothing: what was not yielded comes in the next range.
    INOTIFY_EXPORT ~EventRange();

    /// The first element that no range of this adapter has yielded. Never blocks.
    INOTIFY_EXPORT Iterator begin();

    /// The end, reached by a timeout or a stop.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    friend class Inotify;
    EventRange(detail::Stream& stream, EventGenOptions options);

    INOTIFY_EXPORT bool fetch();
    INOTIFY_EXPORT std::optional<Event>& current();
    INOTIFY_EXPORT void consume() noexcept;

    detail::Stream* stream_;
    std::unique_ptr<detail::Session> session_;
};

/// Watches single files and directories; see inotify(7).
///
/// One thread at a time uses an adapter; only stop() may come from any other. All descriptors are
/// close-on-exec. Move-only: a moved-from adapter can be assigned to and destroyed.
class INOTIFY_EXPORT Inotify {
public:
    /// Makes an inotify instance (inotify_init1(2)), with `duration` as its block_duration().
    /// Throws std::system_error: EMFILE at fs.inotify.max_user_instances or the limit of open
    /// files, ENFILE, ENOMEM; EINVAL for a negative duration that is not `forever`.
    explicit Inotify(Duration duration = std::chrono::seconds{1});

    /// The same, and watches `paths` for IN::ALL_EVENTS. Throws as add_watch() does.
    explicit Inotify(std::span<const std::filesystem::path> paths,
                     Duration duration = std::chrono::seconds{1});

    /// The same for a braced list of paths.
    explicit Inotify(std::initializer_list<std::filesystem::path> paths,
                     Duration duration = std::chrono::seconds{1});

    /// The same for a list in braces of its own, `Inotify{{"/a", "/b"}}`: the inner one would else
    /// be one path, with two literals as its iterators. A template, so that `{}` is no list of
    /// lists.
    template <typename = void>
    explicit Inotify(std::initializer_list<std::initializer_list<const char*>> paths,
                     Duration duration = std::chrono::seconds{1})
        : Inotify(duration) {
        for (const auto& list : paths)
            for (const char* path : list)
                add_watch(path);
    }

    /// The same for one path.
    explicit Inotify(const std::filesystem::path& path,
                     Duration duration = std::chrono::seconds{1});

    /// Takes over the watches and the stream; ranges stay valid.
    Inotify(Inotify&&) noexcept;
    /// Closes this instance and takes over the other's; ranges of the other stay valid.
    Inotify& operator=(Inotify&&) noexcept;
    Inotify(const Inotify&) = delete;
    Inotify& operator=(const Inotify&) = delete;

    /// Closes the instance; the kernel removes its watches.
    virtual ~Inotify();

    /// Watches `path` (inotify_add_watch(2)), or replaces the mask of a watched path, and returns
    /// the watch descriptor. Several paths may lead to one file; each has its own mask and events.
    /// No event is lost while a mask is replaced; the kernel still queues what the old mask asked
    /// for, so a mask that is much too wide is better removed first.
    /// Throws std::system_error with the errno, the call and the path: ENOENT, EACCES, ENOSPC at
    /// fs.inotify.max_user_watches, EINVAL for a mask without events, and the others of the
    /// man page.
    int add_watch(const std::filesystem::path& path, Mask mask = IN::ALL_EVENTS);

    /// Follows the name `path`: watches whatever it leads to, now and later, or replaces the mask
    /// of a name that is followed. Neither the path nor a directory on the way need exist; each may
    /// be removed, made again, renamed or replaced, and each symbolic link on the way may come to
    /// lead elsewhere. A relative path is resolved once, against the working directory of this
    /// call.
    ///
    /// Whatever the mask, a synthetic event says what becomes of the name: CREATE when it comes to
    /// lead to something, MOVED_TO when to another inode than before, DELETE when to nothing; with
    /// IN::ISDIR for a directory, and without a `filename`. What it leads to when this is called is
    /// not reported. At an empty value, the name leads to what was reported last. What happens to
    /// that comes under `path` as the mask asks, but for its own DELETE_SELF, MOVE_SELF and
    /// IGNORED.
    ///
    /// Each directory on the way is watched, also behind links, and each once for all names. One
    /// that cannot be watched, or any other part of the way that cannot be followed (EACCES,
    /// ENOSPC, ELOOP, ...), comes once as an event with `error` for each name, of a shortage
    /// (ENOSPC, EMFILE, ENFILE, ENOMEM) only for the first, and is tried again at idle: after 1 s,
    /// 2 s, 4 s and so on up to 60 s, and at once when its rights change (IN_ATTRIB). Until then
    /// changes of that part are not seen. Nor is it seen that a file system is mounted over a part
    /// of the way.
    ///
    ///     inotify::Inotify i;
    ///     i.follow("/etc/app.conf", IN::CLOSE_WRITE);
    ///     for (auto& event : i.event_gen({.yield_empty = false}))
    ///         reload();
    ///
    /// With IN::DONT_FOLLOW a link at the end of the path is followed as the file that it is; with
    /// IN::ONLYDIR the name leads nowhere while it is no directory's. Throws std::system_error:
    /// EINVAL for an empty path, a mask without events, or one with ONESHOT, MASK_ADD or
    /// MASK_CREATE; ENOENT for a relative path when the working directory is gone.
    void follow(const std::filesystem::path& path, Mask mask = IN::ALL_EVENTS);

    /// Stops watching and following `path`, spelled as it was given (inotify_rm_watch(2)); nothing
    /// more of it is yielded. Throws std::system_error(EINVAL) if it is not watched.
    void remove_watch(const std::filesystem::path& path);

    /// Stops watching and following every path of a watch descriptor. Throws
    /// std::system_error(EINVAL) if it is none.
    void remove_watch(int wd);

    /// The watches and the names that are followed, in the order of their descriptors; a path each.
    [[nodiscard]] std::vector<Watch> watches() const;

    /// The stream as a range; see EventRange. Throws std::system_error(EINVAL) for a negative
    /// timeout that is not `forever`.
    [[nodiscard]] EventRange event_gen(EventGenOptions options = {});

    /// The next event of the stream; empty after `timeout` without one, after a signal and after
    /// stop(). Blocks for at most `timeout`; zero polls. Throws as EventRange and event_gen() do.
    std::optional<Event> get(Duration timeout = forever);

    /// How long a cycle waits at most (epoll_wait(2)) when nothing is queued.
    [[nodiscard]] Duration block_duration() const;

    /// Changes it from the next wait on: zero polls, `forever` has no limit. Throws
    /// std::system_error(EINVAL) for another negative duration.
    void set_block_duration(Duration duration);

    /// Ends the running range or get(), or else the next; loses nothing: what was not yielded
    /// comes in the range after. From any thread, and from a signal handler (async-signal-safe).
    void stop() noexcept;

    /// A descriptor for other event loops. Set block_duration to zero; whenever the descriptor
    /// polls readable, loop until the empty value. It stays the same and is closed with the
    /// adapter; never read from it.
    [[nodiscard]] int fd() const noexcept;

    /// @cond
protected:
    // For InotifyTree, and for tests that put another kernel under the loop.
    explicit Inotify(std::unique_ptr<detail::Stream> stream);

    // The stream behind the ranges.
    [[nodiscard]] detail::Stream& stream() const noexcept { return *stream_; }

private:
    friend class Watcher;

    // How long until something that failed is tried again; `forever`: nothing is.
    [[nodiscard]] Duration until_due() const;
    friend BatchRange batches(Inotify& stream, BatchOptions options);

    std::unique_ptr<detail::Stream> stream_;
    /// @endcond
};

}  // namespace v0
}  // namespace inotify

#endif  // C++20
