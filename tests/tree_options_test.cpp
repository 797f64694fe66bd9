// SPDX-License-Identifier: MIT
// InotifyTree: every member of TreeOptions.
#include "tree_client.hpp"

#include <algorithm>
#include <fstream>

using namespace inotify;
using namespace std::chrono_literals;
using test::asking;
using test::contains;
using test::drain;
using test::drain_lines;
using test::error_of;
using test::has_overflow;
using test::Lines;
using test::names;
using test::TempDir;
using test::watched;
namespace fs = std::filesystem;

namespace {

TreeOptions excluding(std::function<bool(std::string_view)> exclude) {
    TreeOptions options = asking(names);
    options.exclude = std::move(exclude);
    return options;
}

TreeOptions limited(std::size_t max_depth) {
    TreeOptions options = asking(names);
    options.max_depth = max_depth;
    return options;
}

TreeOptions following() {
    TreeOptions options = asking(names);
    options.follow_symlinks = true;
    return options;
}

Lines sorted(Lines lines) {
    std::ranges::sort(lines);
    return lines;
}

// More events than the queue holds, none of which stays on the disk.
void overflow(const TempDir& dir) {
    int limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    REQUIRE(limit > 0);
    for (int i = 0; i <= limit / 2; ++i) {
        test::touch(dir / "flood");
        fs::remove(dir / "flood");
    }
}

}  // namespace

TEST_CASE("a narrow mask reports of files what it asks for, and of directories what changes") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree(dir.path(), asking(IN::CLOSE_WRITE));
    test::write_file(dir / "a/b/f");
    fs::remove(dir / "a/b/f");
    fs::create_directory(dir / "a/c");
    fs::permissions(dir / "a/c", fs::perms::owner_all);
    fs::rename(dir / "a/c", dir / "d");
    fs::remove(dir / "d");
    CHECK(drain_lines(tree, dir) == Lines{"CLOSE_WRITE a/b/f", "CREATE|ISDIR a/c",
                                          "MOVED_FROM|ISDIR a/c", "MOVED_TO|ISDIR d < a/c",
                                          "DELETE|ISDIR d"});
}

TEST_CASE("a mask without an event reports directories alone") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(Mask()));
    fs::create_directories(dir / "a/b");
    test::write_file(dir / "a/b/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR a", "CREATE|ISDIR a/b"});
}

TEST_CASE("masks that make no sense in a tree are refused") {
    TempDir dir;
    for (const Mask mask : {IN::ONESHOT, IN::MASK_ADD, IN::MASK_CREATE}) {
        const auto error = error_of([&] { InotifyTree(dir.path(), asking(IN::CREATE | mask)); });
        CHECK(error.code().value() == EINVAL);
        CHECK(contains(error.what(), "InotifyTree"));
        CHECK(contains(error.what(), to_string(mask)));
    }
    CHECK_NOTHROW(InotifyTree(dir.path(), asking(IN::CREATE | IN::ONLYDIR | IN::EXCL_UNLINK)));
}

TEST_CASE("EXCL_UNLINK spares the events of files that have no name any more") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir.path(), asking(IN::MODIFY | IN::EXCL_UNLINK));
    const test::OpenFile file(dir / "a/f");
    file.write("heard");
    fs::remove(dir / "a/f");
    CHECK(drain_lines(tree, dir) == Lines{"MODIFY a/f"});
    file.write("not heard");
    CHECK(drain(tree).empty());
}

TEST_CASE("the block duration is the options' or the third argument") {
    TempDir dir;
    TreeOptions options;
    options.block_duration = 123ms;
    CHECK(InotifyTree(dir.path(), options).block_duration() == 123ms);
    CHECK(InotifyTree(dir.path(), names, 45ms).block_duration() == 45ms);
    CHECK(InotifyTree(dir.path()).block_duration() == 1s);
    options.block_duration = -5ms;
    CHECK(error_of([&] { InotifyTree(dir.path(), options); }).code().value() == EINVAL);
}

