// SPDX-License-Identifier: MIT
// Watches: adding, replacing, removing; several paths to one inode; one path to several inodes.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

using namespace inotify;
using namespace std::chrono_literals;
using test::drain_lines;
using test::Lines;
using test::record;
using test::ScriptedInotify;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

std::error_code code_of(const std::function<void()>& action) {
    return test::error_of(action).code();
}

}  // namespace

TEST_CASE("the events of a watched file and of a watched directory come under the path given") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    const int file = i.add_watch(dir / "f", IN::MODIFY);
    const int directory = i.add_watch(dir.path(), IN::CREATE);
    CHECK(file != directory);
    test::OpenFile(dir / "f").write("x");
    fs::create_directory(dir / "sub");
    const auto events = test::drain(i);
    REQUIRE(events.size() == 2);
    CHECK(events[0] == test::make_event(file, IN::MODIFY, (dir / "f").native()));
    CHECK(events[1] == test::make_event(directory, IN::CREATE | IN::ISDIR, dir.str(), "sub"));
}

TEST_CASE("paths are spelled as they were given") {
    TempDir dir;
    const std::string odd = dir.str() + "/./";
    Inotify i{0ms};
    i.add_watch(odd, IN::CREATE);
    test::touch(dir / "f");
    const auto events = test::drain(i);
    REQUIRE(events.size() == 1);
    CHECK(events[0].path == odd);
    CHECK(i.watches()[0].path == odd);
}

TEST_CASE("watches() lists descriptor, path and mask") {
    TempDir dir, other;
    Inotify i{0ms};
    CHECK(i.watches().empty());
    const int first = i.add_watch(dir.path(), IN::CREATE | IN::ONLYDIR);
    const int second = i.add_watch(other.path());
    const auto watches = i.watches();
    REQUIRE(watches.size() == 2);
    CHECK(watches[0] == Watch{first, dir.str(), IN::CREATE});
    CHECK(watches[1] == Watch{second, other.str(), IN::ALL_EVENTS});
}

TEST_CASE("adding a path again replaces its mask") {
    TempDir dir;
    Inotify i{0ms};
    const int wd = i.add_watch(dir.path(), IN::CREATE);
    CHECK(i.add_watch(dir.path(), IN::DELETE) == wd);
    test::touch(dir / "f");
    fs::remove(dir / "f");
    CHECK(drain_lines(i, dir) == Lines{"DELETE f"});
    CHECK(i.watches()[0].mask == IN::DELETE);
}

TEST_CASE("MASK_ADD adds to the mask instead") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    i.add_watch(dir.path(), IN::DELETE | IN::MASK_ADD);
    test::touch(dir / "f");
    fs::remove(dir / "f");
    CHECK(drain_lines(i, dir) == Lines{"CREATE f", "DELETE f"});
    CHECK(i.watches()[0].mask == (IN::CREATE | IN::DELETE));
}

TEST_CASE("MASK_CREATE refuses what is watched already") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE | IN::MASK_CREATE);
    CHECK(code_of([&] { i.add_watch(dir.path(), IN::DELETE | IN::MASK_CREATE); }) ==
          std::errc::file_exists);
    CHECK(i.watches()[0].mask == IN::CREATE);
}

TEST_CASE("ONLYDIR refuses a file") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    CHECK(code_of([&] { i.add_watch(dir / "f", IN::MODIFY | IN::ONLYDIR); }) ==
          std::errc::not_a_directory);
    CHECK(i.watches().empty());
}

TEST_CASE("DONT_FOLLOW watches the symlink itself") {
    TempDir dir;
    test::touch(dir / "f");
    fs::create_symlink("f", dir / "link");
    Inotify i{0ms};
    const int link = i.add_watch(dir / "link", IN::DELETE_SELF | IN::DONT_FOLLOW);
    CHECK(i.add_watch(dir / "f", IN::DELETE_SELF) != link);
    fs::remove(dir / "link");
    CHECK(drain_lines(i, dir) == Lines{"DELETE_SELF link", "IGNORED link"});
}

