// SPDX-License-Identifier: MIT
// Picture: each change of the model with the event that reports it, and roots that overlap.
#include <inotify/detail/picture.hpp>
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace IN = inotify::IN;
using inotify::Mask;
using inotify::detail::Cause;
using inotify::detail::FileType;
using inotify::detail::found;
using inotify::detail::NodeId;
using inotify::detail::NodeRef;
using inotify::detail::NodeState;
using inotify::detail::Place;
using inotify::detail::Report;
using inotify::detail::silently;
using inotify::detail::Taken;
using test::Lines;

namespace {

constexpr Cause created_dir{.mask = IN::CREATE | IN::ISDIR};
constexpr Cause created{.mask = IN::CREATE};
constexpr Cause deleted{.mask = IN::DELETE};
constexpr Cause deleted_dir{.mask = IN::DELETE | IN::ISDIR};

inotify::TreeOptions tracking(Mask mask, bool track_files) {
    inotify::TreeOptions options;
    options.mask = mask;
    options.track_files = track_files;
    return options;
}

/// A picture of /r, whose watch is 1; the directories that a test adds have those from 2 on.
struct PictureFixture {
    inotify::TreeOptions options;
    inotify::detail::Picture picture{options};
    int last_wd = 1;
    NodeId r = picture.add_root("/r", "/r", 1);

    explicit PictureFixture(bool track_files = false, Mask mask = IN::ALL_EVENTS)
        : options(tracking(mask, track_files)) {}

    NodeId add(NodeId parent, std::string_view name) {
        const NodeId node = picture.create_directory(parent, name, silently);
        picture.watch(node, ++last_wd);
        picture.set_state(node, NodeState::listed);
        return node;
    }

    /// Whether the client knows something at a name.
    [[nodiscard]] bool has_directory(NodeId node, std::string_view name) const {
        return picture.knows(node, name, true);
    }
    [[nodiscard]] bool has_file(NodeId node, std::string_view name) const {
        return picture.knows(node, name, false);
    }

    /// All events that are pending, as lines; those that were found by looking end with *. The
    /// invariants hold then.
    Lines take_events() {
        Lines result;
        inotify::Event event;
        while (picture.pending() != 0) {
            picture.pop(event);
            std::string line = test::lines({event}, "/r").at(0);
            if (event.cookie != 0)
                line += " #" + std::to_string(event.cookie);
            result.push_back(line + (event.synthetic ? " *" : ""));
        }
        CHECK(picture.check() == "");
        return result;
    }
};

}  // namespace

TEST_CASE("a directory that is created is known, found, and reported") {
    PictureFixture it;
    const NodeId a = it.picture.create_directory(it.r, "a", created_dir);
    CHECK(it.has_directory(it.r, "a"));
    CHECK(!it.has_file(it.r, "a"));
    CHECK(it.picture.model()[a].state == NodeState::found);
    CHECK(it.take_events() == Lines{"CREATE|ISDIR a"});
    it.picture.create_directory(a, "b", found(IN::CREATE | IN::ISDIR));
    CHECK(it.take_events() == Lines{"CREATE|ISDIR a/b *"});
    it.picture.create_directory(a, "c", silently);
    CHECK(it.has_directory(a, "c"));
    CHECK(it.take_events().empty());
}

TEST_CASE("a directory below the depth limit is known and not to be watched") {
    PictureFixture it;
    it.options.max_depth = 1;
    const NodeId a = it.picture.create_directory(it.r, "a", silently);
    CHECK(it.picture.model()[a].state == NodeState::found);
    CHECK(!it.picture.at_depth_limit(it.r));
    CHECK(it.picture.at_depth_limit(a));
    const NodeId b = it.picture.create_directory(a, "b", silently);
    CHECK(it.picture.model()[b].state == NodeState::pruned);
}

TEST_CASE("a file that is created is reported, and known where files are tracked") {
    for (const bool track_files : {false, true}) {
        PictureFixture it(track_files);
        CHECK(it.has_file(it.r, "f") == !track_files);  // it cannot be said that it is not there
        it.picture.create_file(it.r, "f", created);
        CHECK(it.has_file(it.r, "f"));
        CHECK(it.picture.files(it.r).size() == (track_files ? 1 : 0));
        CHECK(it.take_events() == Lines{"CREATE f"});
    }
}

