// SPDX-License-Identifier: MIT
// The picture: what the client knows of the trees, and the events that bring it there.
#pragma once

#include <inotify/detail/event_buffer.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/task.hpp>
#include <inotify/detail/tree_model.hpp>
#include <inotify/inotify_tree.hpp>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace inotify::detail {

/// The events that change what a directory holds.
inline constexpr Mask membership = IN::CREATE | IN::DELETE | IN::MOVED_FROM | IN::MOVED_TO;

/// What an event says beside its place. Without a mask nothing is emitted.
struct Cause {
    Mask mask;
    std::uint32_t cookie = 0;
    bool synthetic = false;
};
inline constexpr Cause silently{};

/// The cause of what was found by looking at the disk.
inline Cause found(Mask mask, std::uint32_t cookie = 0) { return {mask, cookie, true}; }

/// An entry that has left its place; a directory's node is detached meanwhile.
struct Taken {
    NodeRef node = {};
    bool is_dir = false;
    std::uint32_t cookie = 0;
    std::string path = {};  // where it was
};

/// Pairs every change of the model with the event that reports it, so that a client which applies
/// the events has the model. It makes no system call: the descriptors of what it forgets are
/// collected for the kernel.
class Picture {
public:
    /// A directory that was given as a root.
    struct Root {
        NodeId node = no_node;
        std::string access_path;  // where it is now; its events keep the path that was given
        NodeRef watched;          // its node, or the one in another root that is watched instead
    };
    using FileNames = std::set<std::string, std::less<>>;

    explicit Picture(const TreeOptions& options) : options_(options) {}
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;

    // What the client knows.

    [[nodiscard]] const TreeModel& model() const noexcept { return model_; }
    /// Whether the client knows an entry, as far as that is remembered.
    [[nodiscard]] bool knows(NodeId directory, std::string_view name, bool is_dir) const;
    /// The files of a directory, with `track_files`.
    [[nodiscard]] const FileNames& files(NodeId directory) const;
    [[nodiscard]] bool excluded(NodeId directory, std::string_view name);
    [[nodiscard]] bool at_depth_limit(NodeId directory) const;
    [[nodiscard]] bool wanted(Mask mask) const {
        return mask.intersects(options_.mask & IN::ALL_EVENTS) ||
               (mask.contains(IN::ISDIR) && mask.intersects(membership));
    }
    /// True for what has left its place, and all below it, until it is put or dropped.
    [[nodiscard]] bool is_detached(NodeId node) const {
        return detached_ != 0 && !model_[model_.top_of(node)].is_root;
    }

    // Roots.

    [[nodiscard]] const std::vector<Root>& roots() const noexcept { return roots_; }
    /// The root that was given as `path`; null if there is none.
    [[nodiscard]] const Root* find_root(std::string_view path) const;
    /// Adds a root that is watched by `wd`; a directory that another root has is watched there.
    NodeId add_root(const std::string& path, std::string access_path, int wd);
    /// The directory of a root has ended, and with it every root that is this directory.
    void end_root(NodeId root);
    /// Removes a root, and what was not yielded of it. A root that lies in it goes on with its
    /// part. Returns the places at which the client does not know any more what there is.
    std::vector<Place> remove_root(NodeId root);
    void set_access_path(NodeId root, std::string access_path);
    /// Removes the events of what lies in `path`, and in no other root, that were not yielded yet.
    /// Returns as remove_root() does.
    std::vector<Place> erase_pending(const std::string& path) { return erase_pending(path, {}); }
    /// The roots, as they were given, that have ended since the last call.
    std::vector<std::string> take_ended() noexcept { return std::exchange(ended_, {}); }
    /// Roots that went on when another one was removed, since the last call: below them there may
    /// be more to watch, or less.
    std::vector<NodeRef> take_promoted() noexcept { return std::exchange(promoted_, {}); }
    /// The path that leads to a directory now.
    void access_path(NodeId node, std::string& result) const;

    // Entries.

    /// Adds a directory at a name that is free; it is to be looked up, unless it is too deep.
    NodeId create_directory(NodeId directory, std::string_view name, const Cause& cause);
    /// Adds a node for what a symbolic link leads to. The link itself was reported as a file.
    NodeId create_link(NodeId directory, std::string_view name);
    /// Forgets what a link leads to; the link itself stays a file.
    void remove_link(NodeId node) { remove_subtree(node); }
    void create_file(NodeId directory, std::string_view name, const Cause& cause);
    /// Adds a file that was found by looking: as one that was there before, or as a new one, whose
    /// contents are reported, too.
    void create_found_file(NodeId directory, const DirectoryEntry& entry, Report how);
    /// Adds a file that is still there, though it was reported to leave for `destination`: both
    /// hold other contents.
    void restore_file(NodeId directory, const DirectoryEntry& entry, const Place& destination);
    /// Reports that an entry is gone, and forgets it with all below it.
    void remove(NodeId directory, std::string_view name, const Cause& cause);
    /// Reports the deletion of an entry that a new one replaces; the kernel sends nothing. Of a
    /// file that replaces a file nothing is reported.
    void replace(NodeId directory, std::string_view name, bool by_directory);
    /// Takes an entry out of its place, which it leaves by a rename.
    Taken take(NodeId directory, std::string_view name, const Cause& cause);
    /// Puts what was taken at a name that is free.
    void put(const Taken& taken, NodeId directory, std::string_view name, const Cause& cause);
    /// Forgets a detached directory with all below it; it was reported to have left.
    void drop(NodeId node);

