// SPDX-License-Identifier: MIT
// The source of InotifyTree: the reconciler, which makes model and disk agree and says what
// differs.
#pragma once

#include <inotify/detail/event_buffer.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/source.hpp>
#include <inotify/detail/tree_model.hpp>
#include <inotify/inotify_tree.hpp>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace inotify::detail {

/// What a look says when there is no directory, or not the one that was expected.
inline bool is_absent(int error) {
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESTALE;
}

/// How what a look finds is told: not at all, as what was there before, or as what is new.
enum class Announce : std::uint8_t { nothing, existing, fresh };

/// How a piece of the walk is done.
struct Mode {
    Announce announce = Announce::fresh;
    bool deep = false;     // compare the contents of what is known already, too
    bool decides = false;  // what is not there is gone, if no queued record is about it
    bool careful = false;  // watch by descriptor: paths have changed while they were used
    bool links = false;    // follow symbolic links; records tell of what else there is by now
};

/// Follows trees by their records, and by looking at the disk where records cannot tell.
///
/// The disk is always ahead of the queue. So every look is given a position in the record stream:
/// the end of the queue just before it. Records from before that position are history which the
/// look has already told; records from after it are told as they come. A system call changes the
/// disk first and queues its records then, under the lock of the directory; so a look ends by
/// waiting for that lock, and what it has seen is in the records that it has read. What is
/// announced from a listing is the directory's state at that position: the records that were queued
/// while it was listed are read at once, and the names that they are about are left to them.
///
/// Walking (looking at directories) goes before records: while there is work the queue is only
/// read into memory, so that it cannot overflow. A step of the walk looks at a few directories.
class TreeSource final : public Source {
public:
    TreeSource(Kernel& kernel, TreeOptions options);

    bool next(Event& event) override;
    Duration until_due() override;
    int add_watch(const std::filesystem::path& path, Mask mask) override;
    void remove_watch(const std::filesystem::path& path) override;
    void remove_watch(int wd) override;
    [[nodiscard]] std::vector<Watch> watches() const override;

    void add_tree(const std::string& path);
    void remove_tree(const std::string& path);
    [[nodiscard]] InotifyTree::Coverage coverage() const;

private:
    // A piece of the walk: entries of a directory to look at, or (`relist`) the directory itself.
    struct Work {
        NodeRef node;
        std::vector<std::string> names;
        Mode mode;
        bool relist = false;
        bool deferred = false;
        std::uint64_t doubted = 0;  // the value of handled_ when what it lies in was looked at
        std::size_t next = 0;       // of names
    };

    // What one look at an entry saw.
    struct Look {
        std::string name;
        int error = 0;
        int wd = -1;
        bool fresh = false;           // the model did not know the inode
        bool owner_in_place = false;  // it did, and it is still at its place: a bind mount or link
        bool symlink = false;
        bool pruned = false;
        bool by_path = false;  // watched by its path, not listed yet
        bool leaf = false;     // by_path: there is nothing to list
        std::vector<DirectoryEntry> entries;
    };

    // A record, kept over a look ahead.
    struct Half {
        Position position = 0;
        std::size_t size = 0;
        int wd = -1;
        std::uint32_t mask = 0;
        std::uint32_t cookie = 0;
        std::string name;

        [[nodiscard]] bool is_dir() const { return (mask & IN::ISDIR.bits()) != 0; }
        [[nodiscard]] Position end() const { return position + size; }
    };

    // Records from before these positions are history.
    struct Stamp {
        Position directories = 0;  // about directories in this one
        Position files = 0;        // about files in it
        std::map<std::string, Position, std::less<>> names;
    };

    struct Root {
        NodeId node = no_node;
        // An absolute path of where it is now, without links; differs from its name, which is how
        // it was given.
        std::string access;
        NodeRef watched;  // its own node, or the one in another root that is watched instead
    };

    // What another root took over: the path it had, and the path it has now.
    using Respelled = std::vector<std::pair<std::string, std::string>>;

    // Roots.
    [[nodiscard]] std::vector<Root>::iterator find_root(NodeId node);
    [[nodiscard]] std::vector<Root>::iterator find_root(const std::string& path);
    [[nodiscard]] std::string resolve(const std::string& path, int wd);
    void become_alias(Root& root, NodeId watched);
    Respelled take_over(NodeId top);
    void put_on_top(Root& root, NodeId top);
    void drop_aliases(NodeId watched);
    void watch_deeper(NodeId top);

