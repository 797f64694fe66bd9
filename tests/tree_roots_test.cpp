// SPDX-License-Identifier: MIT
// InotifyTree: roots, one and several, how they are spelled, and what becomes of them.
#include "tree_client.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

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

TEST_CASE("a root that is added while it has a past is not told of it") {
    TempDir one, two;
    InotifyTree tree(one.path(), asking(names));
    fs::create_directories(two / "a/b");
    tree.add_tree(two.path());
    CHECK(drain(tree).empty());
    test::touch(two / "a/b/f");
    CHECK(paths(drain(tree)) == Lines{two / "a/b/f"});
}

TEST_CASE("a root that is removed is not heard of again, not even what was queued") {
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

TEST_CASE("where roots overlap a directory is told once, under the root that came first") {
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

TEST_CASE("a root that is renamed is told, and keeps being watched under its given path") {
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

TEST_CASE("a root moved into another directory still tells of the directories it had") {
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

TEST_CASE("a root that is deleted is told; the others go on") {
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