    // Watches.

    void watch(NodeId node, int wd);
    /// A directory has been renamed or removed, whether it is known or not.
    void note_move() noexcept { places_changed_ = true; }
    /// The watch of a directory has ended.
    void end_watch(NodeId node);
    void set_state(NodeId node, NodeState state);
    void set_hears_attributes(NodeId node) noexcept { model_.set_hears_attributes(node); }
    void set_deleted(NodeId node, bool is_deleted) noexcept {
        model_.set_deleted(node, is_deleted);
    }
    void set_missing(NodeId node, bool is_missing) noexcept {
        model_.set_missing(node, is_missing);
    }
    void set_remembered(NodeId node, bool is_remembered) noexcept {
        model_.set_remembered(node, is_remembered);
    }
    /// The descriptors of watched directories that were forgotten since the last call.
    std::vector<int> take_freed() noexcept { return std::exchange(freed_, {}); }
    /// The nodes that were forgotten since the last call.
    std::vector<NodeRef> take_forgotten() noexcept { return std::exchange(forgotten_, {}); }
    /// Whether a directory or a followed link has left its place since the last call: other links
    /// may lead elsewhere now.
    bool take_places_changed() noexcept { return std::exchange(places_changed_, false); }

    // Other events.

    /// Emits an event about an entry, or without a name about the directory itself, if it is
    /// wanted.
    void report(NodeId directory, std::string_view name, const Cause& cause);
    /// Emits the events of a file's contents: a mask may ask for one of them alone.
    void report_contents(NodeId directory, std::string_view name);
    /// The same of a file that may not be there any more.
    void report_contents(const Place& file);
    /// Emits an event about a directory itself, whatever the mask.
    void report_self(NodeId node, Mask mask, bool synthetic = false);
    void report_error(NodeId node, std::error_code error) { report_error(path_of(node), error); }
    void report_error(const std::string& path, std::error_code error);
    /// Reports an overflow: what the directories hold is no longer certain.
    void overflow();

    // Outgoing events.

    [[nodiscard]] std::size_t pending() const noexcept { return out_.size(); }
    void pop(Event& event) noexcept { arrival_ = out_.pop(event); }
    /// Of the event that was popped or written last.
    [[nodiscard]] Arrival arrival() const noexcept { return arrival_; }
    /// The next event is written here instead of being queued; null: it is queued. That saves most
    /// events a copy: reading one cost 1.10 times the bare read, and 1.16 when all were queued.
    void write_next_to(Event* event) noexcept { direct_ = event; }
    /// True when an event was written as write_next_to() says.
    [[nodiscard]] bool has_written() const noexcept { return direct_ == nullptr; }

    /// Calls `visit` with each pending event, the last one first, and what arrival() would say.
    template <typename Visit>
    void for_each_pending_backwards(Visit visit) const {
        out_.for_each_backwards(visit);
    }
    /// Puts events that bring the client to the picture in the place of all that are pending about
    /// entries, and about followed roots.
    void replace_pending(std::vector<Event> events);

    /// Nothing is left to do: gives back what a burst has made of the containers.
    void give_back_storage();

    /// What is wrong, in a sentence; empty when all invariants hold. Slow, for tests.
    [[nodiscard]] std::string check() const;

private:
    void forget_file(NodeId directory, std::string_view name);
    Arrival add_file(NodeId directory, std::string_view name);
    Event& next_event(Arrival arrival = Arrival::unknown);
    Event& emit(NodeId directory, std::string_view name, const Cause& cause,
                Arrival arrival = Arrival::unknown);
    const std::string& path_of(NodeId node);
    void remove_subtree(NodeId top);

    // A part of a root that another one has taken over: the path it had, and the path it has now.
    struct Respelled {
        std::string before;
        std::string after;
    };
    std::vector<Respelled> promote_roots(NodeId top);
    void promote(Root& root, NodeId top);
    void end_covered_roots(NodeId watched);
    std::vector<Place> erase_pending(const std::string& path, const std::vector<Respelled>& taken);

    const TreeOptions& options_;
    TreeModel model_;
    std::vector<Root> roots_;
    std::unordered_map<NodeId, FileNames> files_;  // with track_files
    EventBuffer out_;
    Event* direct_ = nullptr;
    Arrival arrival_ = Arrival::unknown;
    std::size_t detached_ = 0;
    std::vector<int> freed_;
    std::vector<NodeRef> forgotten_;
    std::vector<NodeRef> promoted_;
    std::vector<std::string> ended_;
    bool places_changed_ = false;

    // The path that was built last.
    NodeId path_node_ = no_node;
    std::string path_;
    std::string entry_path_;
};

}  // namespace inotify::detail
