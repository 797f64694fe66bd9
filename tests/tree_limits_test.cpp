// SPDX-License-Identifier: MIT
// InotifyTree against the limits: rights, watches, path lengths, and mounts. What needs another
// user or a file system of its own runs in a child process with namespaces of its own, so that
// nothing of it outlives the test and it needs no root.
#include "tree_client.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <sstream>

using namespace inotify;
using namespace std::chrono_literals;
using test::asking;
using test::drain;
using test::Lines;
using test::names;
using test::TempDir;
using test::watched;
namespace fs = std::filesystem;

namespace {

// A reason why a test cannot run here.
struct Skipped {
    std::string reason;
};

[[noreturn]] void throw_errno(const char* call) {
    throw std::system_error(errno, std::system_category(), call);
}

// What a child process found wrong; doctest's own checks would be lost with it.
class ChildReport {
public:
    void check(bool right, const std::string& what) {
        if (!right)
            text_ << what << '\n';
    }
    void check_equal(const Lines& found, const Lines& expected) {
        if (found == expected)
            return;
        text_ << "found";
        for (const auto& line : found)
            text_ << "\n    " << line;
        text_ << "\nexpected";
        for (const auto& line : expected)
            text_ << "\n    " << line;
        text_ << '\n';
    }
    [[nodiscard]] std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
};

// Runs `action` in a child process and checks that it finds nothing wrong.
void in_child(const std::function<void(ChildReport&)>& action) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ChildReport report;
        std::string text;
        try {
            action(report);
            text = report.text();
        } catch (const Skipped& skipped) {
            text = "skipped: " + skipped.reason;
        } catch (const std::exception& error) {
            text = report.text() + "an exception: " + error.what();
        }
        std::string_view rest = text;
        while (!rest.empty()) {
            const auto size = ::write(ends[1], rest.data(), rest.size());
            if (size <= 0)
                break;
            rest.remove_prefix(static_cast<std::size_t>(size));
        }
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t size; (size = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<std::size_t>(size));
    ::close(ends[0]);
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    if (text.starts_with("skipped: "))
        MESSAGE(text);
    else
        CHECK(text == "");
}

// Mounts and limits that no other process sees.
void enter_namespaces() {
    const auto user = std::to_string(::getuid());
    const auto group = std::to_string(::getgid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        throw Skipped{"no user namespaces here"};
    test::write_text("/proc/self/setgroups", "deny");
    if (!test::write_text("/proc/self/uid_map", "0 " + user + " 1") ||
        !test::write_text("/proc/self/gid_map", "0 " + group + " 1"))
        throw Skipped{"no users can be mapped here"};
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        throw Skipped{"no mounts can be made here"};
}

// The limit of this user namespace, which comes on top of fs.inotify.max_user_watches.
void set_watch_limit(int limit) {
    if (!test::write_text("/proc/sys/user/max_inotify_watches", std::to_string(limit)))
        throw Skipped{"no limit of watches for a user namespace here"};
}

void mount_tmpfs(const fs::path& path) {
    if (::mount("none", path.c_str(), "tmpfs", 0, nullptr) < 0)
        throw Skipped{"no tmpfs can be mounted here"};
}

void unmount(const fs::path& path) {
    if (::umount2(path.c_str(), 0) < 0)
        throw_errno("umount");
}

// From root to a user whom rights bind.
void drop_rights(const TempDir& dir) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() != 0)
        return;
    for (const auto& entry : fs::recursive_directory_iterator(dir.path()))
        if (::lchown(entry.path().c_str(), nobody, nobody) < 0)
            throw_errno("lchown");
    if (::chown(dir.path().c_str(), nobody, nobody) < 0)
        throw_errno("chown");
    if (::setgid(nobody) < 0 || ::setuid(nobody) < 0)
        throw Skipped{"no other user here"};
}

// `MASK path` and `error path`, in the order of the paths.
Lines described(const std::vector<Event>& events, const TempDir& dir) {
    Lines result = test::lines(events, dir);
    for (std::size_t i = 0; i < events.size(); ++i)
        if (events[i].error)
            result[i] = "error " + events[i].full_path().filename().native();
    std::ranges::sort(result);
    return result;
}

