// SPDX-License-Identifier: MIT
// What the library costs beside the bare system calls, measured in pairs and printed as one table.
#include <inotify/batch.hpp>
#include <inotify/inotify_tree.hpp>
#include <inotify/version.hpp>

#include <benchmark/benchmark.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
namespace IN = inotify::IN;
using inotify::Event;
using inotify::Inotify;
using inotify::InotifyTree;
using inotify::IN::ALL_EVENTS;

// What InotifyTree asks the kernel for.
constexpr std::uint32_t mask = IN_ALL_EVENTS | IN_ONLYDIR | IN_MASK_ADD;

volatile std::sig_atomic_t interrupted = 0;
bool failed = false;

// Ctrl-C comes as an exception, so that what was made on disk is removed.
void stop_if_interrupted() {
    if (interrupted != 0)
        throw std::runtime_error("interrupted");
}

void expect(bool condition, const char* what) {
    if (!condition)
        throw std::runtime_error(what);
}

int check(int result, const char* call) {
    if (result < 0)
        throw std::system_error(errno, std::system_category(), call);
    return result;
}

// Unlike the clock on the wall it does not count what other processes do.
double cpu_seconds() {
    timespec now;
    check(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), "clock_gettime");
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// The floor: an inotify instance and an epoll instance, without a library.
class Bare {
public:
    Bare()
        : inotify_(check(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1")),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        epoll_event event{};
        event.events = EPOLLIN;
        if (epoll_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, inotify_, &event) < 0) {
            const int error = errno;
            close();
            throw std::system_error(error, std::system_category(), "epoll");
        }
    }
    ~Bare() { close(); }
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;

    void watch(const std::string& path) const {
        check(::inotify_add_watch(inotify_, path.c_str(), mask), "inotify_add_watch");
    }

    // The number of descriptors that are ready.
    [[nodiscard]] int wait(int milliseconds) const {
        epoll_event event;
        return check(::epoll_wait(epoll_, &event, 1, milliseconds), "epoll_wait");
    }

    // Walks the records of one read(2), and returns how many there were.
    std::size_t read() {
        const ssize_t size = ::read(inotify_, buffer_.data(), buffer_.size());
        expect(size > 0, "read: nothing is queued");
        std::size_t count = 0;
        for (const char* at = buffer_.data(); at < buffer_.data() + size; ++count) {
            const auto* record = reinterpret_cast<const inotify_event*>(at);
            expect((record->mask & IN_Q_OVERFLOW) == 0, "the queue has overflowed");
            const char* name = record->len == 0 ? "" : record->name;
            benchmark::DoNotOptimize(name);
            at += sizeof *record + record->len;
        }
        return count;
    }

private:
    void close() const {
        ::close(inotify_);
        if (epoll_ >= 0)
            ::close(epoll_);
    }

    int inotify_;
    int epoll_;
    alignas(inotify_event) std::array<char, 64 * 1024> buffer_;
};

// Reads all events up to the empty value.
std::size_t read_events(Inotify& adapter) {
    std::size_t count = 0;
    for (auto& event : adapter.event_gen()) {
        if (!event)
            break;
        benchmark::DoNotOptimize(event->filename.data());
        expect(event->mask != inotify::IN::Q_OVERFLOW, "the queue has overflowed");
        ++count;
    }
    return count;
}

// A fresh directory in TMPDIR, removed at the end with all that is in it.
class TempDir {
public:
    TempDir() : path_((fs::temp_directory_path() / "inotify-bench-XXXXXX").native()) {
        if (::mkdtemp(path_.data()) == nullptr)
            throw std::system_error(errno, std::system_category(), "mkdtemp: " + path_);
    }
    ~TempDir() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

// A root with `below` directories below it, filled level by level: each directory has `width`
// directories in it, as long as they last, and `files` files.
class Tree {
public:
    Tree(std::size_t below, std::size_t width, std::size_t files) {
        paths_.reserve(below + 1);
        for (std::size_t i = 0; i <= below; ++i) {
            stop_if_interrupted();
            paths_.push_back(i == 0 ? directory_.path() + "/root"
                                    : paths_[(i - 1) / width] + "/d" +
                                          std::to_string((i - 1) % width));
            check(::mkdir(paths_[i].c_str(), 0700), "mkdir");
            for (std::size_t file = 0; file < files; ++file)
                check(::mknod((paths_[i] + "/f" + std::to_string(file)).c_str(), S_IFREG | 0600, 0),
                      "mknod");
        }
    }

