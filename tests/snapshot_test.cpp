// SPDX-License-Identifier: MIT
// Snapshots of trees on the real kernel: what changed while nobody looked.
#include "forwarding_kernel.hpp"
#include "support.hpp"
#include "tree_client.hpp"

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/snapshot_changes.hpp>
#include <inotify/detail/snapshot_data.hpp>
#include <inotify/inotify_tree.hpp>
#include <inotify/snapshot.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fs = std::filesystem;
namespace IN = inotify::IN;
using inotify::InotifyTree;
using inotify::Snapshot;
using inotify::TreeOptions;
using inotify::detail::EntryId;
using inotify::detail::SnapshotData;
using inotify::detail::SnapshotEntry;
using test::Lines;

namespace {

constexpr inotify::Mask changes = test::names | IN::MODIFY | IN::CLOSE_WRITE;

TreeOptions since(std::optional<Snapshot> snapshot, inotify::Mask mask = changes) {
    TreeOptions options = test::asking(mask, true);
    options.since = std::move(snapshot);
    return options;
}

// Until what was made up to now is too old to be changed without a trace. The clock is that of
// files, which has to go on; no event is waited for.
void age() {
    const auto now = [] {
        timespec time{};
        ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
        return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
    };
    for (const auto begun = now(); now() < begun + 100'000'000;)
        ::usleep(10'000);
}

Snapshot snapshot_of(const fs::path& root) {
    InotifyTree tree(root, since({}));
    test::drain(tree);
    return tree.snapshot();
}

Lines changed_since(const Snapshot& snapshot, const test::TempDir& directory,
                    inotify::Mask mask = changes) {
    InotifyTree tree(directory.path(), since(snapshot, mask));
    return test::drain_lines(tree, directory);
}

}  // namespace

TEST_CASE("what changed while nobody looked is reported once") {
    const test::TempDir directory;
    for (const char* name : {"gone", "stays", "moves", "from"})
        fs::create_directory(directory / name);
    for (const char* name : {"gone/f", "stays/same", "stays/written", "stays/replaced", "moves/f",
                             "from/file", "unlinked"})
        test::write_file(directory / name, "text");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    CHECK(snapshot.size() == 11);

    fs::remove_all(directory / "gone");
    test::write_file(directory / "stays/written", "TEXT");
    test::write_file(directory / "new");
    fs::rename(directory / "new", directory / "stays/replaced");
    fs::rename(directory / "moves", directory / "stays/moved");
    fs::rename(directory / "from/file", directory / "file");
    fs::remove(directory / "unlinked");
    fs::create_directories(directory / "deep/er");
    test::write_file(directory / "deep/er/f");
    const Lines expected = {
        "DELETE unlinked",       "DELETE stays/replaced",     "MOVED_FROM|ISDIR moves",
        "DELETE|ISDIR gone",     "MOVED_FROM from/file",      "CREATE|ISDIR deep",
        "CREATE|ISDIR deep/er",  "CREATE deep/er/f",          "MODIFY deep/er/f",
        "CLOSE_WRITE deep/er/f", "MOVED_TO file < from/file", "MOVED_TO|ISDIR stays/moved < moves",
        "CREATE stays/replaced", "MODIFY stays/replaced",     "CLOSE_WRITE stays/replaced",
        "MODIFY stays/written",  "CLOSE_WRITE stays/written",
    };
    CHECK(changed_since(snapshot, directory) == expected);
}

TEST_CASE("nothing is reported when nothing has changed, and what comes then is") {
    const test::TempDir directory;
    fs::create_directories(directory / "a/b");
    test::write_file(directory / "a/b/f");
    fs::create_symlink("a", directory / "link");
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    InotifyTree tree(directory.path(), since(snapshot));
    CHECK(test::drain_lines(tree, directory) == Lines{});
    test::touch(directory / "a/b/g");
    CHECK(test::drain_lines(tree, directory) == Lines{"CREATE a/b/g", "CLOSE_WRITE a/b/g"});
}

TEST_CASE("two directories, and two files, that changed places come as moves") {
    const test::TempDir directory;
    fs::create_directories(directory / "a/x");
    fs::create_directories(directory / "b/y");
    test::write_file(directory / "f", "f");
    test::write_file(directory / "g", "gg");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    const auto swap = [&](const char* one, const char* other) {
        REQUIRE(::renameat2(AT_FDCWD, (directory / one).c_str(), AT_FDCWD,
                            (directory / other).c_str(), RENAME_EXCHANGE) == 0);
    };
    swap("a", "b");
    swap("f", "g");
    CHECK(changed_since(snapshot, directory) ==
          Lines{"MOVED_FROM g", "MOVED_FROM f", "MOVED_FROM|ISDIR b", "MOVED_FROM|ISDIR a",
                "MOVED_TO|ISDIR a < b", "MOVED_TO|ISDIR b < a", "MOVED_TO f < g",
                "MOVED_TO g < f"});
}

TEST_CASE("a directory that moved below one that was in it comes as a move") {
    const test::TempDir directory;
    fs::create_directories(directory / "a/b/c");
    const Snapshot snapshot = snapshot_of(directory.path());
    fs::rename(directory / "a/b", directory / "b");
    fs::rename(directory / "a", directory / "b/a");
    CHECK(changed_since(snapshot, directory) == Lines{"MOVED_FROM|ISDIR a/b", "MOVED_FROM|ISDIR a",
                                                      "MOVED_TO|ISDIR b < a/b",
                                                      "MOVED_TO|ISDIR b/a < a"});
}

TEST_CASE("what a removed directory held, and was moved out of it, has moved") {
    const test::TempDir directory;
    fs::create_directories(directory / "a/b");
    const Snapshot snapshot = snapshot_of(directory.path());
    fs::rename(directory / "a/b", directory / "b");
    fs::remove(directory / "a");
    CHECK(changed_since(snapshot, directory) ==
          Lines{"MOVED_FROM|ISDIR a/b", "DELETE|ISDIR a", "MOVED_TO|ISDIR b < a/b"});
}

TEST_CASE("a new hard link is a new file, and the former one has not moved") {
    const test::TempDir directory;
    test::write_file(directory / "f");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    fs::create_hard_link(directory / "f", directory / "a link");
    const Lines lines = changed_since(snapshot, directory, test::names);
    CHECK(lines == Lines{"CREATE a link"});
}

TEST_CASE("a hard link that comes before the former one in the order of paths is a new file, too") {
    const test::TempDir directory;
    fs::create_directory(directory / "stays");
    fs::create_directory(directory / "moves");
    test::write_file(directory / "stays/f");
    test::write_file(directory / "moves/f");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    fs::create_hard_link(directory / "stays/f", directory / "a");
    fs::create_hard_link(directory / "moves/f", directory / "b");
    fs::rename(directory / "moves", directory / "moved");
    CHECK(changed_since(snapshot, directory, test::names) ==
          Lines{"MOVED_FROM|ISDIR moves", "CREATE a", "CREATE b", "MOVED_TO|ISDIR moved < moves"});
}

TEST_CASE("a file that nobody can see has not moved, however deep it lies") {
    SnapshotData before;
    const auto add_file = [](SnapshotData& data, EntryId directory) {
        SnapshotEntry& file = data[data.append(directory, "f", inotify::detail::FileType::regular)];
        file.inode = 5;
        file.has_contents = true;
    };
    constexpr auto directory = inotify::detail::FileType::directory;
    EntryId parent = before.add_root("root");
    for (const std::uint64_t inode : {2U, 3U}) {
        parent = before.append(parent, "d", directory);
        before[parent].inode = inode;
    }
    add_file(before, parent);
    SnapshotData now;
    const EntryId unlisted = now.append(now.add_root("root"), "d", directory);
    now[unlisted].inode = 2;
    now[unlisted].is_unlisted = true;
    add_file(now, now.roots[0]);  // a hard link
    const auto differences = compare_snapshots(
        before, now, [](inotify::Mask mask) { return test::names.contains(mask); });
    REQUIRE(differences.events.size() == 1);
    CHECK(differences.events[0].mask == IN::CREATE);
    CHECK(differences.is_left == std::vector{false, false, true, true});
}

TEST_CASE("contents whose size and mtime are the same are known by their ctime") {
    const test::TempDir directory;
    test::write_file(directory / "f", "text");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    const auto time = fs::last_write_time(directory / "f");
    test::write_file(directory / "f", "TEXT");
    fs::last_write_time(directory / "f", time);
    CHECK(changed_since(snapshot, directory) == Lines{"MODIFY f", "CLOSE_WRITE f"});
}

TEST_CASE("a file without an inode number is not known, and its snapshot can be read") {
    class NumberlessKernel final : public test::ForwardingKernel {
    public:
        NumberlessKernel() : ForwardingKernel(inotify::detail::make_linux_kernel()) {}
        int stat(int directory, const std::string& name, bool follow_symlink,
                 inotify::detail::Stat& stat) override {
            const int result = ForwardingKernel::stat(directory, name, follow_symlink, stat);
            stat.inode = 0;
            return result;
        }
    };
    const test::TempDir directory;
    test::write_file(directory / "f");
    age();
    test::KernelTree tree(std::make_unique<NumberlessKernel>(), since({}));
    tree.add_tree(directory.path());
    const test::TempDir elsewhere;
    tree.snapshot().save(elsewhere / "s");
    CHECK(changed_since(Snapshot::load(elsewhere / "s"), directory, test::names) ==
          Lines{"DELETE f", "CREATE f"});
}

TEST_CASE("a file that is too young for its time to tell is reported again") {
    const test::TempDir directory;
    test::write_file(directory / "f");
    const Snapshot snapshot = snapshot_of(directory.path());
    CHECK(changed_since(snapshot, directory) == Lines{"MODIFY f", "CLOSE_WRITE f"});
}

TEST_CASE("a large file of a late date is compared, too") {
    const test::TempDir directory;
    const auto path = directory / "f";
    test::touch(path);
    constexpr off_t large = 5'000'000'000;
    const timespec late[] = {{2'500'000'000, 1}, {2'500'000'000, 1}};  // in 2049
    REQUIRE(::truncate(path.c_str(), large) == 0);
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), late, 0) == 0);
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    CHECK(changed_since(snapshot, directory) == Lines{});
    REQUIRE(::truncate(path.c_str(), large + 1) == 0);
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), late, 0) == 0);
    CHECK(changed_since(snapshot, directory) == Lines{"MODIFY f", "CLOSE_WRITE f"});
}

