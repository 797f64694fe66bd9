// SPDX-License-Identifier: MIT
// InotifyTree: what appears is watched and reported once, what goes is gone, and its own
// reading is not reported.
#include "forwarding_kernel.hpp"
#include "tree_client.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <concepts>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

using namespace inotify;
using namespace std::chrono_literals;
using test::asking;
using test::Client;
using test::drain;
using test::drain_lines;
using test::Lines;
using test::names;
using test::readable;
using test::TempDir;
namespace fs = std::filesystem;

template <typename T>
concept CanAddWatch = requires(T& adapter) { adapter.add_watch("/tmp", IN::CREATE); };
template <typename T>
concept CanRemovePath = requires(T& adapter) { adapter.remove_watch(fs::path("/tmp")); };
template <typename T>
concept CanRemoveDescriptor = requires(T& adapter) { adapter.remove_watch(1); };

static_assert(CanAddWatch<Inotify> && CanRemovePath<Inotify> && CanRemoveDescriptor<Inotify>);
static_assert(!CanAddWatch<InotifyTree> && !CanRemovePath<InotifyTree> &&
              !CanRemoveDescriptor<InotifyTree>);
static_assert(std::derived_from<InotifyTree, Inotify>);
static_assert(!std::is_copy_constructible_v<InotifyTree>);
static_assert(std::is_nothrow_move_constructible_v<InotifyTree>);
static_assert(std::is_nothrow_move_assignable_v<InotifyTree>);
static_assert(!std::is_convertible_v<fs::path, InotifyTree>);

namespace {

constexpr Mask reading = IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE;

std::vector<bool> synthetic(const std::vector<Event>& events) {
    std::vector<bool> result(events.size());
    std::transform(events.begin(), events.end(), result.begin(), std::mem_fn(&Event::synthetic));
    return result;
}

std::vector<std::string> watched_paths(const InotifyTree& tree) {
    std::vector<std::string> paths;
    for (const auto& watch : tree.watches())
        paths.push_back(watch.path);
    std::ranges::sort(paths);
    return paths;
}

}  // namespace

TEST_CASE("what happens anywhere below the root is reported by its path") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree(dir.path(), asking(names));
    test::touch(dir / "f");
    test::touch(dir / "a/f");
    test::touch(dir / "a/b/f");
    fs::remove(dir / "a/f");
    const auto events = drain(tree);
    CHECK(test::lines(events, dir) ==
          Lines{"CREATE f", "CREATE a/f", "CREATE a/b/f", "DELETE a/f"});
    CHECK(std::ranges::none_of(events, &Event::synthetic));
    REQUIRE(events.size() == 4);
    CHECK(events[2].path == (dir / "a/b").native());
    CHECK(events[2].filename == "f");
}

TEST_CASE("what is there at the start is not reported") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    test::touch(dir / "a/f");
    InotifyTree tree(dir.path(), asking(IN::ALL_EVENTS));
    CHECK(drain(tree).empty());
    CHECK(watched_paths(tree) == Lines{dir.str(), dir / "a", dir / "a/b"});
}

TEST_CASE("directories made by mkdir -p are reported once, parents first") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(names));
    fs::create_directories(dir / "a/b/c");
    test::touch(dir / "a/b/c/f");
    const auto events = drain(tree);
    CHECK(test::lines(events, dir) ==
          Lines{"CREATE|ISDIR a", "CREATE|ISDIR a/b", "CREATE|ISDIR a/b/c", "CREATE a/b/c/f"});
    CHECK(synthetic(events) == std::vector<bool>{false, true, true, true});
    CHECK(drain(tree).empty());
    test::touch(dir / "a/b/c/g");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE a/b/c/g"});
}

TEST_CASE("a file that no watch saw made is reported by each of the events that are asked for") {
    for (const Mask mask : {IN::CREATE, IN::MODIFY, IN::CLOSE_WRITE, IN::CREATE | IN::CLOSE_WRITE,
                            IN::CREATE | IN::MODIFY | IN::CLOSE_WRITE, IN::DELETE}) {
        CAPTURE(to_string(mask));
        TempDir dir;
        InotifyTree tree(dir.path(), asking(mask));
        fs::create_directory(dir / "new");
        test::write_file(dir / "new/f");
        Lines expected{"CREATE|ISDIR new"};
        for (const Mask one : {IN::CREATE, IN::MODIFY, IN::CLOSE_WRITE})
            if (mask.contains(one))
                expected.push_back(to_string(one) + " new/f");
        CHECK(drain_lines(tree, dir) == expected);
        CHECK(drain(tree).empty());
    }
}

