// SPDX-License-Identifier: MIT
// InotifyTree: roots, one and several, how they are spelled, and what becomes of them.
#include "tree_client.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

using namespace inotify;
using namespace std::chrono_literals;
using test::asking;
using test::contains;
using test::drain;
using test::drain_lines;
using test::error_of;
using test::Lines;
using test::names;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

Lines watched(const InotifyTree& tree) {
    Lines result;
    for (const Watch& watch : tree.watches())
        result.push_back(watch.path);
    std::ranges::sort(result);
    return result;
}

// The paths as they are in the events.
Lines paths(const std::vector<Event>& events) {
    Lines result;
    for (const Event& event : events)
        result.push_back(event.full_path().native());
    return result;
}

// The working directory while this lives.
class WorkingDirectory {
public:
    explicit WorkingDirectory(const fs::path& path) : before_(fs::current_path()) {
        fs::current_path(path);
    }
    ~WorkingDirectory() {
        std::error_code ignored;
        fs::current_path(before_, ignored);
    }
    WorkingDirectory(const WorkingDirectory&) = delete;
    WorkingDirectory& operator=(const WorkingDirectory&) = delete;

private:
    fs::path before_;
};

}  // namespace

TEST_CASE("a missing root and one that is a file are refused with the call and the path") {
    TempDir dir;
    test::touch(dir / "file");
    for (const auto& [name, code] : {std::pair{"missing", ENOENT}, {"file", ENOTDIR}}) {
        const auto error = error_of([&] { InotifyTree(dir / name, asking(names)); });
        CHECK(error.code().value() == code);
        CHECK(contains(error.what(), "inotify_add_watch: " + (dir / name).native()));
        InotifyTree tree(dir.path(), asking(names));
        CHECK(error_of([&] { tree.add_tree(dir / name); }).code().value() == code);
        CHECK(tree.coverage().watched == 1);
    }
    CHECK(error_of([] { InotifyTree(fs::path(), asking(names)); }).code().value() == ENOENT);
    CHECK(error_of([&] { InotifyTree({dir.path(), dir / "missing"}, asking(names)); })
              .code()
              .value() == ENOENT);
}

TEST_CASE("a constructor that throws leaves no descriptor behind") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    const auto before = test::open_descriptors();
    CHECK_THROWS_AS(InotifyTree({dir.path(), dir / "missing"}, asking(names)), std::system_error);
    CHECK_THROWS_AS(InotifyTree(dir.path(), asking(IN::ONESHOT)), std::system_error);
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("several roots are one stream") {
    TempDir one, two, three;
    fs::create_directory(one / "a");
    fs::create_directory(two / "a");
    InotifyTree tree({one.path(), two.path()}, asking(names));
    test::touch(one / "a/f");
    test::touch(two / "a/g");
    CHECK(paths(drain(tree)) == Lines{one / "a/f", two / "a/g"});
    fs::create_directory(three / "a");
    tree.add_tree(three.path());
    test::touch(three / "a/h");
    CHECK(paths(drain(tree)) == Lines{three / "a/h"});
    CHECK(tree.coverage().watched == 6);
}

TEST_CASE("a rename from one root to another is a rename") {
    TempDir one, two;
    fs::create_directories(one / "a/b");
    InotifyTree tree({one.path(), two.path()}, asking(names));
    fs::rename(one / "a", two / "z");
    test::touch(two / "z/b/f");
    const auto events = drain(tree);
    CHECK(paths(events) == Lines{one / "a", two / "z", two / "z/b/f"});
    REQUIRE(events.size() == 3);
    CHECK(events[1].moved_from == (one / "a").native());
}

TEST_CASE("a root that is added twice is one root") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree({dir.path(), dir.path()}, asking(names));
    tree.add_tree(dir.path());
    test::touch(dir / "a/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE a/f"});
    tree.remove_tree(dir.path());
    CHECK(tree.coverage().watched == 0);
}

TEST_CASE("nothing is reported of what happened in a root before it was added") {
    TempDir one, two;
    InotifyTree tree(one.path(), asking(names));
    fs::create_directories(two / "a/b");
    tree.add_tree(two.path());
    CHECK(drain(tree).empty());
    test::touch(two / "a/b/f");
    CHECK(paths(drain(tree)) == Lines{two / "a/b/f"});
}