TEST_CASE(
    "of files only what the mask asks for is reported, of directories what changes the tree") {
    PictureFixture it(true, IN::CLOSE_WRITE);
    it.picture.create_file(it.r, "f", created);
    it.picture.report(it.r, "f", {.mask = IN::CLOSE_WRITE});
    it.picture.report(it.r, "f", {.mask = IN::MODIFY});
    it.add(it.r, "a");
    it.picture.report(it.r, "a", {.mask = IN::ATTRIB | IN::ISDIR});
    it.picture.remove(it.r, "a", deleted_dir);
    it.picture.remove(it.r, "f", deleted);
    CHECK(!it.has_file(it.r, "f"));
    CHECK(it.take_events() == Lines{"CLOSE_WRITE f", "DELETE|ISDIR a"});
}

TEST_CASE("a file that is found is reported as existing, or as new with its contents") {
    PictureFixture it(true);
    it.picture.create_found_file(it.r, {"known", FileType::regular}, Report::nothing);
    it.picture.create_found_file(it.r, {"existing", FileType::regular}, Report::existing);
    it.picture.create_found_file(it.r, {"fresh", FileType::regular}, Report::fresh);
    it.picture.create_found_file(it.r, {"fifo", FileType::other}, Report::fresh);
    it.picture.create_found_file(it.r, {"link", FileType::symlink}, Report::fresh);
    CHECK(it.take_events() == Lines{"CREATE existing *", "CREATE fresh *", "MODIFY fresh *",
                                    "CLOSE_WRITE fresh *", "CREATE fifo *", "CREATE link *"});
    for (const char* name : {"known", "existing", "fresh", "fifo", "link"})
        CHECK(it.has_file(it.r, name));
    PictureFixture narrow(false, IN::CLOSE_WRITE);
    narrow.picture.create_found_file(narrow.r, {"existing", FileType::regular}, Report::existing);
    narrow.picture.create_found_file(narrow.r, {"fresh", FileType::regular}, Report::fresh);
    CHECK(narrow.take_events() == Lines{"CREATE existing *", "CLOSE_WRITE fresh *"});
}

TEST_CASE("what is removed is forgotten with all below it") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    const NodeId b = it.add(a, "b");
    const NodeRef ref_a = it.picture.model().ref(a);
    const NodeRef ref_b = it.picture.model().ref(b);
    it.picture.create_file(b, "f", silently);
    it.picture.take_places_changed();
    it.picture.remove(it.r, "a", deleted_dir);
    CHECK(it.take_events() == Lines{"DELETE|ISDIR a"});
    CHECK(!it.has_directory(it.r, "a"));
    CHECK(!it.picture.model().alive(ref_a));
    CHECK(!it.picture.model().alive(ref_b));
    CHECK(it.picture.take_freed() == std::vector<int>{3, 2});
    CHECK(it.picture.take_forgotten() == std::vector<NodeRef>{ref_b, ref_a});
    CHECK(it.picture.take_places_changed());
    CHECK(it.picture.take_freed().empty());
    CHECK(it.picture.take_forgotten().empty());
    CHECK(!it.picture.take_places_changed());
    REQUIRE(it.add(it.r, "c") == a);  // the next one has that number, and no file of it
    REQUIRE(it.add(a, "d") == b);
    CHECK(it.picture.files(b).empty());
}

TEST_CASE("a new directory or file in the place of a directory reports that it is gone") {
    for (const bool by_directory : {true, false}) {
        PictureFixture it;
        it.add(it.r, "a");
        it.picture.replace(it.r, "a", by_directory);
        CHECK(!it.has_directory(it.r, "a"));
        CHECK(it.take_events() == Lines{"DELETE|ISDIR a *"});
        it.picture.replace(it.r, "a", by_directory);  // nothing is there
        CHECK(it.take_events().empty());
    }
}