TEST_CASE("links and pipes in a new directory are reported as well") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(IN::CREATE | IN::CLOSE_WRITE));
    fs::create_directory(dir / "new");
    fs::create_symlink("nowhere", dir / "new/link");
    REQUIRE(::mkfifo((dir / "new/pipe").c_str(), 0600) == 0);
    const auto lines = drain_lines(tree, dir);
    CHECK(std::ranges::count(lines, "CREATE new/link") == 1);
    CHECK(std::ranges::count(lines, "CREATE new/pipe") == 1);
    CHECK(std::ranges::count(lines, "CLOSE_WRITE new/link") == 0);
}

TEST_CASE("what a look found is not reported again when the kernel's record of it comes") {
    TempDir dir;
    Client client(dir.path(), asking(names));
    fs::create_directory(dir / "a");
    fs::create_directory(dir / "a/before");
    auto first = client.tree.get(0ms);  // "a" is watched only now
    REQUIRE(first);
    CHECK(client.picture.apply(*first).empty());
    fs::create_directories(dir / "a/after/deep");
    test::touch(dir / "a/after/f");
    for (const char* name : {"a/after/f", "a/before/g", "a/after/deep/h"})
        test::touch(dir / name);
    client.check();
}

TEST_CASE("a copied tree is reported once, whenever the client reads") {
    TempDir dir, source;
    for (const char* name : {"a/b", "a/c/d", "e"}) {
        fs::create_directories(source / name);
        test::write_file(source / name / "f");
    }
    Client client(dir.path(), asking(IN::ALL_EVENTS));
    fs::copy(source.path(), dir / "at-once", fs::copy_options::recursive);
    client.check();
    for (const auto& entry : fs::recursive_directory_iterator(source.path())) {
        const auto target = dir / "step" / fs::relative(entry.path(), source.path());
        fs::create_directories(entry.is_directory() ? target : target.parent_path());
        if (!entry.is_directory())
            fs::copy_file(entry.path(), target);
        const auto next = client.tree.get(0ms);  // between two cycles
        REQUIRE(next);
        CHECK(client.picture.apply(*next) == "");
    }
    client.check();
}

TEST_CASE("a populated directory that is moved in is reported with all that is in it") {
    TempDir dir, outside;
    fs::create_directories(outside / "in/x/y");
    test::touch(outside / "in/f");
    test::touch(outside / "in/x/y/g");
    Client client(dir.path(), asking(names));
    fs::rename(outside / "in", dir / "in");
    const auto events = client.cycle();
    REQUIRE(events.size() == 5);
    CHECK(events[0].mask == (IN::MOVED_TO | IN::ISDIR));
    CHECK(events[0].moved_from == "");
    CHECK(synthetic(events) == std::vector<bool>{false, true, true, true, true});
    client.check();
}

// Who opens a FIFO that was written, to read it, waits for a writer.
TEST_CASE("of what is no regular file only the creation is made up") {
    TempDir dir, outside;
    fs::create_directory(outside / "in");
    Lines expected;
    const auto make = [&](const char* name, mode_t type, dev_t device = 0) {
        if (::mknod((outside / "in" / name).c_str(), type | 0600, device) == 0)
            expected.push_back(std::string("CREATE in/") + name);
    };
    make("fifo", S_IFIFO);
    make("socket", S_IFSOCK);
    REQUIRE(expected.size() == 2);
    make("device", S_IFCHR, makedev(1, 3));  // only root may
    test::touch(outside / "in/file");
    for (const char* mask : {"CREATE", "MODIFY", "CLOSE_WRITE"})
        expected.push_back(std::string(mask) + " in/file");
    fs::create_symlink("file", outside / "in/link");
    expected.emplace_back("CREATE in/link");
    expected.emplace_back("MOVED_TO|ISDIR in");
    Client client(dir.path(), asking(names | IN::MODIFY | IN::CLOSE_WRITE));
    fs::rename(outside / "in", dir / "in");
    Lines lines = test::lines(client.cycle(), dir);
    std::ranges::sort(lines);
    std::ranges::sort(expected);
    CHECK(lines == expected);
    client.check();
}

