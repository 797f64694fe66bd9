// SPDX-License-Identifier: MIT
// Every file in cases/ is a script, run on the simulated kernel: commands, then the events
// expected.
//
// A line is a command or, after `expect`, an event; # begins a comment. Paths are relative to the
// root /r, or absolute; /o lies outside. Commands before `watch` make what is there already.
//
//   mkdir, rmdir, mkfifo, create, write, read, unlink, chmod, list PATH
//   mount, unmount, deny, allow PATH
//   rename, exchange, link, symlink, bind A B
//   move_out PATH, move_in PATH   rename to and from outside
//   option track_files, report_existing, follow_symlinks, one_file_system, max_depth N, mask MASK,
//       exclude PATH
//   watch [PATH...]        makes the tree, of the root or of several roots
//   remove_tree PATH
//   overflow N             the queue holds N records for the commands from here to the next expect
//   watch_limit N
//   lists_as_of_rewind     listings are as on btrfs
//   unknown_types          listings know no types
//   late_half              the second half of the last rename is queued behind what follows it
//   short_reads            each read ends after one record
//   during CALL N COMMAND  happens before the N-th such call of the library in the next expect
//   later                  a second passes
//   expect                 every event up to the empty value, in order:
//       MASK PATH [< MOVED_FROM] [(synthetic)], or: error ERRNO PATH
//
// In a path \n and \xHH are bytes, and a{255} is the a 255 times. "." is the root itself.
//
// Cases of the field that are no script live in named tests: a storm of signals (signal_test),
// fork and exec, and a descriptor above 1024 (error_test), mkdir -p in a loop during reads and the
// rm -rf of a root on the real kernel (tree tests), random churn (churn_test).
#include "forwarding_kernel.hpp"
#include "sim_kernel.hpp"
#include "support.hpp"

#include <inotify/detail/record.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>

namespace fs = std::filesystem;
namespace IN = inotify::IN;
using test::Lines;

namespace {

using Words = std::vector<std::string>;

const std::string root = "/r";

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

Words split(const std::string& line) {
    std::istringstream in(line.substr(0, line.find('#')));
    return {std::istream_iterator<std::string>(in), {}};
}

std::string unescape(const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.compare(i, 2, "\\n") == 0) {
            result += '\n';
            ++i;
        } else if (text.compare(i, 2, "\\x") == 0) {
            result += static_cast<char>(std::stoi(text.substr(i + 2, 2), nullptr, 16));
            i += 3;
        } else if (text[i] == '{') {
            const std::size_t end = text.find('}', i);
            result.append(std::stoul(text.substr(i + 1, end - i - 1)) - 1, result.back());
            i = end;
        } else {
            result += text[i];
        }
    }
    return result;
}

std::string full(const std::string& text) {
    if (text == ".")
        return root;
    return text.starts_with('/') ? unescape(text) : root + '/' + unescape(text);
}

inotify::Mask mask_of(const std::string& text) {
    static const std::map<std::string, inotify::Mask> names{{"ACCESS", IN::ACCESS},
                                                            {"MODIFY", IN::MODIFY},
                                                            {"ATTRIB", IN::ATTRIB},
                                                            {"CLOSE_WRITE", IN::CLOSE_WRITE},
                                                            {"OPEN", IN::OPEN},
                                                            {"CLOSE_NOWRITE", IN::CLOSE_NOWRITE},
                                                            {"CREATE", IN::CREATE},
                                                            {"DELETE", IN::DELETE},
                                                            {"MOVED_FROM", IN::MOVED_FROM},
                                                            {"MOVED_TO", IN::MOVED_TO},
                                                            {"DELETE_SELF", IN::DELETE_SELF},
                                                            {"MOVE_SELF", IN::MOVE_SELF},
                                                            {"ALL_EVENTS", IN::ALL_EVENTS}};
    inotify::Mask result;
    std::istringstream in(text);
    for (std::string name; std::getline(in, name, '|');)
        if (const auto found = names.find(name); found != names.end())
            result |= found->second;
        else
            refuse("an unknown mask: " + name);
    return result;
}

std::string name_of(const std::error_code& error) {
    if (error == std::errc::permission_denied)
        return "EACCES";
    return error == std::errc::no_space_on_device ? "ENOSPC" : error.message();
}

/// Reads as a case wants them, and a clock that only the case moves.
class CaseKernel final : public test::ForwardingKernel {
public:
    using ForwardingKernel::ForwardingKernel;