TEST_CASE("of a file only a directory in its place reports that it is gone, if that is known") {
    PictureFixture it(true);
    it.picture.create_file(it.r, "f", silently);
    it.picture.replace(it.r, "f", false);
    CHECK(it.has_file(it.r, "f"));
    CHECK(it.take_events().empty());
    it.picture.replace(it.r, "f", true);
    CHECK(!it.has_file(it.r, "f"));
    CHECK(it.take_events() == Lines{"DELETE f *"});
    PictureFixture without;
    without.picture.create_file(without.r, "f", silently);
    without.picture.replace(without.r, "f", true);
    CHECK(without.take_events().empty());
}

TEST_CASE("a link is a file; what it leads to is forgotten without an event, or with the link") {
    PictureFixture it(true);
    const auto link = [&](NodeState state) {
        it.picture.create_file(it.r, "l", silently);
        const NodeId node = it.picture.create_link(it.r, "l");
        if (state == NodeState::listed)
            it.picture.watch(node, ++it.last_wd);
        it.picture.set_state(node, state);
        CHECK(!it.has_directory(it.r, "l"));
        CHECK(it.has_file(it.r, "l"));
        CHECK(it.picture.check() == "");
        return node;
    };
    it.picture.remove_link(link(NodeState::listed));
    CHECK(it.has_file(it.r, "l"));
    CHECK(it.take_events().empty());
    link(NodeState::listed);
    it.picture.replace(it.r, "l", false);  // what was reported below it is gone
    CHECK(it.take_events() == Lines{"DELETE l *"});
    link(NodeState::alias);
    it.picture.replace(it.r, "l", false);  // nothing was
    CHECK(it.has_file(it.r, "l"));
    CHECK(it.take_events().empty());
    link(NodeState::alias);
    it.picture.replace(it.r, "l", true);
    CHECK(it.take_events() == Lines{"DELETE l *"});
}

TEST_CASE("a directory that is renamed keeps its watches, and all below it has another path") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    const NodeId b = it.add(a, "b");
    const NodeId c = it.add(it.r, "c");
    it.picture.create_file(b, "f", silently);
    it.picture.take_places_changed();
    const Taken taken =
        it.picture.take(it.r, "a", {.mask = IN::MOVED_FROM | IN::ISDIR, .cookie = 7});
    CHECK(taken.is_dir);
    CHECK(taken.path == "/r/a");
    CHECK(taken.cookie == 7);
    CHECK(taken.node == it.picture.model().ref(a));
    CHECK(!it.has_directory(it.r, "a"));
    CHECK(it.picture.is_detached(b));
    CHECK(!it.picture.is_detached(c));
    CHECK(it.picture.check() == "");
    CHECK(it.picture.take_places_changed());
    it.picture.put(taken, c, "x", {.mask = IN::MOVED_TO | IN::ISDIR, .cookie = 7});
    CHECK(!it.picture.is_detached(b));
    CHECK(it.has_directory(c, "x"));
    it.picture.report(b, "f", {.mask = IN::MODIFY});
    CHECK(it.has_file(b, "f"));
    CHECK(it.picture.take_freed().empty());
    CHECK(it.take_events() ==
          Lines{"MOVED_FROM|ISDIR a #7", "MOVED_TO|ISDIR c/x < a #7", "MODIFY c/x/b/f"});
}

TEST_CASE("a directory that is taken and not put is dropped without another event") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    it.add(a, "b");
    const Taken taken = it.picture.take(it.r, "a", found(IN::MOVED_FROM | IN::ISDIR, 9));
    it.picture.drop(taken.node.id);
    CHECK(it.picture.check() == "");
    CHECK(!it.picture.model().alive(taken.node));
    CHECK(it.picture.take_freed() == std::vector<int>{3, 2});
    CHECK(it.take_events() == Lines{"MOVED_FROM|ISDIR a #9 *"});
}

TEST_CASE("a file that is renamed is known at the other name alone") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    it.picture.create_file(it.r, "f", silently);
    const Taken taken = it.picture.take(it.r, "f", {.mask = IN::MOVED_FROM, .cookie = 7});
    CHECK(!it.has_file(it.r, "f"));
    CHECK(it.picture.check() == "");
    it.picture.put(taken, a, "g", {.mask = IN::MOVED_TO, .cookie = 7});
    CHECK(it.has_file(a, "g"));
    CHECK(it.take_events() == Lines{"MOVED_FROM f #7", "MOVED_TO a/g < f #7"});
}