TEST_CASE("a directory that is moved out is not watched any more, nor anything below it") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/b/c");
    Client client(dir.path(), asking(IN::ALL_EVENTS));
    fs::rename(dir / "a", outside / "a");
    test::touch(outside / "a/b/c/f");  // queued while it still had its watch
    CHECK(test::lines(client.cycle(), dir) == Lines{"MOVED_FROM|ISDIR a"});
    CHECK(watched_paths(client.tree) == Lines{dir.str()});
    test::touch(outside / "a/b/g");
    fs::create_directory(outside / "a/d");
    CHECK(client.cycle().empty());
    client.check();
}

TEST_CASE("the name of a directory that was moved out can come again at once") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/b");
    test::touch(dir / "a/old");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "a", outside / "a");
    fs::create_directories(dir / "a/c");
    test::touch(dir / "a/new");
    test::touch(outside / "a/b/unheard");
    auto lines = test::lines(client.cycle(), dir);
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == "MOVED_FROM|ISDIR a");
    CHECK(lines[1] == "CREATE|ISDIR a");
    client.check();
}

TEST_CASE("one directory moved out and another one moved in is no rename") {
    TempDir dir, outside;
    fs::create_directories(dir / "leaves/x");
    fs::create_directories(outside / "comes/y");
    Client client(dir.path(), asking(names));
    fs::rename(dir / "leaves", outside / "left");
    fs::rename(outside / "comes", dir / "came");
    const auto events = client.cycle();
    CHECK(test::lines(events, dir) ==
          Lines{"MOVED_FROM|ISDIR leaves", "MOVED_TO|ISDIR came", "CREATE|ISDIR came/y"});
    REQUIRE(events.size() == 3);
    CHECK(events[0].cookie != events[1].cookie);
    client.check();
}

TEST_CASE("a directory that is deleted and made again is watched again, however often") {
    TempDir dir;
    Client client(dir.path(), asking(names));
    for (int i = 0; i < 300; ++i) {
        fs::create_directories(dir / "a/b");
        test::touch(dir / "a/b/f");
        if (i % 3 == 0)
            client.cycle();
        fs::remove_all(dir / "a");
        if (i % 7 == 0)
            client.cycle();
    }
    fs::create_directories(dir / "a/b");
    client.check();
}

TEST_CASE("a directory that is deleted while one has it open can be made again") {
    TempDir dir;
    fs::create_directory(dir / "a");
    Client client(dir.path(), asking(names));
    {
        const test::OpenFile held(dir / "a", O_RDONLY | O_DIRECTORY);
        fs::remove(dir / "a");
        fs::create_directory(dir / "a");
        client.check();
    }  // only now the kernel queues DELETE_SELF and IGNORED of the first one
    client.check();
}

TEST_CASE("all of a tree that is deleted is reported, and nothing stays watched") {
    TempDir dir;
    for (const char* name : {"a/b/c", "a/d", "e"})
        fs::create_directories(dir / name);
    test::touch(dir / "a/b/f");
    Client client(dir.path(), asking(names));
    fs::remove_all(dir / "a");
    auto lines = test::lines(client.cycle(), dir);
    std::ranges::sort(lines);
    CHECK(lines == Lines{"DELETE a/b/f", "DELETE|ISDIR a", "DELETE|ISDIR a/b", "DELETE|ISDIR a/b/c",
                         "DELETE|ISDIR a/d"});
    CHECK(watched_paths(client.tree) == Lines{dir.str(), dir / "e"});
}

TEST_CASE("a directory whose name turns into a file's and back") {
    TempDir dir;
    fs::create_directory(dir / "a");
    Client client(dir.path(), asking(names));
    fs::remove(dir / "a");
    test::touch(dir / "a");
    fs::remove(dir / "a");
    fs::create_directory(dir / "a");
    test::touch(dir / "a/f");
    client.check();
    fs::remove_all(dir / "a");
    test::touch(dir / "a");
    client.check();
}

TEST_CASE("an editor's atomic save is reported as a new file that moves onto the old one") {
    TempDir dir;
    fs::create_directory(dir / "a");
    test::write_file(dir / "a/text");
    InotifyTree tree(dir.path(), asking(names | IN::CLOSE_WRITE));
    test::write_file(dir / "a/.text.swp");
    fs::rename(dir / "a/.text.swp", dir / "a/text");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE a/.text.swp", "CLOSE_WRITE a/.text.swp",
                                          "MOVED_FROM a/.text.swp",
                                          "MOVED_TO a/text < a/.text.swp"});
}