// The events until everything is watched. What failed is tried again once a second, at idle.
std::vector<Event> heal(InotifyTree& tree) {
    std::vector<Event> events;
    const auto end = test::Clock::now() + test::plenty;
    while (!tree.coverage().unwatched.empty() && test::Clock::now() < end)
        if (auto event = tree.get(100ms))
            events.push_back(*event);
    for (auto& event : drain(tree))
        events.push_back(event);
    return events;
}

// A chain of directories whose path is longer than any system call takes, made and removed in
// steps that it does take.
class DeepChain {
public:
    DeepChain(const fs::path& root, int depth) : root_(root) {
        int here = ::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < depth && here >= 0; ++i) {
            ::mkdirat(here, name, 0755);
            const int next = ::openat(here, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
            ::close(here);
            here = next;
        }
        bottom_ = here;
    }
    ~DeepChain() {
        ::close(bottom_);
        const fs::path top = root_ / name;
        const fs::path spare = root_ / "spare";
        std::error_code error;
        while (fs::is_directory(top / name, error)) {
            fs::rename(top / name, spare, error);
            fs::remove_all(top, error);
            fs::rename(spare, top, error);
            if (error)
                break;
        }
    }
    DeepChain(const DeepChain&) = delete;
    DeepChain& operator=(const DeepChain&) = delete;

    // -1 if it could not be made.
    [[nodiscard]] int bottom() const { return bottom_; }

    [[nodiscard]] std::string path(int depth) const {
        std::string result = root_.native();
        for (int i = 0; i < depth; ++i)
            result += std::string("/") + name;
        return result;
    }

    static constexpr const char* name = "directory";

private:
    fs::path root_;
    int bottom_ = -1;
};

void touch_at(int directory, const char* name) {
    const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    const int file = ::openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ::close(file);
    ::close(fd);
    REQUIRE(file >= 0);
}

constexpr int depth = 1000;

}  // namespace

TEST_CASE("a tree of depth 1,000, whose paths are longer than PATH_MAX, is watched") {
    TempDir dir;
    const DeepChain chain(dir.path(), depth);
    REQUIRE(chain.bottom() >= 0);
    for (const bool track_files : {false, true}) {
        TreeOptions options = asking(IN::CREATE);
        options.track_files = track_files;
        InotifyTree tree(dir.path(), options);
        CHECK(tree.coverage().watched == depth + 1);
        CHECK(tree.coverage().unwatched.empty());
        touch_at(chain.bottom(), "f");
        const auto events = drain(tree);
        REQUIRE(events.size() == 1);
        CHECK(events[0].path == chain.path(depth));
        CHECK(events[0].filename == "f");
        ::unlinkat(chain.bottom(), "f", 0);
        drain(tree);
    }
}

TEST_CASE("a tree of depth 1,000 that is made, moved in and renamed is reported once") {
    TempDir dir, outside;
    InotifyTree tree(dir.path(), asking(names));
    SUBCASE("made") {
        const DeepChain chain(dir.path(), depth);
        const auto events = drain(tree);
        REQUIRE(events.size() == depth);
        for (int i = 0; i < depth; ++i)
            CHECK(events[static_cast<std::size_t>(i)].path == chain.path(i));
        CHECK(tree.coverage().watched == depth + 1);
        CHECK(tree.coverage().unwatched.empty());
        touch_at(chain.bottom(), "f");
        const auto found = drain(tree);
        REQUIRE(found.size() == 1);
        CHECK(found[0].path == chain.path(depth));
    }
    SUBCASE("moved in") {
        const DeepChain chain(outside.path(), depth);
        fs::rename(outside / DeepChain::name, dir / "in");
        CHECK(drain(tree).size() == depth);
        CHECK(tree.coverage().watched == depth + 1);
        fs::rename(dir / "in", dir / "renamed");
        touch_at(chain.bottom(), "f");
        const auto found = drain(tree);
        REQUIRE(found.size() == 3);
        CHECK(found[2].path.size() > 4096);
        CHECK(found[2].path.starts_with((dir / "renamed").native()));
        fs::rename(dir / "renamed", outside / DeepChain::name);
        CHECK(drain(tree).size() == 1);
        CHECK(tree.coverage().watched == 1);
    }
    SUBCASE("removed from its top") {
        {
            const DeepChain chain(dir.path(), depth);
        }
        drain(tree);
        CHECK(tree.coverage().watched <= 2);
        CHECK(tree.coverage().unwatched.empty());
    }
}

