// SPDX-License-Identifier: MIT
// Seeded random churn on a real directory from a second thread, and the picture at the empty value.
#include "any_operation.hpp"
#include "forwarding_kernel.hpp"
#include "picture.hpp"
#include "support.hpp"

#include <inotify/detail/record.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <thread>

namespace fs = std::filesystem;
namespace IN = inotify::IN;
using inotify::TreeOptions;
using test::Clock;
using test::Picture;

namespace {

#ifdef INOTIFY_TESTS_SANITIZED
constexpr unsigned seeds = 2;
#else
constexpr unsigned seeds = 4;
#endif
constexpr int operations = 500;
constexpr int operations_past_the_queue = 1'000;

struct Line {
    Clock::time_point time;
    std::string text;
};

// The last lines of what one thread did, so that a failure can be understood.
class Log {
public:
    void add(Clock::time_point time, std::string text) {
        if (closed_)
            return;
        lines_.push_back({time, std::move(text)});
        if (lines_.size() > kept)
            lines_.pop_front();
    }
    void close() { closed_ = true; }
    [[nodiscard]] const std::deque<Line>& lines() const { return lines_; }

private:
    static constexpr std::size_t kept = 200'000;
    bool closed_ = false;
    std::deque<Line> lines_;
};

/// The real kernel, with its calls and records written down.
class RecordingKernel final : public test::ForwardingKernel {
public:
    explicit RecordingKernel(Log& log)
        : ForwardingKernel(inotify::detail::make_linux_kernel()), log_(log) {}

    int add_watch(const std::string& path, std::uint32_t mask) override {
        return note("add_watch " + path, ForwardingKernel::add_watch(path, mask));
    }
    int add_watch(int directory, const std::string& path, std::uint32_t mask) override {
        return note("add_watch (open) " + path, ForwardingKernel::add_watch(directory, path, mask));
    }
    int remove_watch(int wd) override {
        return note("remove_watch " + std::to_string(wd), ForwardingKernel::remove_watch(wd));
    }
    int open_directory(int parent, const std::string& path, bool follow) override {
        return note("open_directory " + path,
                    ForwardingKernel::open_directory(parent, path, follow));
    }
    int list(int directory, std::vector<inotify::detail::DirectoryEntry>& entries) override {
        const int result = ForwardingKernel::list(directory, entries);
        std::string names = "list";
        for (const auto& entry : entries)
            names += ' ' + entry.name;
        return note(names, result);
    }
    int stat(int directory, const std::string& name, bool follow,
             inotify::detail::Stat& stat) override {
        return note("stat " + name, ForwardingKernel::stat(directory, name, follow, stat));
    }
    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        const std::ptrdiff_t size = ForwardingKernel::read(buffer);
        note("read", static_cast<int>(size));
        inotify::detail::Record record;
        std::span<const std::byte> bytes = buffer.first(size > 0 ? std::size_t(size) : 0);
        for (; parse_record(bytes, record) == inotify::detail::ParseResult::record;
             bytes = bytes.subspan(record.size))
            log_.add(Clock::now(), "    record wd " + std::to_string(record.wd) + ' ' +
                                       to_string(inotify::Mask(record.mask)) + ' ' +
                                       std::string(record.name) + " cookie " +
                                       std::to_string(record.cookie));
        return size;
    }

private:
    int note(const std::string& call, int result) {
        log_.add(Clock::now(), "  " + call + " = " + std::to_string(result));
        return result;
    }

    Log& log_;
};

/// Another process: random operations on a handful of names in three levels, and on a place
/// outside.
class Churn {
public:
    Churn(const fs::path& base, unsigned seed) : base_(base.native()), random_(seed) {}

    /// So many operations that succeed.
    void run(int count) {
        for (int i = 0; i < count;)
            i += operate() ? 1 : 0;
    }

    /// The same in bursts; between them it waits until the reader has gone on.
    void run(int count, int burst, const std::atomic<unsigned>& reader) {
        for (; count > 0; count -= burst) {
            const unsigned before = reader;
            run(std::min(count, burst));
            while (reader == before)
                std::this_thread::yield();
        }
    }

    /// The same with so many other records between them that the queue overflows.
    void run_noisily(int count) {
        const std::string noise = base_ + "/r/noise";
        for (int i = 0; i < count; ++i) {
            run(1);
            for (int n = 0; n < 4; ++n)
                for (const char* name : {"create", "write", "unlink"})
                    test::Op{name, noise}.run();
        }
    }