TEST_CASE(
    "events about a directory itself are reported once, by its parent, but for its end and move") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir.path(), asking(IN::ALL_EVENTS));
    fs::permissions(dir / "a", fs::perms::owner_all);
    CHECK(drain_lines(tree, dir) == Lines{"ATTRIB|ISDIR a"});
    fs::rename(dir / "a", dir / "b");
    CHECK(drain_lines(tree, dir) ==
          Lines{"MOVED_FROM|ISDIR a", "MOVED_TO|ISDIR b < a", "MOVE_SELF b"});
    fs::remove(dir / "b");
    CHECK(drain_lines(tree, dir) == Lines{"DELETE_SELF b", "IGNORED b", "DELETE|ISDIR b"});
    fs::permissions(dir.path(), fs::perms::owner_all);
    CHECK(drain_lines(tree, dir) == Lines{"ATTRIB|ISDIR ."});
}

TEST_CASE("it does not hear itself at the start nor in new directories") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/b");
    test::touch(dir / "a/f");
    fs::create_directories(outside / "in/x");
    for (const bool track_files : {false, true})
        for (const bool follow_symlinks : {false, true}) {
            CAPTURE(track_files);
            CAPTURE(follow_symlinks);
            TreeOptions options = asking(IN::ALL_EVENTS);
            options.track_files = track_files;
            options.follow_symlinks = follow_symlinks;
            InotifyTree tree(dir.path(), options);
            CHECK(drain(tree).empty());
            fs::create_directories(dir / "new/x/y");
            fs::rename(outside / "in", dir / "in");
            for (const Event& event : drain(tree))
                CHECK_MESSAGE(!(event.is_dir() && event.mask.intersects(reading)), event);
            CHECK(drain(tree).empty());
            fs::rename(dir / "in", outside / "in");
            fs::remove_all(dir / "new");
        }
}

TEST_CASE("it hears another one's reading of a directory") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir.path(), asking(reading));
    {
        const test::OpenFile other(dir / "a", O_RDONLY | O_DIRECTORY);
    }
    CHECK(drain_lines(tree, dir) == Lines{"OPEN|ISDIR a", "CLOSE_NOWRITE|ISDIR a"});
}

TEST_CASE("names of any bytes and of 255 of them are reported as they are") {
    TempDir dir;
    Client client(dir.path(), asking(names));
    const std::string longest(255, 'n');
    for (const std::string& name :
         {longest, std::string("new\nline"), std::string("\xff\xfe not UTF-8 \x80"),
          std::string(" "), std::string("\\"), std::string("..."), std::string("\x01")}) {
        fs::create_directories(dir / name / name);
        test::touch(dir / name / name / name);
    }
    client.check();
    fs::rename(dir / longest, dir / std::string(255, 'm'));
    fs::rename(dir / "new\nline", dir / "\xff");
    client.check();
}

TEST_CASE("coverage and watches say what is watched") {
    TempDir dir;
    fs::create_directories(dir / "a/b");
    InotifyTree tree(dir.path(), asking(names));
    CHECK(tree.coverage().watched == 3);
    CHECK(tree.coverage().unwatched.empty());
    const auto watches = tree.watches();
    REQUIRE(watches.size() == 3);
    CHECK(std::ranges::is_sorted(watches, {}, &Watch::wd));
    for (const Watch& watch : watches)
        CHECK(watch.mask == names);
    fs::create_directories(dir / "c/d");
    drain(tree);
    CHECK(tree.coverage().watched == 5);
    fs::remove_all(dir / "a");
    drain(tree);
    CHECK(watched_paths(tree) == Lines{dir.str(), dir / "c", dir / "c/d"});
}

TEST_CASE("an event's descriptor is the one of the watch of its directory") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir.path(), asking(names));
    test::touch(dir / "a/f");
    const auto events = drain(tree);
    REQUIRE(events.size() == 1);
    for (const Watch& watch : tree.watches())
        CHECK((watch.wd == events[0].wd) == (watch.path == events[0].path));
}

TEST_CASE("through an Inotify& the watches of a tree cannot be changed") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(names));
    Inotify& plain = tree;
    CHECK_THROWS_AS(plain.add_watch(dir.path()), std::logic_error);
    CHECK_THROWS_AS(plain.remove_watch(dir.path()), std::logic_error);
    CHECK_THROWS_AS(plain.remove_watch(1), std::logic_error);
    test::touch(dir / "f");
    CHECK(drain_lines(plain, dir) == Lines{"CREATE f"});
}

