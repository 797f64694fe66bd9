// SPDX-License-Identifier: MIT
// A case: a script of lines, run on the simulated kernel.
#include "case.hpp"

#include "forwarding_kernel.hpp"
#include "sim_client.hpp"
#include "support.hpp"

#include <inotify/detail/record.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <system_error>
#include <utility>

namespace test {
namespace {

namespace IN = inotify::IN;

const std::string root = "/r";
constexpr std::size_t most_calls = 20'000;
constexpr std::size_t most_events = 10'000;

[[noreturn]] void refuse(const std::string& what) { throw Refused(what); }

/// The library is wrong, and cannot go on.
struct Broken : std::runtime_error {
    using runtime_error::runtime_error;
};

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

/// Reads as a case wants them.
class CaseKernel final : public test::ForwardingKernel {
public:
    using ForwardingKernel::ForwardingKernel;

    bool short_reads = false;
    bool late_half = false;

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

/// A during line, whose command happens before a call.
struct During {
    std::string call;
    int left;
    Words command;
};

class Case {
public:
    Case() {
        world_.mkdir(root);
        world_.mkdir("/o");
        options_.mask = IN::ALL_EVENTS;
    }
    Case(const Case&) = delete;
    Case& operator=(const Case&) = delete;
    ~Case() { world_.before_call = nullptr; }

    std::vector<std::string> run(const CaseLines& lines) {
        try {
            for (const std::string& line : lines) {
                ++number_;
                if (const Words words = split_words(line); !words.empty())
                    handle(words);
            }
            end_expect();
        } catch (const Broken& error) {
            fail(error.what());
            return failures_;
        } catch (const std::exception& error) {
            refuse("line " + std::to_string(number_) + ": " + error.what());
        }
        if (!has_checks_)
            refuse("it expects nothing");
        if (world_.open_directories() != 0)
            fail("a directory was left open");
        if (world_.replaced_masks != 0)
            fail("a mask was replaced, not added to");
        return failures_;
    }

private:
    void fail(const std::string& what) {
        failures_.push_back("line " + std::to_string(number_) + ": " + what);
    }

    void handle(const Words& words) {
        const bool is_event =
            std::isupper(static_cast<unsigned char>(words[0][0])) != 0 || words[0] == "error";
        if (expected_ && is_event) {
            expected_->push_back(event_line(words));
            return;
        }
        end_expect();
        if (words[0] == "expect")
            expected_.emplace();
        else if (!handle_setting(words) && !handle_check(words[0]))
            command(words);
    }

    void command(const Words& words) {
        const std::string& name = words[0];
        if (name == "option")
            option(words);
        else if (name == "watch")
            watch(words);
        else if (name == "follow")
            follow(words);
        else if (name == "remove_tree")
            client().tree().remove_tree(full_path(words.at(1)));
        else if (name == "during")
            during_.push_back(
                {words.at(1), std::stoi(words.at(2)), Words(words.begin() + 3, words.end())});
        else
            operate(words);
    }

    bool handle_setting(const Words& words) {
        const std::string& name = words[0];
        if (name == "overflow")
            world_.max_queued_events = std::stoul(words.at(1));
        else if (name == "watch_limit")
            world_.max_user_watches = std::stoul(words.at(1));
        else if (name == "unknown_types")
            world_.unknown_types = true;
        else if (name == "no_link_counts")
            world_.counts_subdirectories = false;
        else if (name == "lists_as_of_rewind")
            world_.lists_as_of_rewind = true;
        else if (name == "late_half")
            kernel_->late_half = true;
        else if (name == "short_reads")
            kernel_->short_reads = true;
        else if (name == "later")
            world_.time += std::chrono::seconds(1);
        else
            return false;
        return true;
    }

    void option(const Words& words) {
        const std::string& name = words.at(1);
        if (name == "track_files")
            options_.track_files = true;
        else if (name == "report_existing")
            options_.report_existing = true;
        else if (name == "follow_symlinks")
            options_.follow_symlinks = true;
        else if (name == "follow_roots")
            options_.follow_roots = true;
        else if (name == "one_file_system")
            options_.one_file_system = true;
        else if (name == "max_depth")
            options_.max_depth = std::stoul(words.at(2));
        else if (name == "mask")
            options_.mask = mask_of(words.at(2));
        else if (name == "exclude")
            options_.exclude = excluding(words.at(2));
        else
            refuse("an unknown option: " + name);
    }

    void operate(const Words& words) {
        if (words[0] == "rest") {
            if (!client().is_split())
                refuse("no operation is split");
            client().finish_operation();
            return;
        }
        const Op op = Op::parse(words);
        const int result = client_ ? client_->operate(op) : op.run(world_);
        if (result < 0)
            refuse(op.text() + ": " + std::generic_category().message(-result));
    }

