// SPDX-License-Identifier: MIT
// InotifyTree: renames are followed, alone, in chains, as exchanges, and across the border.
#include "tree_client.hpp"

#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <set>

using namespace inotify;
using namespace std::chrono_literals;
using test::asking;
using test::Client;
using test::Lines;
using test::names;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

void exchange(const fs::path& one, const fs::path& other) {
    if (::syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) <
        0)
        throw std::system_error(errno, std::system_category(), "renameat2");
}

// What an exchange of `one` and `other` has to look like after it: the marks show which is which.
void check_exchange(Client& client, const std::string& one, const std::string& other) {
    CAPTURE(one);
    CAPTURE(other);
    client.cycle();
    exchange(client.root / one, client.root / other);
    client.check();
    exchange(client.root / one, client.root / other);
    exchange(client.root / other, client.root / one);
    client.check();
    exchange(client.root / one, client.root / other);
    client.check();
}

int descriptor_of(const InotifyTree& tree, const fs::path& path) {
    for (const Watch& watch : tree.watches())
        if (watch.path == path.native())
            return watch.wd;
    return -1;
}

}  // namespace

TEST_CASE("a directory renamed inside the tree keeps its watches under the new path") {
    TempDir dir;
    fs::create_directories(dir / "a/b/c");
    fs::create_directory(dir / "x");
    Client client(dir.path(), asking(names));
    const int wd = descriptor_of(client.tree, dir / "a/b/c");
    fs::rename(dir / "a", dir / "x/y");
    test::touch(dir / "x/y/b/c/f");
    CHECK(test::lines(client.cycle(), dir) ==
          Lines{"MOVED_FROM|ISDIR a", "MOVED_TO|ISDIR x/y < a", "CREATE x/y/b/c/f"});
    CHECK(descriptor_of(client.tree, dir / "x/y/b/c") == wd);
    client.check();
}

TEST_CASE("a file renamed from one directory to another knows where it came from") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    fs::create_directory(dir / "c");
    test::touch(dir / "a/b/f");
    for (const bool track_files : {false, true}) {
        Client client(dir.path(), asking(names, track_files));
        fs::rename(dir / "a/b/f", dir / "c/g");
        const auto events = client.cycle();
        CHECK(test::lines(events, dir) == Lines{"MOVED_FROM a/b/f", "MOVED_TO c/g < a/b/f"});
        REQUIRE(events.size() == 2);
        CHECK(events[0].cookie == events[1].cookie);
        CHECK(events[0].cookie != 0);
        CHECK_FALSE(events[1].synthetic);
        fs::rename(dir / "c/g", dir / "a/b/f");
        client.check();
    }
}

TEST_CASE("a rename is followed under a mask that asks for none") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree(dir.path(), IN::CLOSE_WRITE, 0ms);
    fs::rename(dir / "a", dir / "z");
    test::write_file(dir / "z/b/f");
    fs::rename(dir / "z/b/f", dir / "z/b/g");
    CHECK(test::drain_lines(tree, dir) ==
          Lines{"MOVED_FROM|ISDIR a", "MOVED_TO|ISDIR z < a", "CLOSE_WRITE z/b/f"});
}

TEST_CASE("what happened before a rename has the old path, what came after it the new one") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    Client client(dir.path(), asking(names));
    test::touch(dir / "a/b/1");
    fs::rename(dir / "a", dir / "c");
    test::touch(dir / "c/b/2");
    fs::rename(dir / "c/b", dir / "c/d");
    test::touch(dir / "c/d/3");
    CHECK(test::lines(client.cycle(), dir) ==
          Lines{"CREATE a/b/1", "MOVED_FROM|ISDIR a", "MOVED_TO|ISDIR c < a", "CREATE c/b/2",
                "MOVED_FROM|ISDIR c/b", "MOVED_TO|ISDIR c/d < c/b", "CREATE c/d/3"});
    client.check();
}

TEST_CASE("a chain of renames of a tree eight levels deep") {
    TempDir dir;
    fs::create_directories(dir / "a/1/2/3/4/5/6/7/8");
    for (const bool read_between : {false, true}) {
        CAPTURE(read_between);
        Client client(dir.path(), asking(names));
        Lines seen;
        for (const auto& [from, to] : {std::pair{"a", "b"}, {"b", "c"}, {"c", "a"}, {"a", "d"}}) {
            fs::rename(dir / from, dir / to);
            test::touch(dir / to / "1/2/3/4/5/6/7/8" / from);
            if (read_between)
                client.cycle();
        }
        client.check();
        fs::rename(dir / "d", dir / "a");
        fs::remove(dir / "a/1/2/3/4/5/6/7/8/a");
        fs::remove(dir / "a/1/2/3/4/5/6/7/8/b");
        fs::remove(dir / "a/1/2/3/4/5/6/7/8/c");
        client.check();
    }
}

