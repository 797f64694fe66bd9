// SPDX-License-Identifier: MIT
// Agenda: what is looked at now, what in the next round, and what when it is due.
#include <inotify/detail/agenda.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

using inotify::detail::Agenda;
using inotify::detail::NodeId;
using inotify::detail::NodeRef;
using inotify::detail::NodeState;
using inotify::detail::Place;
using inotify::detail::Report;
using inotify::detail::Task;
using inotify::detail::TreeModel;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

Agenda::Time at(std::chrono::milliseconds time) { return Agenda::Time(time); }

/// The agenda of a tree /r with the directories a, a/b and c, all of which are watched.
struct AgendaFixture {
    TreeModel model;
    Agenda agenda{model};
    NodeId r = model.add_root("/r");
    NodeId a = model.add(r, "a");
    NodeId b = model.add(a, "b");
    NodeId c = model.add(r, "c");

    AgendaFixture() {
        int wd = 0;
        for (const NodeId node : {r, a, b, c}) {
            model.watch(node, ++wd);
            model.set_state(node, NodeState::listed);
        }
    }

    [[nodiscard]] Task task(NodeId node, Task::Kind kind = Task::Kind::look_up,
                            std::vector<std::string> names = {}) const {
        return {.directory = model.ref(node), .kind = kind, .names = std::move(names)};
    }

    [[nodiscard]] Place place(NodeId node, std::string name) const {
        return {model.ref(node), std::move(name)};
    }

    /// All tasks that are left of this round, each as `kind path: names`.
    Lines take_all() {
        Lines result;
        while (const std::optional<Task> task = agenda.take())
            result.push_back(line(*task));
        return result;
    }

    /// The tasks of the next round.
    Lines round(Agenda::Time now = {}) {
        REQUIRE(!agenda.has_task());
        const bool expected = agenda.has_next_round(now);
        agenda.begin_round(now);
        Lines result = take_all();
        if (!expected)
            CHECK(result.empty());
        return result;
    }

    [[nodiscard]] std::string line(const Task& task) const {
        std::string text;
        switch (task.kind) {
        case Task::Kind::list: text = "list "; break;
        case Task::Kind::look_up: text = "look up "; break;
        case Task::Kind::confirm: text = "confirm "; break;
        case Task::Kind::find_root: text = "find "; break;
        }
        std::string path;
        model.path(task.directory.id, path);
        text += path;
        for (const std::string& name : task.names)
            text += ' ' + name;
        return text + (task.recursive ? ", recursive" : "");
    }
};

}  // namespace

TEST_CASE("an agenda begins without anything to do") {
    AgendaFixture it;
    CHECK(!it.agenda.has_task());
    CHECK(!it.agenda.take());
    CHECK(!it.agenda.has_next_round(at(1h)));
    CHECK(!it.agenda.has_suspects());
    CHECK(!it.agenda.has_failures());
    CHECK(it.agenda.next_due() == Agenda::Time::max());
    CHECK(it.round(at(1h)).empty());
}

TEST_CASE("of a round what was added next comes first, and what was added last comes last") {
    AgendaFixture it;
    it.agenda.add_last(it.task(it.a, Task::Kind::list));
    it.agenda.add_last(it.task(it.b, Task::Kind::list));
    it.agenda.add_next(it.task(it.c, Task::Kind::list));
    it.agenda.add_next(it.task(it.r, Task::Kind::find_root));
    CHECK(it.agenda.has_task());
    CHECK(!it.agenda.has_next_round({}));
    CHECK(it.take_all() == Lines{"find /r", "list /r/c", "list /r/a", "list /r/a/b"});
    CHECK(!it.agenda.has_task());
}

TEST_CASE("names are looked up next, as the task asks that they are of") {
    AgendaFixture it;
    it.agenda.add_last(it.task(it.c, Task::Kind::list));
    Task like = it.task(it.r, Task::Kind::list);
    like.report = Report::existing;
    like.recursive = true;
    like.by_fd = true;
    it.agenda.look_up(it.a, {"x", "y"}, like);
    const std::optional<Task> task = it.agenda.take();
    REQUIRE(task);
    CHECK(it.line(*task) == "look up /r/a x y, recursive");
    CHECK(task->report == Report::existing);
    CHECK(!task->by_fd);
    CHECK(it.take_all() == Lines{"list /r/c"});
}