TEST_CASE("nothing more is reported of a root that is removed, not even what was queued") {
    TempDir one, two;
    fs::create_directories(one / "a/b");
    InotifyTree tree({one.path(), two.path()}, asking(names));
    test::touch(one / "a/b/f");
    test::touch(two / "g");
    fs::create_directories(one / "new/er");
    const auto first = tree.get(0ms);
    REQUIRE(first);
    CHECK(first->full_path() == one / "a/b/f");
    tree.remove_tree(one.path());
    CHECK(paths(drain(tree)) == Lines{two / "g"});
    CHECK(watched(tree) == Lines{two.str()});
    test::touch(one / "a/b/h");
    CHECK(drain(tree).empty());
    tree.add_tree(one.path());
    test::touch(one / "new/er/i");
    CHECK(paths(drain(tree)) == Lines{one / "new/er/i"});
}

TEST_CASE("what is no root cannot be removed") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir.path(), asking(names));
    for (const fs::path& path : {dir / "a", dir / "none", fs::path(dir.str() + "/"), fs::path()}) {
        const auto error = error_of([&] { tree.remove_tree(path); });
        CHECK(error.code().value() == EINVAL);
        CHECK(contains(error.what(), path.native()));
    }
    CHECK(tree.coverage().watched == 2);
}

TEST_CASE("where roots overlap a directory is reported once, under the root that came first") {
    TempDir dir;
    fs::create_directories(dir / "a/b/c");

    SUBCASE("the outer one first") {
        InotifyTree tree({dir.path(), dir / "a/b"}, asking(names));
        test::touch(dir / "a/b/c/f");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/c/f"});
        CHECK(tree.coverage().watched == 4);
        SUBCASE("and the inner one removed") {
            tree.remove_tree(dir / "a/b");
            test::touch(dir / "a/b/c/g");
            CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/c/g"});
            CHECK(tree.coverage().watched == 4);
        }
        SUBCASE("and removed") {
            tree.remove_tree(dir.path());
            drain(tree);
            test::touch(dir / "a/unheard");
            test::touch(dir / "a/b/c/h");
            CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/c/h"});
            CHECK(watched(tree) == Lines{dir / "a/b", dir / "a/b/c"});
        }
    }
    SUBCASE("the inner one first") {
        InotifyTree tree({dir / "a/b", dir.path()}, asking(names));
        test::touch(dir / "a/b/c/f");
        test::touch(dir / "a/g");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/c/f", "CREATE a/g"});
        CHECK(tree.coverage().watched == 4);
        SUBCASE("and the outer one removed") {
            tree.remove_tree(dir.path());
            test::touch(dir / "a/unheard");
            test::touch(dir / "a/b/c/h");
            CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/c/h"});
            CHECK(watched(tree) == Lines{dir / "a/b", dir / "a/b/c"});
        }
        SUBCASE("and removed") {
            tree.remove_tree(dir / "a/b");
            drain(tree);
            test::touch(dir / "a/b/c/h");
            fs::create_directories(dir / "a/b/d/e");
            CHECK(drain_lines(tree, dir) ==
                  Lines{"CREATE a/b/c/h", "CREATE|ISDIR a/b/d", "CREATE|ISDIR a/b/d/e"});
            CHECK(tree.coverage().watched == 6);
        }
    }
}

TEST_CASE("paths are spelled as the root was given") {
    TempDir dir;
    fs::create_directories(dir / "root/a");
    fs::create_directory_symlink("root", dir / "link");
    const WorkingDirectory here(dir.path());
    for (const std::string& root :
         {std::string("root"), std::string("./root"), std::string("root/"), std::string("root/."),
          std::string("root//"), std::string("link"), std::string("root/../link/"),
          dir.str() + "/root/"}) {
        CAPTURE(root);
        InotifyTree tree(root, asking(names));
        fs::create_directories("root/b/c");
        test::touch("root/a/f");
        test::touch("root/g");
        const auto events = drain(tree);
        CHECK(events.size() == 4);
        for (const Event& event : events) {
            CHECK_MESSAGE(event.path.starts_with(root), event);
            CHECK_MESSAGE((event.path == root || !contains(event.path.substr(root.size()), "//")),
                          event);
            CHECK(fs::equivalent(event.full_path().parent_path(), event.path));
            CHECK(fs::exists(event.full_path()));
        }
        CHECK(std::ranges::count(watched(tree), root) == 1);
        fs::rename("root/b", "root/d");
        test::touch("root/d/c/h");
        const auto later = drain(tree);
        REQUIRE(later.size() == 3);
        CHECK(fs::exists(later[2].full_path()));
        fs::remove_all("root/d");
        fs::remove("root/a/f");
        fs::remove("root/g");
    }
}