TEST_CASE("two names swapped by three renames") {
    TempDir dir;
    fs::create_directories(dir / "a/of a");
    fs::create_directories(dir / "b/of b");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "a", dir / "c");
    fs::rename(dir / "b", dir / "a");
    fs::rename(dir / "c", dir / "b");
    CHECK(client.cycle().size() == 6);
    client.check();
}

TEST_CASE("parent and child that change places") {
    TempDir dir;
    fs::create_directories(dir / "a/b/c");
    test::touch(dir / "a/f");
    test::touch(dir / "a/b/g");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "a/b", dir / "x");
    fs::rename(dir / "a", dir / "x/b");
    fs::rename(dir / "x", dir / "a");
    client.check();
    fs::rename(dir / "a/b", dir / "a/c/b");
    fs::rename(dir / "a/c", dir / "c");
    fs::rename(dir / "a", dir / "c/b/a");
    client.check();
}

TEST_CASE("two directories exchanged keep what is in each") {
    TempDir dir;
    fs::create_directories(dir / "a/of a/deep");
    fs::create_directories(dir / "b/of b");
    fs::create_directories(dir / "p/q/of q");
    test::touch(dir / "a/in a");
    test::touch(dir / "b/in b");
    for (const bool track_files : {false, true}) {
        CAPTURE(track_files);
        Client client(dir.path(), asking(names, track_files));
        check_exchange(client, "a", "b");
        check_exchange(client, "a", "p/q");
        check_exchange(client, "p/q", "b");
    }
}

TEST_CASE(
    "an exchange of two directories is reported as two moves in an order that can be applied") {
    TempDir dir;
    fs::create_directories(dir / "a/of a");
    fs::create_directories(dir / "b/of b");
    Client client(dir.path(), asking(names));
    exchange(dir / "a", dir / "b");
    CHECK(test::lines(client.cycle(), dir) == Lines{"MOVED_FROM|ISDIR a", "MOVED_FROM|ISDIR b",
                                                    "MOVED_TO|ISDIR b < a",
                                                    "MOVED_TO|ISDIR a < b"});
    test::touch(dir / "a/of b/f");
    CHECK(test::lines(client.cycle(), dir) == Lines{"CREATE a/of b/f"});
}

TEST_CASE("two files exchanged, and a file and a directory") {
    TempDir dir;
    fs::create_directories(dir / "d/of d");
    fs::create_directory(dir / "e");
    test::touch(dir / "f");
    test::touch(dir / "e/g");
    for (const bool track_files : {false, true}) {
        CAPTURE(track_files);
        Client client(dir.path(), asking(names, track_files));
        check_exchange(client, "f", "e/g");
        check_exchange(client, "f", "d");
        check_exchange(client, "d", "e/g");
        check_exchange(client, "d/of d", "f");
    }
}

TEST_CASE("a rename there and back is no exchange") {
    TempDir dir;
    fs::create_directories(dir / "a/of a");
    test::touch(dir / "f");
    for (const bool track_files : {false, true}) {
        Client client(dir.path(), asking(names, track_files));
        for (const auto& [from, to] : {std::pair{"a", "b"}, {"f", "g"}}) {
            fs::rename(dir / from, dir / to);
            fs::rename(dir / to, dir / from);
        }
        client.check();
        fs::rename(dir / "a", dir / "b");
        fs::create_directory(dir / "a");
        fs::remove(dir / "a");
        fs::rename(dir / "b", dir / "a");
        client.check();
    }
}

TEST_CASE("an exchange with what is outside is one leaving and one coming") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/of a");
    fs::create_directories(outside / "b/of b");
    test::touch(dir / "f");
    test::touch(outside / "g");
    for (const bool track_files : {false, true}) {
        CAPTURE(track_files);
        Client client(dir.path(), asking(names, track_files));
        exchange(dir / "a", outside / "b");
        client.check();
        exchange(outside / "b", dir / "a");
        client.check();
        exchange(dir / "f", outside / "g");
        client.check();
        exchange(dir / "a", outside / "g");
        client.check();
        exchange(dir / "a", outside / "g");
        client.check();
    }
}

