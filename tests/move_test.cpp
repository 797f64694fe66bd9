// SPDX-License-Identifier: MIT
// moved_from: a MOVED_TO knows where it came from, if this stream saw its MOVED_FROM.
#include "scripted_kernel.hpp"
#include "support.hpp"

using namespace inotify;
using namespace std::chrono_literals;
using test::drain_lines;
using test::Lines;
using test::record;
using test::ScriptedInotify;
using test::TempDir;
namespace fs = std::filesystem;

TEST_CASE(
    "a rename inside a directory is two events with one cookie, and the second knows the "
    "first") {
    TempDir dir;
    test::touch(dir / "a");
    Inotify i{0ms};
    i.add_watch(dir.path());
    fs::rename(dir / "a", dir / "b");
    const auto events = test::drain(i);
    REQUIRE(test::lines(events, dir) == Lines{"MOVED_FROM a", "MOVED_TO b < a"});
    CHECK(events[0].cookie != 0);
    CHECK(events[0].cookie == events[1].cookie);
    CHECK(events[0].moved_from.empty());
    CHECK(events[1].moved_from == (dir / "a").native());
}

TEST_CASE("a rename across two watched directories knows where it came from") {
    TempDir dir;
    fs::create_directories(dir / "x");
    fs::create_directories(dir / "y");
    fs::create_directory(dir / "x/sub");
    Inotify i{0ms};
    i.add_watch(dir / "x", IN::MOVE);
    i.add_watch(dir / "y", IN::MOVE);
    fs::rename(dir / "x/sub", dir / "y/sub");
    CHECK(drain_lines(i, dir) == Lines{"MOVED_FROM|ISDIR x/sub", "MOVED_TO|ISDIR y/sub < x/sub"});
}

TEST_CASE("what comes from outside has no moved_from") {
    TempDir dir, outside;
    test::touch(outside / "f");
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::MOVE);
    fs::rename(outside / "f", dir / "f");
    CHECK(drain_lines(i, dir) == Lines{"MOVED_TO f"});
}

TEST_CASE("moved_from needs MOVED_FROM to be asked for") {
    TempDir dir;
    test::touch(dir / "a");
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::MOVED_TO);
    fs::rename(dir / "a", dir / "b");
    CHECK(drain_lines(i, dir) == Lines{"MOVED_TO b"});
}

TEST_CASE("chains and swaps of names come out right") {
    TempDir dir;
    test::touch(dir / "a");
    test::touch(dir / "b");
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::MOVE);
    fs::rename(dir / "a", dir / "c");
    fs::rename(dir / "b", dir / "a");
    fs::rename(dir / "c", dir / "b");
    CHECK(drain_lines(i, dir) == Lines{"MOVED_FROM a", "MOVED_TO c < a", "MOVED_FROM b",
                                       "MOVED_TO a < b", "MOVED_FROM c", "MOVED_TO b < c"});
}

TEST_CASE("under two paths each reports the rename under its own name") {
    TempDir dir;
    fs::create_directory(dir / "real");
    fs::create_directory_symlink("real", dir / "link");
    test::touch(dir / "real/a");
    Inotify i{0ms};
    i.add_watch(dir / "real", IN::MOVE);
    i.add_watch(dir / "link", IN::MOVE);
    fs::rename(dir / "real/a", dir / "real/b");
    CHECK(drain_lines(i, dir) == Lines{"MOVED_FROM real/a", "MOVED_FROM link/a",
                                       "MOVED_TO real/b < real/a", "MOVED_TO link/b < link/a"});
}

TEST_CASE("a watched path with a slash at its end gives no double slash") {
    TempDir dir;
    test::touch(dir / "a");
    Inotify i{0ms};
    i.add_watch(dir.str() + "/", IN::MOVE);
    fs::rename(dir / "a", dir / "b");
    const auto events = test::drain(i);
    REQUIRE(events.size() == 2);
    CHECK(events[1].moved_from == (dir / "a").native());
}

TEST_CASE("rename records that other records separate find each other") {
    ScriptedInotify i;
    i.add_watch("/x");
    i.add_watch("/y");
    i.kernel().queue(record(1, IN::MOVED_FROM, "a", 10) + record(2, IN::MOVED_FROM, "p", 11) +
                     record(1, IN::CREATE, "other") + record(2, IN::MOVED_TO, "b", 10) +
                     record(1, IN::MOVED_TO, "q", 11));
    CHECK(test::lines(test::drain(i), "") == Lines{"MOVED_FROM x/a", "MOVED_FROM y/p",
                                                   "CREATE x/other", "MOVED_TO y/b < x/a",
                                                   "MOVED_TO x/q < y/p"});
}

TEST_CASE("rename records that the end of a read separates find each other") {
    ScriptedInotify i;
    i.add_watch("/d");
    i.kernel().queue(record(1, IN::MOVED_FROM, "a", 10));
    i.kernel().queue(record(1, IN::MOVED_TO, "b", 10));
    CHECK(test::lines(test::drain(i), "/d") == Lines{"MOVED_FROM a", "MOVED_TO b < a"});
}

TEST_CASE(
    "rename records that an empty queue separates find each other, one cycle later but not two") {
    ScriptedInotify i;
    i.add_watch("/d");
    i.kernel().queue(record(1, IN::MOVED_FROM, "a", 10) + record(1, IN::MOVED_FROM, "p", 11));
    CHECK(test::drain(i).size() == 2);
    i.kernel().queue(record(1, IN::MOVED_TO, "b", 10));
    CHECK(test::lines(test::drain(i), "/d") == Lines{"MOVED_TO b < a"});
    i.kernel().queue(record(1, IN::MOVED_TO, "q", 11));
    CHECK(test::lines(test::drain(i), "/d") == Lines{"MOVED_TO q"});
}

TEST_CASE("a rename out of a removed watch is not known any more") {
    TempDir dir;
    fs::create_directory(dir / "x");
    fs::create_directory(dir / "y");
    test::touch(dir / "x/f");
    Inotify i{0ms};
    i.add_watch(dir / "x", IN::MOVE);
    i.add_watch(dir / "y", IN::MOVE);
    fs::rename(dir / "x/f", dir / "y/f");
    i.remove_watch(dir / "x");
    CHECK(drain_lines(i, dir) == Lines{"MOVED_TO y/f"});
}