TEST_CASE("ONESHOT yields one event and then IGNORED") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE | IN::ONESHOT);
    test::touch(dir / "1");
    test::touch(dir / "2");
    CHECK(drain_lines(i, dir) == Lines{"CREATE 1", "IGNORED ."});
    CHECK(i.watches().empty());
    CHECK(code_of([&] { i.remove_watch(dir.path()); }) == std::errc::invalid_argument);
}

TEST_CASE("ONESHOT can be armed again") {
    TempDir dir;
    Inotify i{0ms};
    for (int round = 0; round < 3; ++round) {
        i.add_watch(dir.path(), IN::CREATE | IN::ONESHOT);
        test::touch(dir / std::to_string(round));
        const auto reported = drain_lines(i, dir);
        REQUIRE(reported.size() == 2);
        CHECK(reported[0] == "CREATE " + std::to_string(round));
    }
}

TEST_CASE("ONESHOT under one path leaves another path to the same inode") {
    TempDir dir;
    fs::create_directory(dir / "real");
    fs::create_directory_symlink("real", dir / "link");
    Inotify i{0ms};
    i.add_watch(dir / "real", IN::CREATE | IN::ONESHOT);
    i.add_watch(dir / "link", IN::CREATE);
    test::touch(dir / "real/1");
    test::touch(dir / "real/2");
    CHECK(drain_lines(i, dir) == Lines{"CREATE real/1", "CREATE link/1", "CREATE link/2"});
    REQUIRE(i.watches().size() == 1);
    CHECK(i.watches()[0].path == (dir / "link").native());
}

TEST_CASE("a mask without events is refused") {
    TempDir dir;
    Inotify i{0ms};
    CHECK(code_of([&] { i.add_watch(dir.path(), Mask{}); }) == std::errc::invalid_argument);
    CHECK(i.watches().empty());
}

TEST_CASE("remove_watch by path ends it, and what it had queued is dropped") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "1");
    i.remove_watch(dir.path());
    test::touch(dir / "2");
    CHECK(i.watches().empty());
    CHECK(drain_lines(i, dir).empty());
}

TEST_CASE("remove_watch by descriptor ends it, and what it had queued is dropped") {
    TempDir dir, other;
    Inotify i{0ms};
    const int wd = i.add_watch(dir.path(), IN::CREATE);
    i.add_watch(other.path(), IN::CREATE);
    test::touch(dir / "1");
    test::touch(other / "2");
    i.remove_watch(wd);
    CHECK(i.watches().size() == 1);
    CHECK(drain_lines(i, other) == Lines{"CREATE 2"});
}

TEST_CASE("a watch that was removed can be added again, and old records are not its own") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "1");
    i.remove_watch(dir.path());
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "2");
    CHECK(drain_lines(i, dir) == Lines{"CREATE 2"});
}

TEST_CASE("remove_watch of what is not watched is EINVAL, and says what") {
    TempDir dir;
    Inotify i{0ms};
    const auto by_path = test::error_of([&] { i.remove_watch(dir.path()); });
    CHECK(by_path.code() == std::errc::invalid_argument);
    CHECK(test::contains(by_path.what(), dir.str()));
    const auto by_wd = test::error_of([&] { i.remove_watch(77); });
    CHECK(by_wd.code() == std::errc::invalid_argument);
    CHECK(test::contains(by_wd.what(), "77"));

    i.add_watch(dir.path());
    i.remove_watch(dir.path());
    CHECK(code_of([&] { i.remove_watch(dir.path()); }) == std::errc::invalid_argument);
    CHECK(code_of([&] { i.remove_watch(dir.str() + "/"); }) == std::errc::invalid_argument);
}

TEST_CASE("a missing path is ENOENT, and names the call and the path") {
    TempDir dir;
    Inotify i{0ms};
    const auto error = test::error_of([&] { i.add_watch(dir / "missing"); });
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(test::contains(error.what(), "inotify_add_watch: " + (dir / "missing").native()));
    CHECK(i.watches().empty());
    CHECK(code_of([&] { i.add_watch(""); }) == std::errc::no_such_file_or_directory);
}

