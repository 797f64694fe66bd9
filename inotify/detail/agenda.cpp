// SPDX-License-Identifier: MIT
// The agenda: everything that is to be looked at, now or again later.
#include <inotify/detail/agenda.hpp>

#include <inotify/detail/give_back.hpp>

#include <algorithm>
#include <functional>

namespace inotify::detail {

void Agenda::add_next(Task task) {
    now_.push_front(std::move(task));
    most_now_ = std::max(most_now_, now_.size());
}

void Agenda::add_last(Task task) {
    now_.push_back(std::move(task));
    most_now_ = std::max(most_now_, now_.size());
}

void Agenda::look_up(NodeId directory, std::vector<std::string> names, const Task& like) {
    add_next({.directory = model_.ref(directory),
              .report = like.report,
              .recursive = like.recursive,
              .names = std::move(names)});
}

void Agenda::recheck(NodeId node, bool recursive, std::uint64_t unreachable_at) {
    Recheck& recheck = rechecks_[model_.ref(node)];
    recheck.recursive |= recursive;
    recheck.unreachable_at = std::max(recheck.unreachable_at, unreachable_at);
}

void Agenda::suspect(Place place, Place destination) {
    suspects_[std::move(place)] = {.destination = std::move(destination)};
}

std::optional<Place> Agenda::clear_suspect(const Place& place) {
    const auto suspect = suspects_.find(place);
    if (suspect == suspects_.end())
        return {};
    Place destination = std::move(suspect->second.destination);
    suspects_.erase(suspect);
    return destination;
}

void Agenda::move_destination(const Place& from, const Place& to) {
    for (auto& [place, suspect] : suspects_)
        if (suspect.destination == from)
            suspect.destination = to;
}

bool Agenda::fail(NodeId node, int error, Time now) {
    const NodeRef ref = model_.ref(node);
    Retry& retry = retries_[node];
    if (retry.node != ref) {  // another one had its number
        failures_.erase(node);
        retry = {.node = ref, .tasks = {}};
    }
    return failures_.fail(node, error, now);
}

void Agenda::retry(NodeId node, Task task) {
    std::vector<Task>& tasks = retries_.at(node).tasks;
    if (!tasks.empty())  // what is in it is compared once, for all
        task = {.directory = model_.ref(node), .kind = Task::Kind::list, .recursive = true};
    tasks.clear();
    tasks.push_back(std::move(task));
}

void Agenda::succeed(NodeId node) {
    const auto retry = retries_.find(node);
    if (retry == retries_.end() || !retry->second.tasks.empty())
        return;
    failures_.succeed(node);
    retries_.erase(retry);
}

bool Agenda::has_next_round(Time now) const {
    return compares_stale_ || !postponed_.empty() || !rechecks_.empty() ||
           std::ranges::any_of(
               suspects_, [&](const auto& entry) { return entry.second.asked_at != progress_; }) ||
           (has_failures() && next_due() <= now);
}

std::optional<Task> Agenda::take() {
    drop_dead();
    if (now_.empty())
        return {};
    std::optional<Task> task = std::move(now_.front());
    now_.pop_front();
    return task;
}

// Of directories that are not watched any more there is nothing to look at.
void Agenda::drop_dead() {
    while (!now_.empty() && !(model_.alive(now_.front().directory) &&
                              is_watched(model_[now_.front().directory.id].state)))
        now_.pop_front();
}

void Agenda::begin_round(Time now) {
    if (std::exchange(compares_stale_, false))
        model_.for_each(NodeState::stale, [&](NodeId node) {
            add_last({.directory = model_.ref(node), .kind = Task::Kind::list, .recursive = true});
        });
    add_suspects();
    for (Task& task : std::exchange(postponed_, {}))
        add_last(std::move(task));
    add_rechecks();
    if (now_.empty())
        add_failures(now);
}

// Those above come first: whether what lies in them can be reached depends on them. Of two links
// that lead to one directory the one that has it comes first, and keeps it.
void Agenda::add_rechecks() {
    struct Due {
        std::pair<std::size_t, bool> order;
        NodeId node;
        Recheck recheck;
    };
    std::vector<Due> due;
    for (const auto& [node, recheck] : std::exchange(rechecks_, {}))
        if (model_.alive(node))
            due.push_back({{model_.depth(node.id), model_[node.id].state == NodeState::alias},
                           node.id,
                           recheck});
    std::ranges::sort(due, std::ranges::greater{}, &Due::order);
    for (const Due& it : due)
        add_recheck(it.node, it.recheck);
}

void Agenda::add_recheck(NodeId node, const Recheck& recheck) {
    const NodeId parent = model_[node].parent;
    if (parent == no_node)
        return;
    add_next({.directory = model_.ref(parent),
              .recursive = recheck.recursive,
              .names = {model_[node].name},
              // A root that cannot be reached is looked for first.
              .unreachable_at = model_[parent].is_root ? 0 : recheck.unreachable_at});
}

void Agenda::add_suspects() {
    for (auto& [place, suspect] : suspects_)
        if (std::exchange(suspect.asked_at, progress_) != progress_)
            add_last(
                {.directory = place.directory, .kind = Task::Kind::confirm, .names = {place.name}});
}

void Agenda::add_failures(Time now) {
    std::map<NodeId, std::vector<std::string>> names;  // by parent, which is opened once for all
    for (const NodeId node : failures_.take(now)) {
        std::vector<Task> tasks = std::exchange(retries_.at(node).tasks, {});
        const NodeId parent = model_[node].parent;
        if (!tasks.empty())
            std::ranges::for_each(tasks, [&](Task& task) { add_last(std::move(task)); });
        else if (parent == no_node || is_watched(model_[node].state))
            add_recheck(node, {.recursive = true});
        else
            names[parent].push_back(model_[node].name);
    }
    for (auto& [parent, of_parent] : names)
        if (!has_failed(parent))  // it cannot be looked at itself
            add_last({.directory = model_.ref(parent), .names = std::move(of_parent)});
}

void Agenda::report_all() {
    const auto report = [](Task& task) {
        if (task.report == Report::nothing)
            task.report = Report::fresh;
    };
    std::ranges::for_each(now_, report);
    std::ranges::for_each(postponed_, report);
}

void Agenda::give_back_storage() {
    if (most_now_ * sizeof(Task) > kept_storage) {
        std::deque<Task>().swap(now_);
        most_now_ = 0;
    }
}

std::vector<Place> Agenda::forget(NodeRef node) {
    std::vector<Place> destinations;
    rechecks_.erase(node);
    std::erase_if(suspects_, [&](auto& entry) {
        if (entry.first.directory != node)
            return false;
        destinations.push_back(std::move(entry.second.destination));
        return true;
    });
    if (const auto retry = retries_.find(node.id);
        retry != retries_.end() && retry->second.node == node) {
        failures_.erase(node.id);
        retries_.erase(retry);
    }
    return destinations;
}

}  // namespace inotify::detail
