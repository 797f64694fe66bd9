// SPDX-License-Identifier: MIT
// The source of InotifyTree: the loop and the roots.
#include <inotify/detail/tree_source.hpp>

#include <inotify/detail/error.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

namespace inotify::detail {
namespace {

// Bytes of records that a first scan handles at most, where directories are renamed without end.
constexpr Position most_scanned = 1024 * 1024;

// Events that wait for the client while there is something to look at.
constexpr std::size_t most_ahead = 4096;

// Has the next event written where the client reads it, as long as it lives.
class DirectEvent {
public:
    DirectEvent(Picture& picture, Event* event) noexcept : picture_(picture), event_(event) {
        picture.write_next_to(event);
    }
    ~DirectEvent() { picture_.write_next_to(nullptr); }
    DirectEvent(const DirectEvent&) = delete;
    DirectEvent& operator=(const DirectEvent&) = delete;

    [[nodiscard]] bool is_written() const noexcept {
        return event_ != nullptr && picture_.has_written();
    }

private:
    Picture& picture_;
    Event* event_;
};

[[noreturn]] void throw_managed(const char* call) {
    throw std::logic_error(std::string(call) +
                           ": an InotifyTree manages its watches; use add_tree, remove_tree");
}

}  // namespace

TreeSource::TreeSource(Kernel& kernel, TreeOptions options)
    : kernel_(kernel),
      options_(std::move(options)),
      names_(kernel),
      queue_(kernel, listener()),
      picture_(options_),
      agenda_(picture_.model()),
      disk_(kernel, queue_, picture_, options_),
      renames_(queue_, disk_, picture_.model()),
      follower_(queue_, renames_, picture_, agenda_, options_),
      reconciler_(kernel, queue_, disk_, renames_, picture_, agenda_, options_) {
    const Mask refused = options_.mask & (IN::ONESHOT | IN::MASK_ADD | IN::MASK_CREATE);
    if (refused)
        throw_invalid("InotifyTree", to_string(refused), "makes no sense in a tree; leave it out");
}

// Of a followed root every record counts, and when it is read: the follower takes some out of turn.
std::function<void(const Record&)> TreeSource::listener() {
    if (!options_.follow_roots)
        return {};
    return [this](const Record& record) {
        if (names_.handle(record))
            agenda_.note_progress();
    };
}

// While there is something to look at, records are handled ahead of the client, however slow it is:
// what is new is watched soon, and the kernel's queue does not fill up.
bool TreeSource::next(Event& event) {
    looks_ = 0;
    for (;;) {
        const bool runs_ahead = agenda_.has_task() && picture_.pending() < most_ahead;
        if (picture_.pending() != 0 && !runs_ahead) {
            picture_.pop(event);
            return true;
        }
        const DirectEvent direct(picture_, picture_.pending() == 0 ? &event : nullptr);
        const bool has_advanced = advance();
        if (direct.is_written())
            return true;
        if (!has_advanced)
            break;
    }
    picture_.give_back_storage();
    agenda_.give_back_storage();
    return false;
}

// Handles a record or, where there is none, looks at something; false when there is nothing to do.
bool TreeSource::advance() {
    if (const Record* const record = queue_.front()) {
        follower_.handle(*record);
        if (follower_.keeps_many())
            reconciler_.drop_detached();
    } else if (!look()) {
        return false;
    }
    release();
    return true;
}

// All records have been handled: only now is the disk looked at.
bool TreeSource::look() {
    recheck_places();
    if ((has_work() || renames_.is_full()) && !renames_.await_arrivals())
        return true;
    if (!agenda_.has_task()) {
        if (reconciler_.end_round())
            return true;
        if (names_.has_suspect() && looks_++ < names_.most_looks()) {
            follow_root(names_.look());
            return true;
        }
        if (!agenda_.has_next_round(now()))
            return false;
        agenda_.begin_round(now());
    }
    std::optional<Task> task = agenda_.take();
    if (!task)
        return true;
    if (task->kind == Task::Kind::find_root && options_.follow_roots) {
        follow_root(names_.look(names_.find(picture_.model()[task->directory.id].name)));
        return true;
    }
    if (picture_.is_detached(task->directory.id)) {
        agenda_.postpone(std::move(*task));
        return true;
    }
    Sight sight = disk_.see(*task);
    reconciler_.apply(std::move(*task), std::move(sight));
    follower_.handle_kept();
    return true;
}

// True when there is something to look at, now or in the next round.
bool TreeSource::has_work() {
    return agenda_.has_task() || names_.has_suspect() || agenda_.has_next_round(now());
}

// Only what failed waits for a time.
Agenda::Time TreeSource::now() { return agenda_.has_failures() ? kernel_.now() : Agenda::Time{}; }

// Gives back the watches that no directory of the picture has, and forgets what it has forgotten.
void TreeSource::release() {
    const TreeModel& model = picture_.model();
    const auto remove_unused = [&](int wd) {
        if (model.watched_by(wd) == no_node && !names_.uses(wd))
            kernel_.remove_watch(wd);
    };
    if (options_.follow_roots)
        restart_promoted();
    else
        extend_promoted();
    for (const std::string& root : picture_.take_ended())
        names_.suspect(root);
    std::ranges::for_each(disk_.take_obtained(), remove_unused);
    for (const NodeRef node : picture_.take_forgotten())
        agenda_.forget(node);
    if (const std::vector<int> freed = picture_.take_freed(); !freed.empty()) {
        std::ranges::for_each(freed, remove_unused);
        agenda_.end_shortage(ENOSPC);
        names_.end_shortage();
        aliases_are_suspect_ = true;
    }
    if (const std::vector<int> released = names_.take_released(); !released.empty()) {
        std::ranges::for_each(released, remove_unused);
        agenda_.end_shortage(ENOSPC);
    }
}

// What has changed its place, or is not watched any more, may concern what leads there from
// elsewhere. The nodes are walked once for all records that were handled.
void TreeSource::recheck_places() {
    const TreeModel& model = picture_.model();
    if (std::exchange(aliases_are_suspect_, false))
        model.for_each(NodeState::alias, [&](NodeId node) { agenda_.recheck(node); });
    if (picture_.take_places_changed() && model.via_link_count() != 0)
        model.for_each([](const Node& node) { return node.via_link; },
                       [&](NodeId node) { agenda_.recheck(node); });
}

void TreeSource::add_tree(const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw_invalid("inotify_add_watch", path.c_str(), "a path must not hold a NUL byte");
    if (options_.follow_roots) {
        follow_tree(path);
        return;
    }
    const auto watch = [&] {
        const int wd = disk_.watch_root(path);
        if (wd < 0)
            throw_error(&kernel_, -wd, "inotify_add_watch", path);
        return wd;
    };
    int wd = watch();
    if (const Picture::Root* const root = picture_.find_root(path)) {
        if (picture_.model()[root->watched.id].wd == wd)
            return;
        remove_tree(path);  // it leads to another directory by now
        wd = watch();       // which may have been watched as a part of the former one
    }
    begin_root(path, disk_.resolve_root(path, wd), wd, Origin::given);
    release();
    finish_adding();
}

// The same for a root that is a name.
void TreeSource::follow_tree(const std::string& path) {
    if (path.empty())
        throw_invalid("inotify_add_watch", "''", "an empty path leads nowhere");
    if (names_.find(path) != no_node)
        return;
    const NameChains::Finding found = names_.look(names_.add(path, disk_.root_mask()));
    if (found.now.wd >= 0)
        begin_root(path, found.location, found.now.wd, Origin::given);
    if (found.error != 0)
        picture_.report_error(path, event_error(found.error));
    release();
    finish_adding();
}

// Adds a root that is watched already; what another root has is reported there.
void TreeSource::begin_root(const std::string& path, const std::string& access_path, int wd,
                            Origin origin) {
    const NodeId root = picture_.add_root(path, access_path, wd);
    if (picture_.model()[root].state == NodeState::alias)
        return;
    Report report = options_.report_existing ? Report::existing : Report::nothing;
    if (origin == Origin::came) {
        picture_.report_self(root, IN::CREATE | IN::ISDIR, true);
        report = Report::fresh;
    }
    agenda_.add_last(
        {.directory = picture_.model().ref(root), .kind = Task::Kind::list, .report = report});
}

void TreeSource::finish_adding() {
    if (!options_.report_existing)
        scan();
    // The descriptor of other event loops shows that there is something to read.
    if (picture_.pending() != 0 || queue_.buffered() != 0 || has_work())
        kernel_.wake();
}

// The name of a root was looked up: what it led to ends, and what it leads to now begins.
void TreeSource::follow_root(const NameChains::Finding& found) {
    const std::string& path = names_.path(found.name);
    const Picture::Root* const root = picture_.find_root(path);
    const int wd = root != nullptr ? picture_.model()[root->watched.id].wd : -1;
    if (wd >= 0 && wd == found.now.wd) {
        if (!found.location.empty())
            picture_.set_access_path(root->node, found.location);
    } else {
        if (root != nullptr)
            end_root(root->node);
        if (found.now.wd >= 0)
            begin_root(path, found.location, found.now.wd, Origin::came);
    }
    if (found.error != 0)
        picture_.report_error(path, event_error(found.error));
}

// A root's name does not lead to it any more, though it was not renamed itself. What another root
// has was reported there.
void TreeSource::end_root(NodeId root) {
    const Node& node = picture_.model()[root];
    if (node.state != NodeState::alias) {
        if (!node.is_deleted)
            picture_.report_self(
                root, kernel_.is_watched(node.wd) ? IN::MOVE_SELF : IN::DELETE_SELF, true);
        picture_.report_self(root, IN::IGNORED, true);
    }
    picture_.end_root(root);
}

// Looks at all that there is; the events of records that are handled meanwhile come later.
void TreeSource::scan() {
    const Position limit = queue_.position() + most_scanned;
    while (has_work() && queue_.position() < limit && advance()) {
    }
    agenda_.report_all();  // better reported twice than not at all
}

void TreeSource::remove_tree(const std::string& path) {
    const Picture::Root* const root = picture_.find_root(path);
    const NameChains::Id name = names_.find(path);
    if (root == nullptr && name == no_node)
        throw_invalid("remove_tree", path, "no root; give the path as it was added");
    if (name != no_node)
        names_.remove(name);
    for (Place& place :
         root != nullptr ? picture_.remove_root(root->node) : picture_.erase_pending(path))
        agenda_.suspect(std::move(place), {});
    extend_promoted();
    release();
}

// Roots go on with their part of what is removed.
void TreeSource::extend_promoted() {
    for (const NodeRef root : picture_.take_promoted())
        if (picture_.model().alive(root))
            extend_root(root.id);
}

// What a root holds was reported in another one, and has left the client's picture with it. So the
// root ends, and comes again.
void TreeSource::restart_promoted() {
    for (auto roots = picture_.take_promoted(); !roots.empty(); roots = picture_.take_promoted())
        for (const NodeRef root : roots)
            if (picture_.model().alive(root))
                picture_.end_root(root.id);
}

// What a root that goes on by itself is to watch, now that it is one.
void TreeSource::extend_root(NodeId root) {
    const TreeModel& model = picture_.model();
    if (options_.exclude)  // other paths may be excluded now
        agenda_.add_last(
            {.directory = model.ref(root), .kind = Task::Kind::list, .recursive = true});
    // The depth limit lies deeper.
    model.for_each(NodeState::pruned, [&](NodeId node) {
        const NodeId parent = model[node].parent;
        if (model.is_within(node, root) && !picture_.at_depth_limit(parent))
            agenda_.add_last({.directory = model.ref(parent), .names = {model[node].name}});
    });
}

Duration TreeSource::until_due() {
    const Duration names = names_.until_due();
    if (!agenda_.has_failures())
        return names;
    const Duration directories =
        std::max(std::chrono::ceil<Duration>(agenda_.next_due() - kernel_.now()), Duration::zero());
    return names == forever ? directories : std::min(names, directories);
}

int TreeSource::add_watch(const std::filesystem::path&, Mask) { throw_managed("add_watch"); }
void TreeSource::follow(const std::filesystem::path&, Mask) { throw_managed("follow"); }
void TreeSource::remove_watch(const std::filesystem::path&) { throw_managed("remove_watch"); }
void TreeSource::remove_watch(int) { throw_managed("remove_watch"); }

std::vector<Watch> TreeSource::watches() const {
    const TreeModel& model = picture_.model();
    std::vector<Watch> result;
    model.for_each([](const Node& node) { return node.wd >= 0; },
                   [&](NodeId node) {
                       Watch& watch = result.emplace_back();
                       watch.wd = model[node].wd;
                       model.path(node, watch.path);
                       watch.mask = options_.mask;
                   });
    std::ranges::sort(result, {}, &Watch::wd);
    return result;
}

InotifyTree::Coverage TreeSource::coverage() const {
    InotifyTree::Coverage result;
    result.watched = picture_.model().watched_count();
    agenda_.for_each_failure([&](NodeId node, int error) {
        auto& unwatched = result.unwatched.emplace_back();
        picture_.model().path(node, unwatched.path);
        unwatched.error = event_error(error);
    });
    names_.for_each_failure([&](NameChains::Id name, int error) {
        result.unwatched.push_back({names_.path(name), event_error(error)});
    });
    return result;
}

}  // namespace inotify::detail
