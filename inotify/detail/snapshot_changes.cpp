// SPDX-License-Identifier: MIT
// What has changed from one snapshot to a later one, as events.
#include <inotify/detail/snapshot_changes.hpp>

#include <inotify/detail/source.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace inotify::detail {
namespace {

bool is_directory(const SnapshotEntry& entry) noexcept { return entry.type == FileType::directory; }

bool is_same(const SnapshotEntry& before, const SnapshotEntry& now) noexcept {
    return before.inode != 0 && before.inode == now.inode && before.type == now.type;
}

bool has_same_contents(const SnapshotEntry& before, const SnapshotEntry& now) noexcept {
    return before.has_contents && now.has_contents && before.size == now.size &&
           before.mtime == now.mtime;
}

class Comparison {
public:
    Comparison(const SnapshotData& before, const SnapshotData& now,
               const std::function<bool(Mask)>& wanted)
        : before_(before),
          now_(now),
          wanted_(wanted),
          former_(now.entries.size(), no_entry),
          later_(before.entries.size(), no_entry) {}

    SnapshotChanges run() {
        for (const EntryId root : now_.roots)
            if (const EntryId former = before_.root(now_[root].name); former != no_entry)
                pair(former, root);
        pair_entries();
        result_.is_left.resize(before_.entries.size());
        for (auto root = before_.roots.rbegin(); root != before_.roots.rend(); ++root)
            if (later_[*root] != no_entry)
                report_what_leaves(*root);
        for (const EntryId root : now_.roots)
            for_each(now_, root, [&](EntryId id) { report_what_is(id); });
        return std::move(result_);
    }

private:
    // Visits what lies in a root, parents first.
    template <typename Visit>
    static void for_each(const SnapshotData& data, EntryId root, Visit visit) {
        std::vector<std::size_t> place;
        for (EntryId id = root; (id = next_entry(data, id, place)) != no_entry;)
            visit(id);
    }

    void pair(EntryId before, EntryId now) {
        later_[before] = now;
        former_[now] = before;
    }

    // All that has stayed is found before what has moved: a hard link that is new, or what has the
    // same inode number on another device, is visited before it, maybe. Files that stayed in a
    // directory that has moved are found with it.
    void pair_entries() {
        const auto visit_all = [&](auto visit) {
            for (const EntryId root : now_.roots)
                for_each(now_, root, visit);
        };
        visit_all([&](EntryId id) { find_stayed(id); });
        visit_all([&](EntryId id) {
            if (!find_stayed(id) && is_directory(now_[id]))
                find_moved(id);
        });
        visit_all([&](EntryId id) {
            if (!find_stayed(id))
                find_moved(id);
        });
    }

    // True when it has a former entry by now.
    bool find_stayed(EntryId id) {
        const SnapshotEntry& entry = now_[id];
        const EntryId directory = former_[entry.parent];
        if (former_[id] != no_entry || directory == no_entry)
            return former_[id] != no_entry;
        const EntryId there = before_.child(directory, entry.name);
        if (there == no_entry || later_[there] != no_entry || !is_same(before_[there], entry))
            return false;
        pair(there, id);
        return true;
    }

    void find_moved(EntryId id) {
        if (const EntryId moved = moved_from(now_[id]); moved != no_entry) {
            pair(moved, id);
            cookies_.emplace(moved, next_cookie_--);
        }
    }

    EntryId moved_from(const SnapshotEntry& entry) {
        if (entry.inode == 0)
            return no_entry;
        if (!by_inode_)
            index_inodes();
        const auto [begin, end] = by_inode_->equal_range(entry.inode);
        const auto found = std::find_if(begin, end, [&](const auto& candidate) {
            const EntryId id = candidate.second;
            return later_[id] == no_entry && is_same(before_[id], entry) &&
                   (is_directory(entry) ||
                    (has_same_contents(before_[id], entry) && !lies_unseen(before_[id].parent)));
        });
        return found == end ? no_entry : found->second;
    }

    void index_inodes() {
        by_inode_.emplace();
        for (const EntryId root : before_.roots)
            if (later_[root] != no_entry)
                for_each(before_, root, [&](EntryId id) {
                    if (before_[id].inode != 0)
                        by_inode_->emplace(before_[id].inode, id);
                });
    }

