// SPDX-License-Identifier: MIT
// The source of Inotify: single paths, several of which may lead to one inode.
#pragma once

#include <inotify/detail/event_buffer.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/name_chains.hpp>
#include <inotify/detail/record_queue.hpp>
#include <inotify/detail/source.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace inotify::detail {

/// Keeps which paths are watched under which descriptor and gives each path its own events.
///
/// A followed name is one more path on the inode that it leads to, for as long as it does. All
/// records are handled first; names are looked up only when the queue has been read empty.
class FileSource final : public Source {
public:
    explicit FileSource(Kernel& kernel) : kernel_(kernel), queue_(kernel), names_(kernel) {}

    bool next(Event& event) override;
    Duration until_due() override { return names_.until_due(); }
    int add_watch(const std::filesystem::path& path, Mask mask) override;
    void follow(const std::filesystem::path& path, Mask mask) override;
    void remove_watch(const std::filesystem::path& path) override;
    void remove_watch(int wd) override;
    [[nodiscard]] std::vector<Watch> watches() const override;

private:
    // One path on an inode. Its number orders the paths of an inode by the time they were added,
    // also when one is removed while a record is being reported to each of them.
    struct Subscription {
        std::uint64_t number = 0;
        std::string path;
        Mask mask;
        Position since = 0;  // records before it, and those from `until` on, are none of its
        Position until = std::numeric_limits<Position>::max();
        bool followed = false;  // a name that leads to the inode
        bool current = true;    // false: closed, by another mask or another inode at its path
        bool spent = false;     // an IN_ONESHOT that has had its event
    };
    struct Inode {
        std::vector<Subscription> paths;
    };
    struct MovedFrom {
        std::uint32_t cookie = 0;
        int wd = -1;
        std::string path;  // of the directory, as first added
        std::string filename;
    };

    static Subscription* find_current(std::vector<Subscription>& paths, std::string_view path,
                                      bool followed = false);
    int watch(const std::string& path, Mask mask);
    void close(int wd, Subscription& subscription, Position until);
    void retire(int wd, std::string_view path);
    void drop_closed();
    void drop(int wd);
    [[nodiscard]] bool is_used(int wd) const;
    void unwatch_unused(int wd);
    void unwatch_released();
    void look();
    void report(const NameChains::Finding& finding);
    void subscribe(NameChains::Id name, Position since);
    void unsubscribe(int wd, std::string_view path, bool followed);
    void forget(NameChains::Id name);
    bool report(const Record& record, Event& event);
    void finish(const Record& record);
    void remember(const Record& record, const Subscription& first);
    void find_moved_from(const Record& record, Event& event) const;
    void give_back_storage();

    Kernel& kernel_;
    RecordQueue queue_;
    NameChains names_;
    EventBuffer reports_;                       // of names, which come before the next records
    std::map<int, Inode> inodes_;               // by watch descriptor
    std::unordered_map<std::string, int> wds_;  // by path
    std::set<int> closed_;                      // descriptors that have closed subscriptions
    std::uint64_t next_number_ = 1;

    std::uint64_t reported_up_to_ = 0;  // of the front record: the last subscription looked at
    int last_wd_ = -1;                  // of the last record, to look it up only when it changes
    Inode* last_inode_ = nullptr;

    // The MOVED_FROMs of renames. The MOVED_TO follows closely, but records of other processes, the
    // end of a read, even an empty queue may come between; so they are kept for one whole cycle.
    std::vector<MovedFrom> moved_from_;
    std::size_t moved_from_used_ = 0;  // of moved_from_, whose strings' storage is kept
    std::size_t moved_from_old_ = 0;   // of those in use, left from the cycle before
};

}  // namespace inotify::detail