TEST_CASE("a NUL byte in a path is EINVAL: the kernel would watch another one") {
    TempDir dir;
    Inotify i{0ms};
    CHECK(code_of([&] { i.add_watch(dir.str() + std::string("\0/f", 3)); }) ==
          std::errc::invalid_argument);
    CHECK(i.watches().empty());
}

TEST_CASE("one inode under two paths yields each event once per path, in the order of adding") {
    TempDir dir;
    fs::create_directory(dir / "real");
    fs::create_directory_symlink("real", dir / "link");
    Inotify i{0ms};
    const int wd = i.add_watch(dir / "real", IN::CREATE);
    CHECK(i.add_watch(dir / "link", IN::CREATE) == wd);
    CHECK(i.watches().size() == 2);
    test::touch(dir / "real/f");
    CHECK(drain_lines(i, dir) == Lines{"CREATE real/f", "CREATE link/f"});
}

TEST_CASE("two paths to one inode have each their own mask") {
    TempDir dir;
    test::touch(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    Inotify i{0ms};
    i.add_watch(dir / "a", IN::MODIFY);
    i.add_watch(dir / "b", IN::OPEN);
    {
        test::OpenFile(dir / "a").write("x");
    }
    CHECK(drain_lines(i, dir) == Lines{"OPEN b", "MODIFY a"});

    // Replacing one leaves the other.
    i.add_watch(dir / "a", IN::CLOSE_WRITE);
    {
        test::OpenFile(dir / "a").write("x");
    }
    CHECK(drain_lines(i, dir) == Lines{"OPEN b", "CLOSE_WRITE a"});
}

TEST_CASE("flags in one path's mask let in no event of the other's") {
    TempDir dir;
    fs::create_directory(dir / "real");
    fs::create_directory_symlink("real", dir / "link");
    Inotify i{0ms};
    i.add_watch(dir / "real", IN::CREATE | IN::ISDIR | IN::EXCL_UNLINK);
    i.add_watch(dir / "link", IN::CREATE | IN::DELETE);
    fs::create_directory(dir / "real/sub");
    fs::remove(dir / "real/sub");
    CHECK(drain_lines(i, dir) ==
          Lines{"CREATE|ISDIR real/sub", "CREATE|ISDIR link/sub", "DELETE|ISDIR link/sub"});
}

TEST_CASE("removing one of two paths to an inode leaves the other") {
    TempDir dir;
    test::touch(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    Inotify i{0ms};
    i.add_watch(dir / "a", IN::MODIFY);
    i.add_watch(dir / "b", IN::MODIFY);
    test::OpenFile(dir / "a").write("x");
    i.remove_watch(dir / "a");
    CHECK(drain_lines(i, dir) == Lines{"MODIFY b"});
    test::OpenFile(dir / "a").write("x");
    CHECK(drain_lines(i, dir) == Lines{"MODIFY b"});
    i.remove_watch(dir / "b");
    CHECK(i.watches().empty());
}

TEST_CASE("removing a descriptor removes every path to it") {
    TempDir dir;
    test::touch(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    Inotify i{0ms};
    i.add_watch(dir / "a", IN::MODIFY);
    i.remove_watch(i.add_watch(dir / "b", IN::MODIFY));
    CHECK(i.watches().empty());
    CHECK(code_of([&] { i.remove_watch(dir / "a"); }) == std::errc::invalid_argument);
}

TEST_CASE("a second path has no part in what was queued before it") {
    TempDir dir;
    test::touch(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    Inotify i{0ms};
    i.add_watch(dir / "a", IN::MODIFY | IN::CLOSE_WRITE);
    test::write_file(dir / "a", "1");
    i.add_watch(dir / "b", IN::MODIFY | IN::CLOSE_WRITE);
    CHECK(drain_lines(i, dir) == Lines{"MODIFY a", "CLOSE_WRITE a"});
    CHECK(i.watches().size() == 2);
}

TEST_CASE("a second path misses no event that the kernel merges with one before it") {
    TempDir dir;
    const test::OpenFile file(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    Inotify i{0ms};
    i.add_watch(dir / "a", IN::MODIFY);
    file.write("1");
    i.add_watch(dir / "b", IN::MODIFY);
    file.write("2");  // identical to the record at the end of the queue
    const auto reported = drain_lines(i, dir);
    CHECK(std::ranges::count(reported, "MODIFY b") == 1);
}

TEST_CASE("removing a path while an event is being reported to each path drops the rest") {
    TempDir dir;
    test::touch(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    fs::create_hard_link(dir / "a", dir / "c");
    Inotify i{0ms};
    for (const char* name : {"a", "b", "c"})
        i.add_watch(dir / name, IN::MODIFY);
    test::OpenFile(dir / "a").write("x");
    std::vector<Event> reported;
    for (auto& event : i.event_gen()) {
        if (!event)
            break;
        reported.push_back(*event);
        if (reported.size() == 1)
            i.remove_watch(dir / "b");
    }
    CHECK(test::lines(reported, dir) == Lines{"MODIFY a", "MODIFY c"});
}

TEST_CASE("removing every path while an event is being reported ends it, and the stream goes on") {
    TempDir dir, other;
    test::touch(dir / "a");
    fs::create_hard_link(dir / "a", dir / "b");
    Inotify i{0ms};
    const int wd = i.add_watch(dir / "a", IN::MODIFY);
    i.add_watch(dir / "b", IN::MODIFY);
    i.add_watch(other.path(), IN::CREATE);
    test::OpenFile(dir / "a").write("x");
    test::touch(other / "f");
    CHECK(i.get(0ms)->path == (dir / "a").native());
    i.remove_watch(wd);
    CHECK(drain_lines(i, other) == Lines{"CREATE f"});
}

TEST_CASE("a deleted file yields DELETE_SELF and IGNORED, and then is not watched any more") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    i.add_watch(dir / "f", IN::DELETE_SELF);
    fs::remove(dir / "f");
    CHECK(drain_lines(i, dir) == Lines{"DELETE_SELF f", "IGNORED f"});
    CHECK(i.watches().empty());
    CHECK(code_of([&] { i.remove_watch(dir / "f"); }) == std::errc::invalid_argument);
}

TEST_CASE("a deleted file can be added again at once, before its IGNORED is read") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    const int old = i.add_watch(dir / "f", IN::MODIFY);
    fs::remove(dir / "f");
    test::touch(dir / "f");
    const int wd = i.add_watch(dir / "f", IN::MODIFY);
    CHECK(wd != old);
    test::OpenFile(dir / "f").write("x");
    CHECK(drain_lines(i, dir) == Lines{"IGNORED f", "MODIFY f"});
    REQUIRE(i.watches().size() == 1);
    CHECK(i.watches()[0].wd == wd);
    test::OpenFile(dir / "f").write("x");
    CHECK(drain_lines(i, dir) == Lines{"MODIFY f"});
    i.remove_watch(dir / "f");
}

TEST_CASE("a path that leads to another inode is watched there, and the old inode no more") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    const int old = i.add_watch(dir / "f", IN::MODIFY);
    fs::rename(dir / "f", dir / "g");
    test::touch(dir / "f");
    CHECK(i.add_watch(dir / "f", IN::MODIFY) != old);
    CHECK(drain_lines(i, dir).empty());
    test::OpenFile(dir / "g").write("x");
    CHECK(drain_lines(i, dir).empty());
    test::OpenFile(dir / "f").write("x");
    CHECK(drain_lines(i, dir) == Lines{"MODIFY f"});
}

TEST_CASE("what the old inode of a path had queued is still reported") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    i.add_watch(dir / "f", IN::MODIFY);
    test::OpenFile(dir / "f").write("x");
    fs::rename(dir / "f", dir / "g");
    test::touch(dir / "f");
    i.add_watch(dir / "f", IN::MODIFY);
    CHECK(drain_lines(i, dir) == Lines{"MODIFY f"});
}

TEST_CASE("what the old inode of a path had queued is still reported when another path shares it") {
    TempDir dir;
    test::touch(dir / "f");
    fs::create_hard_link(dir / "f", dir / "g");
    Inotify i{0ms};
    i.add_watch(dir / "f", IN::MODIFY);
    i.add_watch(dir / "g", IN::MODIFY);
    test::OpenFile(dir / "f").write("x");
    fs::remove(dir / "f");
    test::touch(dir / "f");
    i.add_watch(dir / "f", IN::MODIFY);
    CHECK(drain_lines(i, dir) == Lines{"MODIFY f", "MODIFY g"});
    test::OpenFile(dir / "g").write("x");
    test::OpenFile(dir / "f").write("x");
    CHECK(drain_lines(i, dir) == Lines{"MODIFY g", "MODIFY f"});
}

TEST_CASE(
    "after remove_watch nothing more of a path is reported, nor of an inode it led to before") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    i.add_watch(dir / "f", IN::MODIFY);
    test::OpenFile(dir / "f").write("x");
    fs::rename(dir / "f", dir / "g");
    test::touch(dir / "f");
    i.add_watch(dir / "f", IN::MODIFY);
    i.remove_watch(dir / "f");
    CHECK(drain_lines(i, dir).empty());
}

TEST_CASE("a kernel that forgets a watch while it is removed is no error") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify i{0ms};
    i.add_watch(dir / "f", IN::MODIFY);
    fs::remove(dir / "f");
    i.remove_watch(dir / "f");  // the kernel's own IGNORED is queued already
    CHECK(drain_lines(i, dir).empty());
}

