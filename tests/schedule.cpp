// SPDX-License-Identifier: MIT
// Scripts of file-system operations, run against a tree on the simulated kernel at chosen moments.
#include "schedule.hpp"

#include "picture.hpp"
#include "sim_client.hpp"

#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace test {
namespace {

constexpr std::size_t most_calls = 20'000;
constexpr int most_events = 10'000;

/// Writes a run down as a case.
class CaseWriter {
public:
    explicit CaseWriter(CaseLines& lines) : lines_(lines) {}

    void write_start(const Setup& setup) {
        const inotify::TreeOptions& options = setup.options;
        if (options.report_existing)
            add("option report_existing");
        if (options.track_files)
            add("option track_files");
        if (options.follow_symlinks)
            add("option follow_symlinks");
        if (options.follow_roots)
            add("option follow_roots");
        if (options.max_depth != inotify::unlimited)
            add("option max_depth " + std::to_string(options.max_depth));
        if (options.exclude)
            add("option exclude " + setup.exclude);
        if (setup.world.unknown_types)
            add("unknown_types");
        if (!setup.world.counts_subdirectories)
            add("no_link_counts");
        if (setup.world.lists_as_of_rewind)
            add("lists_as_of_rewind");
        for (const auto& [path, is_directory] : setup.world.tree("/"))
            if (path != "/r" && path != "/o")
                add(making(setup.world, path, is_directory).text());
    }

    void add(const std::string& line) { lines_.push_back(line); }

    /// Operations are counted from here on.
    void begin_counting() { calls_.clear(); }
    void count(std::string_view call) {
        ++calls_[std::string(call)];
        call_ = call;
    }
    void end_counting() { call_ = {}; }

    /// What happens now: before the call that was counted last, or, when it has ended, by itself.
    void happen(const std::string& what) {
        add(call_.empty() ? what
                          : "during " + call_ + ' ' + std::to_string(calls_[call_]) + ' ' + what);
    }

private:
    static Op making(const sim::World& world, const std::string& path, bool is_directory) {
        if (world.is_symlink(path))
            return {"symlink", world.target(path), path};
        return {is_directory ? "mkdir" : "create", path};
    }

    CaseLines& lines_;
    std::map<std::string, std::size_t> calls_;
    std::string call_;
};

/// One run of a setup.
class Run {
public:
    Run(const Setup& setup, const Moment& moment, const Fault& fault, Transcript* transcript)
        : setup_(setup),
          moment_(moment),
          fault_(fault),
          transcript_(transcript),
          world_(setup.world),
          client_(world_, setup.root, setup.options),
          reports_(setup.options.report_existing),
          can_fail_(reports_ || !setup.options.follow_roots),
          acts_(reports_ || setup.while_scanning) {
        if (transcript_ != nullptr)
            writer_.emplace(transcript_->lines).write_start(setup);
    }

    Outcome run() {
        world_.before_call = [this](std::string_view call) { return before_call(call); };
        try {
            if (!make_tree())
                return outcome_;
            drain();
            if (!probes_)
                write("cycle");
            while (left() > 0)
                act();
            drain();
            if (fault_)
                recover();
        } catch (const std::runtime_error& error) {
            fail(error.what());
            if (!is_made_)
                write(watching());
            write(setup_.while_scanning ? "cycle" : "picture");
            write("watches");
            return outcome_;
        }
        world_.before_call = nullptr;
        check();
        return outcome_;
    }

private:
    void fail(const std::string& error) {
        if (outcome_.error.empty())
            outcome_.error = error;
    }

    void write(const std::string& line) {
        if (writer_)
            writer_->add(line);
    }