TEST_CASE("directories without the right to read come as errors once, and heal") {
    TempDir dir;
    fs::create_directories(dir / "open");
    fs::create_directories(dir / "locked/below/deep");
    test::touch(dir / "locked/f");
    in_child([&](ChildReport& report) {
        drop_rights(dir);
        fs::permissions(dir / "locked", fs::perms::none);
        InotifyTree tree(dir.path(), asking(names));
        auto events = drain(tree);
        report.check(events.size() == 1, "one error is reported at the start");
        for (const Event& event : events) {
            report.check(event.error == std::errc::permission_denied, "the error is EACCES");
            report.check(event.full_path() == dir / "locked", "the error has the path");
            report.check(!event.mask && event.wd == -1, "the error has no mask and no descriptor");
        }
        const auto coverage = tree.coverage();
        report.check(coverage.watched == 2, "the others are watched");
        report.check(coverage.unwatched.size() == 1 &&
                         coverage.unwatched[0].path == (dir / "locked").native() &&
                         coverage.unwatched[0].error == std::errc::permission_denied,
                     "coverage says which is not");
        report.check(!tree.get(2200ms), "the error is not reported again when it is tried again");
        test::touch(dir / "open/f");
        report.check_equal(described(drain(tree), dir), {"CREATE open/f"});

        fs::create_directories(dir / "new/locked/inner");
        fs::permissions(dir / "new/locked", fs::perms::none);
        report.check_equal(described(drain(tree), dir),
                           {"CREATE|ISDIR new", "CREATE|ISDIR new/locked", "error locked"});
        fs::rename(dir / "new/locked", dir / "new/renamed");
        drain(tree);
        Lines unwatched;
        for (const auto& entry : tree.coverage().unwatched)
            unwatched.push_back(fs::path(entry.path).filename());
        std::ranges::sort(unwatched);
        report.check_equal(unwatched, {"locked", "renamed"});

        fs::permissions(dir / "locked", fs::perms::owner_all);
        fs::permissions(dir / "new/renamed", fs::perms::owner_all);
        report.check_equal(described(drain(tree), dir),
                           {"CREATE locked/f", "CREATE|ISDIR locked/below",
                            "CREATE|ISDIR locked/below/deep", "CREATE|ISDIR new/renamed/inner"});
        report.check(tree.coverage().watched == 8, "all are watched in the end");
        test::touch(dir / "locked/below/deep/g");
        test::touch(dir / "new/renamed/inner/h");
        report.check_equal(described(drain(tree), dir),
                           {"CREATE locked/below/deep/g", "CREATE new/renamed/inner/h"});
    });
}

TEST_CASE("directories in one that may not be searched are tried at once when it may") {
    TempDir dir;
    fs::create_directories(dir / "p/c");
    test::touch(dir / "p/c/f");
    in_child([&](ChildReport& report) {
        drop_rights(dir);
        fs::permissions(dir / "p", fs::perms::owner_read);
        InotifyTree tree(dir.path(), asking(names));
        report.check_equal(described(drain(tree), dir), {"error c"});
        fs::permissions(dir / "p", fs::perms::owner_all);
        report.check_equal(described(drain(tree), dir), {"CREATE p/c/f"});
        report.check(tree.coverage().unwatched.empty(), "all are watched");
    });
}

TEST_CASE("an unwatched directory that is deleted or moved out is not complained of any more") {
    TempDir dir;
    fs::create_directories(dir / "tree/one");
    fs::create_directories(dir / "tree/two");
    in_child([&](ChildReport& report) {
        drop_rights(dir);
        for (const char* name : {"tree/one", "tree/two"})
            fs::permissions(dir / name, fs::perms::owner_write | fs::perms::owner_exec);
        InotifyTree tree(dir / "tree", asking(names));
        report.check(drain(tree).size() == 2, "two errors are reported");
        fs::remove(dir / "tree/one");
        fs::rename(dir / "tree/two", dir / "two");
        report.check_equal(described(drain(tree), dir),
                           {"DELETE|ISDIR tree/one", "MOVED_FROM|ISDIR tree/two"});
        report.check(tree.coverage().unwatched.empty(), "none is left");
        report.check(!tree.get(1200ms), "and nothing is tried again");
    });
}