TEST_CASE("a root that is the working directory") {
    TempDir dir;
    fs::create_directory(dir / "a");
    const WorkingDirectory here(dir.path());
    for (const char* root : {".", "./", "a/.."}) {
        InotifyTree tree(root, asking(names));
        fs::create_directories("b/c");
        test::touch("b/c/f");
        CHECK(paths(drain(tree)) ==
              Lines{fs::path(root) / "b", fs::path(root) / "b/c", fs::path(root) / "b/c/f"});
        fs::remove_all("b");
    }
}

TEST_CASE("a relative root is resolved once: it goes on when the working directory changes") {
    TempDir dir;
    TempDir elsewhere;
    fs::create_directories(dir / "root/a");
    for (const std::string& root :
         {std::string("root"), std::string("."), std::string("root/a/.."), std::string("root/a")}) {
        CAPTURE(root);
        std::optional<InotifyTree> tree;
        {
            const WorkingDirectory here(dir.path());
            tree.emplace(root, asking(IN::CREATE));
        }
        const WorkingDirectory there(elsewhere.path());
        fs::create_directories(dir / root / "new/er");
        CHECK(paths(drain(*tree)) == Lines{fs::path(root) / "new", fs::path(root) / "new/er"});
        test::touch(dir / root / "new/er/f");
        CHECK(paths(drain(*tree)) == Lines{fs::path(root) / "new/er/f"});
        CHECK(tree->coverage().unwatched.empty());
        fs::remove_all(dir / root / "new");
        tree->remove_tree(root);
        CHECK(tree->watches().empty());
    }
}

TEST_CASE("a root that is renamed is found again however it was spelled") {
    TempDir dir;
    fs::create_directories(dir / "other");
    fs::create_directory_symlink("root", dir / "link");
    fs::create_directory_symlink("../root/", dir / "other/link");
    const WorkingDirectory here(dir.path());
    for (const std::string& root :
         {std::string("root"), std::string("root/."), std::string("root/a/.."),
          std::string("root//"), std::string("./root/./"), std::string("other/../root"),
          std::string("link"), std::string("link/."), std::string("other/link"),
          std::string("root/a/../../link/"), dir.str() + "/other/link/"}) {
        CAPTURE(root);
        fs::create_directories("root/a");
        InotifyTree tree(root, asking(IN::CREATE));
        fs::rename("root", "renamed");
        const auto moved = drain(tree);
        REQUIRE(moved.size() == 1);
        CHECK(moved[0].mask == IN::MOVE_SELF);
        CHECK(moved[0].path == root);
        fs::create_directory("renamed/a/b");
        CHECK(paths(drain(tree)) == Lines{fs::path(root) / "a/b"});
        test::touch("renamed/a/b/f");
        CHECK(paths(drain(tree)) == Lines{fs::path(root) / "a/b/f"});
        CHECK(tree.coverage().unwatched.empty());
        fs::remove_all("renamed");
    }
}

