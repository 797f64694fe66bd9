// SPDX-License-Identifier: MIT
// batches(): a lazy, resumable, move-only range of what has changed, once it is quiet.
#include "batch_support.hpp"

#include <inotify/batch.hpp>
#include <inotify/inotify_tree.hpp>

#include <concepts>
#include <iterator>
#include <ranges>
#include <stop_token>
#include <thread>
#include <utility>

using namespace inotify;
using namespace std::chrono_literals;
using test::Clock;
using test::Lines;
using test::TempDir;

static_assert(std::ranges::input_range<BatchRange>);
static_assert(std::ranges::view<BatchRange>);
static_assert(std::ranges::viewable_range<BatchRange>);
static_assert(!std::ranges::forward_range<BatchRange>, "what was read is gone");
static_assert(std::movable<BatchRange> && !std::copyable<BatchRange>);
static_assert(std::same_as<std::ranges::range_value_t<BatchRange>, Batch>);
static_assert(std::same_as<std::ranges::range_reference_t<BatchRange>, Batch&>);
static_assert(std::same_as<std::ranges::sentinel_t<BatchRange>, std::default_sentinel_t>);
static_assert(std::input_iterator<BatchRange::Iterator>);
static_assert(std::movable<BatchRange::Iterator> && !std::copyable<BatchRange::Iterator>);
static_assert(noexcept(++std::declval<BatchRange::Iterator&>()),
              "++ cannot block, so it cannot fail");
static_assert(std::movable<BatchBuilder> && !std::copyable<BatchBuilder>);

namespace {

// What is there at once, and then the end.
constexpr Duration now = Duration::zero();

struct Watched {
    TempDir dir;
    InotifyTree tree{dir.path(), {.block_duration = forever, .track_files = true}};

    // The batches of what has happened, without the directory's path.
    Lines batches(BatchOptions options = {.quiet = now, .timeout = now}) {
        Lines lines;
        for (auto& batch : inotify::batches(tree, std::move(options)))
            lines.push_back(text(batch));
        return lines;
    }

    [[nodiscard]] std::string text(const Batch& batch) const {
        std::string line = test::to_string(batch);
        const std::string prefix = dir.str() + '/';
        for (std::size_t at = 0; (at = line.find(prefix, at)) != line.npos;)
            line.erase(at, prefix.size());
        return line;
    }
};

}  // namespace

TEST_CASE("what has happened comes as one batch") {
    Watched watched;
    test::write_file(watched.dir / "a");
    std::filesystem::create_directories(watched.dir / "d/e");
    test::write_file(watched.dir / "d/e/f");
    std::filesystem::remove(watched.dir / "a");
    CHECK(watched.batches() == Lines{"added d/; added d/e/; added d/e/f"});
    std::filesystem::rename(watched.dir / "d", watched.dir / "g");
    test::write_file(watched.dir / "g/e/f");
    CHECK(watched.batches() == Lines{"renamed g/ < d/; modified g/e/f"});
    CHECK(watched.batches() == Lines{});
}

TEST_CASE("a tree that tracks files knows whether an atomic save replaces a file") {
    Watched watched;
    const auto save = [&] {
        test::write_file(watched.dir / "f.tmp");
        std::filesystem::rename(watched.dir / "f.tmp", watched.dir / "f");
    };
    save();
    CHECK(watched.batches() == Lines{"added f"});
    save();
    CHECK(watched.batches() == Lines{"modified f"});
    save();
    std::filesystem::remove(watched.dir / "f");
    CHECK(watched.batches() == Lines{"removed f"});
    save();
    std::filesystem::rename(watched.dir / "f", watched.dir / "g");
    CHECK(watched.batches() == Lines{"added g"});
    TempDir outside;
    test::write_file(outside / "x");
    std::filesystem::rename(outside / "x", watched.dir / "g");
    test::write_file(outside / "x");
    std::filesystem::rename(outside / "x", watched.dir / "h");
    CHECK(watched.batches() == Lines{"added h; modified g"});
}

