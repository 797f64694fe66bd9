// SPDX-License-Identifier: MIT
// InotifyTree under load: trees that are made, renamed and removed by another thread at full speed,
// and queues that overflow.
#include "tree_client.hpp"

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

using namespace inotify;
using namespace std::chrono_literals;
using test::asking;
using test::Client;
using test::has_overflow;
using test::on_disk;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

// All that changes what is there. Without OPEN and ACCESS a test's own look at the disk is silent.
constexpr Mask changes =
    IN::CREATE | IN::DELETE | IN::MOVE | IN::MODIFY | IN::CLOSE_WRITE | IN::ATTRIB;

// Runs `action` in another thread while the client reads; ends at the empty value after it.
template <typename Action>
std::vector<Event> read_during(Client& client, Action action) {
    std::atomic<bool> done{false};
    std::jthread other([&] {
        action();
        done = true;
    });
    std::vector<Event> events;
    for (bool last = false; !last;) {
        last = done;
        for (auto& event : client.cycle())
            events.push_back(std::move(event));
    }
    return events;
}

std::string numbered(const char* name, int number) { return name + std::to_string(number); }

int queue_limit() {
    static const int limit = [] {
        int value = 0;
        std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> value;
        return value;
    }();
    REQUIRE(limit > 0);
    return limit;
}

// More events than the queue holds, which change nothing but the contents of two files that are
// there.
void fill_queue(const fs::path& one, const fs::path& other) {
    const test::OpenFile first(one, O_WRONLY);
    const test::OpenFile second(other, O_WRONLY);
    for (int i = 0; i <= queue_limit() / 2; ++i) {  // one after the other, or they are merged
        first.write("x");
        second.write("x");
    }
}

#ifdef INOTIFY_TESTS_SANITIZED
constexpr int slower = 10;  // that is what a sanitizer makes it, so there is less to do
#else
constexpr int slower = 1;
#endif

constexpr int levels = 30;
constexpr int rounds = 1000 / slower;
constexpr int made_directories = 2000 / slower;

}  // namespace