TEST_CASE("a root that is added again follows its path, as add_watch does") {
    TempDir dir;
    fs::create_directories(dir / "root/a");
    fs::create_directories(dir / "next/b");

    SUBCASE("after a deployment by two renames") {
        InotifyTree tree(dir / "root", asking(IN::CREATE));
        fs::rename(dir / "root", dir / "old");
        fs::rename(dir / "next", dir / "root");
        test::touch(dir / "old/a/queued");
        SUBCASE("whose records are still queued") {}
        SUBCASE("whose records are read")
        drain(tree);
        tree.add_tree(dir / "root");
        CHECK(watched(tree) == Lines{dir / "root", dir / "root/b"});
        test::touch(dir / "old/a/unheard");
        test::touch(dir / "root/b/f");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE root/b/f"});
        tree.remove_tree(dir / "root");
        CHECK(tree.watches().empty());
    }
    SUBCASE("to what lay inside") {
        fs::create_directories(dir / "root/next/c");
        InotifyTree tree(dir / "root", asking(IN::CREATE));
        fs::rename(dir / "root", dir / "old");
        fs::rename(dir / "old/next", dir / "root");
        tree.add_tree(dir / "root");
        test::touch(dir / "root/c/f");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE root/c/f"});
        CHECK(watched(tree) == Lines{dir / "root", dir / "root/c"});
    }
    SUBCASE("through a link that leads elsewhere") {
        fs::create_directory_symlink("root", dir / "current");
        InotifyTree tree(dir / "current", asking(IN::CREATE));
        fs::create_directory_symlink("next", dir / "link");
        fs::rename(dir / "link", dir / "current");
        tree.add_tree(dir / "current");
        test::touch(dir / "root/a/unheard");
        test::touch(dir / "next/b/f");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE current/b/f"});
    }
    SUBCASE("from another working directory") {
        std::optional<InotifyTree> tree;
        {
            const WorkingDirectory here(dir / "root");
            tree.emplace(".", asking(IN::CREATE));
        }
        const WorkingDirectory there(dir / "next");
        tree->add_tree(".");
        CHECK(watched(*tree) == Lines{".", "./b"});
        test::touch(dir / "root/a/unheard");
        test::touch(dir / "next/b/f");
        CHECK(paths(drain(*tree)) == Lines{"./b/f"});
    }
    SUBCASE("where it lies under another root") {
        InotifyTree tree(dir.path(), asking(IN::CREATE));
        tree.add_tree(dir / "root");
        fs::rename(dir / "root", dir / "old");
        fs::rename(dir / "next", dir / "root");
        drain(tree);
        tree.add_tree(dir / "root");
        tree.remove_tree(dir.path());
        test::touch(dir / "old/a/unheard");
        test::touch(dir / "root/b/f");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE root/b/f"});
    }
    SUBCASE("but what is watched stays when the path leads nowhere") {
        InotifyTree tree(dir / "root", asking(IN::CREATE));
        fs::rename(dir / "root", dir / "old");
        const auto error = error_of([&] { tree.add_tree(dir / "root"); });
        CHECK(error.code().value() == ENOENT);
        CHECK(contains(error.what(), "inotify_add_watch: " + (dir / "root").native()));
        test::touch(dir / "old/a/f");
        CHECK(drain_lines(tree, dir) == Lines{"MOVE_SELF root", "CREATE root/a/f"});
    }
}

TEST_CASE("the root of all is a root") {
    TreeOptions options = asking(IN::CREATE);
    options.max_depth = 0;
    InotifyTree tree("/", options);
    CHECK(watched(tree) == Lines{"/"});
    tree.remove_tree("/");
    CHECK(tree.watches().empty());
}

TEST_CASE("a working directory that has been removed is no root") {
    TempDir dir;
    fs::create_directory(dir / "gone");
    const WorkingDirectory here(dir / "gone");
    fs::remove(dir / "gone");
    InotifyTree tree(dir.path(), asking(names));
    CHECK(error_of([&] { tree.add_tree("a"); }).code().value() == ENOENT);
    CHECK(watched(tree) == Lines{dir.str()});
}

TEST_CASE("a root that is a symbolic link is watched where it leads, unless DONT_FOLLOW is asked") {
    TempDir dir;
    fs::create_directories(dir / "real/a");
    fs::create_directory_symlink("real", dir / "link");
    InotifyTree tree(dir / "link", asking(names));
    CHECK(watched(tree) == Lines{dir / "link", dir / "link/a"});
    fs::create_directories(dir / "real/b/c");
    CHECK(paths(drain(tree)) == Lines{dir / "link/b", dir / "link/b/c"});
    const auto error =
        error_of([&] { InotifyTree(dir / "link", asking(names | IN::DONT_FOLLOW)); });
    CHECK(error.code().value() == ENOTDIR);
    CHECK_NOTHROW(InotifyTree(dir / "real", asking(names | IN::DONT_FOLLOW)));
}