TEST_CASE("what is excluded is neither watched nor entered nor reported") {
    TempDir dir, outside;
    const auto excluded = [](std::string_view path) { return path.ends_with("/no"); };
    fs::create_directories(dir / "yes/no/below");
    fs::create_directories(dir / "no");
    Lines asked;
    InotifyTree tree(dir.path(), excluding([&](std::string_view path) {
                         asked.emplace_back(path);
                         return excluded(path);
                     }));
    CHECK(watched(tree, dir) == Lines{".", "yes"});

    SUBCASE("at the first scan") {
        test::touch(dir / "yes/no/below/f");
        test::touch(dir / "no/f");
        fs::remove_all(dir / "no");
        CHECK(drain(tree).empty());
    }
    SUBCASE("when it is new, a directory or a file") {
        fs::create_directories(dir / "new/no/below");
        fs::create_directories(dir / "yes/a/no/below");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR new", "CREATE|ISDIR yes/a"});
        test::touch(dir / "new/f");
        fs::remove_all(dir / "new/no");
        test::touch(dir / "new/no");
        fs::remove(dir / "new/no");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE new/f"});
    }
    SUBCASE("when it is moved in, itself or inside") {
        fs::create_directories(outside / "in/no/below");
        fs::rename(outside / "in", dir / "in");
        fs::create_directories(outside / "other/below");
        fs::rename(outside / "other", dir / "in/no/other");
        fs::create_directories(outside / "last/below");
        fs::rename(outside / "last", dir / "yes/a");
        fs::rename(dir / "in/no", outside / "in");
        fs::rename(outside / "in", dir / "yes/a/no");
        CHECK(sorted(drain_lines(tree, dir)) ==
              Lines{"CREATE|ISDIR yes/a/below", "MOVED_TO|ISDIR in", "MOVED_TO|ISDIR yes/a"});
        CHECK(watched(tree, dir) == Lines{".", "in", "yes", "yes/a", "yes/a/below"});
    }
    SUBCASE("when the tree heals") {
        overflow(dir);
        fs::create_directories(dir / "late/no/below");
        const auto events = drain(tree);
        CHECK(has_overflow(events));
        for (const Event& event : events)
            CHECK_MESSAGE(!contains(event.full_path().native(), "/no"), event);
        CHECK(watched(tree, dir) == Lines{".", "late", "yes"});
    }
    CHECK(std::ranges::none_of(asked,
                               [](const std::string& path) { return contains(path, "/no/"); }));
    for (const auto& path : asked)
        CHECK_MESSAGE(path.starts_with(dir.str() + "/"), path);
}

TEST_CASE("a rename across the border of what is excluded is a leaving or a coming") {
    TempDir dir;
    InotifyTree tree(dir.path(),
                     excluding([](std::string_view path) { return path.ends_with(".no"); }));
    fs::create_directories(dir / "a/b");
    test::touch(dir / "f");
    drain(tree);
    fs::rename(dir / "a", dir / "a.no");
    fs::rename(dir / "f", dir / "f.no");
    test::touch(dir / "a.no/b/unheard");
    CHECK(drain_lines(tree, dir) == Lines{"MOVED_FROM|ISDIR a", "MOVED_FROM f"});
    CHECK(watched(tree, dir) == Lines{"."});
    fs::rename(dir / "a.no", dir / "z");
    fs::rename(dir / "f.no", dir / "y");
    CHECK(sorted(drain_lines(tree, dir)) ==
          Lines{"CREATE z/b/unheard", "CREATE|ISDIR z/b", "MOVED_TO y", "MOVED_TO|ISDIR z"});
    CHECK(watched(tree, dir) == Lines{".", "z", "z/b"});
}

TEST_CASE("a renamed directory may bring other paths to be excluded") {
    TempDir dir;
    fs::create_directories(dir / "a/secret/deep");
    fs::create_directories(dir / "a/open");
    InotifyTree tree(dir.path(),
                     excluding([](std::string_view path) { return contains(path, "b/secret"); }));
    fs::rename(dir / "a", dir / "b");
    auto lines = drain_lines(tree, dir);
    REQUIRE(lines.size() >= 2);
    CHECK(lines[1] == "MOVED_TO|ISDIR b < a");
    CHECK(watched(tree, dir) == Lines{".", "b", "b/open"});
    test::touch(dir / "b/secret/f");
    CHECK(drain(tree).empty());
    fs::rename(dir / "b", dir / "a");
    lines = drain_lines(tree, dir);
    CHECK(std::ranges::count(lines, "CREATE|ISDIR a/secret") == 1);
    CHECK(std::ranges::count(lines, "CREATE|ISDIR a/secret/deep") == 1);
    CHECK(std::ranges::count(lines, "CREATE a/secret/f") == 1);
    CHECK(watched(tree, dir) == Lines{".", "a", "a/open", "a/secret", "a/secret/deep"});
}

