// SPDX-License-Identifier: MIT
// InotifyTree: the same range over whole directory trees.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <inotify/inotify.hpp>
#include <inotify/snapshot.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace inotify {

namespace detail {
class TreeSource;
}

inline namespace v0 {

/// A depth without limit.
inline constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

/// What an InotifyTree watches and reports.
struct TreeOptions {
    /// The events of files that are asked for; most programs want IN::CHANGES. CREATE, DELETE,
    /// MOVED_FROM and MOVED_TO of directories always come. IN::ONESHOT, IN::MASK_ADD and
    /// IN::MASK_CREATE are refused.
    Mask mask = IN::ALL_EVENTS;
    /// How long a cycle waits at most when nothing is queued.
    Duration block_duration = std::chrono::seconds{1};
    /// True for a path that shall be neither watched, nor descended into, nor reported. Called
    /// with the full path, by the thread that uses the tree. What it throws ends the loop, and what
    /// was looked at may be lost.
    std::function<bool(std::string_view path)> exclude = {};
    /// How far below a root directories are watched; 0: the root's own entries only.
    std::size_t max_depth = unlimited;
    /// Stay on the root's device, like `find -xdev`.
    bool one_file_system = false;
    /// Also watch directories behind symbolic links; each inode once, so loops end. A link that
    /// comes to lead elsewhere because a watched directory is renamed or removed is reported by a
    /// synthetic DELETE and CREATE, and what it leads to now follows. No event says that a dangling
    /// link's target comes, nor that a directory on the way to a target outside is renamed.
    bool follow_symlinks = false;
    /// First yield a synthetic CREATE for everything that is already there.
    bool report_existing = false;
    /// Remember file names too: the recovery from an overflow is then exact for files as well.
    bool track_files = false;
    /// A root is a name, as in Inotify::follow(): it need not exist, and may be removed, renamed,
    /// replaced (also by swapping a symbolic link that leads to it) and come again. When it goes,
    /// MOVE_SELF or DELETE_SELF comes, and then IGNORED, which ends all below it; when it comes, a
    /// synthetic CREATE|ISDIR with an empty `filename`, then what is in it. What cannot be watched
    /// on the way to it comes as an event with `error`, and is in coverage().
    bool follow_roots = false;
    /// First yield, as synthetic events, what is different from a snapshot: of the roots that are
    /// given before the first event is asked for, which should be spelled as they were then; a root
    /// that the snapshot does not have is new, with all that is in it. Directories that moved come
    /// as moves where their inode shows it, files where inode, size and mtime do. A file that is
    /// another one by inode, size, mtime or ctime, or of which that is unknown, comes as each of
    /// MODIFY, ATTRIB and CLOSE_WRITE that the mask asks for. These events have no watch
    /// descriptor. What lies in a directory that cannot be read is taken to be still there. Of
    /// followed roots a new one comes with its CREATE, and one that leads nowhere now ends. Needs
    /// `track_files`, and goes without `report_existing`; else the constructor throws EINVAL.
    std::optional<Snapshot> since = {};
    /// How many threads carry out the system calls of a first scan, the one that calls the
    /// constructor or add_tree() among them. 0: as many as help, at most four and no more than the
    /// machine has, once 2,000 directories have been found; 1: no other. More than 64 are 64. The
    /// others have every signal blocked but for those of their own faults, a working directory of
    /// their own (unshare(2)), have ended when the call returns, and do not call `exclude`. Where
    /// they cannot be made it goes on without. `report_existing`, `track_files`,
    /// `follow_symlinks` and `one_file_system` are scans on one thread.
    unsigned scan_threads = 0;
};

/// Watches whole trees; everything else is as in Inotify.
///
/// Directories are added and removed automatically. A client that keeps a picture of the tree
/// (CREATE and MOVED_TO add an entry, DELETE and MOVED_FROM remove it with all below it, a MOVED_TO
/// with `moved_from` carries the subtree along) holds, at every empty value, the tree that is on
/// disk. Events about a directory itself are reported once, by its parent; for a root by itself.
/// Only MOVE_SELF, and DELETE_SELF with the IGNORED behind it, come from a subdirectory too, as the
/// mask asks, under the path that it has then.
///
/// A directory that cannot be watched (EACCES, ENAMETOOLONG, ...) comes once as an event with
/// `error`, stays in coverage().unwatched and is tried again at idle: after 1 s, 2 s, 4 s and so on
/// up to 60 s, and at once when its rights change (IN_ATTRIB). Of a shortage (ENOSPC, EMFILE,
/// ENFILE, ENOMEM) only the first directory comes as an event; the others are in coverage().
class INOTIFY_EXPORT InotifyTree : public Inotify {
public:
    /// Watches `root` and all below it, and returns when that is done; with `report_existing` it is
    /// done as the events are read. Throws std::system_error as Inotify and Inotify::add_watch() do
    /// when the instance cannot be made or `root` cannot be watched (see add_tree() for
    /// `follow_roots`), EINVAL for a mask that is refused.
    explicit InotifyTree(const std::filesystem::path& root, TreeOptions options = {});

    /// The same, with the two options that are used most. A template, so that `{}` is TreeOptions.
    template <typename = void>
    InotifyTree(const std::filesystem::path& root, Mask mask,
                Duration duration = std::chrono::seconds{1})
        : InotifyTree(root, TreeOptions{.mask = mask, .block_duration = duration}) {}

    /// Several roots; where they overlap, a directory is watched under the root that came first,
    /// and goes on under the next one when that is removed.
    explicit InotifyTree(std::span<const std::filesystem::path> roots, TreeOptions options = {});

    /// The same for a braced list of roots.
    explicit InotifyTree(std::initializer_list<std::filesystem::path> roots,
                         TreeOptions options = {});

    /// The same, with the two options that are used most. A template, so that `{}` is TreeOptions.
    template <typename = void>
    InotifyTree(std::initializer_list<std::filesystem::path> roots, Mask mask,
                Duration duration = std::chrono::seconds{1})
        : InotifyTree(roots, TreeOptions{.mask = mask, .block_duration = duration}) {}

    /// The same for a list in braces of its own, `InotifyTree{{"/a", "/b"}}`: the inner one would
    /// else be one path, with two literals as its iterators. A template, so that `{}` is no list of
    /// lists.
    template <typename = void>
    explicit InotifyTree(std::initializer_list<std::initializer_list<const char*>> roots,
                         TreeOptions options = {})
        : InotifyTree(std::span<const std::filesystem::path>(), std::move(options)) {
        for (const auto& list : roots)
            for (const char* root : list)
                add_tree(root);
    }

    /// Takes over the watches and the stream; ranges stay valid.
    InotifyTree(InotifyTree&&) noexcept = default;
    /// Closes this instance and takes over the other's; ranges of the other stay valid.
    InotifyTree& operator=(InotifyTree&&) noexcept = default;
    /// Closes the instance; the kernel removes its watches.
    ~InotifyTree() override = default;

    /// Adds a root, and returns when all below it is watched; what appears meanwhile is watched as
    /// its events are read. A relative path is resolved once, against the working directory of this
    /// call. Nothing happens if it is a root already; if its path leads to another directory by
    /// now, that one takes its place. Throws as the constructor does; with `follow_roots` only
    /// EINVAL for an empty path, and ENOENT for a relative one when the working directory is gone.
    void add_tree(const std::filesystem::path& root);

    /// Removes a whole root, spelled as it was given; nothing more of it is yielded. Throws
    /// std::system_error(EINVAL) if it is none.
    void remove_tree(const std::filesystem::path& root);

    /// Watches are managed automatically; through an Inotify& this throws std::logic_error.
    int add_watch(const std::filesystem::path&, Mask = {}) = delete;
    /// Watches are managed automatically; through an Inotify& this throws std::logic_error.
    void follow(const std::filesystem::path&, Mask = {}) = delete;
    /// Watches are managed automatically; through an Inotify& this throws std::logic_error.
    void remove_watch(const std::filesystem::path&) = delete;
    /// Watches are managed automatically; through an Inotify& this throws std::logic_error.
    void remove_watch(int) = delete;

    /// A directory that is not watched, and why.
    struct Unwatched {
        /// Its path.
        std::string path;
        /// Why watching it failed.
        std::error_code error;
    };
    /// How much of the trees is watched.
    struct Coverage {
        /// The number of directories that are watched.
        std::size_t watched = 0;
        /// Those that are not.
        std::vector<Unwatched> unwatched;
    };
    /// How much is watched now; exact at an empty value.
    [[nodiscard]] Coverage coverage() const;

    /// What a client knows that has applied every event which was yielded so far: give it to a
    /// later tree as TreeOptions::since, and that client, applying its events, holds the disk and
    /// has heard of every file that changed in between. Save it when what the events asked for
    /// is done; the best moment is the empty value, when nothing is pending. A file of which an
    /// event is still to be yielded, or whose ctime is so young that a change right now would leave
    /// it the same, is kept as unknown, and reported again.
    ///
    /// Calls fstatat(2) on each file. Ask for MODIFY as well as CLOSE_WRITE: what is written to a
    /// file that is still open has not been reported otherwise. Throws std::system_error(EINVAL)
    /// without `track_files`.
    [[nodiscard]] Snapshot snapshot();

    /// @cond
protected:
    // For tests that put another kernel under the tree.
    explicit InotifyTree(std::unique_ptr<detail::Stream> stream);
    /// @endcond

private:
    [[nodiscard]] detail::TreeSource& source() const noexcept;
};

}  // namespace v0
}  // namespace inotify

#endif  // C++20