TEST_CASE("contents are reported as the mask asks") {
    const test::TempDir directory;
    test::write_file(directory / "f");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    test::write_file(directory / "f", "other");
    CHECK(changed_since(snapshot, directory, IN::CLOSE_WRITE) == Lines{"CLOSE_WRITE f"});
    CHECK(changed_since(snapshot, directory, IN::ATTRIB) == Lines{"ATTRIB f"});
    CHECK(changed_since(snapshot, directory, IN::MODIFY) == Lines{"MODIFY f"});
    CHECK(changed_since(snapshot, directory, IN::OPEN) == Lines{});
}

TEST_CASE("what was written is reported though its directory moves before it can be compared") {
    const test::TempDir directory;
    fs::create_directory(directory / "d");
    test::write_file(directory / "d/f");
    age();
    const Snapshot snapshot = snapshot_of(directory.path());
    test::write_file(directory / "d/f", "text");
    InotifyTree tree(directory.path(), since(snapshot, IN::CLOSE_WRITE));
    fs::rename(directory / "d", directory / "e");
    CHECK(test::drain_lines(tree, directory) == Lines{"DELETE|ISDIR d", "CREATE|ISDIR d",
                                                      "CLOSE_WRITE d/f", "MOVED_FROM|ISDIR d",
                                                      "MOVED_TO|ISDIR e < d"});
}