TEST_CASE("what is gone or not watched is not taken") {
    AgendaFixture it;
    for (const NodeId node : {it.b, it.a, it.c})
        it.agenda.add_last(it.task(node));
    it.model.remove(it.b);
    it.model.unwatch(it.a, NodeState::ended);
    CHECK(it.agenda.has_task());
    CHECK(it.take_all() == Lines{"look up /r/c"});
    it.agenda.add_last(it.task(it.c));
    it.model.remove(it.c);
    const NodeId next = it.model.add(it.r, "d");  // with that number
    it.model.watch(next, 9);
    CHECK(it.take_all().empty());
}

TEST_CASE("what is postponed, rechecked or suspected waits for the next round") {
    AgendaFixture it;
    it.agenda.postpone(it.task(it.c, Task::Kind::list));
    it.agenda.recheck(it.a);
    it.agenda.suspect(it.place(it.b, "f"), {});
    CHECK(!it.agenda.has_task());
    CHECK(!it.agenda.take());
    CHECK(it.round() == Lines{"look up /r a", "confirm /r/a/b f", "list /r/c"});
    CHECK(!it.agenda.has_next_round({}));
}

TEST_CASE("each of what waits makes a next round by itself") {
    AgendaFixture it;
    SUBCASE("a postponed task")
    it.agenda.postpone(it.task(it.c));
    SUBCASE("a recheck")
    it.agenda.recheck(it.a);
    SUBCASE("a suspect")
    it.agenda.suspect(it.place(it.b, "f"), {});
    SUBCASE("lost records")
    it.agenda.compare_stale();
    SUBCASE("a failure that is due")
    it.agenda.fail(it.c, EACCES, at(-10s));
    CHECK(it.agenda.has_next_round(at(0s)));
    it.agenda.begin_round(at(0s));
    CHECK(!it.agenda.has_next_round(at(0s)));
}

TEST_CASE("rechecks look a name up in its parent, those above first and aliases last") {
    AgendaFixture it;
    const NodeId deep = it.model.add(it.b, "deep");
    const NodeId alias = it.model.add(it.r, "alias");
    it.model.set_state(alias, NodeState::alias);
    const NodeId last = it.model.add(it.r, "last");
    for (const NodeId node : {deep, alias, it.b, last})
        it.agenda.recheck(node);
    it.agenda.recheck(it.r);  // which has no place to look at
    const Lines lines = it.round();
    CHECK(lines ==
          Lines{"look up /r last", "look up /r alias", "look up /r/a b", "look up /r/a/b deep"});
}

TEST_CASE("what is rechecked twice is looked at once, as the more thorough asks") {
    AgendaFixture it;
    it.agenda.recheck(it.b, true, 3);
    it.agenda.recheck(it.b, false, 5);
    it.agenda.recheck(it.b, false, 4);
    it.agenda.begin_round({});
    const std::optional<Task> task = it.agenda.take();
    REQUIRE(task);
    CHECK(task->recursive);
    CHECK(task->unreachable_at == 5);
    CHECK(!it.agenda.take());
}

TEST_CASE("a root that cannot be reached is not known by a recheck below it") {
    AgendaFixture it;
    it.agenda.recheck(it.a, false, 5);
    it.agenda.begin_round({});
    const std::optional<Task> task = it.agenda.take();
    REQUIRE(task);
    CHECK(task->unreachable_at == 0);
}

TEST_CASE("a recheck of what has gone, or of what lies in what is not watched, is none") {
    AgendaFixture it;
    it.agenda.recheck(it.c);
    it.agenda.recheck(it.b);
    it.model.remove(it.c);
    it.model.unwatch(it.a, NodeState::ended);
    CHECK(it.round().empty());
}

TEST_CASE("after an overflow those that are still stale when the round begins are compared") {
    AgendaFixture it;
    it.agenda.compare_stale();
    it.model.set_state(it.b, NodeState::stale);
    it.model.set_state(it.c, NodeState::stale);
    it.model.set_state(it.c, NodeState::listed);  // in the round that the overflow has begun
    CHECK(it.round() == Lines{"list /r/a/b, recursive"});
    CHECK(it.round().empty());
}

TEST_CASE("a suspect is asked about again only when a record has been handled since") {
    AgendaFixture it;
    it.agenda.suspect(it.place(it.a, "f"), {});
    CHECK(it.round() == Lines{"confirm /r/a f"});
    CHECK(!it.agenda.has_next_round({}));
    CHECK(it.round().empty());
    CHECK(it.agenda.has_suspects());
    it.agenda.note_progress();
    CHECK(it.round() == Lines{"confirm /r/a f"});
    CHECK(it.agenda.clear_suspect(it.place(it.a, "f")));
    it.agenda.note_progress();
    CHECK(!it.agenda.has_next_round({}));
    CHECK(!it.agenda.has_suspects());
}