    // All directories, parents first, in the order in which they were made.
    [[nodiscard]] const std::vector<std::string>& paths() const { return paths_; }
    [[nodiscard]] const std::string& root() const { return paths_.front(); }
    // The directory that holds the root.
    [[nodiscard]] const std::string& outside() const { return directory_.path(); }

private:
    TempDir directory_;
    std::vector<std::string> paths_;
};

// Kept, for making and removing one takes longer than to measure with it.
const Tree& tree(std::size_t below, std::size_t width = 10, std::size_t files = 0) {
    static std::map<std::tuple<std::size_t, std::size_t, std::size_t>, Tree> trees;
    return trees.try_emplace({below, width, files}, below, width, files).first->second;
}

using Measure = std::function<double()>;

// Measures floor and library one right after the other, each first in half of the rounds. A noise
// that lasts longer than a round hits both, so the median of the rounds' ratios is steady.
void compare(
    benchmark::State& state, const Measure& floor, const Measure& ours,
    const std::function<void()>& before = [] {}) {
    std::vector<double> floors, library, ratios;
    bool floor_first = true;
    const auto round = [&] {
        stop_if_interrupted();
        before();
        double low = 0, high = 0;
        if (floor_first)
            low = floor();
        high = ours();
        if (!floor_first)
            low = floor();
        floor_first = !floor_first;
        floors.push_back(low);
        library.push_back(high);
        ratios.push_back(high / low);
    };
    round();  // warms the caches
    floors.clear();
    library.clear();
    ratios.clear();
    while (state.KeepRunning()) {
        round();
        state.SetIterationTime(library.back());
    }
    state.counters["floor"] = median(floors);
    state.counters["ours"] = median(library);
    state.counters["ratio"] = median(ratios);
    state.SetLabel("s");
}

constexpr std::size_t queued = 16'000;

constexpr std::size_t files = 1000;

std::string file(const std::string& directory, std::size_t i) {
    return directory + "/file" + std::to_string(i % files);
}

// Four records each time: OPEN, MODIFY, ATTRIB, CLOSE_WRITE. The files stay, for ext4 is slow to
// make a file soon after others were removed.
void queue_records(const std::string& directory) {
    for (std::size_t i = 0; i < queued / 4; ++i) {
        const int fd = check(::open(file(directory, i).c_str(), O_WRONLY | O_CLOEXEC), "open");
        const ssize_t written = ::write(fd, "x", 1);
        const int changed = ::fchmod(fd, 0600);
        ::close(fd);
        expect(written == 1 && changed == 0, "write, fchmod");
    }
}

// Both read the same records, each from its own queue.
void read_queued(benchmark::State& state, Inotify& adapter, const std::string& directory) {
    for (std::size_t i = 0; i < files; ++i)
        check(::mknod(file(directory, i).c_str(), S_IFREG | 0600, 0), "mknod");
    read_events(adapter);
    Bare bare;
    bare.watch(directory);
    compare(
        state,
        [&] {
            const double start = cpu_seconds();
            std::size_t count = 0;
            while (count < queued)
                count += bare.read();
            return (cpu_seconds() - start) / static_cast<double>(queued);
        },
        [&] {
            const double start = cpu_seconds();
            expect(read_events(adapter) == queued, "not all events have come");
            return (cpu_seconds() - start) / static_cast<double>(queued);
        },
        [&] { queue_records(directory); });
}

double wall_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// Until the first empty value, at which every directory is watched.
double start(const Tree& tree, unsigned threads, double (*clock)()) {
    inotify::TreeOptions options;
    options.block_duration = inotify::Duration::zero();
    options.scan_threads = threads;
    const double begin = clock();
    InotifyTree watched(tree.root(), std::move(options));
    read_events(watched);
    const double seconds = clock() - begin;
    expect(watched.coverage().watched == tree.paths().size(), "not every directory is watched");
    return seconds;
}

double start_bare(const Tree& tree, double (*clock)()) {
    const double begin = clock();
    Bare bare;
    for (const std::string& path : tree.paths())
        bare.watch(path);
    return clock() - begin;
}

// Of several threads only the clock on the wall shows what they save.
void start_up(benchmark::State& state, const Tree& tree, unsigned threads) {
    double (*const clock)() = threads == 1 ? cpu_seconds : wall_seconds;
    compare(
        state, [&] { return start_bare(tree, clock); },
        [&] { return start(tree, threads, clock); });
}

void heap(benchmark::State& state, const Tree& tree) {
    const auto in_use = [] {
        const auto info = ::mallinfo2();
        return static_cast<double>(info.uordblks + info.hblkhd);
    };
    while (state.KeepRunning()) {
        const double before = in_use();
        InotifyTree watched(tree.root(), ALL_EVENTS, inotify::Duration::zero());
        read_events(watched);
        state.counters["ours"] = (in_use() - before) / static_cast<double>(tree.paths().size());
        state.SetIterationTime(0);
    }
    state.SetLabel("B");
}

// One rename(2) of `path` inside its watched directory and what `read` does then.
double time_renames(const std::string& path, const std::function<void()>& read) {
    constexpr int renames = 1000;  // an even number: at the end it has its name again
    const std::string other = path + "-renamed";
    const double begin = cpu_seconds();
    for (int i = 0; i < renames; ++i) {
        const bool back = i % 2 != 0;
        check(::rename((back ? other : path).c_str(), (back ? path : other).c_str()), "rename");
        read();
    }
    return (cpu_seconds() - begin) / renames;
}

// A directory says MOVE_SELF as well.
double rename_watched(const std::string& directory, const std::string& path) {
    InotifyTree watched(directory, ALL_EVENTS, inotify::Duration::zero());
    read_events(watched);
    const std::size_t events = fs::is_directory(path) ? 3 : 2;
    return time_renames(path,
                        [&] { expect(read_events(watched) == events, "not all the events"); });
}

double rename_bare(const std::string& directory, const std::string& path) {
    Bare bare;
    bare.watch(directory);
    return time_renames(path, [&] { expect(bare.read() == 2, "not two records"); });
}

// A new file is renamed over an old one, as editors save: the time of one, where `read` follows
// each `burst` of them.
double time_saves(const std::string& directory, int burst, const std::function<void()>& read) {
    constexpr int saves = 1000;
    const std::string fresh = directory + "/fresh";
    const std::string saved = directory + "/saved";
    const double begin = cpu_seconds();
    for (int i = 1; i <= saves; ++i) {
        check(::mknod(fresh.c_str(), S_IFREG | 0600, 0), "mknod");
        check(::rename(fresh.c_str(), saved.c_str()), "rename");
        if (i % burst == 0)
            read();
    }
    return (cpu_seconds() - begin) / saves;
}

void save(benchmark::State& state, int burst) {
    const TempDir directory;
    const auto events = static_cast<std::size_t>(3 * burst);
    compare(
        state,
        [&] {
            Bare bare;
            bare.watch(directory.path());
            return time_saves(directory.path(), burst,
                              [&] { expect(bare.read() == events, "not three records each"); });
        },
        [&] {
            InotifyTree watched(directory.path(), ALL_EVENTS, inotify::Duration::zero());
            read_events(watched);
            return time_saves(directory.path(), burst, [&] {
                expect(read_events(watched) == events, "not three events each");
            });
        });
}

// Creates and unlinks a file, and has `read` wait for the event of each; the median of one. The
// clock starts at the change, or else when it has been made.
double time_changes(const std::string& directory, bool with_change,
                    const std::function<void()>& read) {
    using Clock = std::chrono::steady_clock;
    const std::string path = directory + "/file";
    std::vector<double> seconds;
    for (int i = 0; i < 500; ++i) {
        auto begin = Clock::now();
        if (i % 2 == 0)
            check(::mknod(path.c_str(), S_IFREG | 0600, 0), "mknod");
        else
            check(::unlink(path.c_str()), "unlink");
        if (!with_change)
            begin = Clock::now();
        read();
        seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
    return median(seconds);
}

void change(benchmark::State& state, bool with_change) {
    const Tree& watched = tree(1);
    compare(
        state,
        [&] {
            Bare bare;
            bare.watch(watched.paths()[1]);
            return time_changes(watched.paths()[1], with_change, [&] {
                expect(bare.wait(-1) == 1 && bare.read() == 1, "not one record");
            });
        },
        [&] {
            InotifyTree adapter(watched.root(), ALL_EVENTS, inotify::forever);
            return time_changes(watched.paths()[1], with_change,
                                [&] { expect(adapter.get().has_value(), "no event"); });
        });
}

// How often the thread was woken in a second without events. What ends the second is counted too.
double count_wake_ups(const std::function<void(std::chrono::milliseconds)>& idle) {
    rusage before, after;
    check(::getrusage(RUSAGE_THREAD, &before), "getrusage");
    idle(std::chrono::seconds(1));
    check(::getrusage(RUSAGE_THREAD, &after), "getrusage");
    return static_cast<double>(after.ru_nvcsw - before.ru_nvcsw);
}

void idle(benchmark::State& state, inotify::Duration block_duration) {
    const Tree& watched = tree(1);
    compare(
        state,
        [&] {
            Bare bare;
            bare.watch(watched.root());
            return count_wake_ups([&](std::chrono::milliseconds left) {
                const auto each = block_duration < left.zero() ? left : block_duration;
                for (; left > left.zero(); left -= each)
                    expect(bare.wait(static_cast<int>(each.count())) == 0, "not idle");
            });
        },
        [&] {
            InotifyTree adapter(watched.root(), ALL_EVENTS, block_duration);
            return count_wake_ups([&](std::chrono::milliseconds left) {
                for (auto& event : adapter.event_gen({.timeout = left}))
                    expect(!event, "not idle");
            });
        });
    state.SetLabel("");
}

// A file system by its name, where it is a common one.
std::string file_system(const std::string& path) {
    struct statfs info;
    check(::statfs(path.c_str(), &info), "statfs");
    switch (static_cast<std::uint32_t>(info.f_type)) {
    case EXT4_SUPER_MAGIC: return "ext4";
    case XFS_SUPER_MAGIC: return "xfs";
    case BTRFS_SUPER_MAGIC: return "btrfs";
    case TMPFS_MAGIC: return "tmpfs";
    case OVERLAYFS_SUPER_MAGIC: return "overlayfs";
    default: return "file system " + std::to_string(info.f_type);
    }
}

std::string format(const char* pattern, double value) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), pattern, value);
    return text.data();
}