TEST_CASE("an exchange of what is exchanged, with news in between") {
    TempDir dir;
    for (const char* name : {"a/1", "b/2", "c/3"})
        fs::create_directories(dir / name);
    Client client(dir.path(), asking(names));
    exchange(dir / "a", dir / "b");
    fs::create_directories(dir / "a/new/deep");
    exchange(dir / "b", dir / "c");
    fs::rename(dir / "c", dir / "d");
    exchange(dir / "a", dir / "d/1");
    client.check();
}

TEST_CASE("a directory renamed over an empty one takes its name") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/b");
    fs::create_directory(dir / "empty");
    fs::create_directory(outside / "in");
    test::touch(outside / "in/f");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "a", dir / "empty");
    const auto events = client.cycle();
    CHECK(test::lines(events, dir) ==
          Lines{"MOVED_FROM|ISDIR a", "DELETE|ISDIR empty", "MOVED_TO|ISDIR empty < a"});
    REQUIRE(events.size() == 3);
    CHECK(events[1].synthetic);
    client.check();
    fs::create_directory(dir / "a");
    client.cycle();
    fs::rename(outside / "in", dir / "a");
    CHECK(test::lines(client.cycle(), dir) ==
          Lines{"DELETE|ISDIR a", "MOVED_TO|ISDIR a", "CREATE a/f"});
    client.check();
}

TEST_CASE("renames over empty directories in a row, all in one read") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    Client client(dir.path(), asking(names));
    for (int i = 0; i < 50; ++i) {
        fs::create_directory(dir / "x");
        fs::rename(dir / "a", dir / "x");
        fs::create_directory(dir / "a");
        fs::rename(dir / "x", dir / "a");
    }
    client.check();
}

TEST_CASE("a rename into a directory that is new itself") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    test::touch(dir / "a/f");
    test::touch(dir / "g");
    for (const bool track_files : {false, true}) {
        CAPTURE(track_files);
        Client client(dir.path(), asking(names, track_files));
        fs::create_directories(dir / "new/er");
        fs::rename(dir / "a", dir / "new/er/a");
        fs::rename(dir / "g", dir / "new/g");
        client.check();
        fs::rename(dir / "new/er/a", dir / "a");
        fs::rename(dir / "new/g", dir / "g");
        fs::remove_all(dir / "new");
        client.check();
    }
}

TEST_CASE("a directory moved out of a new one that was not read yet") {
    TempDir dir, outside;
    Client client(dir.path(), asking(names));
    fs::create_directories(dir / "new/a/b");
    fs::rename(dir / "new/a", dir / "a");
    fs::create_directories(dir / "new/a/c");
    fs::rename(dir / "new/a", outside / "a");
    client.check();
}

TEST_CASE("moved out and in again, under one name and another") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/b");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "a", outside / "a");
    fs::rename(outside / "a", dir / "a");
    client.check();
    fs::rename(dir / "a", outside / "a");
    fs::create_directory(outside / "a/made outside");
    fs::rename(outside / "a", dir / "z");
    client.check();
    fs::rename(dir / "z", outside / "a");
    client.cycle();
    fs::create_directory(outside / "a/unheard");
    fs::rename(outside / "a", dir / "a");
    client.check();
}

TEST_CASE("a directory renamed and then removed, and one removed whose name is taken") {
    TempDir dir;
    fs::create_directory(dir / "a");
    fs::create_directories(dir / "b/c");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "a", dir / "gone");
    fs::remove(dir / "gone");
    fs::rename(dir / "b", dir / "a");
    fs::create_directory(dir / "b");
    client.check();
}

TEST_CASE("the records of a rename that the end of a read separates find each other") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    constexpr int record = 32;  // bytes, with a name of less than 16
    for (const int size : {16 * 1024, 32 * 1024, 64 * 1024}) {
        for (int before = size / record - 4; before <= size / record + 1; ++before) {
            CAPTURE(size);
            CAPTURE(before);
            Client client(dir.path(), asking(IN::CREATE));
            for (int i = 0; i < before / 2; ++i) {
                test::touch(dir / "f");
                fs::remove(dir / "f");
            }
            if (before % 2 != 0)
                test::touch(dir / "f");
            fs::rename(dir / "a", dir / "z");
            test::touch(dir / "z/b/f");
            const auto events = test::drain(client.tree);
            REQUIRE(events.size() == static_cast<std::size_t>(before + 1) / 2 + 3);
            CHECK(events[events.size() - 2].moved_from == (dir / "a").native());
            CHECK(events.back().full_path() == dir / "z/b/f");
            fs::remove(dir / "z/b/f");
            fs::rename(dir / "z", dir / "a");
            fs::remove(dir / "f");
        }
    }
}