TEST_CASE("of a renamed file the half that the mask asks for knows where it came from") {
    PictureFixture it(false, IN::MOVED_TO);
    const Taken taken = it.picture.take(it.r, "f", {.mask = IN::MOVED_FROM, .cookie = 7});
    it.picture.put(taken, it.r, "g", {.mask = IN::MOVED_TO, .cookie = 7});
    CHECK(it.take_events() == Lines{"MOVED_TO g < f #7"});
}

TEST_CASE("a link that is renamed takes what it leads to along, and stays a file") {
    PictureFixture it(true);
    it.picture.create_file(it.r, "l", silently);
    const NodeId node = it.picture.create_link(it.r, "l");
    it.picture.watch(node, ++it.last_wd);
    const Taken taken = it.picture.take(it.r, "l", {.mask = IN::MOVED_FROM, .cookie = 7});
    CHECK(!taken.is_dir);
    CHECK(it.picture.is_detached(node));
    it.picture.put(taken, it.r, "m", {.mask = IN::MOVED_TO, .cookie = 7});
    it.picture.report(node, "f", created);
    CHECK(it.has_file(it.r, "m"));
    CHECK(it.take_events() == Lines{"MOVED_FROM l #7", "MOVED_TO m < l #7", "CREATE m/f"});
}

TEST_CASE("a file that has remained is created, and where it went there is another") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    it.picture.create_file(a, "g", silently);
    const Place to{it.picture.model().ref(a), "g"};
    it.picture.restore_file(it.r, {"f", FileType::regular}, to);
    CHECK(it.has_file(it.r, "f"));
    CHECK(it.take_events() == Lines{"CREATE f *", "MODIFY f *", "CLOSE_WRITE f *", "MODIFY a/g *",
                                    "CLOSE_WRITE a/g *"});
    it.picture.restore_file(it.r, {"f", FileType::regular}, to);  // it is known
    CHECK(it.take_events().empty());
}

TEST_CASE(
    "of a file that has remained nothing more is reported where it is not known that it went") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    const NodeId b = it.add(it.r, "b");
    it.picture.create_file(b, "g", silently);
    Place to;
    SUBCASE("it has left the tree") {}
    SUBCASE("it has left that, too")
    to = {it.picture.model().ref(a), "g"};
    SUBCASE("its directory is gone") {
        to = {it.picture.model().ref(b), "g"};
        it.picture.remove(it.r, "b", silently);
    }
    SUBCASE("its directory has left its place") {
        to = {it.picture.model().ref(b), "g"};
        it.picture.take(it.r, "b", silently);
    }
    it.picture.restore_file(it.r, {"f", FileType::other}, to);
    CHECK(it.take_events() == Lines{"CREATE f *"});
}

TEST_CASE("a file that has remained where a directory is known replaces that") {
    PictureFixture it(true);
    it.add(it.r, "a");
    it.picture.restore_file(it.r, {"a", FileType::other}, {});
    CHECK(it.take_events() == Lines{"DELETE|ISDIR a *", "CREATE a *"});
}

TEST_CASE("a watch that has ended frees no descriptor, and its directory is still known") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    it.picture.take_places_changed();
    it.picture.end_watch(a);
    CHECK(it.picture.model()[a].state == NodeState::ended);
    CHECK(it.has_directory(it.r, "a"));
    CHECK(it.picture.take_freed().empty());
    CHECK(it.picture.take_places_changed());
    it.picture.remove(it.r, "a", deleted_dir);
    CHECK(it.picture.take_freed().empty());
    CHECK(it.take_events() == Lines{"DELETE|ISDIR a"});
}

TEST_CASE("an overflow is reported, and what was listed is stale") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    const NodeId b = it.add(it.r, "b");
    it.picture.set_state(b, NodeState::unlisted);
    it.picture.overflow();
    CHECK(it.picture.model()[a].state == NodeState::stale);
    CHECK(it.picture.model()[b].state == NodeState::unlisted);
    CHECK(it.take_events() == Lines{"Q_OVERFLOW"});
}