    [[nodiscard]] const Log& log() const { return log_; }

private:
    bool operate() {
        return random_() % 16 == 0 ? operate_deep()
                                   : operate(test::any_operation(random_, 4).below(base_));
    }

    bool operate(const test::Op& op) {
        const auto begin = Clock::now();
        return op.run() == 0 && log(begin, op.text());
    }

    // What makes or removes several at once.
    bool operate_deep() {
        const auto begin = Clock::now();
        const std::string path = base_ + test::any_place(random_, 4);
        const bool removes = random_() % 4 == 0;
        std::error_code ignored;
        if (removes)
            fs::remove_all(path, ignored);
        else
            fs::create_directories(path, ignored);
        return log(begin, (removes ? "remove_all " : "mkdir -p ") + path);
    }

    bool log(Clock::time_point begin, const std::string& what) {
        log_.add(begin,
                 what + "  until " + std::to_string((Clock::now() - begin).count()) + " ns later");
        return true;
    }

    std::string base_;
    std::mt19937_64 random_;
    Log log_;
};

class Client {
public:
    Client(const std::string& root, const TreeOptions& options)
        : root_(root),
          tracks_(options.track_files),
          picture_(root),
          tree_(std::make_unique<RecordingKernel>(log_), options) {
        tree_.add_tree(root);
    }

    /// Loops until the empty value.
    void drain() {
        for (auto& event : tree_.event_gen()) {
            ++steps_;
            if (!event)
                break;
            apply(*event);
        }
    }

    /// Counts on with every event and every empty value.
    [[nodiscard]] const std::atomic<unsigned>& steps() const { return steps_; }

    void check_disk() {
        Picture::Entries disk;
        std::set<std::string> directories{root_};
        for (const auto& entry : fs::recursive_directory_iterator(root_)) {
            const bool is_dir = entry.is_directory();
            if (is_dir)
                directories.insert(entry.path().native());
            if (is_dir || exact())
                disk.emplace(entry.path().native(), is_dir);
        }
        Picture::Entries held = picture_.entries();
        if (!exact())
            std::erase_if(held, [](const auto& entry) { return !entry.second; });
        for (const auto& [path, is_dir] : disk)
            if (const auto entry = held.find(path); entry == held.end())
                fail("at the empty value the picture lacks " + path);
            else if (entry->second != is_dir)
                fail("at the empty value the picture has another type for " + path);
        for (const auto& [path, is_dir] : held)
            if (!disk.contains(path))
                fail("at the empty value the picture still has " + path);

        const auto coverage = tree_.coverage();
        for (const auto& unwatched : coverage.unwatched)
            fail("unwatched: " + unwatched.path + ": " + unwatched.error.message());
        std::set<std::string> watched;
        for (const auto& watch : tree_.watches())
            if (!watched.insert(watch.path).second)
                fail("watched twice: " + watch.path);
        if (watched != directories || coverage.watched != directories.size())
            fail("the watches are not the directories");

        for (const auto& directory : directories)
            test::touch(directory + "/probe");
        std::set<std::string> probed;
        for (const auto& event : test::drain(tree_)) {
            apply(event);
            if (event.mask == IN::CREATE && event.filename == "probe" &&
                !probed.insert(event.path).second)
                fail("a probe was told twice in " + event.path);
        }
        if (probed != directories)
            fail("the probes are not in the directories");
    }

    [[nodiscard]] const std::string& error() const { return error_; }
    [[nodiscard]] Clock::time_point failed_at() const { return failed_at_; }
    [[nodiscard]] const Log& log() const { return log_; }
    [[nodiscard]] std::size_t events() const { return events_; }
    [[nodiscard]] std::size_t overflows() const { return overflows_; }

private:
    // Without track_files an overflow is the client's cue to look at files again.
    [[nodiscard]] bool exact() const { return tracks_ || overflows_ == 0; }

    void apply(const inotify::Event& event) {
        ++events_;
        std::ostringstream line;
        line << "-> " << event;
        log_.add(Clock::now(), line.str());
        overflows_ += event.mask.intersects(IN::Q_OVERFLOW) ? 1 : 0;
        if (event.error)
            fail("an error: " + line.str());
        const std::string wrong = picture_.apply(event);
        if (!wrong.empty() && exact())
            fail(wrong + ": " + line.str(), event.full_path().native());
    }

