// SPDX-License-Identifier: MIT
// Inotify::follow() on the real kernel: what programs do to the files that others follow.
#include "forwarding_kernel.hpp"
#include "heap.hpp"
#include "support.hpp"

#include <inotify/inotify_tree.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using inotify::Event;
using inotify::Inotify;
using std::filesystem::path;
using test::drain;
using test::kernel_watches;
using test::Lines;
using test::swap_link;
using test::TempDir;
using test::touch;
using test::write_file;
namespace fs = std::filesystem;
namespace IN = inotify::IN;

constexpr inotify::Duration at_once{0};

// An Inotify that follows one name in a fresh directory.
struct Follower {
    explicit Follower(const std::string& relative, inotify::Mask mask = IN::CLOSE_WRITE)
        : name(dir / relative) {
        inotify.follow(name, mask);
    }
    Follower(const std::string& relative, const std::function<void(const TempDir&)>& prepare,
             inotify::Mask mask = IN::CLOSE_WRITE)
        : name(dir / relative) {
        prepare(dir);
        inotify.follow(name, mask);
    }

    Lines lines() {
        Lines result;
        for (const Event& event : drain(inotify)) {
            REQUIRE(event.path == name.native());
            result.push_back((event.synthetic ? "*" : "") + to_string(event.mask) +
                             (event.filename.empty() ? "" : ' ' + event.filename) +
                             (event.error ? " error" : ""));
        }
        return result;
    }

    TempDir dir;
    path name;
    Inotify inotify{at_once};
};

}  // namespace

TEST_CASE("a file saved by vim is another file at the same name") {
    Follower f("conf", [](const TempDir& d) { write_file(d / "conf"); });
    fs::rename(f.name, f.name.native() + "~");
    write_file(f.name, "new");
    fs::remove(f.name.native() + "~");
    CHECK(f.lines() == Lines{"*MOVED_TO"});
    write_file(f.name, "in place");
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
}

TEST_CASE("a file saved by emacs is written in place, once its backup was renamed away") {
    Follower f("conf", [](const TempDir& d) { write_file(d / "conf"); });
    fs::create_symlink("user@host.1:2", f.dir / ".#conf");
    fs::rename(f.name, f.dir / "conf~");
    CHECK(f.lines() == Lines{"*DELETE"});
    write_file(f.name, "new");
    fs::remove(f.dir / ".#conf");
    CHECK(f.lines() == Lines{"*CREATE"});
    write_file(f.name, "again");  // with a backup already there
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
    write_file(f.dir / "conf~", "the old file");
    CHECK(f.lines().empty());
}

TEST_CASE("sed -i and gedit rename a new file over the name") {
    Follower f("conf", [](const TempDir& d) { write_file(d / "conf"); });
    SUBCASE("sed -i") {}
    SUBCASE("gedit, with a backup") { fs::create_hard_link(f.name, f.dir / "conf~"); }
    write_file(f.dir / "sedXXXXXX", "new");
    fs::rename(f.dir / "sedXXXXXX", f.name);
    CHECK(f.lines() == Lines{"*MOVED_TO"});
    write_file(f.name, "in place");
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
}

TEST_CASE("a ConfigMap is swapped by its ..data link, two steps above the file") {
    Follower f("volume/app.conf", [](const TempDir& d) {
        fs::create_directories(d / "volume/..2026_1");
        write_file(d / "volume/..2026_1/app.conf");
        fs::create_symlink("..2026_1", d / "volume/..data");
        fs::create_symlink("..data/app.conf", d / "volume/app.conf");
    });
    for (int i = 2; i < 5; ++i) {
        const path volume = f.dir / "volume";
        const std::string version = "..2026_" + std::to_string(i);
        fs::create_directory(volume / version);
        write_file(volume / version / "app.conf", version);
        swap_link(volume / "..data", version);
        fs::remove_all(volume / ("..2026_" + std::to_string(i - 1)));
        CHECK(f.lines() == Lines{"*MOVED_TO"});
        write_file(volume / version / "app.conf", "in place");
        CHECK(f.lines() == Lines{"CLOSE_WRITE"});
    }
}

