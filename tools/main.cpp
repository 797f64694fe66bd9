// SPDX-License-Identifier: MIT
// inotify-watch: prints what happens to files, directories and trees, or runs a command after it.
#include "command.hpp"
#include "options.hpp"
#include "print.hpp"
#include "since.hpp"

#include <inotify/batch.hpp>
#include <inotify/inotify_tree.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace IN = inotify::IN;

constexpr int timed_out = 3;

inotify::Inotify* running = nullptr;
volatile std::sig_atomic_t stopped = 0;  // by this signal

// As long as it lives, SIGINT, SIGTERM and SIGHUP end the loops over `stream`. The second time they
// kill, should the program be stuck in writing to a pipe that is full.
struct Signals {
    explicit Signals(inotify::Inotify& stream) {
        running = &stream;
        set([](int signal) {
            set(SIG_DFL);
            stopped = signal;
            running->stop();
        });
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals() {
        set(SIG_DFL);
        std::signal(SIGCHLD, SIG_DFL);
    }

    // The end of a command ends a loop, too.
    void add_child() const {
        std::signal(SIGCHLD, [](int) { running->stop(); });
    }

    static void set(void (*handler)(int)) {
        for (const int signal : {SIGINT, SIGTERM, SIGHUP})
            std::signal(signal, handler);
    }
};

std::unique_ptr<inotify::Inotify> make_stream(const Options& options) {
    inotify::Mask mask = options.mask.value_or(IN::ALL_EVENTS);
    // What a batch is made of; DELETE_SELF is how a watched path says that it is gone.
    if (options.batch)
        mask = options.mask.value_or(IN::CHANGES | IN::MODIFY | IN::ATTRIB) | IN::DELETE_SELF;
    if (options.tree) {
        inotify::TreeOptions tree{.mask = mask,
                                  .max_depth = options.max_depth,
                                  .one_file_system = options.one_file_system,
                                  .follow_symlinks = options.follow_symlinks,
                                  .report_existing = options.existing,
                                  .track_files = options.batch || options.since,
                                  .follow_roots = options.follow};
        if (options.since)
            tree.since = load_since(*options.since);
        if (!options.exclude.empty())
            tree.exclude = [&](std::string_view path) { return matches(options.exclude, path); };
        return std::make_unique<inotify::InotifyTree>(options.paths, tree);
    }
    auto stream = std::make_unique<inotify::Inotify>();
    for (const fs::path& path : options.paths) {
        const bool is_there = fs::exists(path);  // a path that is not may be a slip of the pen
        if (options.follow || (is_there && !fs::is_directory(path)))
            stream->follow(path, mask);
        else
            stream->add_watch(path, mask);
    }
    return stream;
}

/// Watches what the options say.
class Watch {
public:
    explicit Watch(const Options& options)
        : options_(options),
          printer_(options),
          stream_(make_stream(options)),
          tree_(dynamic_cast<inotify::InotifyTree*>(stream_.get())),
          signals_(*stream_),
          command_(options.command, options.restart) {
        if (options.since)
            since_.emplace(*options.since, options.since_interval, *tree_);
    }

    int run() {
        std::string note = "watching";
        for (const fs::path& path : options_.paths)
            note += ' ' + path.native();
        note += options_.tree ? " and all below" : "";
        printer_.note(note + "; Ctrl-C " + (options_.timeout ? "or silence " : "") + "ends it");
        if (!options_.batch) {
            const int status = print_events();
            if (since_)
                since_->save();
            return status;
        }
        report_unwatched();
        if (options_.command.empty())
            return print_batches();
        signals_.add_child();
        return options_.restart ? restart_command() : run_command();
    }

private:
    [[nodiscard]] bool is_included(const std::string& path) const {
        return options_.include.empty() || matches(options_.include, path);
    }

    // A directory that is gone or renamed stands for all that was below it.
    [[nodiscard]] bool is_included(const inotify::Change& change) const {
        return is_included(change.path) || is_included(change.moved_from) ||
               (change.is_dir && (change.kind == inotify::ChangeKind::removed ||
                                  change.kind == inotify::ChangeKind::renamed));
    }

    // True when N is reached.
    bool is_last() { return options_.count != 0 && ++counted_ == options_.count; }

    [[nodiscard]] bool is_given(const std::string& path) const {
        return std::ranges::any_of(options_.paths,
                                   [&](const fs::path& given) { return given.native() == path; });
    }