TEST_CASE("an event that the old mask asked for is reported after the mask was replaced") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / "f");
    i.add_watch(dir.path(), IN::DELETE);
    fs::remove(dir / "f");
    CHECK(drain_lines(i, dir) == Lines{"CREATE f", "DELETE f"});
}

TEST_CASE("the kernel's mask is never replaced, since that loses what happens meanwhile") {
    ScriptedInotify i;
    i.add_watch("/d", IN::ALL_EVENTS);
    i.add_watch("/d", IN::CREATE);
    REQUIRE(i.kernel().added.size() == 2);
    for (const auto& [path, mask] : i.kernel().added)
        CHECK(mask.contains(IN::MASK_ADD));
}

TEST_SUITE("threads") {
    TEST_CASE("no event is lost while the mask is replaced again and again") {
        constexpr int files = 10'000;
        TempDir dir;
        Inotify i{0ms};
        i.add_watch(dir.path(), IN::CREATE);
        std::atomic<bool> done = false;
        std::thread writer([&] {
            for (int n = 0; n < files; ++n)
                test::touch(dir / std::to_string(n));
            done = true;
        });
        std::size_t reported = 0;
        for (bool last = false; !last;) {
            last = done;
            for (int n = 0; n < 100; ++n)
                i.add_watch(dir.path(), n % 2 == 0 ? IN::CREATE | IN::OPEN : IN::CREATE);
            for (const auto& event : test::drain(i))
                reported += event.mask.contains(IN::CREATE) ? 1 : 0;
        }
        writer.join();
        CHECK(reported == files);
    }
}

TEST_CASE("records of descriptors that are not watched are dropped") {
    ScriptedInotify i;
    i.add_watch("/d");
    i.kernel().queue(record(5, IN::CREATE, "a") + record(1, IN::CREATE, "b") +
                     record(5, IN::IGNORED) + record(0, IN::CREATE, "c"));
    const auto events = test::drain(i);
    REQUIRE(events.size() == 1);
    CHECK(events[0].filename == "b");
}

TEST_CASE("UNMOUNT and IGNORED are reported whatever the mask") {
    ScriptedInotify i;
    i.add_watch("/d", IN::CREATE);
    i.kernel().queue(record(1, IN::UNMOUNT) + record(1, IN::IGNORED));
    CHECK(test::lines(test::drain(i), "/d") == Lines{"UNMOUNT .", "IGNORED ."});
    CHECK(i.watches().empty());
}