TEST_CASE("to an empty snapshot, and for a new root, everything is new") {
    const test::TempDir one;
    const test::TempDir other;
    fs::create_directory(one / "d");
    fs::create_directory(other / "d");
    CHECK(changed_since(Snapshot(), one) == Lines{"CREATE|ISDIR d"});
    const Snapshot snapshot = snapshot_of(one.path());
    InotifyTree tree({one.path(), other.path()}, since(snapshot));
    CHECK(test::drain_lines(tree, other) == Lines{"CREATE|ISDIR d"});
}

TEST_CASE("what moved from one root to another has moved") {
    const test::TempDir directory;
    fs::create_directories(directory / "one/d");
    fs::create_directory(directory / "other");
    const auto roots = {directory / "one", directory / "other"};
    std::optional<Snapshot> snapshot;
    {
        InotifyTree tree(roots, since({}));
        snapshot = tree.snapshot();
    }
    fs::rename(directory / "one/d", directory / "other/d");
    InotifyTree tree(roots, since(snapshot));
    CHECK(test::drain_lines(tree, directory) ==
          Lines{"MOVED_FROM|ISDIR one/d", "MOVED_TO|ISDIR other/d < one/d"});
}

TEST_CASE("a root is a name: another directory there is compared with the former one") {
    const test::TempDir directory;
    fs::create_directories(directory / "root/a");
    fs::create_directories(directory / "root/b");
    const Snapshot snapshot = snapshot_of(directory / "root");
    fs::rename(directory / "root", directory / "old");
    fs::create_directories(directory / "root/b");
    fs::create_directories(directory / "root/c");
    InotifyTree tree(directory / "root", since(snapshot));
    CHECK(test::drain_lines(tree, directory) == Lines{"DELETE|ISDIR root/b", "DELETE|ISDIR root/a",
                                                      "CREATE|ISDIR root/b",
                                                      "CREATE|ISDIR root/c"});
}