    // Records.
    bool catch_up();
    bool handle(const Record& record, Event& event);
    void handle_own(NodeId node, const Half& half);
    void handle_entry(NodeId node, const Half& half);
    void handle_created(NodeId node, const Half& half);
    void handle_deleted(NodeId node, const Half& half);
    void handle_moved_from(NodeId node, const Half& from);
    void handle_overflow();
    void arrive(NodeId node, const Half& half);
    void add_directory(NodeId node, const std::string& name);
    void vacate(NodeId node, const std::string& name, bool for_directory = false);
    void rename(NodeId from_dir, const Half& from, NodeId to_dir, const Half& to);
    void exchange(NodeId from_dir, const Half& from, NodeId to_dir, const Half& to,
                  const Half& back_from, const Half& back_to);
    NodeId take_out(NodeId directory, const std::string& name);
    void carry(NodeId node, NodeId directory, const Half& to, const std::string& moved_from);
    void leave(NodeId directory, const std::string& name);
    [[nodiscard]] bool can_carry(NodeId from_dir, const Half& from, NodeId to_dir) const;
    [[nodiscard]] bool is_told(NodeId node, const Half& half);

    // Looking ahead.
    [[nodiscard]] static bool changes(const Record& record, int wd) {  // what the directory holds
        return record.wd == wd && (record.mask & membership.bits()) != 0;
    }
    [[nodiscard]] static Half half_at(Position position, const Record& record);
    bool find_moved_to(std::uint32_t cookie, Half& to);
    bool find_second_half(const Half& from, Half& to);
    bool next_change(Position& at, int wd_a, int wd_b, bool waits, Half& half);
    bool await_changes(NodeId node);
    bool find_exchange(const Half& from, const Half& to, bool waits, Half& back_from,
                       Half& back_to);
    int find_mover(const Half& from, const Half& to, int wd_a, int wd_b);
    std::optional<bool> is_exchange(NodeId from_dir, const Half& from, NodeId to_dir,
                                    const Half& to, const Half& back_from, const Half& back_to);
    std::optional<bool> is_swapped(NodeId node, const Half& to, Half& back);
    [[nodiscard]] static bool leaves_again(const Half& to, const Half& back);
    [[nodiscard]] static bool may_be_merged(const Half& to, const Half& back);
    std::optional<bool> exists_at(Position position, NodeId node, const std::string& name);
    int look_for(NodeId node, const std::string& name, Stat& stat);
    void make_unsure(NodeId node, const std::string& name, Position position);
    void make_sure(NodeId node, const Half& half);

    // The walk.
    bool work();
    void step(Work& item);
    void look_soon(NodeId directory, std::vector<std::string> names, Mode mode = {});
    void list_soon(NodeId directory, Mode mode);
    [[nodiscard]] bool leaves_suffice(const Mode& mode) const;
    bool look_by_path(int directory, Look& look);
    void look_by_descriptor(int directory, NodeId node, const Mode& mode, Look& look);
    void apply(NodeId node, Mode mode, Look& look, Position since, Position until);
    void apply_absent(NodeId node, NodeId held, const Mode& mode, const Look& look, Position until);
    void apply_fresh(NodeId node, NodeId held, const Mode& mode, Look& look, Position since,
                     Position until);
    void apply_elsewhere(NodeId node, NodeId held, NodeId owner, const Mode& mode, Look& look,
                         Position since, Position until);
    NodeId announce(NodeId node, const Mode& mode, const Look& look);
    std::vector<std::string> directories_in(NodeId node, std::vector<DirectoryEntry>& entries);
    void tell_listing(NodeId node, std::vector<DirectoryEntry>& entries, const Mode& mode,
                      bool known, Position since, Position until);
    void tell_contents(NodeId node, std::vector<DirectoryEntry>& entries,
                       std::vector<std::string>& names, const Mode& mode, bool known,
                       Position since, Position until);
    void tell_files(NodeId node, std::vector<DirectoryEntry>& entries, const Mode& mode,
                    bool known);
    void adjust_listing(NodeId node, std::vector<DirectoryEntry>& entries,
                        std::vector<std::string>& names, bool tells_files, Position since,
                        Position until);
    void unreachable(Work& item, int error);
    void defer(Work item);
    bool records_wait();
    void get_stuck(Work item, int error);
    int list(int directory, std::vector<DirectoryEntry>& entries);
    int open(NodeId node);
    int open_in_place(NodeId node);
    bool is_watch_of(NodeId node, int wd);
    void unwatch(int wd);
    bool is_in_place(NodeId node);
    void forget_heard();
    void listening_to(NodeId node);
    Position settle(Position since);
    void erase_own_noise(Position since, Position until);
    bool changed_between(Position since, Position until, int wd, std::string_view name);
    bool moved_between(Position since, Position until);
    Position before_exchange(NodeId node, Position since, Position until);
    void stamp(NodeId node, Position Stamp::* what, Position since);
    void stamp_name(NodeId node, const std::string& name, Position since);
    void displace(NodeId node);
    [[nodiscard]] bool in_limbo(NodeId node) const;
    void finish_walk();
    bool lose_buffered();
    bool idle();
    void look_for_unsure();
    void retry();
    void fail(NodeId node, int error);
    void healed(NodeId node);
    void give_up_place(NodeId node, NodeId held, const Look& look);
    void doubt(NodeId node, bool deep = false, std::uint64_t doubted = 0);
    void remove_subtree(NodeId node);
    void find_renamed_root(NodeId node);