TEST_CASE("a log is rotated by renaming it, by truncating a copy of it, and by deleting it") {
    Follower f("log", [](const TempDir& d) { write_file(d / "log"); }, IN::MODIFY);
    SUBCASE("renamed") {
        fs::rename(f.name, f.dir / "log.1");
        CHECK(f.lines() == Lines{"*DELETE"});
        write_file(f.dir / "log.1", "a late line");
        CHECK(f.lines().empty());
        touch(f.name);
        CHECK(f.lines() == Lines{"*CREATE"});
    }
    SUBCASE("copied and truncated") {
        fs::copy_file(f.name, f.dir / "log.1");
        fs::resize_file(f.name, 0);
        CHECK(f.lines() == Lines{"MODIFY"});
    }
    SUBCASE("deleted") {
        const test::OpenFile writer(f.name);
        fs::remove(f.name);
        CHECK(f.lines() == Lines{"*DELETE"});
        writer.write("to nobody");
        CHECK(f.lines().empty());
        touch(f.name);
        CHECK(f.lines() == Lines{"*CREATE"});
    }
    test::OpenFile(f.name).write("line");
    CHECK(f.lines() == Lines{"MODIFY"});
}

TEST_CASE("a path need not exist, nor any directory on the way") {
    Follower f("a/b/c/file");
    CHECK(f.inotify.watches() == std::vector<inotify::Watch>{{-1, f.name, IN::CLOSE_WRITE}});
    fs::create_directories(f.name.parent_path());
    CHECK(f.lines().empty());
    write_file(f.name);
    CHECK(f.lines() == Lines{"*CREATE"});
    for (int i = 0; i < 3; ++i) {
        fs::remove_all(f.dir / "a");
        CHECK(f.lines() == Lines{"*DELETE"});
        fs::create_directories(f.name.parent_path());
        write_file(f.name);
        CHECK(f.lines() == Lines{"*CREATE"});
    }
    fs::remove_all(f.dir / "a");
    fs::create_directories(f.name.parent_path());
    write_file(f.name);
    CHECK(f.lines() == Lines{"*MOVED_TO"});
}

TEST_CASE("a parent is renamed away, and another takes its place") {
    Follower f("a/b/file", [](const TempDir& d) {
        for (const char* top : {"a", "other"}) {
            fs::create_directories(d / top / "b");
            write_file(d / top / "b/file");
        }
    });
    fs::rename(f.dir / "a", f.dir / "gone");
    CHECK(f.lines() == Lines{"*DELETE"});
    write_file(f.dir / "gone/b/file");
    CHECK(f.lines().empty());
    fs::rename(f.dir / "other", f.dir / "a");
    CHECK(f.lines() == Lines{"*CREATE"});
    write_file(f.name);
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
    // There and back before anybody looks.
    fs::rename(f.dir / "a", f.dir / "x");
    fs::rename(f.dir / "x", f.dir / "a");
    CHECK(f.lines().empty());
    write_file(f.name);
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
}

TEST_CASE("the current link of a deployment is swapped, and directories are followed") {
    Follower f(
        "current",
        [](const TempDir& d) {
            fs::create_directories(d / "releases/1");
            fs::create_directories(d / "releases/2");
            fs::create_symlink("releases/1", d / "current");
        },
        IN::CREATE | IN::MOVE | IN::DELETE_SELF | IN::MOVE_SELF);
    touch(f.name / "file");
    CHECK(f.lines() == Lines{"CREATE file"});
    swap_link(f.name, f.dir / "releases/2");
    touch(f.dir / "releases/1/late");
    touch(f.name / "file");
    // Until the name is looked up again, what it led to counts.
    CHECK(f.lines() == Lines{"CREATE late", "*MOVED_TO|ISDIR"});
    touch(f.name / "second");
    CHECK(f.lines() == Lines{"CREATE second"});
    fs::rename(f.dir / "releases", f.dir / "elsewhere");
    CHECK(f.lines() == Lines{"*DELETE|ISDIR"});
    fs::rename(f.dir / "elsewhere", f.dir / "releases");
    CHECK(f.lines() == Lines{"*CREATE|ISDIR"});
}