TEST_CASE("a suspect knows where what left it went") {
    AgendaFixture it;
    it.agenda.suspect(it.place(it.a, "f"), it.place(it.c, "g"));
    CHECK(it.agenda.is_suspect(it.place(it.a, "f")));
    CHECK(!it.agenda.is_suspect(it.place(it.c, "g")));
    CHECK(!it.agenda.clear_suspect(it.place(it.a, "g")));
    CHECK(!it.agenda.clear_suspect(it.place(it.c, "f")));
    CHECK(it.agenda.clear_suspect(it.place(it.a, "f")) == it.place(it.c, "g"));
    CHECK(!it.agenda.clear_suspect(it.place(it.a, "f")));
}

TEST_CASE("the destination of a suspect moves with what is there, until it is gone") {
    AgendaFixture it;
    it.agenda.suspect(it.place(it.a, "f"), it.place(it.c, "g"));
    it.agenda.suspect(it.place(it.a, "h"), it.place(it.c, "i"));
    it.agenda.move_destination(it.place(it.c, "g"), it.place(it.b, "x"));
    it.agenda.move_destination(it.place(it.c, "g"), it.place(it.r, "not it"));
    it.agenda.move_destination(it.place(it.c, "i"), {});
    CHECK(it.agenda.clear_suspect(it.place(it.a, "f")) == it.place(it.b, "x"));
    CHECK(it.agenda.clear_suspect(it.place(it.a, "h")) == Place{});
}

TEST_CASE("a place that is suspected again has the destination of the last rename") {
    AgendaFixture it;
    it.agenda.suspect(it.place(it.a, "f"), it.place(it.c, "g"));
    CHECK(it.round() == Lines{"confirm /r/a f"});
    it.agenda.suspect(it.place(it.a, "f"), it.place(it.b, "h"));
    CHECK(it.round() ==
          Lines{"confirm /r/a f"});  // asked about again, although nothing was handled
    CHECK(it.agenda.clear_suspect(it.place(it.a, "f")) == it.place(it.b, "h"));
}

TEST_CASE("a directory that could not be watched is looked up again when it is due") {
    AgendaFixture it;
    const NodeId failed = it.model.add(it.a, "failed");
    it.model.set_state(failed, NodeState::failed);
    CHECK(it.agenda.fail(failed, EACCES, at(0s)));
    CHECK(!it.agenda.fail(failed, EACCES, at(0s)));  // that was reported
    CHECK(it.agenda.has_failed(failed));
    CHECK(it.agenda.next_due() == at(1s));
    CHECK(!it.agenda.has_next_round(at(999ms)));
    CHECK(it.round(at(1s)) == Lines{"look up /r/a failed"});
    CHECK(it.agenda.next_due() == at(3s));
    it.agenda.expedite(failed);
    CHECK(it.round(at(1s)) == Lines{"look up /r/a failed"});
    it.agenda.succeed(failed);
    CHECK(!it.agenda.has_failures());
}

TEST_CASE("failed directories of one parent are looked up together, and none below a failed one") {
    AgendaFixture it;
    std::vector<NodeId> nodes;
    for (const NodeId parent : {it.a, it.c, it.a, it.b}) {
        nodes.push_back(it.model.add(parent, "f" + std::to_string(nodes.size())));
        it.model.set_state(nodes.back(), NodeState::failed);
        it.agenda.fail(nodes.back(), EACCES, at(0s));
    }
    it.agenda.fail(it.b, EACCES, at(0s));
    it.agenda.retry(it.b, it.task(it.b, Task::Kind::list));
    CHECK(it.round(at(1s)) == Lines{"list /r/a/b", "look up /r/a f0 f2", "look up /r/c f1"});
}

TEST_CASE("a watched directory that failed is retried with what was to be done") {
    AgendaFixture it;
    it.agenda.fail(it.b, EMFILE, at(0s));
    it.agenda.retry(it.b, it.task(it.b, Task::Kind::list));
    it.agenda.retry(it.b, it.task(it.b, Task::Kind::confirm, {"f"}));
    it.agenda.succeed(it.b);  // there is more to be done with it
    CHECK(it.agenda.has_failed(it.b));
    CHECK(it.round(at(1s)) == Lines{"list /r/a/b, recursive"});  // one task for all
    CHECK(it.agenda.has_failed(it.b));
    it.agenda.succeed(it.b);
    CHECK(!it.agenda.has_failed(it.b));
}