TEST_CASE("what comes to nothing is no batch, but an empty one with yield_empty") {
    Watched watched;
    test::touch(watched.dir / "a");
    std::filesystem::remove(watched.dir / "a");
    CHECK(watched.batches() == Lines{});
    test::touch(watched.dir / "a");
    std::filesystem::remove(watched.dir / "a");
    auto range = batches(watched.tree, {.quiet = now, .yield_empty = true});
    CHECK((*range.begin()).empty());
}

TEST_CASE("with yield_empty an empty batch comes at the end of each idle cycle") {
    Watched watched;
    watched.tree.set_block_duration(1ms);
    int empty = 0;
    for (auto& batch : batches(watched.tree, {.quiet = now, .yield_empty = true})) {
        if (batch.empty() && ++empty == 3)
            test::touch(watched.dir / "a");
        if (!batch.empty()) {
            CHECK(watched.text(batch) == "added a");
            break;
        }
    }
    CHECK(empty >= 3);
}

TEST_CASE("what is no change neither makes a batch nor keeps one from ending") {
    Watched watched;
    test::touch(watched.dir / "a");
    watched.batches();
    {
        test::OpenFile reading(watched.dir / "a", O_RDONLY);
    }
    CHECK(watched.batches() == Lines{});
}

TEST_CASE("a batch ends when it has been quiet, and not earlier") {
    Watched watched;
    test::touch(watched.dir / "a");
    const auto start = Clock::now();
    auto range = batches(watched.tree, {.quiet = 50ms, .longest = forever});
    CHECK(watched.text(*range.begin()) == "added a");
    CHECK(Clock::now() - start >= 50ms);
    CHECK(Clock::now() - start < test::plenty);
}

TEST_CASE("a batch ends after the longest time, though it is never quiet") {
    Watched watched;
    test::touch(watched.dir / "a");
    const auto start = Clock::now();
    auto range = batches(watched.tree, {.quiet = forever, .longest = 50ms});
    CHECK(watched.text(*range.begin()) == "added a");
    CHECK(Clock::now() - start >= 50ms);
    CHECK(Clock::now() - start < test::plenty);
}

TEST_CASE("a range ends after its timeout, and what has come by then is a batch before") {
    Watched watched;
    const auto start = Clock::now();
    CHECK(watched.batches({.timeout = 30ms}) == Lines{});
    CHECK(Clock::now() - start >= 30ms);
    test::touch(watched.dir / "a");
    CHECK(watched.batches({.quiet = forever, .longest = forever, .timeout = 30ms}) ==
          Lines{"added a"});
    CHECK(Clock::now() - start < test::plenty);
}

TEST_CASE("break and a new loop go on with the next batch") {
    Watched watched;
    for (const char* name : {"1", "2", "3"}) {
        test::touch(watched.dir / name);
        for (auto& batch : batches(watched.tree, {.quiet = now})) {
            CHECK(watched.text(batch) == std::string("added ") + name);
            break;
        }
    }
    CHECK(watched.batches() == Lines{});
}

TEST_CASE("a range works in a pipeline") {
    Watched watched;
    test::touch(watched.dir / "a");
    std::size_t changes = 0;
    for (auto& batch : batches(watched.tree, {.quiet = now}) | std::views::take(1))
        changes += batch.changes.size();
    CHECK(changes == 1);
}

TEST_CASE("a batch that was only looked for comes in the next range") {
    Watched watched;
    test::touch(watched.dir / "a");
    {
        auto range = batches(watched.tree, {.quiet = now});
        CHECK(range.begin() != range.end());
    }
    CHECK(watched.batches() == Lines{"added a"});
}

TEST_CASE("a batch that was yielded may be moved from, and does not come again") {
    Watched watched;
    test::touch(watched.dir / "a");
    Batch kept;
    for (auto& batch : batches(watched.tree, {.quiet = now, .timeout = now}))
        kept = std::move(batch);
    CHECK(watched.text(kept) == "added a");
    CHECK(watched.batches() == Lines{});
}