TEST_CASE("a root without the right to read throws") {
    TempDir dir;
    in_child([&](ChildReport& report) {
        drop_rights(dir);
        fs::permissions(dir.path(), fs::perms::none);
        const auto error = test::error_of([&] { InotifyTree(dir.path(), asking(names)); });
        report.check(error.code() == std::errc::permission_denied, "EACCES");
        report.check(test::contains(error.what(), dir.str()), "with the path");
        fs::permissions(dir.path(), fs::perms::owner_all);
    });
}

TEST_CASE("a process that gave up its rights watches a tree as any other") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    in_child([&](ChildReport& report) {
        drop_rights(dir);
        ::prctl(PR_SET_DUMPABLE, 0);  // as after setuid: /proc/self then belongs to root
        InotifyTree tree(dir.path(), asking(names));
        fs::create_directories(dir / "c/d");
        test::touch(dir / "a/b/f");
        report.check_equal(described(drain(tree), dir),
                           {"CREATE a/b/f", "CREATE|ISDIR c", "CREATE|ISDIR c/d"});
        report.check(tree.coverage().watched == 5, "all are watched");
    });
}

TEST_CASE("at the limit of watches the loop goes on, and heals once there is room") {
    TempDir dir;
    for (int i = 0; i < 10; ++i)
        fs::create_directories(dir / ("d" + std::to_string(i)) / "sub");
    in_child([&](ChildReport& report) {
        enter_namespaces();
        set_watch_limit(6);
        InotifyTree tree(dir.path(), asking(names));
        const auto events = drain(tree);
        report.check(events.size() == 1, "one error stands for all");
        for (const Event& event : events) {
            report.check(event.error == std::errc::no_space_on_device, "the error is ENOSPC");
            report.check(event.error.value() == ENOSPC, "by its value, too");
            report.check(!event.mask, "an error has no mask");
            const std::string message = event.error.message();
            report.check(test::contains(message, "user.max_inotify_watches (6)"), message);
            report.check(test::contains(message, "sysctl user.max_inotify_watches=12"), message);
        }
        const auto coverage = tree.coverage();
        report.check(coverage.watched == 6, "as many are watched as can be");
        report.check(coverage.unwatched.size() > 1, "coverage has the others");
        for (const auto& unwatched : coverage.unwatched)
            report.check(unwatched.error == std::errc::no_space_on_device &&
                             test::contains(unwatched.error.message(), "max_inotify_watches"),
                         "with the same error");
        report.check(!tree.get(1200ms), "not reported again when tried again");

        fs::create_directory(dir / "new");
        report.check_equal(described(drain(tree), dir), {"CREATE|ISDIR new"});
        fs::rename(dir / "new", dir / "newer");
        drain(tree);
        fs::create_directories(dir / "newer/x/y");
        test::touch(dir / "newer/x/f");

        set_watch_limit(1000);
        const auto began = test::Clock::now();
        const auto found = described(heal(tree), dir);
        report.check(test::Clock::now() - began < 5s, "not one directory a second");
        for (const char* line :
             {"CREATE|ISDIR newer/x", "CREATE|ISDIR newer/x/y", "CREATE newer/x/f"})
            report.check(std::ranges::count(found, line) == 1, std::string("once: ") + line);
        report.check(std::ranges::adjacent_find(found) == found.end(), "nothing is reported twice");
        report.check(tree.coverage().watched == 24, "all are watched in the end");
        test::touch(dir / "d7/sub/f");
        test::touch(dir / "newer/x/y/g");
        report.check_equal(described(drain(tree), dir), {"CREATE d7/sub/f", "CREATE newer/x/y/g"});
    });
}