TEST_CASE("an error and what a directory says of itself are reported whatever the mask") {
    PictureFixture it(false, IN::CLOSE_WRITE);
    const NodeId a = it.add(it.r, "a");
    it.picture.report_self(a, IN::DELETE_SELF);
    it.picture.report(a, {}, {.mask = IN::MOVE_SELF});  // but for this
    CHECK(it.take_events() == Lines{"DELETE_SELF a"});
    it.picture.report_error(a, std::error_code(EACCES, std::system_category()));
    inotify::Event event;
    it.picture.pop(event);
    CHECK(event.error == std::errc::permission_denied);
    CHECK(event.path == "/r/a");
    CHECK(!event.mask);
    CHECK(event.wd == -1);
    it.picture.report(a, "f", {.mask = IN::CLOSE_WRITE});
    it.picture.pop(event);
    CHECK(!event.error);  // in the slot that had one
    CHECK(event.wd == it.picture.model()[a].wd);
}

TEST_CASE("what is excluded is asked for by its path") {
    PictureFixture it;
    CHECK(!it.picture.excluded(it.r, "a"));
    std::vector<std::string> asked;
    it.options.exclude = [&](std::string_view path) {
        asked.emplace_back(path);
        return path.ends_with("/b");
    };
    const NodeId a = it.add(it.r, "a");
    CHECK(it.picture.excluded(it.r, "b"));
    CHECK(!it.picture.excluded(a, "c"));
    CHECK(asked == std::vector<std::string>{"/r/b", "/r/a/c"});
}

TEST_CASE("a root is found by the path that it was given as, and reached by another") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    CHECK(it.picture.find_root("/r")->node == it.r);
    CHECK(it.picture.find_root("/r/") == nullptr);
    it.picture.set_access_path(it.r, "/elsewhere");
    std::string path;
    it.picture.access_path(a, path);
    CHECK(path == "/elsewhere/a");
    it.picture.report(a, "f", created);
    CHECK(it.take_events() == Lines{"CREATE a/f"});
}

TEST_CASE("a root that has ended is none, and frees what was below it") {
    PictureFixture it;
    it.add(it.r, "a");
    it.picture.end_root(it.r);
    CHECK(it.picture.roots().empty());
    CHECK(it.picture.find_root("/r") == nullptr);
    CHECK(it.picture.take_freed() == std::vector<int>{2, 1});
    CHECK(it.picture.check() == "");
}

TEST_CASE("a root in another root is an alias of the directory there") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    const NodeId inner = it.picture.add_root("/q", "/r/a", 2);
    CHECK(inner != a);
    CHECK(it.picture.model()[inner].state == NodeState::alias);
    CHECK(it.picture.find_root("/q")->watched == it.picture.model().ref(a));
    CHECK(it.picture.model().watched_by(2) == a);
    CHECK(it.take_events().empty());
    SUBCASE("it is removed, and the directory stays") {
        CHECK(it.picture.remove_root(inner).empty());
        CHECK(it.picture.take_freed().empty());
        CHECK(it.has_directory(it.r, "a"));
        CHECK(it.picture.roots().size() == 1);
    }
    SUBCASE("the directory's watch ends, and both with it") {
        it.picture.end_watch(a);
        CHECK(it.picture.find_root("/q") == nullptr);
        CHECK(it.picture.roots().size() == 1);
    }
    SUBCASE("the outer root ends by its own, and the inner one goes on") {
        it.picture.end_root(it.r);
        CHECK(it.picture.find_root("/q")->node == a);
        CHECK(it.picture.take_freed() == std::vector<int>{1});
    }
    CHECK(it.picture.check() == "");
}