TEST_CASE("stop() ends a range, and what was collected comes in the next one") {
    Watched watched;
    test::touch(watched.dir / "a");
    {
        const std::jthread stopper([&] { watched.tree.stop(); });
        CHECK(watched.batches({.quiet = forever, .longest = forever}) == Lines{});
    }
    std::filesystem::rename(watched.dir / "a", watched.dir / "b");
    CHECK(watched.batches() == Lines{"added b"});
}

TEST_CASE("a stop token ends a range") {
    Watched watched;
    std::stop_source source;
    const std::jthread stopper([&] { source.request_stop(); });
    CHECK(watched.batches({.stop = source.get_token()}) == Lines{});
}

TEST_CASE("events that are taken one by one are missing in the batch") {
    Watched watched;
    test::touch(watched.dir / "a");
    test::drain(watched.tree);
    test::touch(watched.dir / "b");
    CHECK(watched.batches() == Lines{"added b"});
}

TEST_CASE("an adapter that is moved keeps its ranges and what they have collected") {
    TempDir dir;
    Inotify inotify{dir.path()};
    auto range = batches(inotify, {.quiet = now, .timeout = now});
    Inotify other = std::move(inotify);
    test::touch(dir / "a");
    CHECK((*range.begin()).changes.size() == 1);
}

TEST_CASE("the batches of a single file: written, and gone") {
    TempDir dir;
    test::touch(dir / "f");
    Inotify inotify{dir / "f"};
    test::write_file(dir / "f");
    auto range = batches(inotify, {.quiet = now, .timeout = now});
    CHECK(test::to_string(*range.begin()) == "modified " + (dir / "f").native());
    std::filesystem::remove(dir / "f");
    CHECK(test::to_string(*++range.begin()) == "removed " + (dir / "f").native());
}

TEST_CASE("the end of a root is the removal of a directory, which stands for what was in it") {
    TempDir dir;
    std::filesystem::create_directories(dir / "root/d");
    InotifyTree tree{dir / "root"};
    std::filesystem::remove_all(dir / "root");
    auto range = batches(tree, {.quiet = now, .timeout = now});
    CHECK(test::to_string(*range.begin()) == "removed " + (dir / "root").native() + '/');
}

TEST_CASE("negative durations but forever are refused") {
    TempDir dir;
    Inotify inotify{dir.path()};
    const auto refuses = [&](BatchOptions options) {
        try {
            (void)batches(inotify, std::move(options));
            return false;
        } catch (const std::system_error& error) {
            return error.code() == std::errc::invalid_argument;
        }
    };
    CHECK(refuses({.quiet = -2ms}));
    CHECK(refuses({.longest = -2ms}));
    CHECK(refuses({.timeout = -2ms}));
    CHECK_FALSE(refuses({.quiet = forever, .longest = forever, .timeout = forever}));
    CHECK_FALSE(refuses({.quiet = Duration::max(), .longest = Duration::max()}));
}

TEST_SUITE("threads") {
    TEST_CASE("batches come while another thread never rests, and are right in the end") {
        Watched watched;
        std::jthread busy([&](const std::stop_token& stop) {
            for (unsigned i = 0; !stop.stop_requested(); ++i) {
                const auto path = watched.dir / std::to_string(i % 100);
                test::touch(path);
                if (i % 3 == 0)
                    std::filesystem::rename(path, watched.dir / ("moved" + std::to_string(i % 7)));
                else
                    std::filesystem::remove(path);
            }
        });
        test::BatchClient<bool> client(watched.dir.str(), {});
        const auto apply = [&](BatchRange range, int most) {
            for (auto& batch : std::move(range) | std::views::take(most))
                CHECK(client.apply(batch.changes, [](const std::string&) { return false; }) == "");
        };
        apply(batches(watched.tree, {.quiet = forever, .longest = 5ms}), 20);
        busy.request_stop();
        busy.join();
        apply(batches(watched.tree, {.quiet = now, .timeout = now}), 100);
        test::BatchClient<bool>::Entries disk;
        for (const auto& entry : std::filesystem::directory_iterator(watched.dir.path()))
            disk.emplace(entry.path().native(), false);
        CHECK(client.entries() == disk);
    }
}