TEST_CASE("links lead up and down, to links, in circles, and end") {
    Follower f("l/../x/file", [](const TempDir& d) {
        fs::create_directories(d / "deep/a");
        fs::create_directories(d / "deep/x");
        fs::create_directories(d / "x");
        write_file(d / "deep/x/file");
        write_file(d / "x/file");
        fs::create_symlink("m/", d / "l");
        fs::create_symlink(d / "deep/./a", d / "m");
    });
    write_file(f.dir / "x/file");
    CHECK(f.lines().empty());
    write_file(f.dir / "deep/x/file");
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
    fs::create_directory(f.dir / "deep/b");
    fs::rename(f.dir / "deep/a", f.dir / "deep/b/a");
    CHECK(f.lines() == Lines{"*DELETE"});
    swap_link(f.dir / "m", "deep/b/a");
    CHECK(f.lines().empty());
    fs::rename(f.dir / "deep/x", f.dir / "deep/b/x");
    CHECK(f.lines() == Lines{"*CREATE"});
    // ".." of a directory that gets another parent.
    fs::rename(f.dir / "deep/b/a", f.dir / "y");
    swap_link(f.dir / "m", "y");
    CHECK(f.lines() == Lines{"*MOVED_TO"});
    write_file(f.dir / "x/file");
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
    swap_link(f.dir / "m", "l");
    CHECK(f.lines() == Lines{"*DELETE", "0 error"});
    swap_link(f.dir / "m", "y");
    CHECK(f.lines() == Lines{"*CREATE"});
}

TEST_CASE(
    "with DONT_FOLLOW a link is the file that is followed, with ONLYDIR only directories are") {
    Follower link(
        "l",
        [](const TempDir& d) {
            write_file(d / "file");
            fs::create_symlink("file", d / "l");
        },
        IN::ATTRIB | IN::MODIFY | IN::DONT_FOLLOW);
    CHECK(link.inotify.watches().front().wd > 0);
    write_file(link.dir / "file");
    CHECK(link.lines().empty());
    swap_link(link.name, "elsewhere");
    CHECK(link.lines() == Lines{"ATTRIB", "*MOVED_TO"});

    Follower directory("d", IN::CREATE | IN::ONLYDIR);
    write_file(directory.name);
    CHECK(directory.lines().empty());
    fs::remove(directory.name);
    fs::create_directory(directory.name);
    CHECK(directory.lines() == Lines{"*CREATE|ISDIR"});
}

TEST_CASE("a directory that may not be searched is an error, and followed at once when it may be") {
    const TempDir dir;
    fs::create_directory(dir / "d");
    write_file(dir / "d/file");
    fs::permissions(dir / "d", fs::perms::none);
    Inotify inotify(at_once);
    const path name = dir / "d/file";
    const auto read = [&] {
        const test::WithoutCapabilities unprivileged;
        return drain(inotify);
    };
    {
        const test::WithoutCapabilities unprivileged;
        inotify.follow(name, IN::CLOSE_WRITE);
    }
    const auto refused = read();
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].error == std::errc::permission_denied);
    CHECK(refused[0].path == name.native());
    CHECK(read().empty());
    fs::permissions(dir / "d", fs::perms::owner_all);
    CHECK(test::lines(read(), dir) == Lines{"CREATE d/file"});
    // A directory on the way need not be read to go through it; nor a file that is watched already.
    fs::permissions(dir / "d", fs::perms::owner_write | fs::perms::owner_exec);
    fs::rename(dir / "d", dir / "x");
    fs::rename(dir / "x", dir / "d");
    CHECK(read().empty());
    write_file(name);
    CHECK(test::lines(read(), dir) == Lines{"CLOSE_WRITE d/file"});
    fs::permissions(dir / "d", fs::perms::owner_all);
}

TEST_CASE("a relative name is resolved against the working directory of the call") {
    const TempDir dir;
    const path before = fs::current_path();
    fs::current_path(dir.path());
    Inotify inotify(at_once);
    inotify.follow("file", IN::CLOSE_WRITE);
    fs::current_path(before);
    write_file(dir / "file");
    const auto events = drain(inotify);
    REQUIRE(events.size() == 1);
    CHECK(events[0].path == "file");
    CHECK(events[0].mask == IN::CREATE);
    CHECK(events[0].synthetic);
}

