// SPDX-License-Identifier: MIT
// The fact that looking at the disk rests on: a directory's lock is held until a change has queued
// its records.
#include "support.hpp"

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record_queue.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <thread>

namespace fs = std::filesystem;
namespace IN = inotify::IN;
using inotify::detail::Kernel;
using test::TempDir;

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
}