    SimClient& client() {
        if (!client_)
            refuse("nothing is watched");
        return *client_;
    }

    void watch(const Words& words) {
        std::vector<std::string> roots;
        for (std::size_t i = 1; i < words.size(); ++i)
            roots.push_back(full_path(words[i]));
        if (roots.empty())
            roots.push_back(root);
        has_picture_ = roots.size() == 1 && (during_.empty() || options_.report_existing);
        has_one_root_ = roots.size() == 1;
        client_.emplace(world_, roots.front(), options_);
        world_.before_call = [this](std::string_view call) { return before_call(call); };
        auto kernel = std::make_unique<CaseKernel>(world_.make_kernel());
        kernel_ = kernel.get();
        client_->make_tree(std::move(kernel));
        use_library([&] {
            client_->add_root();
            for (const std::string& path : roots | std::views::drop(1))
                client_->tree().add_tree(path);
        });
        if (has_picture_ && !options_.report_existing)
            client_->look();
    }

    void follow(const Words& words) {
        world_.before_call = [this](std::string_view call) { return before_call(call); };
        names_.emplace(world_.make_kernel());
        use_library([&] {
            for (std::size_t i = 1; i < words.size(); ++i)
                names_->follow(full_path(words[i]), options_.mask);
        });
    }

    inotify::Inotify& inotify() {
        if (names_)
            return *names_;
        return client().tree();
    }

    // Not every call of the library may throw: after an exception they all fail.
    int before_call(std::string_view call) {
        if (!stopped_) {
            try {
                act_before(call);
            } catch (...) {
                stopped_ = std::current_exception();
            }
        }
        return stopped_ ? -EIO : 0;
    }

    template <typename Action>
    void use_library(Action action) {
        try {
            action();
        } catch (const std::system_error&) {
            if (!stopped_)
                throw;
        }
        if (stopped_)
            std::rethrow_exception(stopped_);
    }

    void act_before(std::string_view call) {
        if (++calls_ > most_calls)
            throw Broken("it does not end");
        if (client_ && client_->has_tree())
            if (const std::string wrong = client_->tree().check(); !wrong.empty())
                throw Broken("an invariant is broken: " + wrong);
        for (std::size_t i = 0; i < during_.size(); ++i)
            if (call == during_[i].call && --during_[i].left == 0) {
                const Words then = during_[i].command;
                operate(then);
            }
    }

    // Every event up to the empty value. What the client cannot apply is in `wrong_`.
    std::vector<inotify::Event> read() {
        has_checks_ = true;
        calls_ = 0;
        world_.max_queued_events = 16384;  // the library's own reading is no part of the overflow
        std::vector<inotify::Event> events;
        use_library([&] {
            for (auto& event : inotify().event_gen()) {
                if (!event)
                    break;
                const std::string wrong = names_ ? "" : wrong_event(*event);
                if (!wrong.empty())
                    wrong_.push_back(wrong + ": " + lines({*event}, root).at(0));
                events.push_back(*event);
                if (events.size() > most_events)
                    throw Broken("its events do not end");
            }
        });
        for (const During& during : during_)
            if (during.left > 0)
                refuse("no such call: " + during.call);
        during_.clear();
        return events;
    }

    // What is wrong with an event, unless every event is expected as it comes.
    std::string wrong_event(const inotify::Event& event) {
        const std::string wrong = client_->apply(event);
        if (event.error && event.error.value() != ELOOP)
            return "an error";
        if (event.is_dir() && event.mask.intersects(IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE))
            return "it heard itself";
        return has_picture_ ? wrong : "";
    }

    bool handle_check(const std::string& name) {
        if (name != "cycle" && name != "picture" && name != "probes" && name != "watches")
            return false;
        if (!has_one_root_ || (name == "picture" && !has_picture_))
            refuse("this tree's client has no picture");
        if (name != "cycle" && client().is_split() && world_.is_operating())
            refuse("an operation is split");
        if (name == "watches") {
            if (world_.queued_records() != 0)
                refuse("there is more to read");
            require(client().wrong_watches());
            return true;
        }
        if (name == "probes")
            client().probe();
        wrong_.clear();
        read();
        for (const std::string& wrong : wrong_)
            fail(wrong);
        if (name == "picture")
            require(client().wrong_picture());
        if (!client().probes().empty())
            fail("not reported: " + *client().probes().begin());
        return true;
    }

    void require(const std::string& wrong) {
        if (!wrong.empty())
            fail(wrong);
    }