TEST_CASE("a watch that is given back at the limit is used at once") {
    TempDir dir;
    for (const char* name : {"a", "b", "c"})
        fs::create_directory(dir / name);
    in_child([&](ChildReport& report) {
        enter_namespaces();
        set_watch_limit(3);
        InotifyTree tree(dir.path(), asking(names));
        drain(tree);
        const auto unwatched = tree.coverage().unwatched;
        if (unwatched.size() != 1) {
            report.check(false, "one of the three is not watched");
            return;
        }
        const fs::path waiting = unwatched[0].path;
        test::touch(waiting / "f");
        const std::string gone = waiting.filename() == "a" ? "b" : "a";
        fs::remove(dir / gone);
        report.check_equal(
            described(drain(tree), dir),
            {"CREATE " + waiting.filename().native() + "/f", "DELETE|ISDIR " + gone});
        report.check(tree.coverage().unwatched.empty(), "all are watched");
    });
}

TEST_CASE("watches that are given back at the limit are used again") {
    TempDir dir;
    fs::create_directories(dir / "a/b/c");
    fs::create_directories(dir / "d/e/f");
    in_child([&](ChildReport& report) {
        enter_namespaces();
        set_watch_limit(7);
        InotifyTree tree(dir.path(), asking(names));
        report.check(tree.coverage().unwatched.empty(), "seven are enough");
        for (int i = 0; i < 20; ++i) {
            fs::remove_all(dir / "a");
            fs::create_directories(dir / "a/b/c");
            for (const Event& event : drain(tree))
                report.check(!event.error, "no watch is missing");
        }
        report.check(tree.coverage().watched == 7, "seven are used");
    });
}

TEST_CASE("a root beyond the limit of watches throws and says which limit") {
    TempDir dir;
    in_child([&](ChildReport& report) {
        enter_namespaces();
        set_watch_limit(0);
        const auto error = test::error_of([&] { InotifyTree(dir.path(), asking(names)); });
        report.check(error.code() == std::errc::no_space_on_device, "ENOSPC");
        report.check(test::contains(error.what(), "user.max_inotify_watches (0)"), error.what());
    });
}

TEST_CASE("one_file_system reports a mount point and stays out of it") {
    TempDir dir;
    fs::create_directories(dir / "mount");
    fs::create_directories(dir / "a/b");
    in_child([&](ChildReport& report) {
        enter_namespaces();
        mount_tmpfs(dir / "mount");
        fs::create_directories(dir / "mount/in/deep");
        TreeOptions options = asking(names);
        InotifyTree both(dir.path(), options);
        options.one_file_system = true;
        InotifyTree one(dir.path(), options);
        report.check_equal(watched(both, dir),
                           {".", "a", "a/b", "mount", "mount/in", "mount/in/deep"});
        report.check_equal(watched(one, dir), {".", "a", "a/b"});
        report.check(one.coverage().unwatched.empty(), "a mount is no error");
        test::touch(dir / "mount/in/f");
        fs::create_directories(dir / "new/er");
        report.check_equal(described(drain(both), dir),
                           {"CREATE mount/in/f", "CREATE|ISDIR new", "CREATE|ISDIR new/er"});
        report.check_equal(described(drain(one), dir), {"CREATE|ISDIR new", "CREATE|ISDIR new/er"});

        options.report_existing = true;
        InotifyTree reporting(dir.path(), options);
        report.check_equal(described(drain(reporting), dir),
                           {"CREATE|ISDIR a", "CREATE|ISDIR a/b", "CREATE|ISDIR mount",
                            "CREATE|ISDIR new", "CREATE|ISDIR new/er"});
    });
}

TEST_CASE("the file system of a root can be unmounted, which is reported; the others go on") {
    TempDir dir;
    fs::create_directories(dir / "mount");
    fs::create_directories(dir / "other/a");
    in_child([&](ChildReport& report) {
        enter_namespaces();
        mount_tmpfs(dir / "mount");
        fs::create_directories(dir / "mount/a/b");
        InotifyTree tree({dir / "mount", dir / "other"}, asking(IN::ALL_EVENTS));
        drain(tree);
        fs::create_directories(dir / "mount/c/d");
        drain(tree);
        unmount(dir / "mount");
        const auto lines = described(drain(tree), dir);
        report.check(std::ranges::count(lines, "UNMOUNT|ISDIR mount") == 1, "UNMOUNT of the root");
        report.check(std::ranges::count(lines, "IGNORED mount") == 1, "IGNORED of the root");
        report.check_equal(watched(tree, dir), {"other", "other/a"});
        fs::create_directory(dir / "other/a/new");
        report.check_equal(described(drain(tree), dir), {"CREATE|ISDIR other/a/new"});
        mount_tmpfs(dir / "mount");
        fs::create_directory(dir / "mount/x");
        tree.add_tree(dir / "mount");
        test::touch(dir / "mount/x/f");
        fs::remove(dir / "mount/x/f");
        report.check(drain(tree).size() >= 2, "it can be added again");
        unmount(dir / "mount");
    });
}