TEST_CASE("a tree that is moved keeps its ranges and iterators") {
    TempDir dir;
    InotifyTree first(dir.path(), asking(names));
    test::touch(dir / "a");
    test::touch(dir / "b");
    auto range = first.event_gen();
    auto at = range.begin();
    REQUIRE(*at);
    CHECK((*at)->filename == "a");
    InotifyTree second(std::move(first));
    CHECK((*at)->filename == "a");
    ++at;
    REQUIRE(*at);
    CHECK((*at)->filename == "b");
    ++at;
    CHECK_FALSE(*at);
    InotifyTree third(TempDir().path(), asking(names));
    third = std::move(second);
    fs::create_directories(dir / "c/d");
    CHECK(drain_lines(third, dir) == Lines{"CREATE|ISDIR c", "CREATE|ISDIR c/d"});
    CHECK(third.coverage().watched == 3);
}

TEST_CASE("a loop over a tree that is left goes on where it was") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(names));
    fs::create_directories(dir / "a/b/c/d");
    Lines seen;
    while (seen.size() < 4) {
        for (auto& event : tree.event_gen({.yield_empty = false})) {
            REQUIRE(event);
            seen.push_back(event->full_path().native());
            break;
        }
    }
    CHECK(seen == Lines{dir / "a", dir / "a/b", dir / "a/b/c", dir / "a/b/c/d"});
    CHECK(drain(tree).empty());
}

TEST_CASE("another event loop is woken for what there is to read") {
    TempDir dir;
    fs::create_directory(dir / "a");
    InotifyTree tree(dir.path(), asking(names));
    drain(tree);
    CHECK_FALSE(readable(tree));
    fs::create_directories(dir / "b/c");
    CHECK(readable(tree));
    CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR b", "CREATE|ISDIR b/c"});
    CHECK_FALSE(readable(tree));
    TreeOptions options = asking(names);
    options.report_existing = true;
    InotifyTree reporting(dir.path(), options);
    CHECK(readable(reporting));
    CHECK(drain(reporting).size() == 3);
    CHECK(drain(reporting).empty());
    CHECK_FALSE(readable(reporting));
}

TEST_CASE("another event loop is woken for what happened while a root was added") {
    class TouchingKernel final : public test::ForwardingKernel {
    public:
        explicit TouchingKernel(fs::path path)
            : ForwardingKernel(inotify::detail::make_linux_kernel()), path_(std::move(path)) {}

        int list(int directory, std::vector<inotify::detail::DirectoryEntry>& entries) override {
            test::touch(path_);
            return ForwardingKernel::list(directory, entries);
        }

    private:
        fs::path path_;
    };
    TempDir live, added;
    test::KernelTree tree(std::make_unique<TouchingKernel>(live / "f"), asking(IN::CREATE));
    tree.add_tree(live.path());
    drain(tree);
    fs::remove(live / "f");
    tree.add_tree(added.path());
    CHECK(readable(tree));
    CHECK(drain_lines(tree, live) == Lines{"CREATE f"});
}

TEST_CASE("stop ends a tree's range and loses nothing") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(names));
    fs::create_directories(dir / "a/b/c");
    Lines seen;
    for (auto& event : tree.event_gen({.yield_empty = false})) {
        seen.push_back(event->filename);
        if (seen.size() == 2)
            tree.stop();
    }
    CHECK(seen == Lines{"a", "b"});
    CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR a/b/c"});
}

TEST_CASE("no directory stays open, whatever was read") {
    TempDir dir, outside;
    fs::create_directories(dir / "a/b");
    fs::create_directories(outside / "in/x");
    const auto before = test::open_descriptors();
    {
        Client client(dir.path(), asking(IN::ALL_EVENTS));
        const auto with_tree = test::open_descriptors();
        CHECK(with_tree.size() == before.size() + 3);  // inotify, eventfd, epoll
        for (const int fd : with_tree)
            if (!before.contains(fd))
                CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        fs::rename(outside / "in", dir / "in");
        fs::create_directories(dir / "new/x/y");
        fs::rename(dir / "a", outside / "a");
        fs::remove_all(dir / "new/x");
        client.check();
        CHECK(test::open_descriptors() == with_tree);
    }
    CHECK(test::open_descriptors() == before);
}
