// SPDX-License-Identifier: MIT
// The source of InotifyTree: the loop and the roots.
#pragma once

#include <inotify/detail/agenda.hpp>
#include <inotify/detail/disk.hpp>
#include <inotify/detail/follower.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/name_chains.hpp>
#include <inotify/detail/picture.hpp>
#include <inotify/detail/reconciler.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/rename_reader.hpp>
#include <inotify/detail/snapshot_changes.hpp>
#include <inotify/detail/snapshot_taker.hpp>
#include <inotify/detail/source.hpp>
#include <inotify/inotify_tree.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace inotify::detail {

/// Follows trees by their records, and by looking at the disk where records do not suffice.
///
/// The disk is always ahead of the queue. So all records are handled first, and the disk is looked
/// at only when the queue has been read empty: then a look is never ahead of what was handled, but
/// for the records that are queued while it lasts, and these are read before it is applied.
class TreeSource final : public Source {
public:
    TreeSource(Kernel& kernel, TreeOptions options);

    bool next(Event& event) override;
    [[nodiscard]] bool watches_directories() const noexcept override { return true; }
    [[nodiscard]] Arrival arrival() const noexcept override { return picture_.arrival(); }
    Duration until_due() override;
    int add_watch(const std::filesystem::path& path, Mask mask) override;
    void follow(const std::filesystem::path& path, Mask mask) override;
    void remove_watch(const std::filesystem::path& path) override;
    void remove_watch(int wd) override;
    [[nodiscard]] std::vector<Watch> watches() const override;

    void add_tree(const std::string& path);
    void remove_tree(const std::string& path);
    [[nodiscard]] InotifyTree::Coverage coverage() const;
    /// `fetched` is an event that next() has written and the client has not seen; or null.
    Snapshot snapshot(const Event* fetched);

    /// What is wrong, in a sentence; empty when all invariants hold. Slow, for tests.
    [[nodiscard]] std::string check() const { return picture_.check(); }

private:
    class ScanThreads;
    // A root was there when it was given, or its name has come to lead to it.
    enum class Origin { given, came };

    std::function<void(const Record&)> listener();
    void compare_since();
    std::vector<Event> roots_since(const SnapshotData& since) const;
    void remember(const SnapshotData& since, const SnapshotChanges& changes,
                  const SnapshotTaker& taker);
    bool advance(ScanThreads* threads = nullptr);
    bool look(ScanThreads* threads);
    void look_at_batches(Task first, ScanThreads* threads);
    void fill(std::vector<Task>& tasks);
    void apply_batch(std::vector<Task> tasks, std::vector<Sight> sights);
    void scan();
    void release();
    void recheck_places();
    void extend_root(NodeId root);
    void extend_promoted();
    void restart_promoted();
    void follow_tree(const std::string& path);
    void finish_adding();
    void follow_root(const NameChains::Finding& found);
    void begin_root(const std::string& path, const std::string& access_path, int wd, Origin origin);
    void end_root(NodeId root);
    [[nodiscard]] bool has_work();
    [[nodiscard]] Agenda::Time now();

    Kernel& kernel_;
    std::optional<Snapshot> since_;  // that the roots are still to be compared with
    const TreeOptions options_;
    NameChains names_;  // the roots, with follow_roots
    RecordQueue queue_;
    Picture picture_;
    Agenda agenda_;
    Disk disk_;
    RenameReader renames_;
    Follower follower_;
    Reconciler reconciler_;
    std::size_t looks_ = 0;             // at names, since the last event
    bool aliases_are_suspect_ = false;  // an inode that they lead to may not be watched any more
};

}  // namespace inotify::detail