std::string with_unit(double value, const std::string& unit) {
    if (unit != "s")
        return format("%.0f", value) + (unit.empty() ? "" : " " + unit);
    if (value < 1e-6)
        return format("%.0f ns", value * 1e9);
    if (value < 1e-3)
        return format("%.2f us", value * 1e6);
    return format("%.1f ms", value * 1e3);
}

// Prints a line as soon as an operation has been measured; the whole is a table in Markdown.
class Table : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context&) override {
        utsname system;
        check(::uname(&system), "uname");
        std::printf("Linux %s, %s, %u cores; inotify %s\n\n", system.release,
                    file_system(fs::temp_directory_path().native()).c_str(),
                    std::thread::hardware_concurrency(), inotify::version);
        print("operation", "floor", "ours", "ratio");
        std::printf("|---|---|---|---|\n");
        return true;
    }

    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            const auto value = [&](const char* name) {
                const auto counter = run.counters.find(name);
                return counter == run.counters.end() ? "-"
                                                     : with_unit(counter->second, run.report_label);
            };
            const auto ratio = run.counters.find("ratio");
            if (run.counters.contains("ours"))
                print(run.run_name.function_name, value("floor"), value("ours"),
                      ratio == run.counters.end() ? "-" : format("%.2f", ratio->second));
        }
    }