TEST_CASE("a snapshot within a cycle is of what was yielded") {
    const test::TempDir directory;
    fs::create_directories(directory / "d/x");
    fs::create_directory(directory / "a");
    test::write_file(directory / "f");
    age();
    InotifyTree tree(directory.path(), since({}));
    fs::create_directory(directory / "b");
    fs::rename(directory / "d", directory / "a/d");
    fs::remove(directory / "f");
    std::vector<inotify::Event> yielded;
    std::vector<Snapshot> snapshots{tree.snapshot()};
    for (const auto& event : tree.event_gen()) {
        if (!event)
            break;
        yielded.push_back(*event);
        snapshots.push_back(tree.snapshot());
    }
    CHECK(test::lines(yielded, directory) ==
          Lines{"CREATE|ISDIR b", "MOVED_FROM|ISDIR d", "MOVED_TO|ISDIR a/d < d", "DELETE f"});
    std::vector<std::size_t> sizes;
    for (const Snapshot& snapshot : snapshots)
        sizes.push_back(snapshot.size());
    CHECK(sizes == std::vector<std::size_t>{4, 5, 3, 5, 4});
    CHECK(changed_since(snapshots[0], directory) == Lines{"DELETE f", "DELETE|ISDIR d",
                                                          "CREATE|ISDIR a/d", "CREATE|ISDIR a/d/x",
                                                          "CREATE|ISDIR b"});
    CHECK(changed_since(snapshots[3], directory) == Lines{"DELETE f"});
    CHECK(changed_since(snapshots[4], directory) == Lines{});
}