TEST_CASE("following does not disturb ordinary watches of the same inodes, nor they it") {
    const TempDir dir;
    fs::create_directory(dir / "d");
    write_file(dir / "d/file");
    Inotify inotify(at_once);
    const path file = dir / "d/file";
    const path alias = dir / "d/./file";
    const int directory = inotify.add_watch(dir / "d", IN::OPEN);
    inotify.follow(file, IN::CLOSE_WRITE);
    const int wd = inotify.add_watch(alias, IN::MODIFY | IN::MASK_CREATE);
    CHECK(inotify.add_watch(dir.path(), IN::DELETE | IN::MASK_CREATE) > 0);
    CHECK(test::error_of([&] { inotify.add_watch(dir.path(), IN::CREATE | IN::MASK_CREATE); })
              .code()
              .value() == EEXIST);
    // Not truncated: on Linux 5.10 the MODIFY of that comes before the OPEN.
    const auto write = [&] { test::OpenFile(file, O_WRONLY).write("x"); };
    write();
    const auto lines = [&] { return test::drain_lines(inotify, dir); };
    CHECK(lines() == Lines{"OPEN d/file", "MODIFY d/./file", "CLOSE_WRITE d/file"});

    inotify.remove_watch(alias);
    write();
    CHECK(lines() == Lines{"OPEN d/file", "CLOSE_WRITE d/file"});
    inotify.remove_watch(dir / "d");
    write();
    CHECK(lines() == Lines{"CLOSE_WRITE d/file"});

    CHECK(inotify.add_watch(alias, IN::MODIFY) == wd);
    CHECK(inotify.add_watch(dir / "d", IN::OPEN) == directory);
    inotify.remove_watch(file);
    write();
    CHECK(lines() == Lines{"OPEN d/file", "MODIFY d/./file"});
    CHECK(kernel_watches() == 3);
    fs::remove(file);
    CHECK(lines() == Lines{"IGNORED d/./file"});
}

TEST_CASE("a path may be watched and followed; removing it ends both") {
    const TempDir dir;
    const path file = dir / "file";
    write_file(file);
    Inotify inotify(at_once);
    const int wd = inotify.add_watch(file, IN::MODIFY);
    inotify.follow(file, IN::CLOSE_WRITE);
    CHECK(inotify.watches().size() == 2);
    write_file(file);
    CHECK(test::drain_lines(inotify, dir) == Lines{"MODIFY file", "CLOSE_WRITE file"});
    SUBCASE("by its path") { inotify.remove_watch(file); }
    SUBCASE("by its descriptor") { inotify.remove_watch(wd); }
    write_file(file);
    fs::remove(file);
    CHECK(drain(inotify).empty());
    CHECK(inotify.watches().empty());
    CHECK(kernel_watches() == 0);
    CHECK_THROWS_AS(inotify.remove_watch(file), std::system_error);
}

TEST_CASE("an ordinary one-shot watch of an inode on the way of a name ends when the name does") {
    const TempDir dir;
    Inotify inotify(at_once);
    inotify.follow(dir / "file", IN::MODIFY);
    inotify.add_watch(dir.path(), IN::CREATE | IN::ONESHOT);
    touch(dir / "other");
    touch(dir / "another");
    CHECK(test::drain_lines(inotify, dir) == Lines{"CREATE other"});
    inotify.remove_watch(dir / "file");
    CHECK(test::drain_lines(inotify, dir) == Lines{"IGNORED ."});
    CHECK(kernel_watches() == 0);
}

TEST_CASE("following again replaces the mask, for what is queued from then on") {
    Follower f("file", [](const TempDir& d) { write_file(d / "file"); }, IN::MODIFY);
    test::OpenFile(f.name).write("x");
    f.inotify.follow(f.name, IN::OPEN);
    test::OpenFile(f.name).write("x");
    CHECK(f.lines() == Lines{"MODIFY", "OPEN"});
    CHECK(f.inotify.watches().front().mask == IN::OPEN);
    fs::remove(f.name);
    f.inotify.follow(f.name, IN::CLOSE_WRITE);
    CHECK(f.lines() == Lines{"*DELETE"});
    write_file(f.name);
    CHECK(f.lines() == Lines{"*CREATE"});
    write_file(f.name);
    CHECK(f.lines() == Lines{"CLOSE_WRITE"});
}

