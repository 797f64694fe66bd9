// SPDX-License-Identifier: MIT
// Batches: what has changed, once it is quiet.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <inotify/inotify.hpp>

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stop_token>
#include <string>
#include <vector>

namespace inotify {

namespace detail {
struct BatchSession;
struct BatchState;
}  // namespace detail

inline namespace v0 {

/// What became of a path.
enum class ChangeKind {
    /// It was not there before, or it has taken the place of a directory that left with what was in
    /// it (by a rename out of the tree): all that was below is gone.
    added,
    /// Its contents are not what they were: it was written, or another file or directory is there.
    /// What was below a directory that was removed and made again has changes of its own.
    modified,
    /// Only its attributes are not what they were (mode, owner, times, extended attributes).
    attributes,
    /// What is there was at `moved_from` before, with all below it, and replaces what was at
    /// `path`.
    /// The contents of a file are the same; the attributes may be others.
    renamed,
    /// It is gone, with all that was below it.
    removed,
};

/// One change of a Batch.
struct Change {
    /// What became of it.
    ChangeKind kind = ChangeKind::modified;
    /// The path, spelled as Event::full_path() has it; of a rename, until a directory around it is
    /// renamed further down in the list.
    std::string path = {};
    /// ChangeKind::renamed only: where it was when the changes before this one have been applied.
    std::string moved_from = {};
    /// True for a directory; of a removed path, for what was one. Where single paths are watched,
    /// one whose own end alone was seen (DELETE_SELF) counts as a file.
    bool is_dir = false;

    /// True when every member is equal.
    friend bool operator==(const Change&, const Change&) = default;
};

/// What has changed, net: each path at most once.
struct Batch {
    /// The changes, in an order in which they can be applied one after another: removals, renames,
    /// additions (parents first), then the rest.
    ///
    /// So that each can be applied, a directory that is added comes before what is renamed into it,
    /// and one that is removed behind what is renamed out of it. Files that have changed places
    /// with each other are modified. What goes into a directory that is renamed further down may be
    /// put there first, and is carried on. Only where directories have changed places a
    /// name is taken before it is free: set aside what an addition or a rename replaces, for a
    /// later `moved_from` that is this path means it, and so does one below this path where there
    /// is nothing now.
    std::vector<Change> changes = {};
    /// Events were lost (IN_Q_OVERFLOW). With an InotifyTree that tracks files the changes are
    /// exact all the same, but for what was written; with others, look at everything again.
    bool overflow = false;

    /// True when there is neither a change nor an overflow.
    [[nodiscard]] bool empty() const noexcept { return changes.empty() && !overflow; }

    /// True when every member is equal.
    friend bool operator==(const Batch&, const Batch&) = default;
};

/// How one range of batches behaves. Negative durations but `forever` are refused with EINVAL.
struct BatchOptions {
    /// A batch ends once no change has come for this long.
    Duration quiet = std::chrono::milliseconds{200};
    /// A batch ends this long after its first change, however busy it is; `forever`: only when it
    /// is quiet.
    Duration longest = std::chrono::seconds{5};
    /// The range ends once no change has come for this long, after the batch that they make; unset
    /// or `forever`: never.
    std::optional<Duration> timeout = {};
    /// True: also yield an empty batch at the end of each cycle (Inotify::block_duration()) in
    /// which there was nothing to do, and for changes that come to nothing.
    bool yield_empty = false;
    /// The range ends when a stop is requested here.
    std::stop_token stop = {};
};

/// Adds up what events have changed, for Watcher and for other loops; it makes no system call.
///
/// - Made and removed again: nothing. Made and written: added. Removed and made again: modified.
/// - Renamed from a to b and from b to c: one rename from a to c; and back to a: nothing.
/// - Renamed, then removed: the old name is removed.
/// - Made under one name and renamed to another, as editors save: the other name is modified, or
///   added if it is known not to have been there. batches() of an InotifyTree with `track_files`
///   knows; a BatchBuilder knows what the events that it was given say.
/// - A file that was renamed and written, in any order: the old name is removed, the new one added.
/// - Renamed out of what is watched: removed. Renamed into it: added, or modified if it is known to
///   have replaced a file.
/// - A directory that is renamed takes the changes below it along.
/// - A directory that is removed stands for all below it.
/// - What a followed name leads to: added, modified when it is another file, removed when nothing.
/// - OPEN, ACCESS, CLOSE_NOWRITE, MOVE_SELF, IGNORED, UNMOUNT and errors are no change. DELETE_SELF
///   removes the watched path, unless something has arrived there in this batch; so does a
///   synthetic IGNORED, with which a root ends that is followed.
/// - What is written to a file after it was removed is no change. In a later batch it is one: ask
///   for IN::EXCL_UNLINK.
///
/// The mask has to ask for CREATE, DELETE, MOVE and for one of MODIFY and CLOSE_WRITE.
class INOTIFY_EXPORT BatchBuilder {
public:
    /// An empty one.
    BatchBuilder();
    /// Takes over what the other holds.
    BatchBuilder(BatchBuilder&&) noexcept;
    /// Takes over what the other holds.
    BatchBuilder& operator=(BatchBuilder&&) noexcept;
    BatchBuilder(const BatchBuilder&) = delete;
    BatchBuilder& operator=(const BatchBuilder&) = delete;
    /// Drops what it holds.
    ~BatchBuilder();

    /// Adds the next event of one stream.
    void add(const Event& event);

    /// True when take() would give an empty batch; between the halves of a rename it may be false
    /// and the batch empty.
    [[nodiscard]] bool empty() const;

    /// What has changed since the last call. Best called at an empty value of the stream (with a
    /// Watcher, when `get(0ms)` comes back empty): a rename of which only the first half was added
    /// is a removal.
    [[nodiscard]] Batch take();

private:
    std::unique_ptr<detail::BatchState> state_;
};

/// The batches of one stream, as a range: an input range and a view of `Batch`.
///
/// It is lazy as EventRange is: `begin()` and `++` never block, `*` and the comparison with the end
/// do. A loop can be left at any point, and a new range of the same adapter goes on: what is
/// collected belongs to the adapter. So when a stop ends the range in the middle of a batch, that
/// one comes in the next range, with what has been added meanwhile. Events that are taken by
/// event_gen() or get() in between are missing in it.
///
/// Errors of the stream (Event::error) are no changes: see InotifyTree::coverage(). What is thrown,
/// and which threads may call what, is as in EventRange.
class BatchRange : public std::ranges::view_base {
public:
    /// Move-only; lazy: invalidated by `++`, fetched by `*` and by the comparison.
    class Iterator {
    public:
        /// An input iterator: the stream is passed once.
        using iterator_concept = std::input_iterator_tag;
        /// What has changed.
        using value_type = Batch;
        /// Asked for by std::weakly_incrementable; nothing is subtracted.
        using difference_type = std::ptrdiff_t;

        /// Takes the place of the other.
        Iterator(Iterator&&) = default;
        /// Takes the place of the other.
        Iterator& operator=(Iterator&&) = default;
        Iterator(const Iterator&) = delete;
        Iterator& operator=(const Iterator&) = delete;

        /// The batch, valid until `++`; it may be changed and moved from. Blocks until there is
        /// one. Throws as EventRange says.
        Batch& operator*() const { return range_->current(); }

        /// Steps on and returns itself; never blocks.
        Iterator& operator++() noexcept {
            range_->consume();
            return *this;
        }
        /// Steps on; never blocks.
        void operator++(int) noexcept { ++*this; }

        /// True when the range has ended: by its timeout, a stop token or Inotify::stop().
        /// Blocks until that or the next batch is known. Throws as EventRange says.
        bool operator==(std::default_sentinel_t) const { return !range_->fetch(); }

    private:
        friend BatchRange;
        explicit Iterator(BatchRange& range) noexcept : range_(&range) {}
        BatchRange* range_;
    };

    /// Takes the place of the other, whose iterators are no longer valid.
    INOTIFY_EXPORT BatchRange(BatchRange&&) noexcept;
    /// Takes the place of the other, whose iterators are no longer valid.
    INOTIFY_EXPORT BatchRange& operator=(BatchRange&&) noexcept;
    BatchRange(const BatchRange&) = delete;
    BatchRange& operator=(const BatchRange&) = delete;
    /// Drops nothing: what was not yielded comes in the next range.
    INOTIFY_EXPORT ~BatchRange();

    /// The first batch that no range of this adapter has yielded. Never blocks.
    INOTIFY_EXPORT Iterator begin();

    /// The end, reached by a timeout or a stop.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    /// @cond
    friend INOTIFY_EXPORT BatchRange batches(Inotify& stream, BatchOptions options);
    /// @endcond
    BatchRange(detail::Stream& stream, BatchOptions options);

    INOTIFY_EXPORT bool fetch();
    INOTIFY_EXPORT Batch& current();
    INOTIFY_EXPORT void consume() noexcept;

    detail::Stream* stream_;
    std::unique_ptr<detail::BatchSession> session_;
};

/// The stream of an adapter in batches; see BatchRange. Without `yield_empty` the block duration
/// does not matter. Throws std::system_error(EINVAL) for a negative duration that is not `forever`.
///
///     inotify::InotifyTree tree(".", {.track_files = true});
///     for (auto& batch : inotify::batches(tree, {.quiet = 200ms}))
///         rebuild(batch.changes);
[[nodiscard]] INOTIFY_EXPORT BatchRange batches(Inotify& stream, BatchOptions options = {});

}  // namespace v0
}  // namespace inotify

#endif  // C++20