    bool short_reads = false;
    bool late_half = false;
    std::chrono::steady_clock::time_point time{};

    std::chrono::steady_clock::time_point now() override { return time; }

    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        if (held_.empty()) {
            const std::ptrdiff_t size = ForwardingKernel::read(buffer);
            if (size <= 0 || (!short_reads && !late_half))
                return size;
            held_.assign(buffer.begin(), buffer.begin() + size);
            if (std::exchange(late_half, false))
                put_half_last();
        }
        inotify::detail::Record first;
        parse_record(held_, first);
        const std::size_t size = short_reads ? first.size : held_.size();
        std::memcpy(buffer.data(), held_.data(), size);
        held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(size));
        return static_cast<std::ptrdiff_t>(size);
    }

private:
    void put_half_last() {
        inotify::detail::Record record;
        auto half = held_.end();
        std::ptrdiff_t half_size = 0;
        for (auto at = held_.begin(); at != held_.end();) {
            parse_record({at, held_.end()}, record);
            const auto size = static_cast<std::ptrdiff_t>(record.size);
            if ((record.mask & IN::MOVED_TO.bits()) != 0) {
                half = at;
                half_size = size;
            }
            at += size;
        }
        std::rotate(half, half + half_size, held_.end());
    }

    std::vector<std::byte> held_;
};

class Case {
public:
    explicit Case(const fs::path& file) : file_(file) {
        world_.mkdir(root);
        world_.mkdir("/o");
        options_.mask = IN::ALL_EVENTS;
    }

    ~Case() { world_.before_call = nullptr; }
    Case(const Case&) = delete;
    Case& operator=(const Case&) = delete;

    void run() {
        std::ifstream in(file_);
        std::string line;
        Lines expected;
        bool expecting = false;
        std::size_t rounds = 0;
        for (number_ = 1; std::getline(in, line); ++number_) {
            const Words words = split(line);
            if (words.empty())
                continue;
            if (expecting && (std::isupper(static_cast<unsigned char>(words[0][0])) != 0 ||
                              words[0] == "error")) {
                expected.push_back(event_line(words));
                continue;
            }
            if (std::exchange(expecting, words[0] == "expect")) {
                compare(expected);
                expected.clear();
            }
            if (words[0] == "expect")
                ++rounds;
            else
                command(words);
        }
        if (expecting)
            compare(expected);
        if (rounds == 0)
            refuse("expects nothing");
        if (world_.open_directories() != 0)
            refuse("a directory was left open");
    }

    [[nodiscard]] std::size_t line() const { return number_; }

private:
    struct During {
        std::string call;
        int left;
        Words command;
    };

    void command(const Words& words) {
        const std::string& name = words[0];
        const auto word = [&](std::size_t i) -> const std::string& { return words.at(i); };
        if (name == "option")
            return option(words);
        if (name == "watch")
            return watch(words);
        if (name == "remove_tree")
            return tree_->remove_tree(full(word(1)));
        if (name == "overflow") {
            world_.max_queued_events = std::stoul(word(1));
            return;
        }
        if (name == "watch_limit") {
            world_.max_user_watches = std::stoul(word(1));
            return;
        }
        if (name == "unknown_types") {
            world_.unknown_types = true;
            return;
        }
        if (name == "lists_as_of_rewind") {
            world_.lists_as_of_rewind = true;
            return;
        }
        if (name == "late_half") {
            kernel_->late_half = true;
            return;
        }
        if (name == "short_reads") {
            kernel_->short_reads = true;
            return;
        }
        if (name == "later") {
            kernel_->time += std::chrono::seconds(1);
            return;
        }
        if (name == "during") {
            during_.push_back({word(1), std::stoi(word(2)), Words(words.begin() + 3, words.end())});
            return;
        }
        operate(words);
    }