    // Telling.
    Event& tell(NodeId directory, Mask mask, std::string_view name, std::uint32_t cookie = 0);
    void tell_record(NodeId directory, const Half& half);
    void tell_file(NodeId directory, const DirectoryEntry& entry, Announce announce);
    void tell_found(NodeId node, const std::string& name);
    void tell_entry_path(NodeId directory, std::string_view name, std::string& result);
    const std::string& path_of(NodeId node);
    void access_path(NodeId node, std::string& result) const;

    [[nodiscard]] bool wanted(Mask mask) const {
        return mask.intersects(options_.mask & IN::ALL_EVENTS) ||
               (mask.contains(IN::ISDIR) && mask.intersects(membership));
    }
    [[nodiscard]] bool excluded(NodeId directory, std::string_view name);
    [[nodiscard]] bool at_depth_limit(NodeId node) const;
    [[nodiscard]] bool is_directory(const DirectoryEntry& entry) const {
        return entry.type == FileType::directory ||
               (entry.type == FileType::symlink && options_.follow_symlinks);
    }
    [[nodiscard]] bool tells_itself(NodeId node) const;
    [[nodiscard]] bool is_root(NodeId node) const { return model_[node].parent == no_node; }
    [[nodiscard]] bool overflow_ahead() const { return overflow_end_ > queue_.position(); }
    [[nodiscard]] bool has_failures() const { return !unwatched_.empty() || !stuck_.empty(); }
    [[nodiscard]] bool is_history(NodeId node, const Half& half) const;
    [[nodiscard]] std::uint32_t watch_mask() const;
    [[nodiscard]] std::uint32_t entry_mask() const;
    [[nodiscard]] std::uint32_t root_mask() const;

    static constexpr Position not_listed = std::numeric_limits<Position>::max();
    static constexpr Mask membership = IN::CREATE | IN::DELETE | IN::MOVED_FROM | IN::MOVED_TO;
    static constexpr Mask reading = IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE;

    Kernel& kernel_;
    TreeOptions options_;
    RecordQueue queue_;
    TreeModel model_;
    std::vector<Root> roots_;
    EventBuffer out_;

    // The path that was built last.
    NodeId path_node_ = no_node;
    std::string path_;
    std::string entry_path_;
    int last_wd_ = -1;
    NodeId last_node_ = no_node;

    std::unordered_map<NodeId, Stamp> stamps_;  // those that lie ahead of the queue's position
    std::unordered_map<NodeId, std::set<std::string, std::less<>>> files_;  // with track_files
    std::unordered_map<std::uint32_t, Position> moved_to_;  // by cookie, up to indexed_
    Position indexed_ = 0;
    Position overflow_end_ = 0;  // of the last overflow that a look ahead has seen
    Position lost_before_ = 0;   // records may be missing between those before this
    bool healing_ = false;       // since then; there may be stale directories
    std::uint64_t handled_ = 1;  // records, so that a repetition without any is known
    Half last_left_;             // the last MOVED_FROM

    std::deque<Work> work_;
    std::vector<Look> looks_;     // of this step
    std::vector<Work> deferred_;  // could not be reached; tried again at idle
    struct Doubt {
        NodeRef node;
        bool deep;
        std::uint64_t doubted;  // as in Work
    };
    std::vector<Doubt> doubtful_;   // looked at again at idle
    std::vector<NodeRef> missing_;  // gone from their listing; perhaps found elsewhere
    struct Limbo {
        NodeRef node;
        std::uint32_t cookie;
        std::string path;
    };
    std::vector<Limbo> limbo_;  // displaced; perhaps found elsewhere
    std::vector<NodeRef> aliases_;
    // An entry that may exist from `position` on, though it was told to be gone.
    struct Unsure {
        NodeId directory;
        std::string name;
        Position position;
    };
    std::vector<Unsure> unsure_;
    std::uint32_t next_cookie_ = 0xffff'ffff;  // of synthetic moves; the kernel's count up from 1
    // Where this step's reading is heard.
    struct Heard {
        int wd;
        std::string name;
        bool closed = false;  // its last record has been found
    };
    std::vector<Heard> heard_;
    bool heard_elsewhere_ = false;  // another directory was opened by mistake

    std::map<NodeId, std::error_code> unwatched_;
    std::vector<Work> stuck_;  // failed for want of the directory itself
    std::chrono::steady_clock::time_point retry_at_{};
};

}  // namespace inotify::detail