TEST_CASE("a tree of depth 0 reports the root's own entries") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree(dir.path(), limited(0));
    CHECK(watched(tree, dir) == Lines{"."});
    test::touch(dir / "a/f");
    test::touch(dir / "f");
    fs::create_directories(dir / "c/d");
    fs::rename(dir / "c", dir / "e");
    fs::rename(dir / "f", dir / "e/f");
    fs::remove_all(dir / "a");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE f", "CREATE|ISDIR c", "MOVED_FROM|ISDIR c",
                                          "MOVED_TO|ISDIR e < c", "MOVED_FROM f",
                                          "DELETE|ISDIR a"});
    CHECK(watched(tree, dir) == Lines{"."});
    CHECK(tree.coverage().unwatched.empty());
}

TEST_CASE("a tree of depth 1 follows what moves across its limit") {
    TempDir dir;
    fs::create_directories(dir / "a/b/c");
    fs::create_directory(dir / "x");
    InotifyTree tree(dir.path(), limited(1));
    CHECK(watched(tree, dir) == Lines{".", "a", "x"});

    SUBCASE("up") {
        fs::rename(dir / "a/b", dir / "b");
        test::touch(dir / "b/f");
        test::touch(dir / "b/c/unheard");
        const auto lines = drain_lines(tree, dir);
        CHECK(std::ranges::count(lines, "MOVED_FROM|ISDIR a/b") == 1);
        CHECK(std::ranges::count(lines, "CREATE|ISDIR b/c") == 1);
        CHECK(std::ranges::count(lines, "CREATE b/f") == 1);
        CHECK(lines.size() == 4);
        CHECK(watched(tree, dir) == Lines{".", "a", "b", "x"});
        test::touch(dir / "b/g");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE b/g"});
    }
    SUBCASE("down") {
        fs::rename(dir / "a", dir / "x/a");
        test::touch(dir / "x/a/unheard");
        CHECK(drain_lines(tree, dir) == Lines{"MOVED_FROM|ISDIR a", "MOVED_TO|ISDIR x/a"});
        CHECK(watched(tree, dir) == Lines{".", "x"});
        test::touch(dir / "x/a/b/unheard");
        CHECK(drain(tree).empty());
    }
    SUBCASE("beside") {
        fs::rename(dir / "a/b", dir / "x/b");
        fs::rename(dir / "x", dir / "y");
        CHECK(drain_lines(tree, dir) == Lines{"MOVED_FROM|ISDIR a/b", "MOVED_TO|ISDIR x/b < a/b",
                                              "MOVED_FROM|ISDIR x", "MOVED_TO|ISDIR y < x"});
        CHECK(watched(tree, dir) == Lines{".", "a", "y"});
    }
    SUBCASE("new") {
        fs::create_directories(dir / "n/o/p");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR n", "CREATE|ISDIR n/o"});
        CHECK(watched(tree, dir) == Lines{".", "a", "n", "x"});
        fs::remove_all(dir / "n");
        CHECK(drain_lines(tree, dir) == Lines{"DELETE|ISDIR n/o", "DELETE|ISDIR n"});
    }
}

TEST_CASE("a symbolic link to a directory is a file unless it is followed") {
    TempDir dir, outside;
    fs::create_directory(outside / "sub");
    fs::create_directory_symlink(outside.path(), dir / "old");
    InotifyTree tree(dir.path(), asking(names));
    fs::create_directory_symlink(outside.path(), dir / "new");
    test::touch(dir / "old/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE new"});
    CHECK(watched(tree, dir) == Lines{"."});
}

TEST_CASE("directories behind symbolic links are watched under the link's path") {
    TempDir dir, outside;
    fs::create_directories(outside / "sub/deep");
    fs::create_directory_symlink(outside.path(), dir / "link");
    InotifyTree tree(dir.path(), following());
    CHECK(watched(tree, dir) == Lines{".", "link", "link/sub", "link/sub/deep"});
    test::touch(outside / "sub/f");
    fs::create_directories(outside / "new/er");
    CHECK(drain_lines(tree, dir) ==
          Lines{"CREATE link/sub/f", "CREATE|ISDIR link/new", "CREATE|ISDIR link/new/er"});
}