TEST_CASE("a root that is renamed is reported, and keeps being watched under its given path") {
    TempDir dir;
    fs::create_directories(dir / "root/a");
    InotifyTree tree(dir / "root", asking(names));
    fs::rename(dir / "root", dir / "renamed");
    CHECK(drain_lines(tree, dir) == Lines{"MOVE_SELF root"});
    test::touch(dir / "renamed/a/f");
    fs::create_directories(dir / "renamed/a/new/er");
    CHECK(drain_lines(tree, dir) ==
          Lines{"CREATE root/a/f", "CREATE|ISDIR root/a/new", "CREATE|ISDIR root/a/new/er"});
    fs::rename(dir / "renamed", dir / "again");
    fs::create_directory(dir / "root");  // another one, of no interest
    fs::create_directories(dir / "root/b");
    fs::create_directories(dir / "again/a/new/est");
    test::touch(dir / "again/a/new/er/g");
    const auto lines = drain_lines(tree, dir);
    REQUIRE(lines.size() == 3);
    CHECK(lines[0] == "MOVE_SELF root");
    CHECK(std::ranges::count(lines, "CREATE|ISDIR root/a/new/est") == 1);
    CHECK(std::ranges::count(lines, "CREATE root/a/new/er/g") == 1);
    CHECK(tree.coverage().unwatched.empty());
    CHECK(tree.coverage().watched == 5);
    CHECK(drain(tree).empty());
}

TEST_CASE("a root whose parent is renamed goes on") {
    TempDir dir;
    fs::create_directories(dir / "parent/root/a");
    InotifyTree tree(dir / "parent/root", asking(names));
    fs::rename(dir / "parent", dir / "moved");
    test::touch(dir / "moved/root/a/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE parent/root/a/f"});
}

TEST_CASE("a root moved into another directory still reports from the directories it had") {
    TempDir dir, outside;
    fs::create_directories(dir / "root/a");
    InotifyTree tree(dir / "root", asking(names));
    fs::rename(dir / "root", outside / "root");
    test::touch(outside / "root/a/f");
    CHECK(drain_lines(tree, dir) == Lines{"MOVE_SELF root", "CREATE root/a/f"});
    fs::create_directory(outside / "root/new");  // its path is not known
    const auto events = drain(tree);
    REQUIRE(events.size() == 2);
    CHECK(events[0].mask == (IN::CREATE | IN::ISDIR));
    CHECK(events[0].full_path() == dir / "root/new");
    CHECK(events[1].error);
    CHECK_FALSE(tree.coverage().unwatched.empty());
    fs::rename(outside / "root", dir / "root");  // and back
    test::touch(dir / "root/a/g");
    const auto lines = drain_lines(tree, dir);
    CHECK(std::ranges::count(lines, "CREATE root/a/g") == 1);
}

TEST_CASE("a root that is deleted is reported; the others go on") {
    TempDir dir;
    fs::create_directories(dir / "one/a");
    fs::create_directories(dir / "two/b");
    InotifyTree tree({dir / "one", dir / "two"}, asking(names));
    fs::remove_all(dir / "one");
    test::touch(dir / "two/b/f");
    CHECK(drain_lines(tree, dir) ==
          Lines{"DELETE|ISDIR one/a", "DELETE_SELF one", "IGNORED one", "CREATE two/b/f"});
    CHECK(watched(tree) == Lines{dir / "two", dir / "two/b"});
    CHECK(error_of([&] { tree.remove_tree(dir / "one"); }).code().value() == EINVAL);
}

TEST_CASE("a root that is deleted and made again within a millisecond can be added again") {
    TempDir dir;
    fs::create_directories(dir / "root/a/b");
    fs::create_directory(dir / "other");
    InotifyTree tree({dir / "root", dir / "other"}, asking(names));
    for (int i = 0; i < 20; ++i) {
        fs::remove_all(dir / "root");
        fs::create_directories(dir / "root/a/b");
        test::touch(dir / "root/a/b/unheard");
        test::touch(dir / "other/f");
        const auto lines = drain_lines(tree, dir);
        CHECK(std::ranges::count(lines, "DELETE_SELF root") == 1);
        CHECK(std::ranges::count(lines, "IGNORED root") == 1);
        CHECK(std::ranges::count(lines, "CREATE root/a/b/unheard") == 0);
        CHECK(lines.back() == "CREATE other/f");
        fs::remove(dir / "other/f");
        tree.add_tree(dir / "root");
        fs::remove(dir / "root/a/b/unheard");
        CHECK(drain_lines(tree, dir) == Lines{"DELETE other/f", "DELETE root/a/b/unheard"});
    }
    CHECK(tree.coverage().watched == 4);
}