    void operate(const Words& words) {
        using One = int (sim::World::*)(std::string_view);
        using Two = int (sim::World::*)(std::string_view, std::string_view);
        static const std::map<std::string, One> with_one{
            {"mkdir", &sim::World::mkdir},     {"rmdir", &sim::World::rmdir},
            {"create", &sim::World::create},   {"write", &sim::World::write},
            {"unlink", &sim::World::unlink},   {"read", &sim::World::read_file},
            {"chmod", &sim::World::chmod},     {"list", &sim::World::list},
            {"mkfifo", &sim::World::mkfifo},   {"mount", &sim::World::mount},
            {"unmount", &sim::World::unmount}, {"deny", &sim::World::deny},
            {"allow", &sim::World::allow}};
        static const std::map<std::string, Two> with_two{{"rename", &sim::World::rename},
                                                         {"exchange", &sim::World::exchange},
                                                         {"link", &sim::World::link},
                                                         {"bind", &sim::World::bind}};
        const std::string& name = words.at(0);
        const std::string path = full(words.at(1));
        const std::string outside = "/o/" + fs::path(path).filename().native();
        int result = 0;
        if (const auto one = with_one.find(name); one != with_one.end())
            result = (world_.*one->second)(path);
        else if (const auto two = with_two.find(name); two != with_two.end())
            result = (world_.*two->second)(path, full(words.at(2)));
        else if (name == "symlink")
            result = world_.symlink(words[1], full(words.at(2)));
        else if (name == "move_out")
            result = world_.rename(path, outside);
        else if (name == "move_in")
            result = world_.rename(outside, path);
        else
            refuse("an unknown command: " + name);
        if (result < 0)
            refuse(name + ": " + std::generic_category().message(-result));
    }

    void option(const Words& words) {
        const std::string& name = words.at(1);
        if (name == "track_files")
            options_.track_files = true;
        else if (name == "report_existing")
            options_.report_existing = true;
        else if (name == "follow_symlinks")
            options_.follow_symlinks = true;
        else if (name == "one_file_system")
            options_.one_file_system = true;
        else if (name == "max_depth")
            options_.max_depth = std::stoul(words.at(2));
        else if (name == "mask")
            options_.mask = mask_of(words.at(2));
        else if (name == "exclude")
            options_.exclude = [path = full(words.at(2))](std::string_view p) { return p == path; };
        else
            refuse("an unknown option: " + name);
    }

    void watch(const Words& words) {
        auto kernel = std::make_unique<CaseKernel>(world_.make_kernel());
        kernel_ = kernel.get();
        tree_.emplace(std::move(kernel), options_);
        if (words.size() == 1)
            tree_->add_tree(root);
        for (std::size_t i = 1; i < words.size(); ++i)
            tree_->add_tree(full(words[i]));
        world_.before_call = [this](std::string_view call) {
            for (std::size_t i = 0; i < during_.size(); ++i)
                if (call == during_[i].call && --during_[i].left == 0) {
                    const Words then = during_[i].command;
                    operate(then);
                }
            return 0;
        };
    }

    static std::string event_line(const Words& words) {
        Words rest = words;
        std::string line;
        if (rest[0] == "error") {
            line = "error " + rest.at(1);
            rest.erase(rest.begin());
        } else {
            line = rest[0];
        }
        for (std::size_t i = 1; i < rest.size(); ++i)
            line +=
                ' ' + (rest[i] == "<" || rest[i] == "(synthetic)" ? rest[i] : unescape(rest[i]));
        return line;
    }

    void compare(const Lines& expected) {
        world_.max_queued_events = 16384;  // the library's own reading is no part of the overflow
        Lines got;
        for (const auto& event : test::drain(*tree_)) {
            std::string line = test::lines({event}, root).at(0);
            if (event.error)
                line = "error " + name_of(event.error) + line.substr(line.find(' '));
            if (event.synthetic)
                line += " (synthetic)";
            got.push_back(line);
        }
        for (const During& during : during_)
            if (during.left > 0)
                refuse("no such call: " + during.call);
        during_.clear();
        const std::string where = file_.native() + ", before line " + std::to_string(number_);
        CAPTURE(where);
        CAPTURE(expected);
        CAPTURE(got);
        CHECK(got == expected);
    }

    fs::path file_;
    std::size_t number_ = 0;
    sim::World world_;
    inotify::TreeOptions options_;
    std::optional<test::KernelTree> tree_;
    CaseKernel* kernel_ = nullptr;
    std::vector<During> during_;
};

}  // namespace

TEST_CASE("every case in cases/ tells the events that it expects") {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(INOTIFY_CASES))
        if (entry.path().extension() == ".txt")
            files.push_back(entry.path());
    std::ranges::sort(files);
    REQUIRE(!files.empty());
    for (const fs::path& file : files) {
        Case it(file);
        try {
            it.run();
        } catch (const std::exception& error) {
            FAIL_CHECK(file.native(), ":", it.line(), ": ", std::string(error.what()));
        }
    }
    MESSAGE(files.size(), " cases");
}
