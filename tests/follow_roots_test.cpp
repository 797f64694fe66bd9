// SPDX-License-Identifier: MIT
// InotifyTree with follow_roots on the real kernel: deployments, and roots that come and go.
#include "heap.hpp"
#include "support.hpp"
#include "tree_client.hpp"

#include <filesystem>
#include <system_error>

using namespace inotify;
using test::asking;
using test::drain;
using test::drain_lines;
using test::Lines;
using test::swap_link;
using test::TempDir;
using test::touch;
namespace fs = std::filesystem;

namespace {

TreeOptions following(Mask mask) {
    TreeOptions options = asking(mask);
    options.follow_roots = true;
    return options;
}

}  // namespace

TEST_CASE("a followed root need not exist, and comes with what is in it") {
    const TempDir dir;
    InotifyTree tree(dir / "a/b/root", following(IN::CREATE));
    CHECK(tree.coverage().watched == 0);
    CHECK(tree.coverage().unwatched.empty());
    CHECK(drain(tree).empty());
    for (int i = 0; i < 3; ++i) {
        fs::create_directories(dir / "a/b/root/d");
        touch(dir / "a/b/root/d/f");
        CHECK(drain_lines(tree, dir) ==
              Lines{"CREATE|ISDIR a/b/root", "CREATE|ISDIR a/b/root/d", "CREATE a/b/root/d/f"});
        CHECK(tree.coverage().watched == 2);
        touch(dir / "a/b/root/d/g");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/root/d/g"});
        fs::remove_all(dir / "a");
        CHECK(drain_lines(tree, dir) ==
              Lines{"DELETE|ISDIR a/b/root/d", "DELETE_SELF a/b/root", "IGNORED a/b/root"});
        CHECK(tree.coverage().watched == 0);
    }
    fs::create_directory(dir / "a");
    touch(dir / "a/b");
    CHECK(drain(tree).empty());
}

TEST_CASE("a followed root is replaced by a deployment") {
    const TempDir dir;
    for (const char* name : {"app", "app.new"})
        fs::create_directories(dir / name / "d");
    touch(dir / "app.new/d/new");
    InotifyTree tree(dir / "app", following(IN::CREATE));
    SUBCASE("by two renames") {
        fs::rename(dir / "app", dir / "app.old");
        fs::rename(dir / "app.new", dir / "app");
        touch(dir / "app.old/d/unheard");
        CHECK(drain_lines(tree, dir) == Lines{"MOVE_SELF app", "IGNORED app", "CREATE|ISDIR app",
                                              "CREATE|ISDIR app/d", "CREATE app/d/new"});
        touch(dir / "app.old/d/unheard too");
    }
    SUBCASE("in place") {
        fs::remove_all(dir / "app");
        fs::rename(dir / "app.new", dir / "app");
        CHECK(drain_lines(tree, dir) == Lines{"DELETE|ISDIR app/d", "DELETE_SELF app",
                                              "IGNORED app", "CREATE|ISDIR app",
                                              "CREATE|ISDIR app/d", "CREATE app/d/new"});
    }
    touch(dir / "app/d/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE app/d/f"});
    CHECK(tree.coverage().watched == 2);
}

TEST_CASE("the link that a followed root is leads to another release") {
    const TempDir dir;
    for (const char* name : {"1", "2"})
        fs::create_directories(dir / "releases" / name / "d");
    touch(dir / "releases/2/f");
    fs::create_symlink("releases/1", dir / "current");
    InotifyTree tree(dir / "current", following(IN::CREATE));
    touch(dir / "current/d/old");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE current/d/old"});
    swap_link(dir / "current", "releases/2");
    const auto events = drain(tree);
    CHECK(test::lines(events, dir) == Lines{"MOVE_SELF current", "IGNORED current",
                                            "CREATE|ISDIR current", "CREATE current/f",
                                            "CREATE|ISDIR current/d"});
    for (const Event& event : events)
        CHECK(event.synthetic);
    touch(dir / "releases/1/d/unheard");
    touch(dir / "releases/2/d/g");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE current/d/g"});
    fs::remove(dir / "current");
    CHECK(drain_lines(tree, dir) == Lines{"MOVE_SELF current", "IGNORED current"});
}