    // Whether what was in a directory may be there still, where nobody can see it.
    [[nodiscard]] bool is_unlisted(EntryId before) const {
        return later_[before] != no_entry && now_[later_[before]].is_unlisted;
    }

    // The same of a directory that was not found again, because it lies in such a one.
    [[nodiscard]] bool lies_unseen(EntryId before) const {
        while (before != no_entry && later_[before] == no_entry)
            before = before_[before].parent;
        return before != no_entry && is_unlisted(before);
    }

    // The last path first: what is in a directory has left before it leaves itself.
    void report_what_leaves(EntryId root) {
        std::vector<EntryId> ids;
        for_each(before_, root, [&](EntryId id) {
            ids.push_back(id);
            const EntryId directory = before_[id].parent;
            result_.is_left[id] =
                later_[id] == no_entry && (is_unlisted(directory) || result_.is_left[directory]);
        });
        for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
            const SnapshotEntry& entry = before_[*id];
            const Mask kind = is_directory(entry) ? IN::ISDIR : Mask{};
            if (const auto moved = cookies_.find(*id); moved != cookies_.end())
                report(before_, *id, IN::MOVED_FROM | kind, moved->second);
            else if (later_[*id] == no_entry && later_[entry.parent] != no_entry &&
                     !result_.is_left[*id])
                report(before_, *id, IN::DELETE | kind);
        }
        if (is_unlisted(root))
            result_.unlisted.emplace_back(later_[root], root);
    }

    void report_what_is(EntryId id) {
        const SnapshotEntry& entry = now_[id];
        const Mask kind = is_directory(entry) ? IN::ISDIR : Mask{};
        const EntryId former = former_[id];
        if (former != no_entry && entry.is_unlisted)
            result_.unlisted.emplace_back(id, former);
        if (former == no_entry) {
            report(now_, id, IN::CREATE | kind);
            // Who opens a FIFO to read what was written waits for a writer. What could not be read
            // is a file, most likely.
            if (entry.type == FileType::regular || entry.type == FileType::unknown) {
                report(now_, id, IN::MODIFY);
                report(now_, id, IN::CLOSE_WRITE);
            }
        } else if (const auto moved = cookies_.find(former); moved != cookies_.end()) {
            if (Event* const event = report(now_, id, IN::MOVED_TO | kind, moved->second))
                before_.path(former, event->moved_from);
        } else if (!is_directory(entry) && !(has_same_contents(before_[former], entry) &&
                                             before_[former].ctime == entry.ctime)) {
            if (entry.type == FileType::regular)
                report(now_, id, IN::MODIFY);
            report(now_, id, IN::ATTRIB);
            if (entry.type == FileType::regular)
                report(now_, id, IN::CLOSE_WRITE);
        }
    }

    // Null: nobody asks for it.
    Event* report(const SnapshotData& data, EntryId id, Mask mask, std::uint32_t cookie = 0) {
        if (!wanted_(mask))
            return nullptr;
        if (&data != path_data_ || data[id].parent != path_of_) {
            data.path(data[id].parent, path_);
            path_data_ = &data;
            path_of_ = data[id].parent;
        }
        Event& event = result_.events.emplace_back();
        write_event(event, -1, mask, cookie, path_, data[id].name);
        event.synthetic = true;
        return &event;
    }

    const SnapshotData& before_;
    const SnapshotData& now_;
    const std::function<bool(Mask)>& wanted_;
    std::vector<EntryId> former_;  // by entry of now_
    std::vector<EntryId> later_;   // by entry of before_
    std::optional<std::unordered_multimap<std::uint64_t, EntryId>> by_inode_;
    std::unordered_map<EntryId, std::uint32_t> cookies_;  // of what has moved
    std::uint32_t next_cookie_ = 0xbfff'ffff;  // the kernel's count up, the reconciler's from above
    SnapshotChanges result_;

    // The path that was built last.
    const SnapshotData* path_data_ = nullptr;
    EntryId path_of_ = no_entry;
    std::string path_;
};

}  // namespace

SnapshotChanges compare_snapshots(const SnapshotData& before, const SnapshotData& now,
                                  const std::function<bool(Mask)>& wanted) {
    return Comparison(before, now, wanted).run();
}

}  // namespace inotify::detail