    void fail(const std::string& error, const std::string& path = {}) {
        if (!error_.empty())
            return;
        error_ = error;
        // What was told of it before may be long past.
        if (!path.empty())
            for (const Line& line : log_.lines())
                if (line.text.starts_with("->") && line.text.find(path) != std::string::npos)
                    error_ += "\n    before: " + line.text;
        failed_at_ = Clock::now();
        log_.close();
    }

    std::string root_;
    bool tracks_;
    Log log_;
    Picture picture_;
    test::KernelTree tree_;
    std::string error_;
    Clock::time_point failed_at_;
    std::size_t events_ = 0;
    std::size_t overflows_ = 0;
    std::atomic<unsigned> steps_ = 0;
};

// The last events, and around them what the kernel and the other thread did, in the order of time.
std::string story(const Churn& churn, const Client& client) {
    constexpr std::size_t most_events = 50;
    constexpr std::size_t most_lines = 600;
    std::multimap<Clock::time_point, const std::string*> lines;
    std::size_t events = 0;
    for (auto line = client.log().lines().rbegin();
         line != client.log().lines().rend() && events < most_events; ++line) {
        lines.emplace_hint(lines.lower_bound(line->time), line->time, &line->text);
        events += line->text.starts_with("->") ? 1 : 0;
    }
    if (lines.empty())
        return {};
    const Clock::time_point first = lines.begin()->first - std::chrono::milliseconds(1);
    for (const Line& line : churn.log().lines())
        if (line.time >= first && line.time <= client.failed_at())
            lines.emplace(line.time, &line.text);
    while (lines.size() > most_lines)
        lines.erase(lines.begin());
    std::string result;
    for (const auto& [time, text] : lines)
        result += std::to_string((time - first).count() / 1000) + " us  " + *text + '\n';
    return result;
}

struct Totals {
    std::size_t events = 0;
    std::size_t overflows = 0;
};

// What went wrong with one seed, and how; nothing if nothing did.
std::string churn(const fs::path& parent, unsigned seed, const TreeOptions& options, int count,
                  bool overflows, Totals& totals) {
    std::string base = (parent / "inotify-churn-XXXXXX").native();
    if (::mkdtemp(base.data()) == nullptr)
        throw std::system_error(errno, std::system_category(), "mkdtemp");
    fs::create_directory(base + "/r");
    fs::create_directory(base + "/o");
    Churn other(base, seed);
    other.run(100);
    std::string result;
    {
        Client client(base + "/r", options);
        if (overflows)
            client.drain();  // every directory is watched, and then nothing is read for a while
        {
            std::atomic<bool> overflowed = !overflows;
            std::atomic<bool> done = false;
            const std::jthread thread([&] {
                constexpr std::array bursts{1, 3, 20, 500};
                if (overflows)
                    other.run_noisily(count);
                overflowed = true;
                other.run(count, bursts.at(seed % bursts.size()), client.steps());
                done = true;
            });
            while (!overflowed)
                std::this_thread::yield();
            while (!done)
                client.drain();
        }
        client.drain();
        client.check_disk();
        totals.events += client.events();
        totals.overflows += client.overflows();
        if (!client.error().empty())
            result = "seed " + std::to_string(seed) + " on " + parent.native() +
                     (options.track_files ? ", track_files" : "") + ": " + client.error() + '\n' +
                     story(other, client);
    }
    std::error_code ignored;
    fs::remove_all(base, ignored);
    return result;
}

void churn_with(bool track_files, int count, bool overflows, unsigned most_seeds) {
    const fs::path parent = fs::temp_directory_path();
    TreeOptions options;
    options.block_duration = inotify::Duration::zero();
    options.report_existing = true;
    options.track_files = track_files;
    Totals totals;
    const auto [first, last] = test::seeds(most_seeds);
    for (unsigned seed = first; seed <= last; ++seed) {
        const std::string failure = churn(parent, seed, options, count, overflows, totals);
        CHECK_MESSAGE(failure.empty(), failure);
    }
    MESSAGE("seeds ", first, " to ", last, ": ", count, " operations each on ", parent.native(),
            std::string(track_files ? " with" : " without"), " track_files: ", totals.events,
            " events, ", totals.overflows, " overflows");
}

}  // namespace

TEST_SUITE("threads") {
    TEST_CASE("after random churn the picture is the disk, and every directory is watched") {
        for (const bool track_files : {false, true})
            churn_with(track_files, operations, false, seeds);
    }

    TEST_CASE("after random churn past a full queue the picture is the disk") {
        for (const bool track_files : {false, true})
            churn_with(track_files, operations_past_the_queue, true, 1);
    }
}
