// SPDX-License-Identifier: MIT
// The fact that looking at the disk rests on: a directory's lock is held until a change has queued
// its records, all those of a rename.
#include "sim_kernel.hpp"
#include "support.hpp"

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record_queue.hpp>

#include <doctest/doctest.h>

#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;
namespace IN = inotify::IN;
using inotify::Mask;
using inotify::detail::Kernel;
using inotify::detail::RecordQueue;
using test::TempDir;

namespace {

using Masks = std::vector<Mask>;

/// The records of a directory's rename from one directory to another, and of an exchange of two.
const Masks of_rename{IN::MOVED_FROM | IN::ISDIR, IN::MOVED_TO | IN::ISDIR, IN::MOVE_SELF};
const Masks of_exchange{IN::MOVED_FROM | IN::ISDIR, IN::MOVED_TO | IN::ISDIR, IN::MOVE_SELF,
                        IN::MOVED_FROM | IN::ISDIR, IN::MOVED_TO | IN::ISDIR, IN::MOVE_SELF};

/// Watches two directories for renames, and what is renamed for MOVE_SELF.
void watch_renames(Kernel& kernel, const std::string& one, const std::string& other,
                   const std::vector<std::string>& moved) {
    for (const std::string& path : {one, other})
        REQUIRE(kernel.add_watch(path, IN::MOVE.bits()) >= 0);
    for (const std::string& path : moved)
        REQUIRE(kernel.add_watch(path, IN::MOVE_SELF.bits()) >= 0);
}

void await_changes(Kernel& kernel, const std::string& path) {
    const int directory = kernel.open_directory(Kernel::no_directory, path, false);
    REQUIRE(directory >= 0);
    kernel.await_changes(directory);
    kernel.close_directory(directory);
}

/// The masks of all that is queued.
Masks read_masks(RecordQueue& queue) {
    Masks masks;
    for (; const auto* record = queue.front(); queue.pop())
        masks.emplace_back(record->mask & ~(record->name.empty() ? IN::ISDIR.bits() : 0U));
    return masks;
}

/// Renames or exchanges on the real kernel while another thread reads. Of a rename whose first
/// record was read, the last one can be read once the lock of either directory was waited for.
/// Returns how often a read ended within a rename.
std::size_t await_renames(const Masks& records) {
    const bool exchanges = records == of_exchange;
    TempDir dir;
    for (const char* name : {"one", "one/a", "other", "other/b"})
        fs::create_directory(dir / name);
    const auto kernel = inotify::detail::make_linux_kernel();
    RecordQueue queue(*kernel);
    watch_renames(*kernel, dir / "one", dir / "other", {dir / "one/a", dir / "other/b"});
    // Others that the kernel sends each record to as well: from one record to the next takes
    // longer.
    std::vector<std::unique_ptr<Kernel>> others(8);
    for (auto& it : others) {
        it = inotify::detail::make_linux_kernel();
        watch_renames(*it, dir / "one", dir / "other", {dir / "one/a", dir / "other/b"});
    }
    // No more than the kernel's queue can hold, however seldom it is read.
    const auto limit = static_cast<std::size_t>(
        std::clamp(kernel->limit("fs.inotify.max_queued_events"), 0L, 15'000L));
    const std::size_t all = limit / records.size() * records.size();

    const std::string one = dir / "one/a";
    const std::string other = dir / (exchanges ? "other/b" : "other/a");
    const unsigned flags = exchanges ? RENAME_EXCHANGE : 0U;
    std::atomic<std::size_t> failed = 0;
    std::thread writer([&] {
        for (std::size_t n = 0; n < all / records.size(); ++n) {
            const bool back = n % 2 == 1 && !exchanges;
            failed += ::syscall(SYS_renameat2, AT_FDCWD, (back ? other : one).c_str(), AT_FDCWD,
                                (back ? one : other).c_str(), flags) == 0
                          ? 0U
                          : 1U;
        }
    });
    std::size_t within = 0;
    std::size_t unfinished = 0;
    std::size_t strange = 0;
    std::size_t count = 0;
    const auto read = [&] {
        for (const Mask mask : read_masks(queue))
            strange += mask == records[count++ % records.size()] ? 0U : 1U;
    };
    while (count < all && strange == 0 && failed == 0) {
        read();
        if (count % records.size() == 0)
            continue;
        const std::size_t end = (count / records.size() + 1) * records.size();
        await_changes(*kernel, dir / (++within % 2 == 0 ? "one" : "other"));
        read();
        unfinished += count < end ? 1U : 0U;
    }
    writer.join();
    CHECK(failed == 0);
    CHECK(strange == 0);
    CHECK(unfinished == 0);
    return within;
}

}  // namespace

TEST_SUITE("threads") {
    TEST_CASE("what is seen in a directory has queued its records once its changes are awaited") {
        constexpr int renames = 100'000;
        TempDir dir;
        test::touch(dir / "a");
        const auto kernel = inotify::detail::make_linux_kernel();
        inotify::detail::RecordQueue queue(*kernel);
        REQUIRE(kernel->add_watch(dir.str(), IN::MOVED_TO.bits()) >= 0);

        std::atomic<bool> done = false;
        std::thread writer([&] {
            for (int n = 0; n < renames; n += 2) {
                fs::rename(dir / "a", dir / "b");
                fs::rename(dir / "b", dir / "a");
            }
            done = true;
        });
        bool is_a = true;  // by the records that were read
        int found = 0;
        int unexplained = 0;
        while (found < renames) {
            const bool last = done;
            const int directory = kernel->open_directory(Kernel::no_directory, dir.str(), false);
            inotify::detail::Stat stat;
            const bool seen = kernel->stat(directory, "a", false, stat) == 0;
            kernel->await_changes(directory);
            kernel->close_directory(directory);
            bool explained = seen == is_a;
            for (; const auto* record = queue.front(); queue.pop(), ++found) {
                is_a = record->name == "a";
                explained = explained || seen == is_a;
            }
            unexplained += explained ? 0 : 1;
            if (last && found < renames)
                break;
        }
        writer.join();
        CHECK(found == renames);
        CHECK(unexplained == 0);
    }
    TEST_CASE("both directories of a rename are locked until all its records are queued") {
        std::size_t within = 0;
        SUBCASE("a rename")
        for (int round = 0; round < 4; ++round)
            within += await_renames(of_rename);
        SUBCASE("an exchange")
        for (int round = 0; round < 4; ++round)
            within += await_renames(of_exchange);
        MESSAGE(within, " reads ended within a rename");
    }
}

TEST_CASE("both directories of a simulated rename are locked until all its records are queued") {
    for (const Masks& records : {of_rename, of_exchange})
        for (const std::string awaited : {"/one", "/other", "/third"})
            for (std::size_t first = 0; first <= records.size(); ++first) {
                CAPTURE(records.size());
                CAPTURE(awaited);
                CAPTURE(first);
                sim::World world;
                for (const char* path : {"/one", "/one/a", "/other", "/other/b", "/third"})
                    world.mkdir(path);
                const auto kernel = world.make_kernel();
                RecordQueue queue(*kernel);
                watch_renames(*kernel, "/one", "/other", {"/one/a", "/other/b"});
                world.begin_operation(first);
                REQUIRE((records == of_rename ? world.rename("/one/a", "/other/a")
                                              : world.exchange("/one/a", "/other/b")) == 0);
                CHECK(world.end_operation() == (first < records.size()));
                const auto split = records.begin() + static_cast<std::ptrdiff_t>(first);
                CHECK(read_masks(queue) == Masks(records.begin(), split));
                await_changes(*kernel, awaited);
                CHECK(read_masks(queue) ==
                      (awaited == "/third" ? Masks() : Masks(split, records.end())));
                world.finish_operation();
                CHECK(read_masks(queue) ==
                      (awaited == "/third" ? Masks(split, records.end()) : Masks()));
            }
}

TEST_CASE("a simulated rename that is over locks nothing") {
    sim::World world;
    for (const char* path : {"/one", "/one/a", "/other", "/third"})
        world.mkdir(path);
    const auto kernel = world.make_kernel();
    RecordQueue queue(*kernel);
    REQUIRE(kernel->add_watch("/third", IN::CREATE.bits()) >= 0);
    world.rename("/one/a", "/other/a");
    world.begin_operation(0);
    world.mkdir("/third/b");
    CHECK(world.end_operation());
    await_changes(*kernel, "/one");
    CHECK(read_masks(queue).empty());
    await_changes(*kernel, "/third");
    CHECK(read_masks(queue) == Masks{IN::CREATE | IN::ISDIR});
}