TEST_CASE("followed roots are added and removed, there or not") {
    const TempDir dir;
    fs::create_directory(dir / "one");
    InotifyTree tree({dir / "one", dir / "two"}, following(IN::CREATE));
    tree.add_tree(dir / "two");  // nothing happens
    fs::create_directory(dir / "two");
    touch(dir / "two/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR two", "CREATE two/f"});
    touch(dir / "two/unheard");
    tree.remove_tree(dir / "two");
    CHECK(drain(tree).empty());
    fs::rename(dir / "one", dir / "gone");
    CHECK(drain_lines(tree, dir) == Lines{"MOVE_SELF one", "IGNORED one"});
    fs::create_directory(dir / "one");
    tree.remove_tree(dir / "one");
    CHECK(drain(tree).empty());
    CHECK(tree.watches().empty());
    CHECK_THROWS_AS(tree.remove_tree(dir / "one"), std::system_error);
    CHECK_THROWS_AS(tree.add_tree(""), std::system_error);
}

TEST_CASE("what cannot be watched on the way to a followed root is in coverage()") {
    const TempDir dir;
    fs::create_directories(dir / "way/root/d");
    fs::permissions(dir / "way", fs::perms::none);
    const auto read = [&](InotifyTree& tree) {
        const test::WithoutCapabilities unprivileged;
        return test::lines(drain(tree), dir);
    };
    const auto make = [&] {
        const test::WithoutCapabilities unprivileged;
        return InotifyTree(dir / "way/root", following(IN::CREATE));
    };
    InotifyTree tree = make();
    const auto error = drain(tree).at(0);
    CHECK(error.error == std::errc::permission_denied);
    CHECK(error.path == (dir / "way/root").native());
    CHECK(read(tree).empty());
    REQUIRE(tree.coverage().unwatched.size() == 1);
    CHECK(tree.coverage().unwatched[0].path == (dir / "way/root").native());
    CHECK(tree.coverage().unwatched[0].error == std::errc::permission_denied);
    fs::permissions(dir / "way", fs::perms::owner_all);
    CHECK(read(tree) == Lines{"CREATE|ISDIR way/root", "CREATE|ISDIR way/root/d"});
    CHECK(tree.coverage().unwatched.empty());
}

#ifdef INOTIFY_TESTS_SANITIZED

TEST_SUITE("exhaustive_names") {
    TEST_CASE("a followed root may be swapped for ever") {
        MESSAGE("skipped: a sanitizer has an operator new of its own");
    }
}

#else

TEST_SUITE("exhaustive_names") {
    TEST_CASE("a followed root may be swapped for ever") {
        const TempDir dir;
        for (const char* name : {"1", "2"}) {
            fs::create_directories(dir / name / "d");
            touch(dir / name / "d/f");
        }
        fs::create_symlink("1", dir / "root");
        InotifyTree tree(dir / "root", following(IN::CREATE));
        const auto swap = [&](int times) {
            for (int i = 0; i < times; ++i) {
                swap_link(dir / "root", i % 2 == 0 ? "2" : "1");
                REQUIRE(drain(tree).size() == 5);
            }
        };
        swap(1000);  // all containers are as large as they become
        const auto descriptors = test::open_descriptors();
        const auto watches = test::kernel_watches();
        const long heap = test::bytes_in_use();
        swap(test::runs_whole() ? 100'000 : 5'000);
        CHECK(test::open_descriptors() == descriptors);
        CHECK(test::kernel_watches() == watches);
        CHECK(test::bytes_in_use() < heap + 4096);
    }
}

#endif