TEST_CASE("a file system inside a tree can be unmounted, and what it covered is seen") {
    TempDir dir;
    fs::create_directories(dir / "a/mount");
    in_child([&](ChildReport& report) {
        enter_namespaces();
        for (const bool track_files : {false, true}) {
            mount_tmpfs(dir / "a/mount");
            fs::create_directories(dir / "a/mount/in/deep");
            TreeOptions options = asking(names);
            options.track_files = track_files;
            InotifyTree tree(dir.path(), options);
            test::Picture picture(dir.str(), {{dir / "a", true},
                                              {dir / "a/mount", true},
                                              {dir / "a/mount/in", true},
                                              {dir / "a/mount/in/deep", true}});
            test::touch(dir / "a/mount/f");
            fs::remove(dir / "a/mount/f");
            for (const Event& event : drain(tree))
                report.check(picture.apply(event).empty(), "the picture takes every event");
            test::touch(dir / "a/mount/in/f");
            for (const Event& event : drain(tree))
                report.check(picture.apply(event).empty(), "the picture takes every event");
            report.check(picture.entries().size() == 5, "the new file is reported");
            unmount(dir / "a/mount");
            const auto events = drain(tree);
            for (const Event& event : events)
                report.check(picture.apply(event).empty(), "the picture takes every event");
            Lines left;
            for (const auto& [path, is_directory] : picture.entries())
                left.push_back(path);
            report.check_equal(left, {dir / "a", dir / "a/mount"});
            report.check(
                std::ranges::any_of(
                    events, [](const Event& event) { return event.mask.intersects(IN::UNMOUNT); }),
                "UNMOUNT is reported");
            report.check_equal(watched(tree, dir), {".", "a", "a/mount"});
            report.check(tree.coverage().unwatched.empty(), "nothing is missing");
            test::touch(dir / "a/mount/f");
            report.check_equal(described(drain(tree), dir), {"CREATE a/mount/f"});
            fs::remove(dir / "a/mount/f");
        }
    });
}

TEST_CASE("a directory of the tree mounted inside another neither loops nor wanders") {
    TempDir dir;
    fs::create_directories(dir / "a/b/mount");
    fs::create_directories(dir / "other/mount");
    in_child([&](ChildReport& report) {
        enter_namespaces();
        const auto bind = [](const fs::path& from, const fs::path& to) {
            if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) < 0)
                throw Skipped{"no bind mounts here"};
        };
        bind(dir / "a", dir / "other/mount");
        bind(dir / "a", dir / "a/b/mount");  // a loop
        for (const bool track_files : {false, true}) {
            TreeOptions options = asking(names);
            options.track_files = track_files;
            InotifyTree tree(dir.path(), options);
            const auto paths = watched(tree, dir);
            // The directory under a mount is reached through the other place of what is above it.
            report.check(paths.size() >= 4 && paths.size() <= 6, "each inode is watched once");
            report.check(tree.coverage().unwatched.empty(), "nothing is missing");
            report.check(drain(tree).empty(), "nothing happens");
            test::touch(dir / "a/f");
            fs::create_directories(dir / "a/new/er");
            fs::create_directories(dir / "other/mount/b/from there");
            const auto lines = described(drain(tree), dir);
            report.check(lines.size() == 4, "each is reported once");
            for (int i = 0; i < 3; ++i)
                report.check(drain(tree).empty(), "and then no more");
            const auto later = watched(tree, dir);
            report.check(later.size() == paths.size() + 3, "the new ones are watched once");
            for (const auto& path : paths)
                report.check(std::ranges::count(later, path) == 1, "no path wanders: " + path);
            fs::remove(dir / "a/f");
            fs::remove_all(dir / "a/new");
            fs::remove(dir / "a/b/from there");
            report.check(drain(tree).size() == 4, "and their end is reported once");
        }
    });
}
