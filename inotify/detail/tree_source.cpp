// SPDX-License-Identifier: MIT
// The source of InotifyTree: the loop and the roots.
#include <inotify/detail/tree_source.hpp>

#include <inotify/detail/error.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace inotify::detail {
namespace {

// Events at which a first scan returns, where directories are renamed without end.
constexpr std::size_t most_scanned = 262'144;

// Events that wait for the client while there is something to look at.
constexpr std::size_t most_ahead = 4096;

// Directories that are looked at together.
constexpr std::size_t most_tasks = 128;

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

bool is_shortage(const Sight& sight) { return RetryQueue::is_shortage(sight.error); }

[[noreturn]] void throw_managed(const char* call) {
    throw std::logic_error(std::string(call) +
                           ": an InotifyTree manages its watches; use add_tree, remove_tree");
}

}  // namespace

/// The threads of one first scan. They are started when they help, and end with it.
class TreeSource::ScanThreads {
public:
    ScanThreads(Kernel& kernel, unsigned asked_for, std::size_t watched)
        : kernel_(kernel), asked_for_(asked_for), watched_before_(watched) {}

    /// Null: there are none. `watched` directories are by now.
    Workers* workers(std::size_t watched) {
        if (!was_started_ && (asked_for_ != 0 || watched >= watched_before_ + many)) {
            was_started_ = true;
            const unsigned count =
                asked_for_ != 0 ? std::min(asked_for_, most)
                                : std::min(most_helpful, std::thread::hardware_concurrency());
            if (count > 1)
                workers_ = kernel_.make_workers(count - 1);
        }
        return workers_.get();
    }

    void stop() { workers_ = nullptr; }

private:
    static constexpr std::size_t many = 2000;  // directories; fewer take less than a thread's start
    static constexpr unsigned most_helpful = 4;
    static constexpr unsigned most = 64;

    Kernel& kernel_;
    const unsigned asked_for_;
    const std::size_t watched_before_;
    bool was_started_ = false;
    std::unique_ptr<Workers> workers_;
};

TreeSource::TreeSource(Kernel& kernel, TreeOptions options)
    : kernel_(kernel),
      since_(std::exchange(options.since, {})),
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
    if (since_ && !options_.track_files)
        throw_invalid("InotifyTree", "since", "needs track_files");
    if (since_ && options_.report_existing)
        throw_invalid("InotifyTree", "report_existing", "reports all; `since` what is different");
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
    compare_since();
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
    if (names_.has_suspect())  // they were looked up often enough for now
        kernel_.wake();
    picture_.give_back_storage();
    agenda_.give_back_storage();
    return false;
}

// Handles a record or, where there is none, looks at something; false when there is nothing to do.
bool TreeSource::advance(ScanThreads* threads) {
    if (const Record* const record = queue_.front()) {
        follower_.handle(*record);
        if (follower_.keeps_many())
            reconciler_.drop_detached();
    } else if (!look(threads)) {
        return false;
    }
    release();
    return true;
}

// All records have been handled: only now is the disk looked at.
bool TreeSource::look(ScanThreads* threads) {
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
    if (disk_.is_batched(*task)) {
        look_at_batches(std::move(*task), threads);
        return true;
    }
    Sight sight = disk_.see(*task);
    reconciler_.apply(std::move(*task), std::move(sight));
    follower_.handle_kept();
    return true;
}

// One window of records serves a whole batch. A batch is applied while the next one is looked at:
// the records of that look come behind what is applied. But if anything has changed meanwhile, it
// is applied first: it may free watches, which a thread that comes upon the same directories must
// not have got before.
void TreeSource::look_at_batches(Task first, ScanThreads* threads) {
    std::vector<Task> tasks;
    tasks.push_back(std::move(first));
    fill(tasks);
    std::vector<Task> seen;
    std::vector<Sight> sights;
    const auto apply = [&] {
        apply_batch(std::exchange(seen, {}), std::exchange(sights, {}));
        release();
    };
    Workers* workers = nullptr;
    do {
        if (threads != nullptr && tasks.size() > 1)
            workers = threads->workers(picture_.model().watched_count());
        std::vector<Sight> next = disk_.see_all(tasks, workers, apply);
        const bool is_short = workers != nullptr && std::ranges::any_of(next, &is_shortage);
        if (is_short) {  // of descriptors, say: one thread needs fewer
            threads->stop();
            workers = nullptr;
        }
        // What was not done comes first.
        for (std::size_t i = tasks.size(); i-- > 0;) {
            next[i].is_done &= !(is_short && is_shortage(next[i]));
            if (!next[i].is_done)
                agenda_.add_next(std::move(tasks[i]));
        }
        seen = std::exchange(tasks, {});
        sights = std::move(next);
        if (workers != nullptr && std::ranges::all_of(sights, &Sight::is_plain) &&
            queue_.front() == nullptr)
            fill(tasks);
    } while (!tasks.empty());
    apply();
    follower_.handle_kept();
}

// Takes what can be looked at together with `tasks`.
void TreeSource::fill(std::vector<Task>& tasks) {
    while (tasks.size() < most_tasks) {
        std::optional<Task> next = agenda_.take_if([&](const Task& task) {
            return disk_.is_batched(task) && !picture_.is_detached(task.directory.id);
        });
        if (!next)
            return;
        tasks.push_back(std::move(*next));
    }
}

// What is applied first may change what the others are about: each is applied to its directory as
// the picture has it by then.
void TreeSource::apply_batch(std::vector<Task> tasks, std::vector<Sight> sights) {
    const TreeModel& model = picture_.model();
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const NodeRef directory = tasks[i].directory;
        if (!sights[i].is_done || !model.alive(directory) || !is_watched(model[directory.id].state))
            continue;
        if (picture_.is_detached(directory.id))
            agenda_.postpone(std::move(tasks[i]));
        else
            reconciler_.apply(std::move(tasks[i]), std::move(sights[i]));
    }
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
    std::size_t removed = 0;
    const auto remove_unused = [&](int wd) {
        if (model.watched_by(wd) != no_node || names_.uses(wd))
            return;
        kernel_.remove_watch(wd);
        if (++removed % 256 == 0)  // each leaves a record, and the queue is not to overflow
            queue_.end();
    };
    if (options_.follow_roots)
        restart_promoted();
    else
        extend_promoted();
    for (const std::string& root : picture_.take_ended())
        names_.suspect(root);
    std::ranges::for_each(disk_.take_obtained(), remove_unused);
    for (const NodeRef node : picture_.take_forgotten())
        for (const Place& destination : agenda_.forget(node))
            picture_.report_contents(destination);  // it may have been an exchange
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

// Looks at all that there is; the events of records that are handled meanwhile come later.
void TreeSource::scan() {
    ScanThreads threads(kernel_, options_.scan_threads, picture_.model().watched_count());
    const std::size_t limit = picture_.pending() + most_scanned;
    while (has_work() && picture_.pending() < limit && advance(&threads)) {
    }
    agenda_.report_all();  // better reported twice than not at all
}

Duration TreeSource::until_due() {
    const Duration names = names_.until_due();
    return agenda_.has_failures() ? shorter(names, agenda_.until_due(kernel_.now())) : names;
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