TEST_CASE("a tree without a root is silent") {
    const std::vector<fs::path> none;
    InotifyTree tree(none, asking(names));
    CHECK(drain(tree).empty());
    CHECK(tree.watches().empty());
    TempDir dir;
    tree.add_tree(dir.path());
    test::touch(dir / "f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE f"});
}

TEST_CASE("a root inside another root that is renamed stays a part of it") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree({dir.path(), dir / "a"}, asking(names));
    fs::rename(dir / "a", dir / "z");
    test::touch(dir / "z/b/f");
    const auto lines = drain_lines(tree, dir);
    CHECK(std::ranges::count(lines, "MOVED_TO|ISDIR z < a") == 1);
    CHECK(std::ranges::count(lines, "CREATE z/b/f") == 1);
}

TEST_CASE("a root of two spellings that is deleted is reported once, and neither is a root then") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir / "a", asking(names));
    tree.add_tree(dir / "a/");
    fs::remove(dir / "a");
    CHECK(drain_lines(tree, dir) == Lines{"DELETE_SELF a", "IGNORED a"});
    CHECK(tree.watches().empty());
    for (const char* name : {"a", "a/"})
        CHECK(error_of([&] { tree.remove_tree(dir / name); }).code().value() == EINVAL);
}

TEST_CASE("when an outer root is removed, what is queued of the inner one is spelled as that") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    test::touch(dir / "a/b/f");
    const WorkingDirectory here(dir.path());

    SUBCASE("records") {
        InotifyTree tree(dir.path(), asking(IN::CREATE));
        tree.add_tree("a/");
        test::touch("a/g");
        fs::create_directories("a/c/d");
        test::touch("unheard");
        tree.remove_tree(dir.path());
        test::touch("a/b/h");
        auto reported = paths(drain(tree));
        std::ranges::sort(reported);
        CHECK(reported == Lines{"a/b/h", "a/c", "a/c/d", "a/g"});
        CHECK(watched(tree) == Lines{"a/", "a/b", "a/c", "a/c/d"});
    }
    SUBCASE("events") {
        TreeOptions options = asking(IN::CREATE);
        options.report_existing = true;
        InotifyTree tree(dir.path(), options);
        REQUIRE(tree.get(0ms)->full_path() == dir / "a");
        tree.add_tree("a");
        fs::create_directory("a/c");
        tree.remove_tree(dir.path());
        auto reported = paths(drain(tree));
        std::ranges::sort(reported);
        CHECK(reported == Lines{"a/b", "a/b/f", "a/c"});
        CHECK(watched(tree) == Lines{"a", "a/b", "a/c"});
    }
    SUBCASE("and each of several spellings goes on when those before it are removed") {
        InotifyTree tree(dir.path(), asking(IN::CREATE));
        const Lines spellings{"a", "./a", "a/b/.."};
        for (const auto& spelling : spellings)
            tree.add_tree(spelling);
        tree.remove_tree(dir.path());
        for (const auto& spelling : spellings) {
            test::touch("a/b/g");
            CHECK(paths(drain(tree)) == Lines{fs::path(spelling) / "b/g"});
            fs::remove("a/b/g");
            test::touch("a/b/g");
            tree.remove_tree(spelling);
            if (&spelling != &spellings.back())
                CHECK(paths(drain(tree)) == Lines{fs::path(*(&spelling + 1)) / "b/g"});
            fs::remove("a/b/g");
        }
        CHECK(tree.watches().empty());
    }
}

TEST_CASE("removing a root that lies in another keeps what that one has to report") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree(dir / "a", asking(IN::CREATE));
    tree.add_tree(dir / "a/b");
    test::touch(dir / "a/b/f");
    test::touch(dir / "a/b/g");
    CHECK(tree.get(0ms)->filename == "f");
    tree.remove_tree(dir / "a/b");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/g"});
}