private:
    static void print(const std::string& operation, const std::string& floor,
                      const std::string& ours, const std::string& ratio) {
        std::printf("| %-58s | %8s | %8s | %5s |\n", operation.c_str(), floor.c_str(), ours.c_str(),
                    ratio.c_str());
        std::fflush(stdout);
    }
};

void add(const std::string& operation, std::int64_t rounds,
         const std::function<void(benchmark::State&)>& body) {
    const auto run = [=](benchmark::State& state) {
        try {
            stop_if_interrupted();
            body(state);
        } catch (const std::exception& error) {
            failed = true;
            if (interrupted == 0)
                std::fprintf(stderr, "%s: %s\n", operation.c_str(), error.what());
            state.SkipWithError(error.what());
        }
    };
    benchmark::RegisterBenchmark(operation.c_str(), run)->Iterations(rounds)->UseManualTime();
}

constexpr std::size_t batched = 100'000;

// Fills a batch with events that were read before, and takes it.
void batch(benchmark::State& state, const std::function<void(std::size_t, Event&)>& make) {
    std::vector<Event> events(batched);
    for (std::size_t i = 0; i < batched; ++i)
        make(i, events[i]);
    std::vector<double> times;
    for (auto _ : state) {
        const double start = cpu_seconds();
        inotify::BatchBuilder builder;
        for (const Event& event : events)
            builder.add(event);
        const std::size_t changes = builder.take().changes.size();
        times.push_back((cpu_seconds() - start) / static_cast<double>(batched));
        expect(changes != 0, "the batch is empty");
        state.SetIterationTime(times.back());
    }
    state.counters["ours"] = median(times);
    state.SetLabel("s");
}