    template <typename... Parts>
    void log(const Parts&... parts) {
        if (transcript_ == nullptr || transcript_->text.size() > 10'000)
            return;
        std::ostringstream line;
        (line << ... << parts);
        transcript_->text += line.str() + '\n';
    }

    // The steps that are certain to be left; in how many an operation is split shows when it runs.
    [[nodiscard]] std::size_t left() const {
        if (client_.is_split())
            return 1;
        const std::size_t ops = setup_.script.size() - done_;
        return ops > 0 && setup_.script[done_].split ? 1 : ops;
    }

    void act() {
        if (client_.is_split()) {
            client_.finish_operation();
            log("    its records");
            if (writer_)
                writer_->happen("rest");
            return;
        }
        const Op& op = setup_.script[done_++];
        const int result = client_.operate(op);
        log("    ", op.text(), " = ", result);
        if (writer_)
            writer_->happen(op.text());
    }

    void happen() {
        for (std::size_t most = left(); most > 0; most = left()) {
            const std::size_t steps = moment_(most);
            for (std::size_t n = steps; n > 0; --n)
                act();
            if (steps < most)
                break;
        }
    }

    // Not every call may throw: when the library cannot go on, they all fail.
    int before_call(std::string_view call) {
        if (is_stopped_)
            return -EIO;
        if (++calls_ > most_calls)
            return stop("it does not end");
        if (client_.has_tree())
            if (const std::string wrong = client_.tree().check(); !wrong.empty())
                return stop("an invariant is broken: " + wrong);
        if (writer_)
            writer_->count(call);
        if (acts_)
            happen();
        if (writer_)
            writer_->end_counting();
        const int result = fault_ && can_fail_ ? fault_(call) : 0;
        log("  ", call, result < 0 ? " fails" : "");
        return result;
    }

    int stop(const std::string& error) {
        fail(error);
        is_stopped_ = true;
        return -EIO;
    }

    // False when a fault keeps the tree from being made.
    bool make_tree() {
        client_.make_tree(world_.make_kernel());
        try {
            client_.add_root();
        } catch (const std::system_error&) {
            if (is_stopped_)
                throw;
            if (world_.open_directories() != 0)
                fail("a directory was left open");
            return false;
        }
        is_made_ = can_fail_ = true;
        write(watching());
        if (!acts_ && writer_)
            writer_->begin_counting();
        acts_ = true;
        if (!reports_)
            client_.look();
        if (setup_.while_scanning && left() == 0) {
            probes_ = true;
            write("probes");
            client_.probe();
        }
        return true;
    }

    // Reads up to the empty value.
    void drain() {
        int events = 0;
        for (auto& event : client_.tree().event_gen()) {
            if (!event)
                break;
            log("-> ", *event);
            apply(*event);
            if (++events > most_events) {
                fail("its events do not end");
                break;
            }
        }
        log("-> (empty)");
        if (setup_.options.follow_roots && !fault_ && !world_.is_operating() &&
            !setup_.while_scanning)
            fail_if(client_.wrong_picture());
    }

    [[nodiscard]] std::string watching() const {
        return setup_.root == "/r" ? "watch" : "watch " + setup_.root;
    }

    void apply(const inotify::Event& event) {
        namespace IN = inotify::IN;
        const auto line = [&] {
            std::ostringstream text;
            text << event;
            return text.str();
        };
        if (event.is_dir() && event.mask.intersects(IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE))
            fail("it heard itself: " + line());
        if (event.error && !fault_ && event.error.value() != ELOOP)
            fail("an error: " + line());
        // What an error kept from the first scan comes as new later.
        if (event.error && !reports_ && done_ == 0)
            client_.picture().forget(event.path);
        const std::string wrong = client_.apply(event);
        if (!wrong.empty() && !setup_.while_scanning)
            fail(wrong + ": " + line());
    }

    // What failed is tried again, and nothing of a directory that failed is taken for reported.
    void recover() {
        world_.time += std::chrono::seconds(2);
        drain();
        drain();
        client_.probe();
        drain();
        can_fail_ = false;
        world_.time += std::chrono::seconds(60);
        drain();
    }

    void check() {
        outcome_.silent_links = client_.has_silent_links();
        if (!setup_.while_scanning)
            fail_if(client_.wrong_picture());
        write(setup_.while_scanning ? "cycle" : "picture");
        fail_if(client_.wrong_watches());
        write("watches");
        if (!client_.probes().empty())
            fail("not reported: " + *client_.probes().begin());
        if (world_.open_directories() != 0)
            fail("a directory was left open");
        if (world_.replaced_masks != 0)
            fail("a mask was replaced, not added to");
    }

    void fail_if(const std::string& wrong) {
        if (!wrong.empty())
            fail(wrong);
    }

    const Setup& setup_;
    const Moment& moment_;
    const Fault& fault_;
    Transcript* transcript_;
    std::optional<CaseWriter> writer_;
    sim::World world_;
    SimClient client_;
    Outcome outcome_;
    const bool reports_;
    bool can_fail_;  // of what a followed root holds nobody says when it has failed to be listed
    bool acts_;      // operations happen
    bool is_made_ = false;
    bool is_stopped_ = false;
    bool probes_ = false;
    std::size_t done_ = 0;
    std::size_t calls_ = 0;
};

// True when the lines are a case that fails.
bool fails(const CaseLines& lines) {
    try {
        return !run_case(lines).empty();
    } catch (const Refused&) {
        return false;
    }
}

}  // namespace

Outcome run(const Setup& setup, const Moment& moment, const Fault& fault, Transcript* transcript) {
    return Run(setup, moment, fault, transcript).run();
}

Moment sampled_moments(std::uint64_t seed, std::size_t rarely) {
    return [random = std::mt19937_64(seed), rarely](std::size_t left) mutable -> std::size_t {
        return random() % rarely != 0 ? 0 : 1 + random() % left;
    };
}

std::string describe_failure(const Setup& setup, const Moment& moment) {
    Transcript transcript;
    const Outcome outcome = run(setup, moment, {}, &transcript);
    std::string result = outcome.error + "\n  script: " + to_string(setup.script) + '\n';
    if (!fails(transcript.lines))
        return result + "as a case it does not fail:\n" + to_string(transcript.lines) +
               transcript.text;
    return result + "as a case:\n# " + outcome.error + '\n' +
           to_string(shrink_case(transcript.lines)) + '\n' + transcript.text;
}

std::size_t run_all(const Setup& setup, std::string& failure) {
    Plan plan;
    const Moment moment = [&](std::size_t left) { return plan.choose(left); };
    std::size_t count = 0;
    do {
        ++count;
        if (run(setup, moment).error.empty())
            continue;
        plan.restart();
        failure = describe_failure(setup, moment);
        return count;
    } while (plan.next());
    return count;
}

}  // namespace test