    bool nothing_is_left() {
        if (options_.follow || !stream_->watches().empty())
            return false;
        printer_.note("nothing is left to watch");
        return true;
    }

    // Batches are of changes alone; among events each is one with an error.
    void report_unwatched() const {
        if (tree_ != nullptr)
            for (const auto& [path, error] : tree_->coverage().unwatched)
                std::cerr << "inotify-watch: " << path << ": " << error.message() << '\n';
    }

    int print_events() {
        for (auto& event :
             stream_->event_gen({.timeout = options_.timeout, .yield_empty = since_.has_value()})) {
            if (!event) {
                since_->idle();
                continue;
            }
            if (since_)
                since_->note_event();
            if (event->mask == IN::Q_OVERFLOW || is_included(event->full_path().native())) {
                printer_.print(*event);
                if (is_last())
                    return 0;
            }
            if (event->mask.intersects(IN::IGNORED) && is_given(event->path) && nothing_is_left())
                return 0;
        }
        return stopped != 0 ? 0 : timed_out;
    }

    [[nodiscard]] inotify::BatchOptions batch_options() const {
        return {.quiet = *options_.batch,
                .longest = std::max<inotify::Duration>(5s, *options_.batch * 10),
                .timeout = options_.timeout};
    }

    // Leaves in a batch what is to be included; false when nothing is.
    bool narrow(inotify::Batch& batch) {
        for (const inotify::Change& change : batch.changes)
            if (change.kind == inotify::ChangeKind::removed && is_given(change.path))
                has_ended_ = true;
        std::erase_if(batch.changes,
                      [&](const inotify::Change& change) { return !is_included(change); });
        return !batch.empty();
    }

    int print_batches() {
        for (auto& batch : inotify::batches(*stream_, batch_options())) {
            if (narrow(batch)) {
                printer_.print(batch);
                if (is_last())
                    return 0;
            }
            if (has_ended_ && nothing_is_left())
                return 0;
        }
        if (stopped == 0)
            return timed_out;
        if (inotify::Batch rest = collected(0ms); narrow(rest))
            printer_.print(rest);
        return 0;
    }

    // The next batch for a command; empty at the end.
    std::optional<inotify::Batch> next_batch() {
        while (stopped == 0) {
            if (has_ended_ && nothing_is_left()) {
                ended_by_itself_ = true;
                break;
            }
            auto range = inotify::batches(*stream_, batch_options());
            const auto batch = range.begin();
            if (batch == range.end())
                return {};
            if (narrow(*batch))
                return std::move(*batch);
        }
        return {};
    }

    // What has changed until nothing has for `quiet`. Several batches become one, which is good
    // enough for a list of paths.
    inotify::Batch collected(inotify::Duration quiet) {
        inotify::Batch all;
        for (auto& batch : inotify::batches(*stream_, {.quiet = quiet, .timeout = quiet})) {
            all.overflow = all.overflow || batch.overflow;
            std::ranges::move(batch.changes, std::back_inserter(all.changes));
        }
        return all;
    }

    static Paths paths_of(const inotify::Batch& batch) {
        Paths paths;
        for (const inotify::Change& change : batch.changes)
            paths.push_back(change.path);
        return paths;
    }

    // Waits for the end of the command, and reads on meanwhile, for the kernel's queue is short.
    void await_command() {
        while (command_.is_running() && stopped == 0)
            for ([[maybe_unused]] auto& batch : inotify::batches(
                     *stream_, {.quiet = inotify::forever, .longest = inotify::forever}))
                break;
        if (stopped == SIGINT && !options_.restart)
            command_.wait();  // a terminal has sent it to the command, too
        else if (stopped != 0)
            command_.end(stopped);
        use_up_stop();
    }

    // The signal of its end came before the command could be waited for: it shall end no other
    // range.
    void use_up_stop() {
        stream_->stop();
        (void)stream_->get(0ms);
    }

    [[nodiscard]] int status() const { return command_.has_failed() ? EXIT_FAILURE : EXIT_SUCCESS; }