std::string batched_directory(std::size_t i) {
    return "/srv/project/build/directory" + std::to_string(i);
}

void add_batches() {
    add("one of 100,000 events in a batch, 25,000 files written", 15, [](auto& state) {
        batch(state, [](std::size_t i, Event& event) {
            constexpr inotify::Mask masks[] = {IN::CREATE, IN::OPEN, IN::MODIFY, IN::CLOSE_WRITE};
            event.mask = masks[i % 4];
            event.path = batched_directory(i / 100);
            event.filename = "file" + std::to_string(i / 4 % 25);
        });
    });
    add("one of 100,000 events in a batch, 100,000 files made", 15, [](auto& state) {
        batch(state, [](std::size_t i, Event& event) {
            event.mask = IN::CREATE;
            event.path = batched_directory(i % 1000);
            event.filename = "file" + std::to_string(i / 1000);
        });
    });
    add("one of 100,000 events in a batch, 100,000 files removed", 15, [](auto& state) {
        batch(state, [](std::size_t i, Event& event) {
            event.mask = IN::DELETE;
            event.path = batched_directory(i % 1000);
            event.filename = "file" + std::to_string(i / 1000);
        });
    });
    add("one of 100,000 events in a batch, 50,000 files renamed", 15, [](auto& state) {
        batch(state, [](std::size_t i, Event& event) {
            const std::string from = batched_directory(i / 2 % 1000);
            event.mask = i % 2 == 0 ? IN::MOVED_FROM : IN::MOVED_TO;
            event.cookie = static_cast<std::uint32_t>(i / 2 + 1);
            event.path = i % 2 == 0 ? from : from + "-new";
            event.filename = "file" + std::to_string(i / 2000);
            if (i % 2 != 0)
                event.moved_from = from + '/' + event.filename;
        });
    });
}