TEST_CASE("what cannot be followed is refused") {
    Inotify inotify(at_once);
    const auto refused = [&](const path& name, inotify::Mask mask) {
        return test::error_of([&] { inotify.follow(name, mask); }).code().value() == EINVAL;
    };
    CHECK(refused("", IN::MODIFY));
    CHECK(refused("/tmp", {}));
    CHECK(refused("/tmp", IN::ONLYDIR));
    CHECK(refused("/tmp", IN::MODIFY | IN::ONESHOT));
    CHECK(refused("/tmp", IN::MODIFY | IN::MASK_ADD));
    CHECK(refused("/tmp", IN::MODIFY | IN::MASK_CREATE));
    CHECK(refused(path(std::string("/tmp\0x", 6)), IN::MODIFY));
    const TempDir dir;
    inotify::InotifyTree tree(dir.path());
    CHECK_THROWS_AS(static_cast<Inotify&>(tree).follow("/tmp"), std::logic_error);
    CHECK(inotify.watches().empty());
    CHECK(inotify.event_gen().begin() != std::default_sentinel);
}

TEST_CASE("a thousand names under ten directories share their watches, and wake nobody") {
    const TempDir dir;
    Inotify inotify(at_once);
    for (int d = 0; d < 10; ++d) {
        fs::create_directory(dir / std::to_string(d));
        for (int i = 0; i < 100; ++i) {
            const path file = dir / std::to_string(d) / std::to_string(i);
            touch(file);
            inotify.follow(file, IN::CLOSE_WRITE);
        }
    }
    const auto way = static_cast<std::size_t>(std::distance(dir.path().begin(), dir.path().end()));
    CHECK(kernel_watches() == 1000 + 10 + way);
    CHECK(drain(inotify).empty());
    write_file(dir / "3/33");
    CHECK(test::drain_lines(inotify, dir) == Lines{"CLOSE_WRITE 3/33"});
    fs::rename(dir / "3", dir / "x");
    CHECK(drain(inotify).size() == 100);
    CHECK(kernel_watches() == 900 + 9 + way);
    fs::rename(dir / "x", dir / "3");
    CHECK(drain(inotify).size() == 100);
    for (const inotify::Watch& watch : inotify.watches())
        inotify.remove_watch(watch.path);
    CHECK(kernel_watches() == 0);
}

TEST_CASE("an idle loop over followed names is not woken") {
    class CountingKernel final : public test::ForwardingKernel {
    public:
        CountingKernel(std::shared_ptr<Kernel> inner, std::size_t& woken)
            : ForwardingKernel(std::move(inner)), woken_(woken) {}
        int wait(std::chrono::milliseconds timeout) override {
            const int result = ForwardingKernel::wait(timeout);
            woken_ += result != 0 ? 1 : 0;
            return result;
        }

    private:
        std::size_t& woken_;
    };
    // Nothing else happens on the way: not in a directory that others use.
    const path top = "/sys/kernel";
    std::size_t woken = 0;
    test::KernelInotify inotify(
        std::make_unique<CountingKernel>(inotify::detail::make_linux_kernel(), woken));
    inotify.set_block_duration(std::chrono::milliseconds{1});
    for (int i = 0; i < 1000; ++i)
        inotify.follow(top / std::to_string(i % 10) / std::to_string(i));
    CHECK(drain(inotify).empty());
    woken = 0;
    for (int i = 0; i < 100; ++i)
        CHECK(drain(inotify).empty());
    CHECK(woken == 0);
}

#ifdef INOTIFY_TESTS_SANITIZED

TEST_SUITE("exhaustive_names") {
    TEST_CASE("a link on the way of a name may be swapped for ever") {
        MESSAGE("skipped: a sanitizer has an operator new of its own");
    }
}

#else

TEST_SUITE("exhaustive_names") {
    TEST_CASE("a link on the way of a name may be swapped for ever") {
        Follower f("l/file", [](const TempDir& d) {
            for (const char* top : {"1", "2"}) {
                fs::create_directory(d / top);
                touch(d / top / "file");
            }
            fs::create_symlink("1", d / "l");
        });
        const auto swap = [&](int times) {
            for (int i = 0; i < times; ++i) {
                swap_link(f.dir / "l", i % 2 == 0 ? "2" : "1");
                REQUIRE(f.lines() == Lines{"*MOVED_TO"});
            }
        };
        swap(1000);  // all containers are as large as they become
        const auto descriptors = test::open_descriptors();
        const std::size_t watches = kernel_watches();
        const long heap = test::bytes_in_use();
        swap(test::runs_whole() ? 100'000 : 5'000);
        CHECK(test::open_descriptors() == descriptors);
        CHECK(kernel_watches() == watches);
        CHECK(test::bytes_in_use() < heap + 4096);
    }
}

#endif