TEST_SUITE("threads") {
    TEST_CASE("mkdir -p of 30 levels with a file at the bottom, 1,000 times during reads") {
        // Fewer times with a sanitizer.
        TempDir dir;
        fs::create_directory(dir / "in");
        Client client(dir.path(), asking(IN::CREATE));
        const auto events = read_during(client, [&] {
            for (int round = 0; round < rounds; ++round) {
                fs::path path = dir / "in" / numbered("r", round);
                for (int level = 1; level < levels; ++level)
                    path /= numbered("l", level);
                fs::create_directories(path);
                test::touch(path / "f");
            }
        });
        std::map<std::string, int> reported;
        for (const Event& event : events)
            if (event.mask.contains(IN::CREATE))
                ++reported[event.full_path().native()];
        CAPTURE(has_overflow(events));
        CHECK(reported.size() == static_cast<std::size_t>(rounds) * (levels + 1));
        for (const auto& [path, times] : reported)
            CHECK_MESSAGE(times == 1, path);
        for (const auto& [path, is_directory] : on_disk(dir.path()))
            CHECK_MESSAGE(client.picture.entries().contains(path), "not reported: " << path);
        CHECK(client.tree.coverage().watched == static_cast<std::size_t>(rounds) * levels + 2);
    }

    TEST_CASE("a tree is unpacked, renamed, half deleted, and a quarter moved out and in") {
        // A tenth of it with a sanitizer.
        for (const bool track_files : {false, true}) {
            CAPTURE(track_files);
            TempDir dir, outside;
            Client client(dir.path(), asking(changes, track_files));
            read_during(client, [&] {
                for (int i = 0; i < made_directories; ++i) {
                    const fs::path path = dir / "top" / numbered("a", i % 4) /
                                          numbered("b", i / 4 % 50) / numbered("c", i);
                    fs::create_directories(path);
                    for (const char* name : {"f", "g", "h"})
                        test::write_file(path / name);
                }
                fs::rename(dir / "top", dir / "renamed");
                fs::remove_all(dir / "renamed/a0");
                fs::remove_all(dir / "renamed/a1");
                fs::rename(dir / "renamed/a2", outside / "a2");
                fs::create_directories(outside / "a2/made outside/deep");
                fs::rename(outside / "a2", dir / "renamed/back");
            });
            client.check();
        }
    }

    TEST_CASE("directories that are renamed all the time while files are made in them") {
        TempDir dir;
        for (int i = 0; i < 8; ++i)
            fs::create_directories(dir / numbered("d", i) / "x/y");
        Client client(dir.path(), asking(changes));
        read_during(client, [&] {
            for (int i = 0; i < 4000 / slower; ++i) {
                const fs::path here = dir / numbered("d", i % 8);
                test::touch(here / "x/y" / numbered("f", i));
                fs::rename(here, dir / "moving");
                fs::create_directory(dir / "moving" / numbered("n", i));
                fs::rename(dir / "moving", here);
                if (i % 5 == 0)
                    fs::rename(here / "x", dir / numbered("d", (i + 1) % 8) / numbered("x", i));
                if (i % 5 == 0)
                    fs::create_directories(here / "x/y");
            }
        });
        client.check();
    }

    TEST_CASE("a directory that is made and removed again all the time") {
        TempDir dir;
        Client client(dir.path(), asking(changes, true));
        read_during(client, [&] {
            for (int i = 0; i < 3000 / slower; ++i) {
                fs::create_directories(dir / "a/b/c");
                test::touch(dir / "a/b/c/f");
                fs::remove_all(dir / "a");
            }
            fs::create_directories(dir / "a/b");
        });
        client.check();
    }

    TEST_CASE("one that makes directories faster than they are read cannot starve the loop") {
        TempDir dir;
        InotifyTree tree(dir.path(), IN::CREATE, 0ms);
        constexpr int most = 50'000;  // so that a loop that starves ends as well
        std::atomic<int> made{0};
        std::jthread other([&](const std::stop_token& stop) {
            for (int i = 0; i < most && !stop.stop_requested(); ++i) {
                fs::create_directories(dir / numbered("a", i % 100) / numbered("b", i) / "c");
                made = i + 1;
            }
        });
        int seen = 0;
        for (auto& event : tree.event_gen())
            if (event && ++seen == 2000 / slower)
                break;
        other.request_stop();
        CHECK(seen == 2000 / slower);
        CHECK(made < most);
        other.join();
        test::drain(tree);
        CHECK(tree.coverage().unwatched.empty());
        std::set<std::string> watched;
        for (const Watch& watch : tree.watches())
            watched.insert(watch.path);
        std::size_t directories_now = 1;
        for (const auto& entry : fs::recursive_directory_iterator(dir.path())) {
            directories_now += entry.is_directory() ? 1 : 0;
            CHECK_MESSAGE((!entry.is_directory() || watched.contains(entry.path().native())),
                          "not watched: " << entry.path().native());
        }
        CHECK(watched.size() == directories_now);
    }

    TEST_CASE("overflow after overflow while the tree heals comes to an end") {
        TempDir dir;
        for (int i = 0; i < 500 / slower; ++i)
            fs::create_directories(dir / numbered("d", i) / "sub");
        Client client(dir.path(), asking(changes, true));
        const auto flood = [&](int number) {
            for (int i = 0; i <= queue_limit() / 3; ++i)
                test::touch(dir / numbered("d", number) / "flood");
            fs::remove(dir / numbered("d", number) / "flood");
        };
        flood(0);
        read_during(client, [&] {
            for (int i = 0; i < 5; ++i) {
                flood(i);
                fs::rename(dir / numbered("d", i), dir / numbered("e", i));
                fs::rename(dir / numbered("e", i), dir / numbered("d", i));
                fs::create_directories(dir / numbered("new", i) / "er");
            }
        });
        client.check();
    }
}