TEST_CASE("a new link is reported as a file, and then what is behind it") {
    TempDir dir, outside;
    fs::create_directories(outside / "sub");
    test::touch(outside / "f");
    InotifyTree tree(dir.path(), following());
    fs::create_directory_symlink(outside.path(), dir / "link");
    const auto lines = drain_lines(tree, dir);
    REQUIRE(lines.size() == 3);
    CHECK(lines[0] == "CREATE link");
    CHECK(sorted(lines) == Lines{"CREATE link", "CREATE link/f", "CREATE|ISDIR link/sub"});
    CHECK(watched(tree, dir) == Lines{".", "link", "link/sub"});

    SUBCASE("removed") {
        fs::remove(dir / "link");
        const auto gone = drain_lines(tree, dir);
        REQUIRE_FALSE(gone.empty());
        CHECK(gone.back() == "DELETE link");
        CHECK(watched(tree, dir) == Lines{"."});
        test::touch(outside / "sub/unheard");
        CHECK(drain(tree).empty());
    }
    SUBCASE("renamed") {
        fs::rename(dir / "link", dir / "other");
        test::touch(outside / "sub/g");
        CHECK(drain_lines(tree, dir) ==
              Lines{"MOVED_FROM link", "MOVED_TO other < link", "CREATE other/sub/g"});
        CHECK(watched(tree, dir) == Lines{".", "other", "other/sub"});
    }
    SUBCASE("led elsewhere") {
        TempDir elsewhere;
        fs::create_directory(elsewhere / "there");
        fs::create_directory_symlink(elsewhere.path(), dir / "next");
        SUBCASE("once that was read") { drain(tree); }
        SUBCASE("before that was read") {}
        fs::rename(dir / "next", dir / "link");
        drain(tree);
        CHECK(watched(tree, dir) == Lines{".", "link", "link/there"});
        test::touch(outside / "sub/unheard");
        test::touch(elsewhere / "there/heard");
        CHECK(drain_lines(tree, dir) == Lines{"CREATE link/there/heard"});
    }
}

TEST_CASE("a relative link that is moved is followed to where it leads now") {
    TempDir outside;
    fs::create_directories(outside / "target/one");
    const auto at = [&](const char* name) { return outside / name; };
    fs::create_directories(at("tree/sub"));
    fs::create_directories(at("tree/target/two"));
    fs::create_directory_symlink("../target", at("tree/link"));  // outside/target
    TreeOptions options = following();
    InotifyTree tree(at("tree"), options);
    test::touch(at("target/one/f"));
    CHECK(drain_lines(tree, outside) == Lines{"CREATE tree/link/one/f"});
    fs::rename(at("tree/link"), at("tree/sub/link"));  // tree/target, which is watched as such
    drain(tree);
    test::touch(at("target/one/unheard"));
    test::touch(at("tree/target/two/heard"));
    CHECK(drain_lines(tree, outside) == Lines{"CREATE tree/target/two/heard"});
}

TEST_CASE("links that loop end, for each inode is watched once") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    fs::create_directory_symlink(dir.path(), dir / "a/root");
    fs::create_directory_symlink("..", dir / "a/b/up");
    fs::create_directory_symlink("self", dir / "a/self");
    fs::create_directory_symlink("nowhere", dir / "dangling");
    fs::create_directory_symlink("b", dir / "a/to b");
    InotifyTree tree(dir.path(), following());
    CHECK(tree.coverage().watched == 3);
    CHECK(tree.coverage().unwatched.empty());
    CHECK(drain(tree).empty());
    test::touch(dir / "f");
    fs::create_directory_symlink(dir.path(), dir / "again");
    fs::create_directory_symlink("../..", dir / "a/b/up again");
    const auto b = watched(tree, dir)[2];  // "a/b" or "a/to b", whichever the disk lists first
    CHECK(drain_lines(tree, dir) == Lines{"CREATE f", "CREATE again", "CREATE " + b + "/up again"});
    fs::create_directories(dir / "a/root/new/er");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR new", "CREATE|ISDIR new/er"});
    CHECK(tree.coverage().watched == 5);
    CHECK(drain(tree).empty());
}

TEST_CASE("a directory behind two links stays watched when one of them goes") {
    TempDir dir, outside;
    fs::create_directory(outside / "sub");
    fs::create_directory_symlink(outside.path(), dir / "one");
    InotifyTree tree(dir.path(), following());
    fs::create_directory_symlink(outside.path(), dir / "two");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE two"});
    fs::remove(dir / "one");
    drain(tree);
    CHECK(watched(tree, dir) == Lines{".", "two", "two/sub"});
    test::touch(outside / "sub/f");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE two/sub/f"});
}