TEST_CASE("an event that was peeked at has not been yielded") {
    const test::TempDir directory;
    InotifyTree tree(directory.path(), since({}));
    fs::create_directory(directory / "d");
    auto events = tree.event_gen();
    const auto it = events.begin();
    REQUIRE(it != events.end());
    CHECK(tree.snapshot().empty());
    CHECK((*it)->filename == "d");
    CHECK(tree.snapshot().size() == 1);
}

TEST_CASE("what is pending of a root that lies too deep in another one has not been yielded") {
    const test::TempDir directory;
    fs::create_directories(directory / "a/b");
    test::write_file(directory / "a/b/written");
    age();
    const auto tree_since = [&](std::optional<Snapshot> snapshot) {
        TreeOptions options = since(std::move(snapshot));
        options.max_depth = 0;
        return InotifyTree({directory / "a", directory / "a/b"}, options);
    };
    const Snapshot snapshot = tree_since({}).snapshot();
    test::write_file(directory / "a/b/new");
    test::write_file(directory / "a/b/written", "text");
    age();
    const Snapshot unyielded = tree_since(snapshot).snapshot();
    InotifyTree tree = tree_since(unyielded);
    CHECK(test::drain_lines(tree, directory) == Lines{"CREATE a/b/new", "MODIFY a/b/new",
                                                      "CLOSE_WRITE a/b/new", "MODIFY a/b/written",
                                                      "CLOSE_WRITE a/b/written"});
}

TEST_CASE("a root whose end was not yielded is reported to have ended") {
    const test::TempDir directory;
    fs::create_directories(directory / "root/d");
    Snapshot before_the_end;
    {
        InotifyTree tree(directory / "root", since({}));
        fs::remove_all(directory / "root");
        auto events = tree.event_gen();
        for (auto it = events.begin(); it != events.end(); ++it) {  // the event is peeked at only
            if (Snapshot now = tree.snapshot(); !now.data().roots.empty())
                before_the_end = std::move(now);
            if (!*it)
                break;
        }
    }
    REQUIRE(before_the_end.data().roots.size() == 1);
    fs::create_directories(directory / "root/e");
    InotifyTree tree(directory / "root", since(before_the_end));
    CHECK(test::drain_lines(tree, directory) == Lines{"DELETE_SELF root", "CREATE|ISDIR root/e"});
}

TEST_CASE("a followed root that leads nowhere now has ended, and comes with what is in it") {
    const test::TempDir directory;
    fs::create_directories(directory / "root/d");
    TreeOptions options = since({});
    options.follow_roots = true;
    options.since = InotifyTree(directory / "root", options).snapshot();
    CHECK(options.since->size() == 1);
    fs::rename(directory / "root", directory / "elsewhere");
    InotifyTree tree(directory / "root", options);
    CHECK(test::drain_lines(tree, directory) == Lines{"DELETE_SELF root", "IGNORED root"});
    CHECK(tree.snapshot().data().roots.empty());
    fs::create_directories(directory / "root/e");
    CHECK(test::drain_lines(tree, directory) == Lines{"CREATE|ISDIR root", "CREATE|ISDIR root/e"});
}

TEST_CASE("a followed root that is replaced before the first event ends and comes") {
    const test::TempDir directory;
    fs::create_directories(directory / "root/d");
    TreeOptions options = since({});
    options.follow_roots = true;
    options.since = InotifyTree(directory / "root", options).snapshot();
    InotifyTree tree(directory / "root", options);
    fs::rename(directory / "root", directory / "elsewhere");
    fs::create_directories(directory / "root/e");
    // Where the root went cannot be looked up, so what it has is unknown.
    CHECK(test::drain_lines(tree, directory) == Lines{"DELETE|ISDIR root/d", "CREATE|ISDIR root/d",
                                                      "MOVE_SELF root", "IGNORED root",
                                                      "CREATE|ISDIR root", "CREATE|ISDIR root/e"});
}