TEST_CASE("40,000 events past a full queue, then the picture is exact again") {
    TempDir dir, outside;
    for (int i = 0; i < 40; ++i) {
        fs::create_directories(dir / numbered("d", i) / "sub/deep");
        for (const char* name : {"f", "sub/g", "sub/deep/h"})
            test::touch(dir / numbered("d", i) / name);
    }
    fs::create_directories(outside / "in/x");
    test::touch(outside / "in/x/f");
    for (const bool track_files : {true, false}) {
        CAPTURE(track_files);
        Client client(dir.path(), asking(changes, track_files));
        fill_queue(dir / "d0/sub/g", dir / "d3/sub/g");
        for (int i = 0; i < 20'000 / 4; ++i) {
            const fs::path here = dir / numbered("d", i % 40);
            test::touch(here / "flood");
            fs::rename(here / "flood", here / "sub/flood");
            fs::remove(here / "sub/flood");
            fs::create_directory(here / "new");
            fs::rename(here / "new", here / "newer");
            fs::remove(here / "newer");
        }
        if (track_files) {  // without it files are the client's own affair
            for (int i = 0; i < 40; i += 3)
                fs::remove(dir / numbered("d", i) / "f");
            for (int i = 0; i < 40; i += 4)
                test::touch(dir / numbered("d", i) / "sub" / "made");
            fs::rename(dir / "d1/sub/g", dir / "d2/sub/g of 1");
        }
        fs::remove_all(dir / "d5");
        fs::rename(dir / "d6", dir / "d7/d6");
        fs::rename(dir / "d8/sub", dir / "sub of 8");
        fs::rename(dir / "d9", dir / "d5");
        fs::rename(dir / "d10", outside / "d10");
        fs::rename(outside / "in", dir / "in");
        fs::rename(dir / "d11", dir / "swap");
        fs::rename(dir / "d12", dir / "d11");
        fs::rename(dir / "swap", dir / "d12");
        fs::create_directories(dir / "d13/new/er/est");
        test::touch(dir / "d13/new/er/f");
        fs::remove_all(dir / "d14/sub");
        fs::create_directories(dir / "d14/sub/other");
        const auto events = client.cycle();
        CHECK(has_overflow(events));
        std::map<std::string, std::string> moves;
        for (const Event& event : events)
            if (event.synthetic && !event.moved_from.empty())
                moves.emplace(event.full_path().native(), event.moved_from);
        CHECK(moves[dir / "d7/d6"] == dir / "d6");
        CHECK(moves[dir / "sub of 8"] == dir / "d8/sub");
        CHECK(moves[dir / "d5"] == dir / "d9");
        CHECK(moves[dir / "d11"] == dir / "d12");
        CHECK(moves[dir / "d12"] == dir / "d11");
        client.check();

        // As it was, for the next one.
        fs::rename(dir / "d7/d6", dir / "d6");
        fs::rename(dir / "sub of 8", dir / "d8/sub");
        fs::rename(dir / "d5", dir / "d9");
        fs::create_directories(dir / "d5/sub/deep");
        fs::rename(outside / "d10", dir / "d10");
        fs::rename(dir / "in", outside / "in");
        fs::remove_all(dir / "d13/new");
        client.check();
    }
}

TEST_CASE("new directories after an overflow are watched") {
    TempDir dir;
    fs::create_directory(dir / "a");
    test::touch(dir / "f1");
    test::touch(dir / "a/f2");
    Client client(dir.path(), asking(changes));
    fill_queue(dir / "f1", dir / "a/f2");
    fs::create_directories(dir / "a/b/c");  // dropped
    CHECK(has_overflow(client.cycle()));
    fs::create_directories(dir / "a/b/c/d/e");
    fs::create_directories(dir / "f/g");
    client.check();
}