TEST_CASE("a watched directory that failed without a task is compared with all below it") {
    AgendaFixture it;
    it.agenda.fail(it.b, EACCES, at(0s));
    CHECK(it.round(at(1s)) == Lines{"look up /r/a b, recursive"});
}

TEST_CASE("failures are looked at in a round of their own, and in a shortage one after the other") {
    AgendaFixture it;
    const NodeId one = it.model.add(it.a, "one");
    const NodeId two = it.model.add(it.c, "two");
    CHECK(it.agenda.fail(one, ENOSPC, at(0s)));
    CHECK(!it.agenda.fail(two, ENOSPC, at(0s)));  // one event for the whole shortage
    it.agenda.postpone(it.task(it.r, Task::Kind::list));
    CHECK(it.round(at(1s)) == Lines{"list /r"});
    CHECK(it.round(at(1s)) == Lines{"look up /r/a one"});
    CHECK(it.round(at(1s)).empty());
    it.agenda.succeed(one);
    CHECK(it.round(at(1s)) == Lines{"look up /r/c two"});
    it.agenda.end_shortage(ENOSPC);
    CHECK(it.round(at(1s)) == Lines{"look up /r/c two"});
    std::vector<NodeId> failed;
    it.agenda.for_each_failure([&](NodeId node, int error) {
        CHECK(error == ENOSPC);
        failed.push_back(node);
    });
    CHECK(failed == std::vector<NodeId>{two});
}

TEST_CASE("what is forgotten is neither rechecked, suspected nor retried") {
    AgendaFixture it;
    it.agenda.recheck(it.c);
    it.agenda.suspect(it.place(it.c, "f"), {});
    it.agenda.suspect(it.place(it.a, "f"), it.place(it.c, "g"));
    it.agenda.fail(it.c, EACCES, at(0s));
    it.agenda.retry(it.c, it.task(it.c));
    const NodeRef ref = it.model.ref(it.c);
    it.model.remove(it.c);
    it.agenda.forget(ref);
    CHECK(!it.agenda.has_failures());
    CHECK(!it.agenda.is_suspect({ref, "f"}));
    CHECK(it.round(at(1s)) == Lines{"confirm /r/a f"});
}

TEST_CASE("what has the number of a forgotten directory fails for itself") {
    AgendaFixture it;
    CHECK(it.agenda.fail(it.c, EACCES, at(0s)));
    it.agenda.retry(it.c, it.task(it.c, Task::Kind::list));
    const NodeRef ref = it.model.ref(it.c);
    it.model.remove(it.c);
    const NodeId next = it.model.add(it.r, "d");
    REQUIRE(next == ref.id);
    SUBCASE("before that one is forgotten") {
        CHECK(it.agenda.fail(next, EACCES, at(500ms)));
        it.agenda.forget(ref);
        CHECK(it.agenda.has_failed(next));
    }
    SUBCASE("after that") {
        it.agenda.forget(ref);
        CHECK(!it.agenda.has_failed(next));
        CHECK(it.agenda.fail(next, EACCES, at(500ms)));
    }
    CHECK(!it.agenda.has_next_round(at(1s)));
    CHECK(it.round(at(1500ms)) == Lines{"look up /r d"});
}

TEST_CASE("after a first scan that reports nothing, what it has not reached is reported as new") {
    AgendaFixture it;
    for (const Report report : {Report::nothing, Report::existing, Report::fresh}) {
        Task task = it.task(it.a);
        task.report = report;
        it.agenda.add_last(task);
        it.agenda.postpone(task);
    }
    it.agenda.report_all();
    for (int round = 0; round < 2; ++round) {
        for (const Report report : {Report::fresh, Report::existing, Report::fresh})
            CHECK(it.agenda.take()->report == report);
        CHECK(!it.agenda.take());
        it.agenda.begin_round({});
    }
}

TEST_CASE("what a burst took is given back without losing a task") {
    AgendaFixture it;
    for (int i = 0; i < 10'000; ++i)
        it.agenda.add_last(it.task(it.a));
    CHECK(it.take_all().size() == 10'000);
    it.agenda.give_back_storage();
    it.agenda.postpone(it.task(it.c));
    CHECK(it.round() == Lines{"look up /r/c"});
}