TEST_CASE("a followed root whose coming was not yielded is not in a snapshot") {
    const test::TempDir directory;
    fs::create_directories(directory / "root/d");
    TreeOptions options = since({});
    options.follow_roots = true;
    InotifyTree tree(directory / "root", options);
    fs::rename(directory / "root", directory / "elsewhere");
    fs::create_directories(directory / "root/e");
    std::vector<std::size_t> roots;
    auto events = tree.event_gen();
    for (auto it = events.begin(); it != events.end(); ++it) {
        roots.push_back(tree.snapshot().data().roots.size());  // the event is peeked at only
        if (!*it)
            break;
    }
    // Before MOVE_SELF and IGNORED of the former one, CREATE of the new one, what is in it, and the
    // empty value.
    CHECK(roots == std::vector<std::size_t>{1, 1, 0, 1, 1});
}

TEST_CASE("what lies behind followed links is compared, too") {
    const test::TempDir directory;
    for (const char* name : {"root/real/d", "outside/e"})
        fs::create_directories(directory / name);
    test::write_file(directory / "outside/f", "text");
    fs::create_directory_symlink(directory / "outside", directory / "root/link");
    TreeOptions options = since({});
    options.follow_symlinks = true;
    age();
    {
        InotifyTree tree(directory / "root", options);
        test::drain(tree);
        options.since = tree.snapshot();
    }
    {
        InotifyTree tree(directory / "root", options);
        CHECK(test::drain_lines(tree, directory) == Lines{});
    }
    fs::create_directory(directory / "outside/g");  // first: it would get the inode of e on ext4
    fs::remove(directory / "outside/e");
    test::write_file(directory / "outside/f", "TEXT");
    SUBCASE("the link stays") {
        InotifyTree tree(directory / "root", options);
        CHECK(test::drain_lines(tree, directory) ==
              Lines{"DELETE|ISDIR root/link/e", "MODIFY root/link/f", "CLOSE_WRITE root/link/f",
                    "CREATE|ISDIR root/link/g"});
    }
    SUBCASE("the link is gone") {
        fs::remove(directory / "root/link");
        InotifyTree tree(directory / "root", options);
        CHECK(test::drain_lines(tree, directory) ==
              Lines{"DELETE root/link"});  // as in the stream: it carries what is below
    }
}

TEST_CASE("taking a snapshot is not heard, whatever the mask asks for") {
    const test::TempDir directory;
    fs::create_directories(directory / "a/b");
    InotifyTree tree(directory.path(), since({}, IN::ALL_EVENTS));
    CHECK(tree.snapshot().size() == 2);
    CHECK(test::drain_lines(tree, directory) == Lines{});
    InotifyTree later(directory.path(), since(tree.snapshot(), IN::ALL_EVENTS));
    CHECK(test::drain_lines(later, directory) == Lines{});
    CHECK(later.watches().size() == 3);
}

TEST_CASE("another event loop is woken by what changed since") {
    const test::TempDir directory;
    const Snapshot snapshot = snapshot_of(directory.path());
    fs::create_directory(directory / "d");
    InotifyTree tree(directory.path(), since(snapshot));
    CHECK(test::readable(tree));
    CHECK(test::drain_lines(tree, directory) == Lines{"CREATE|ISDIR d"});
}

TEST_CASE("snapshots need track_files, and since goes without report_existing") {
    const test::TempDir directory;
    InotifyTree tree(directory.path(), test::asking(changes));
    CHECK(test::error_of([&] { (void)tree.snapshot(); }).code() == std::errc::invalid_argument);
    TreeOptions options = test::asking(changes);
    options.since = Snapshot();
    CHECK(test::error_of([&] { InotifyTree(directory.path(), options); }).code() ==
          std::errc::invalid_argument);
    options.track_files = options.report_existing = true;
    CHECK(test::error_of([&] { InotifyTree(directory.path(), options); }).code() ==
          std::errc::invalid_argument);
}