TEST_CASE(
    "when an outer root is removed, the inner one goes on with its watches and its spelling") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    const NodeId b = it.add(a, "b");
    const NodeId c = it.add(it.r, "c");
    it.picture.add_root("/q", "/r/a", 2);
    it.picture.report(it.r, "f", created);
    it.picture.report(c, "f", created);
    it.picture.report(b, "f", created);
    CHECK(it.picture.remove_root(it.r).empty());
    CHECK(it.picture.find_root("/r") == nullptr);
    CHECK(it.picture.find_root("/q")->node == a);
    CHECK(it.picture.model()[a].is_root);
    CHECK(it.picture.take_promoted() == std::vector<NodeRef>{it.picture.model().ref(a)});
    CHECK(it.picture.take_promoted().empty());
    std::vector<int> freed = it.picture.take_freed();
    std::ranges::sort(freed);
    CHECK(freed == std::vector<int>{1, 4});
    std::string path;
    it.picture.access_path(b, path);
    CHECK(path == "/r/a/b");
    CHECK(it.take_events() ==
          Lines{"CREATE /q/b/f"});  // what was not yielded of the outer one is not
}

TEST_CASE("when a directory that a root lies in is removed, the root goes on") {
    PictureFixture it;
    const NodeId a = it.add(it.r, "a");
    const NodeId b = it.add(a, "b");
    it.picture.add_root("/q", "/r/a/b", 3);
    it.picture.remove(it.r, "a", {.mask = IN::MOVED_FROM | IN::ISDIR, .cookie = 7});
    CHECK(it.picture.find_root("/q")->node == b);
    CHECK(it.picture.take_freed() == std::vector<int>{2});
    it.picture.report(b, "f", created);
    CHECK(it.take_events() == Lines{"MOVED_FROM|ISDIR a #7", "CREATE /q/f"});
}

TEST_CASE("of two spellings of one root the other goes on, with all that is known") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    it.picture.create_file(a, "f", silently);
    it.picture.add_root("/s", "/s", 1);
    it.picture.remove_root(it.r);
    CHECK(it.picture.find_root("/s")->node == it.r);
    CHECK(it.picture.take_freed().empty());
    CHECK(it.has_directory(it.r, "a"));
    CHECK(it.has_file(a, "f"));
    it.picture.report(a, "f", {.mask = IN::MODIFY});
    CHECK(it.take_events() == Lines{"MODIFY /s/a/f"});
}

TEST_CASE("of what was renamed into another root from a removed one, the directories are new") {
    PictureFixture it;
    it.add(it.r, "a");
    const NodeId s = it.picture.add_root("/s", "/s", 10);
    Taken taken = it.picture.take(it.r, "a", {.mask = IN::MOVED_FROM | IN::ISDIR, .cookie = 7});
    it.picture.put(taken, s, "a", {.mask = IN::MOVED_TO | IN::ISDIR, .cookie = 7});
    it.picture.report(taken.node.id, "f", created);
    taken = it.picture.take(it.r, "g", {.mask = IN::MOVED_FROM, .cookie = 8});
    it.picture.put(taken, s, "g", {.mask = IN::MOVED_TO, .cookie = 8});
    const std::vector<Place> unknown = it.picture.remove_root(it.r);
    CHECK(unknown == std::vector<Place>{{it.picture.model().ref(s), "a"}});
    CHECK(!it.has_directory(s, "a"));
    CHECK(it.take_events() ==
          Lines{"MOVED_TO|ISDIR /s/a #7", "MOVED_TO /s/g #8", "DELETE|ISDIR /s/a *"});
}

TEST_CASE("check() objects to what does not belong together") {
    PictureFixture it(true);
    const NodeId a = it.add(it.r, "a");
    SUBCASE("a file and a directory of one name") {
        it.picture.create_file(it.r, "a", silently);
        CHECK(it.picture.check() == "a name is a file's and a directory's: a");
    }
    SUBCASE("what is dropped without having left its place") {
        it.picture.drop(a);
        CHECK(it.picture.check() == "a node lies nowhere and is not being moved");
    }
    SUBCASE("two directories of one name") {
        it.add(it.r, "b");
        const Taken taken = it.picture.take(it.r, "b", {.mask = IN::MOVED_FROM | IN::ISDIR});
        it.picture.put(taken, it.r, "a", silently);
        CHECK(test::contains(it.picture.check(), "(a) does not have its name"));
    }
}