    int run_command() {
        OutputFilter filter;
        while (std::optional<inotify::Batch> batch = next_batch()) {
            filter.idle(*batch);
            Paths paths = paths_of(*batch);
            do {
                command_.start(paths);
                await_command();
                if (stopped != 0)
                    return 0;
                if (is_last())
                    return status();
                // All that was done before the command ended is in it.
                inotify::Batch meanwhile = collected(0ms);
                paths = narrow(meanwhile) ? filter.during(meanwhile) : Paths{};
                if (paths.empty() && !meanwhile.overflow)
                    break;
                if (filter.gives_up()) {
                    std::cerr << "inotify-watch: " << options_.command.front()
                              << " changes what it is run for; waiting for another change\n";
                    break;
                }
                if (inotify::Batch more = collected(*options_.batch); narrow(more)) {
                    filter.idle(more);
                    std::ranges::move(paths_of(more), std::back_inserter(paths));
                }
            } while (stopped == 0);
        }
        return stopped != 0 || ended_by_itself_ ? 0 : timed_out;
    }

    int restart_command() {
        for (;;) {
            const std::optional<inotify::Batch> batch = next_batch();
            const bool has_run_to_end = is_started_ && !command_.is_running();
            if (!batch && stopped == 0 && !ended_by_itself_ && has_run_to_end) {
                is_started_ = false;  // its signal has ended the range
                continue;
            }
            command_.end(stopped != 0 ? stopped : SIGTERM);
            use_up_stop();
            if (stopped != 0 || ended_by_itself_)
                return 0;
            if (!batch)
                return timed_out;
            command_.start(paths_of(*batch));
            is_started_ = true;
            if (is_last()) {
                await_command();
                return stopped != 0 ? 0 : status();
            }
        }
    }

    const Options& options_;
    Printer printer_;
    std::unique_ptr<inotify::Inotify> stream_;
    inotify::InotifyTree* tree_;  // the stream, if it is one
    std::optional<Since> since_;
    Signals signals_;
    Command command_;
    std::size_t counted_ = 0;
    bool has_ended_ = false;  // one of the paths
    bool ended_by_itself_ = false;
    bool is_started_ = false;
};

// The scratch directory of the demonstration, with whatever was made in it.
struct Scratch {
    std::string path = (fs::temp_directory_path() / "inotify-XXXXXX").native();
    Scratch() {
        if (::mkdtemp(path.data()) == nullptr)
            throw std::system_error(errno, std::system_category(), "mkdtemp: " + path);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code error;
        fs::remove_all(path, error);
        if (error)
            std::cerr << "inotify-watch: left " << path << ": " << error.message() << '\n';
    }
};

void show_events(inotify::Inotify& stream, const Printer& printer, inotify::Duration timeout) {
    for (auto& event : stream.event_gen({.timeout = timeout, .yield_empty = false}))
        printer.print(*event);
}

int demonstrate(const Options& options) {
    constexpr const char* session =
        "echo hi >test/f1; mv test/f1 test/f2; cat test/f2 >/dev/null; rm test/f2; rmdir test";
    const Printer printer(options);
    const Scratch scratch;
    const std::string& path = scratch.path;
    fs::current_path(path);
    fs::create_directory("test");
    inotify::InotifyTree tree("test");
    const Signals signals(tree);
    printer.note("watching " + path + "/test during: " + session);
    if (std::system(session) != 0)
        throw std::runtime_error("the shell session failed");
    show_events(tree, printer, 0ms);
    if (stopped != 0)
        return 0;
    tree.add_tree(path);
    const inotify::Duration timeout = options.timeout.value_or(30s);
    std::ostringstream note;
    note << "\nwatching " << path << " and all below; make events from a second terminal:\n"
         << "    mkdir -p " << path << "/a/b/c && touch " << path << "/a/b/c/hello\n"
         << "(ends on Ctrl-C or after " << std::chrono::duration<double>(timeout).count()
         << " seconds of silence)";
    printer.note(note.str());
    show_events(tree, printer, timeout);
    if (stopped == 0)
        printer.note(
            "\nNext, in a directory of your own: inotify-watch --tree .\n"
            "or build it after every change:    inotify-watch --tree . -- make");
    return 0;
}

}  // namespace

int main(int argc, char** argv) try {
    std::signal(SIGPIPE, SIG_IGN);  // writing then fails with EPIPE
    const Options options = parse(argc, argv);
    return options.paths.empty() ? demonstrate(options) : Watch(options).run();
} catch (const std::exception& error) {
    const auto* failed = dynamic_cast<const std::system_error*>(&error);
    if (failed != nullptr && failed->code() == std::errc::broken_pipe)
        return 0;  // the reader has seen enough, as in `| head -1`
    std::cerr << "inotify-watch: " << error.what() << '\n';
    return 1;
}