TEST_CASE("report_existing first reports what is there, parents first, by CREATE alone") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    test::write_file(dir / "a/f");
    test::write_file(dir / "a/b/g");
    fs::create_symlink("nowhere", dir / "link");
    for (const Mask mask : {IN::ALL_EVENTS, IN::CLOSE_WRITE}) {
        TreeOptions options = asking(mask);
        options.report_existing = true;
        InotifyTree tree(dir.path(), options);
        const auto events = drain(tree);
        CHECK(std::ranges::all_of(events, &Event::synthetic));
        const auto lines = test::lines(events, dir);
        CHECK(sorted(lines) == Lines{"CREATE a/b/g", "CREATE a/f", "CREATE link", "CREATE|ISDIR a",
                                     "CREATE|ISDIR a/b"});
        const auto at = [&](const char* line) { return std::ranges::find(lines, line); };
        CHECK(at("CREATE|ISDIR a") < at("CREATE a/f"));
        CHECK(at("CREATE|ISDIR a") < at("CREATE|ISDIR a/b"));
        CHECK(at("CREATE|ISDIR a/b") < at("CREATE a/b/g"));
        CHECK(drain(tree).empty());
        CHECK(tree.coverage().watched == 3);
        fs::create_directory(dir / "new");
        test::touch(dir / "a/new");
        fs::remove(dir / "new");
        fs::remove(dir / "a/new");
        const auto later = drain(tree);
        CHECK(std::ranges::none_of(later, &Event::synthetic));
    }
}

TEST_CASE("report_existing reports nothing twice that comes meanwhile") {
    TempDir dir;
    for (int i = 0; i < 100; ++i)
        fs::create_directories(dir / ("d" + std::to_string(i)) / "sub");
    TreeOptions options = asking(names);
    options.report_existing = true;
    InotifyTree tree(dir.path(), options);
    Lines reported;
    int made = 0;
    for (auto& event : tree.event_gen()) {
        if (!event)
            break;
        reported.push_back(event->full_path().native());
        if (made < 100) {
            fs::create_directories(dir / ("d" + std::to_string(99 - made)) / "more/and more");
            ++made;
        }
    }
    Lines disk;
    for (const auto& entry : fs::recursive_directory_iterator(dir.path()))
        disk.push_back(entry.path().native());
    CHECK(sorted(reported) == sorted(disk));
}

TEST_CASE("after an overflow, files are exact with track_files") {
    TempDir dir;
    for (const bool track_files : {false, true}) {
        CAPTURE(track_files);
        fs::create_directories(dir / "a/b");
        for (const char* name : {"stays", "a/goes", "a/b/stays"})
            test::touch(dir / name);
        TreeOptions options = asking(names | IN::CLOSE_WRITE);
        options.track_files = track_files;
        InotifyTree tree(dir.path(), options);
        overflow(dir);
        fs::remove(dir / "a/goes");
        test::touch(dir / "a/comes");
        fs::create_directory(dir / "new");
        test::touch(dir / "new/f");
        fs::rename(dir / "a/b", dir / "moved");
        auto events = drain(tree);
        REQUIRE(has_overflow(events));
        const auto at = std::ranges::find(events, IN::Q_OVERFLOW, &Event::mask);
        CHECK(at->wd == -1);
        CHECK(at->path == "");
        events.erase(events.begin(), at + 1);
        CHECK(std::ranges::all_of(events, &Event::synthetic));
        const auto lines = test::lines(events, dir);
        const auto count = [&](const char* line) { return std::ranges::count(lines, line); };
        CHECK(count("CREATE|ISDIR new") == 1);
        CHECK(count("CREATE new/f") == 1);
        CHECK(count("CLOSE_WRITE new/f") == 1);
        CHECK(count("MOVED_FROM|ISDIR a/b") == 1);
        CHECK(count("MOVED_TO|ISDIR moved < a/b") == 1);
        CHECK(count("DELETE a/goes") == (track_files ? 1 : 0));
        CHECK(count("CREATE a/comes") == (track_files ? 1 : 0));
        CHECK(count("CLOSE_WRITE a/comes") == (track_files ? 1 : 0));
        CHECK(count("CREATE moved/stays") == 0);
        CHECK(drain(tree).empty());
        for (const char* name : {"a", "new", "moved"})
            fs::remove_all(dir / name);
    }
}

TEST_CASE("it does not hear itself while it heals") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    test::touch(dir / "a/f");
    for (const bool track_files : {false, true}) {
        TreeOptions options = asking(IN::ALL_EVENTS);
        options.track_files = track_files;
        InotifyTree tree(dir.path(), options);
        overflow(dir);
        fs::create_directories(dir / "late/later");
        const auto events = drain(tree);
        REQUIRE(has_overflow(events));
        for (const Event& event : events)
            CHECK_MESSAGE(!(event.is_dir() &&
                            event.mask.intersects(IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE)),
                          event);
        CHECK(drain(tree).empty());
        CHECK(watched(tree, dir) == Lines{".", "a", "a/b", "late", "late/later"});
        fs::remove_all(dir / "late");
    }
}