    // The events of an `expect` have been read.
    void end_expect() {
        if (!expected_)
            return;
        const Lines expected = *std::exchange(expected_, std::nullopt);
        Lines got;
        for (const inotify::Event& event : read()) {
            std::string line = lines({event}, root).at(0);
            if (event.error)
                line = "error " + name_of(event.error) + line.substr(line.find(' '));
            if (event.synthetic)
                line += " (synthetic)";
            got.push_back(line);
        }
        if (got == expected)
            return;
        std::string text = "before it, other events\n  expected:";
        for (const std::string& line : expected)
            text += "\n    " + line;
        text += "\n  got:";
        for (const std::string& line : got)
            text += "\n    " + line;
        fail(text);
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

    std::size_t number_ = 0;
    std::vector<std::string> failures_;
    bool has_checks_ = false;
    std::optional<Lines> expected_;

    sim::World world_;
    inotify::TreeOptions options_;
    std::optional<SimClient> client_;
    std::optional<KernelInotify> names_;  // that are followed instead
    bool has_one_root_ = false;
    bool has_picture_ = false;
    std::vector<std::string> wrong_;
    CaseKernel* kernel_ = nullptr;
    std::vector<During> during_;
    std::size_t calls_ = 0;
    std::exception_ptr stopped_;
};

/// Makes a failing case shorter.
class Shrinking {
public:
    explicit Shrinking(CaseLines lines) : lines_(std::move(lines)) {}

    CaseLines run() {
        for (bool shorter = true; shorter;) {
            shorter = false;
            for (std::size_t i = lines_.size(); i-- > 0;)
                shorter |= leave_out(i) || simplify(i);
            for (std::size_t i = lines_.size(); i-- > 0 && !shorter;)
                for (std::size_t k = i; k-- > 0 && !shorter;)
                    shorter = leave_out(i, k);
        }
        return lines_;
    }

private:
    static bool stays(const std::string& line) {
        return line.starts_with("option ") || line.starts_with('#');
    }

    bool accept(const CaseLines& lines) {
        try {
            if (run_case(lines).empty())
                return false;
        } catch (const Refused&) {
            return false;
        }
        lines_ = lines;
        return true;
    }

    bool leave_out(std::size_t i) {
        if (stays(lines_[i]))
            return false;
        CaseLines shorter = lines_;
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
        return accept(shorter);
    }

    // `i` lies behind `k`.
    bool leave_out(std::size_t i, std::size_t k) {
        if (stays(lines_[i]) || stays(lines_[k]))
            return false;
        CaseLines shorter = lines_;
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(k));
        return accept(shorter);
    }

    bool replace(std::size_t i, const std::string& line) {
        CaseLines simpler = lines_;
        simpler[i] = line;
        return accept(simpler);
    }

    // The same operation as a whole: the line of its rest goes, unless another one needs it.
    bool join(std::size_t i, const std::string& line) {
        if (replace(i, line))
            return true;
        CaseLines simpler = lines_;
        simpler[i] = line;
        const auto rest = std::find_if(
            simpler.begin() + static_cast<std::ptrdiff_t>(i), simpler.end(),
            [](const std::string& other) { return other == "rest" || other.ends_with(" rest"); });
        if (rest == simpler.end())
            return false;
        simpler.erase(rest);
        return accept(simpler);
    }

    // An operation that is not split, whose records are not lost, or that comes earlier.
    bool simplify(std::size_t i) {
        if (i >= lines_.size())
            return false;
        const Words words = split_words(lines_[i]);
        const auto from = [&](std::size_t at) {
            std::string line;
            for (std::size_t w = at; w < words.size(); ++w)
                line += (line.empty() ? "" : " ") + words[w];
            return line;
        };
        if (words.empty())
            return false;
        if (words[0] == "split")
            return join(i, from(2));
        if (words[0] == "lost")
            return replace(i, from(1));
        if (words[0] != "during")
            return false;
        if (replace(i, from(3)))
            return true;
        const std::string call = "during " + words.at(1) + ' ';
        if (words.at(3) == "split" && join(i, call + words.at(2) + ' ' + from(5)))
            return true;
        for (int n = 1; n < std::stoi(words.at(2)); ++n)
            if (replace(i, call + std::to_string(n) + ' ' + from(3)))
                return true;
        return false;
    }

    CaseLines lines_;
};

}  // namespace

std::vector<std::string> run_case(const CaseLines& lines) { return Case().run(lines); }

CaseLines shrink_case(CaseLines lines) { return Shrinking(std::move(lines)).run(); }

std::string to_string(const CaseLines& lines) {
    std::string result;
    for (const std::string& line : lines)
        result += line + '\n';
    return result;
}

std::function<bool(std::string_view)> excluding(const std::string& pattern) {
    if (pattern.starts_with('*'))
        return [end = pattern.substr(1)](std::string_view path) { return path.ends_with(end); };
    return [excluded = full_path(pattern)](std::string_view path) { return path == excluded; };
}

}  // namespace test