void add_all() {
    using namespace std::chrono_literals;
    add("start, 1,000 directories, 10 in each", 15,
        [](auto& state) { start_up(state, tree(1'000), 1); });
    add("start, 10,000 directories, 10 in each", 15,
        [](auto& state) { start_up(state, tree(10'000), 1); });
    add("start, 10,000 directories, 10 and 5 files in each", 15,
        [](auto& state) { start_up(state, tree(10'000, 10, 5), 1); });
    add("start, 100,000 directories, 10 in each", 7,
        [](auto& state) { start_up(state, tree(100'000), 1); });
    add("start, 100,000 directories, 316 in each", 7,
        [](auto& state) { start_up(state, tree(100'000, 316), 1); });
    for (const std::size_t width : {std::size_t{10}, std::size_t{316}})
        add("start, 100,000 directories, " + std::to_string(width) + " in each, 2 threads", 7,
            [=](auto& state) { start_up(state, tree(100'000, width), 2); });
    add("heap of a directory, 100,000 directories", 1,
        [](auto& state) { heap(state, tree(100'000)); });

    const auto add_rename = [](const std::string& operation, std::int64_t rounds,
                               std::size_t below) {
        add(operation, rounds, [below](auto& state) {
            const Tree& renamed = tree(below);
            compare(
                state, [&] { return rename_bare(renamed.outside(), renamed.root()); },
                [&] { return rename_watched(renamed.outside(), renamed.root()); });
        });
    };
    add_rename("rename a directory, 1 below it", 15, 1);
    add_rename("rename a directory, 1,000 below it", 15, 1'000);
    add_rename("rename a directory, 100,000 below it", 7, 100'000);
    add("rename a directory, 100,000 below it (floor: ours, 1)", 5, [](auto& state) {
        const auto time = [](const Tree& renamed) {
            return rename_watched(renamed.outside(), renamed.root());
        };
        compare(state, [&] { return time(tree(1)); }, [&] { return time(tree(100'000)); });
    });
    add("rename a file", 15, [](auto& state) {
        const TempDir directory;
        const std::string file = directory.path() + "/file";
        check(::mknod(file.c_str(), S_IFREG | 0600, 0), "mknod");
        compare(
            state, [&] { return rename_bare(directory.path(), file); },
            [&] { return rename_watched(directory.path(), file); });
    });

    add("a new file renamed over an old one", 15, [](auto& state) { save(state, 1); });
    add("100 new files renamed over an old one", 15, [](auto& state) { save(state, 100); });

    add("read one of 16,000 queued events, Inotify", 15, [](auto& state) {
        const TempDir directory;
        Inotify adapter(0ms);
        adapter.add_watch(directory.path());
        read_queued(state, adapter, directory.path());
    });
    add("read one of 16,000 queued events, InotifyTree", 15, [](auto& state) {
        const Tree watched(1, 1, 0);
        InotifyTree adapter(watched.root(), ALL_EVENTS, 0ms);
        read_queued(state, adapter, watched.paths()[1]);
    });
    add("create or unlink a file, get the event", 11, [](auto& state) { change(state, true); });
    add("the same without the change itself", 11, [](auto& state) { change(state, false); });

    add_batches();

    add("wake-ups in an idle second, block_duration 100 ms", 3,
        [](auto& state) { idle(state, 100ms); });
    add("wake-ups in an idle second, block_duration forever", 3,
        [](auto& state) { idle(state, inotify::forever); });
}

}  // namespace

int main(int argc, char** argv) try {
    std::signal(SIGINT, [](int) { interrupted = 1; });
    std::signal(SIGTERM, [](int) { interrupted = 1; });
    add_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    Table table;
    benchmark::RunSpecifiedBenchmarks(&table);
    return failed ? 1 : 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "benchmarks: %s\n", error.what());
    return 1;
}
