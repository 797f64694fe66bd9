// SPDX-License-Identifier: MIT
// The simulated kernel is held to the real one: the same scripts give the same records on both.
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record.hpp>
#include "operation.hpp"
#include "sim_kernel.hpp"

#include <doctest/doctest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using inotify::detail::DirectoryEntry;
using inotify::detail::FileType;
using inotify::detail::Kernel;
using inotify::detail::parse_record;
using inotify::detail::ParseResult;
using inotify::detail::Record;
using inotify::detail::Stat;
using test::Op;

struct OwnedRecord {
    int wd = -1;
    std::uint32_t mask = 0;
    std::uint32_t cookie = 0;
    std::string name;
    friend bool operator==(const OwnedRecord&, const OwnedRecord&) = default;
};

std::ostream& operator<<(std::ostream& out, const OwnedRecord& record) {
    constexpr std::array<const char*, 12> words = {
        "ACCESS",     "MODIFY",   "ATTRIB", "CLOSE_WRITE", "CLOSE_NOWRITE", "OPEN",
        "MOVED_FROM", "MOVED_TO", "CREATE", "DELETE",      "DELETE_SELF",   "MOVE_SELF"};
    out << record.wd << ' ';
    std::uint32_t rest = record.mask;
    for (std::size_t bit = 0; bit < words.size(); ++bit)
        if ((rest & (1U << bit)) != 0) {
            out << words[bit] << ' ';
            rest &= ~(1U << bit);
        }
    if ((rest & IN_ISDIR) != 0)
        out << "ISDIR ";
    if ((rest & IN_IGNORED) != 0)
        out << "IGNORED ";
    if ((rest & ~static_cast<std::uint32_t>(IN_ISDIR | IN_IGNORED)) != 0)
        out << std::hex << rest << std::dec << ' ';
    if (record.cookie != 0)
        out << '#' << record.cookie << ' ';
    return out << record.name;
}

// As many records as one read(2) into `size` bytes gives; the result is its own.
std::ptrdiff_t read_some(Kernel& kernel, std::size_t size, std::vector<OwnedRecord>& records) {
    std::vector<std::byte> buffer(size);
    const std::ptrdiff_t result = kernel.read(buffer);
    if (result < 0)
        return result;
    std::span<const std::byte> rest(buffer.data(), static_cast<std::size_t>(result));
    while (!rest.empty()) {
        Record record;
        REQUIRE(parse_record(rest, record) == ParseResult::record);
        records.push_back({record.wd, record.mask, record.cookie, std::string(record.name)});
        rest = rest.subspan(record.size);
    }
    return result;
}

std::vector<OwnedRecord> read_all(Kernel& kernel) {
    std::vector<OwnedRecord> records;
    while (read_some(kernel, 65536, records) > 0) {
    }
    return records;
}

enum class Call {
    mkdir,
    rmdir,
    mkfifo,
    create,
    write,
    read_file,
    unlink,
    rename,
    exchange,
    link,
    symlink,
    chmod,
    list,
    add_watch,
    add_watch_open,
    remove_watch,
    open_directory,
    list_open,
    stat_open,
    open_path,
    read_link,
    close_directory,
    read,
};
constexpr std::array<const char*, 23> call_names = {
    "mkdir",        "rmdir",           "mkfifo",      "create",    "write",
    "read",         "unlink",          "rename",      "exchange",  "link",
    "symlink",      "chmod",           "list",        "add_watch", "add_watch_open",
    "remove_watch", "open_directory",  "list_open",   "stat_open", "open_path",
    "read_link",    "close_directory", "read_records"};

struct Step {
    Call call = Call::read;
    std::string path;
    std::string other;
    std::uint32_t number = 0;  // a mask, a flag, or a size
    std::size_t slot = 0;      // of an open directory, or which descriptor
};

// What another process does in a step; nothing in the steps of the library.
std::optional<Op> operation_of(const Step& step) {
    if (step.call >= Call::add_watch)
        return {};
    const auto absolute = [](const std::string& path) { return path.empty() ? "" : '/' + path; };
    Op op{call_names[static_cast<std::size_t>(step.call)], absolute(step.path),
          absolute(step.other)};
    if (step.call == Call::symlink)
        op.b = std::exchange(op.a, step.other);
    return op;
}

std::ostream& operator<<(std::ostream& out, const Step& step) {
    return out << call_names[static_cast<std::size_t>(step.call)] << " \"" << step.path << "\" \""
               << step.other << "\" 0x" << std::hex << step.number << std::dec << " slot "
               << step.slot;
}

// One of the two file systems, with its kernel.
class Side {
public:
    Side() = default;
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    virtual ~Side() = default;

    /// The operation's absolute paths begin at the top.
    virtual int run(const Op& op) = 0;
    virtual Kernel& kernel() = 0;
    [[nodiscard]] virtual std::string path(const std::string& relative) const = 0;
};

class SimulatedSide final : public Side {
public:
    SimulatedSide() {
        world_.mkdir("/outer");
        world_.mkdir("/outer/top");
        kernel_ = world_.make_kernel();
    }

    Kernel& kernel() override { return *kernel_; }
    sim::World& world() { return world_; }
    /// Relative paths → is a directory.
    [[nodiscard]] std::map<std::string, bool> tree() const {
        std::map<std::string, bool> result;
        const std::string top = path("");
        for (const auto& [path, is_directory] : world_.tree(top))
            result.emplace(path.substr(top.size() + 1), is_directory);
        return result;
    }
    [[nodiscard]] std::string path(const std::string& relative) const override {
        return relative.empty() ? "/outer/top" : "/outer/top/" + relative;
    }

    int run(const Op& op) override { return op.below(path("")).run(world_); }

private:
    sim::World world_;
    std::unique_ptr<Kernel> kernel_;
};

class RealSide final : public Side {
public:
    // Closing an inotify instance takes milliseconds, so one serves many scripts.
    RealSide(Kernel& kernel, const std::filesystem::path& parent) : kernel_(kernel) {
        std::string pattern = (parent / "inotify-sim-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw std::system_error(errno, std::system_category(), "mkdtemp: " + pattern);
        outer_ = pattern;
        // A symlink at the top to "../a" must not lead out of what is our own.
        top_ = outer_ + "/top";
        if (::mkdir(top_.c_str(), 0777) < 0)
            throw std::system_error(errno, std::system_category(), "mkdir: " + top_);
    }
    RealSide(const RealSide&) = delete;
    RealSide& operator=(const RealSide&) = delete;
    ~RealSide() override {
        std::error_code ignored;
        std::filesystem::remove_all(outer_, ignored);
    }

    Kernel& kernel() override { return kernel_; }
    [[nodiscard]] std::string path(const std::string& relative) const override {
        return relative.empty() ? top_ : top_ + "/" + relative;
    }

    int run(const Op& op) override { return op.below(path("")).run(); }

private:
    Kernel& kernel_;
    std::string outer_;
    std::string top_;
};

class Generator {
public:
    Generator(std::uint64_t seed, const SimulatedSide& side) : random_(seed), side_(side) {}

    Step step() {
        static constexpr std::array<std::pair<Call, unsigned>, 23> weights = {
            {{Call::mkdir, 9},
             {Call::rmdir, 6},
             {Call::mkfifo, 2},
             {Call::create, 9},
             {Call::write, 5},
             {Call::read_file, 5},
             {Call::unlink, 6},
             {Call::rename, 14},
             {Call::exchange, 6},
             {Call::link, 4},
             {Call::symlink, 4},
             {Call::chmod, 4},
             {Call::list, 4},
             {Call::add_watch, 16},
             {Call::add_watch_open, 4},
             {Call::remove_watch, 3},
             {Call::open_directory, 6},
             {Call::list_open, 4},
             {Call::stat_open, 3},
             {Call::open_path, 6},
             {Call::read_link, 3},
             {Call::close_directory, 4},
             {Call::read, 6}}};
        unsigned total = 0;
        for (const auto& [call, weight] : weights)
            total += weight;
        unsigned at = below(total);
        Step step;
        for (const auto& [call, weight] : weights) {
            step.call = call;
            if (at < weight)
                break;
            at -= weight;
        }
        // Something to work on, and someone who watches.
        if (++steps_ <= 12)
            step.call =
                std::array{Call::add_watch, Call::mkdir, Call::mkdir, Call::create}[steps_ % 4];
        const bool making = step.call == Call::mkdir || step.call == Call::create ||
                            step.call == Call::symlink || step.call == Call::mkfifo;
        const bool on_file = step.call == Call::unlink || step.call == Call::link ||
                             step.call == Call::write || step.call == Call::read_file;
        step.path = path(making ? 80 : 15, on_file && below(4) != 0);
        // Without the top the rest of the script would be dull.
        const bool taking = step.call == Call::rmdir || step.call == Call::rename;
        if (step.path.empty() && taking && below(20) != 0)
            step.path = name();
        step.slot = below(3);
        switch (step.call) {
        case Call::rename:
        case Call::exchange:
        case Call::link: step.other = path(step.call == Call::exchange ? 10 : 60); break;
        case Call::symlink: step.other = target(); break;
        case Call::add_watch:
        case Call::add_watch_open: step.number = mask(); break;
        case Call::open_directory:
        case Call::open_path:
            step.number = below(2);
            if (below(2) == 0)
                step.other = name();  // below the open directory of the slot
            break;
        case Call::stat_open:
            step.number = below(2);
            step.other = below(4) == 0 ? std::string() : name();
            break;
        case Call::remove_watch: step.slot = below(8); break;
        case Call::read: step.number = below(3) == 0 ? below(100) : 65536; break;
        default: break;
        }
        return step;
    }

private:
    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

    // One at a time: the order within an expression is the compiler's.
    std::string names(int count) {
        std::string result = name();
        for (; count > 1; --count)
            result += '/' + name();
        return result;
    }

    std::string name() {
        static const std::array<std::string, 4> names = {"a", "b", "c",
                                                         "a name of more than sixteen bytes"};
        return names[std::min(below(7) / 2, 3U)];
    }

    // What is there, or in `fresh` of a hundred cases a new name in a directory that is there;
    // seldom just anything, through files and symlinks too.
    std::string path(unsigned fresh, bool file = false) {
        if (below(30) == 0)
            return names(3);
        const auto tree = side_.tree();
        const bool existing = below(100) >= fresh;
        const bool only_directories = !existing && below(6) != 0;
        std::vector<std::string> candidates{""};
        for (const auto& [path, is_directory] : tree)
            if (existing ? !file || !is_directory
                         : ((is_directory || !only_directories) &&
                            std::count(path.begin(), path.end(), '/') < 3))
                candidates.push_back(path);
        std::string found = candidates[below(static_cast<unsigned>(candidates.size()))];
        if (existing)
            return found;
        std::string result;
        for (int attempt = 0; attempt < 4 && (result.empty() || tree.contains(result)); ++attempt)
            result = found.empty() ? name() : found + '/' + name();
        return result;
    }

    std::string target() {
        switch (below(4)) {
        case 0: return "../" + name();
        case 1: return names(2);
        case 2: return ".";
        default: return name();
        }
    }

    std::uint32_t mask() {
        std::uint32_t mask = IN_ALL_EVENTS;
        if (below(3) == 0)
            mask = static_cast<std::uint32_t>(random_()) & IN_ALL_EVENTS;
        if (below(8) == 0)
            mask = 1U << below(12);
        static constexpr std::array<std::uint32_t, 6> flags = {
            IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_CREATE, IN_MASK_ADD, IN_ONESHOT};
        for (const std::uint32_t flag : flags)
            if (below(20) == 0)
                mask |= flag;
        return mask;
    }

    std::mt19937_64 random_;
    const SimulatedSide& side_;
    unsigned steps_ = 0;
};

// In what the file systems differ from one another.
struct FileSystem {
    bool leaves = false;         // link counts of directories tell of their subdirectories
    bool lists_changes = false;  // a listing shows what changed after its directory was opened
};

FileSystem probe_file_system(Kernel& kernel, const std::filesystem::path& parent) {
    const RealSide side(kernel, parent);
    const int directory = kernel.open_directory(Kernel::no_directory, side.path(""), false);
    Stat stat;
    kernel.stat(directory, "", false, stat);
    std::filesystem::create_directory(side.path("late"));
    std::vector<DirectoryEntry> entries;
    kernel.list(directory, entries);
    kernel.close_directory(directory);
    return {stat.leaf, !entries.empty()};
}

// One script on both sides, until its end or the first difference.
class Comparison {
public:
    Comparison(Kernel& real_kernel, const std::filesystem::path& parent,
               const FileSystem& file_system)
        : real_(real_kernel, parent), file_system_(file_system) {
        // Real descriptors go on where the script before left off.
        const int probe = real_kernel.add_watch(real_.path(""), IN_OPEN);
        REQUIRE(probe > 0);
        real_kernel.remove_watch(probe);
        read_all(real_kernel);
        offset_ = probe;
    }

    Comparison(const Comparison&) = delete;
    Comparison& operator=(const Comparison&) = delete;

    ~Comparison() {
        for (const auto& slot : slots_)
            if (slot)
                real_.kernel().close_directory(slot->real);
        for (const int wd : descriptors_)
            real_.kernel().remove_watch(wd + offset_);
        read_all(real_.kernel());
    }

    bool run(const Step& step) {
        const int expected = error_of(step, execute(real_, step));
        const int given = execute(simulated_, step);
        settle(step, given, expected);
        if (given != expected && difference_.empty() && !is_descriptor(step.call)) {
            std::ostringstream out;
            out << "result: simulated " << given << ", real " << expected;
            difference_ = out.str();
        }
        if (listing(simulated_) != listing(real_) && difference_.empty())
            difference_ = "different listings or types";
        if (!difference_.empty())
            compare(read_all(simulated_.kernel()), read_all(real_.kernel()));
        return difference_.empty();
    }

    bool finish() {
        compare(read_all(simulated_.kernel()), read_all(real_.kernel()));
        return difference_.empty();
    }

    [[nodiscard]] const SimulatedSide& simulated() const { return simulated_; }
    [[nodiscard]] const std::string& difference() const { return difference_; }
    [[nodiscard]] std::size_t records() const { return records_; }

private:
    struct Slot {
        int simulated = -1;
        int real = -1;
    };
    struct Seen {
        std::vector<std::pair<std::string, FileType>> entries;
        Stat stat;
        std::string target;
        std::vector<OwnedRecord> records;
    };

    static bool is_descriptor(Call call) {
        return call == Call::add_watch || call == Call::add_watch_open || is_opening(call);
    }

    static bool is_opening(Call call) {
        return call == Call::open_directory || call == Call::open_path;
    }

    [[nodiscard]] bool is_real(const Side& side) const { return &side == &real_; }

    int handle(const Side& side, std::size_t slot) const {
        return is_real(side) ? slots_[slot]->real : slots_[slot]->simulated;
    }

    Seen& seen(const Side& side) { return is_real(side) ? real_seen_ : simulated_seen_; }

    int execute(Side& side, const Step& step) {
        Kernel& kernel = side.kernel();
        Seen& seen = this->seen(side);
        seen = {};
        const bool open = step.slot < slots_.size() && slots_[step.slot].has_value();
        switch (step.call) {
        case Call::add_watch: return kernel.add_watch(side.path(step.path), step.number);
        case Call::add_watch_open:
            return open ? kernel.add_watch(handle(side, step.slot), "", step.number) : 0;
        case Call::remove_watch:
            if (step.slot >= descriptors_.size())
                return 0;
            return kernel.remove_watch(descriptors_[descriptors_.size() - 1 - step.slot] +
                                       (is_real(side) ? offset_ : 0));
        case Call::open_directory: {
            if (open && !step.other.empty())
                return kernel.open_directory(handle(side, step.slot), step.other, step.number != 0);
            return kernel.open_directory(Kernel::no_directory, side.path(step.path),
                                         step.number != 0);
        }
        case Call::open_path: {
            if (open && !step.other.empty())
                return kernel.open_path(handle(side, step.slot), step.other);
            return kernel.open_path(Kernel::no_directory, side.path(step.path));
        }
        case Call::read_link:
            return open ? kernel.read_link(handle(side, step.slot), seen.target) : 0;
        case Call::list_open: {
            if (!open)
                return 0;
            std::vector<DirectoryEntry> entries;
            const int result = kernel.list(handle(side, step.slot), entries);
            for (const DirectoryEntry& entry : entries)
                seen.entries.emplace_back(entry.name, entry.type);
            std::sort(seen.entries.begin(), seen.entries.end());
            return result;
        }
        case Call::stat_open:
            return open ? kernel.stat(handle(side, step.slot), step.other, step.number != 0,
                                      seen.stat)
                        : 0;
        case Call::close_directory:
            if (open)
                kernel.close_directory(handle(side, step.slot));
            return 0;
        case Call::read: {
            const std::ptrdiff_t size = read_some(kernel, step.number, seen.records);
            return static_cast<int>(size);
        }
        default: return side.run(*operation_of(step));
        }
    }

    // Of a directory that is not empty POSIX allows both errors, and xfs has the other one.
    static int error_of(const Step& step, int result) {
        const bool removing = step.call == Call::rmdir || step.call == Call::rename;
        return removing && result == -EEXIST ? -ENOTEMPTY : result;
    }

    // Takes over what a step opened, watched, closed or read.
    void settle(const Step& step, int given, int expected) {
        if (step.call == Call::read)
            compare(simulated_seen_.records, real_seen_.records);
        if (step.call == Call::close_directory)
            slots_[step.slot].reset();
        if (!is_descriptor(step.call))
            return;
        const bool watching = !is_opening(step.call);
        const bool idle = given == 0 && expected == 0;
        const bool same = given > 0 && watching
                              ? given + offset_ == expected
                              : (given < 0 || expected < 0) == (given == expected);
        if (!idle && !same && difference_.empty())
            difference_ = "result: simulated " + std::to_string(given) + ", real " +
                          std::to_string(expected) + " from " + std::to_string(offset_);
        if (watching && given > 0 &&
            std::find(descriptors_.begin(), descriptors_.end(), given) == descriptors_.end())
            descriptors_.push_back(given);
        if (!watching && given > 0 && expected > 0) {
            // The newest handle takes the first free slot, or else the last one's place.
            auto slot =
                std::find_if(slots_.begin(), slots_.end(), [](const auto& free) { return !free; });
            if (slot == slots_.end()) {
                slot = slots_.end() - 1;
                simulated_.kernel().close_directory((*slot)->simulated);
                real_.kernel().close_directory((*slot)->real);
            }
            *slot = Slot{given, expected};
        }
    }

    // What both sides have to agree on. POSIX leaves open whether a listing shows what changed
    // after its directory was opened; btrfs does not show it.
    std::tuple<std::vector<std::pair<std::string, FileType>>, FileType, bool, std::string> listing(
        Side& side) {
        Seen& seen = this->seen(side);
        if (!file_system_.lists_changes)
            seen.entries.clear();
        return {seen.entries, seen.stat.type, file_system_.leaves && seen.stat.leaf, seen.target};
    }

    void compare(const std::vector<OwnedRecord>& simulated, std::vector<OwnedRecord> real) {
        for (OwnedRecord& record : real) {
            if (record.wd > 0)
                record.wd -= offset_;
            if (record.cookie != 0)
                record.cookie =
                    cookies_.try_emplace(record.cookie, cookies_.size() + 1).first->second;
        }
        std::vector<OwnedRecord> renamed = simulated;
        for (OwnedRecord& record : renamed)
            if (record.cookie != 0)
                record.cookie =
                    simulated_cookies_.try_emplace(record.cookie, simulated_cookies_.size() + 1)
                        .first->second;
        records_ += real.size();
        if (renamed == real)
            return;
        std::ostringstream out;
        out << difference_ << "\nsimulated:\n";
        for (const OwnedRecord& record : renamed)
            out << "    " << record << '\n';
        out << "real:\n";
        for (const OwnedRecord& record : real)
            out << "    " << record << '\n';
        difference_ = out.str();
    }

    SimulatedSide simulated_;
    RealSide real_;
    FileSystem file_system_;
    int offset_ = 0;
    std::array<std::optional<Slot>, 3> slots_;
    std::vector<int> descriptors_;  // the simulated side's
    Seen simulated_seen_;
    Seen real_seen_;
    std::map<std::uint32_t, std::uint32_t> cookies_;
    std::map<std::uint32_t, std::uint32_t> simulated_cookies_;
    std::size_t records_ = 0;
    std::string difference_;
};

void compare_scripts(std::uint64_t seeds, int length) {
    const std::filesystem::path parent = std::filesystem::temp_directory_path();
    const std::unique_ptr<Kernel> kernel = inotify::detail::make_linux_kernel();
    const FileSystem file_system = probe_file_system(*kernel, parent);
    std::size_t records = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        Comparison comparison(*kernel, parent, file_system);
        Generator generator(seed, comparison.simulated());
        std::ostringstream script;
        bool equal = true;
        for (int step = 0; step < length && equal; ++step) {
            const Step next = generator.step();
            script << "    " << next << '\n';
            equal = comparison.run(next);
        }
        equal = equal && comparison.finish();
        records += comparison.records();
        if (!equal)
            FAIL("seed " << seed << " in " << parent.string() << "\n"
                         << script.str() << comparison.difference());
    }
    std::cout << "sim conformance in " << parent.string() << ": " << seeds << " scripts of "
              << length << " operations, " << records << " records equal\n";
}

}  // namespace

TEST_CASE("the simulated kernel sends the records of the real one") { compare_scripts(2000, 60); }

// What the listing lacks without the rewind is in no record either: the watch came too late for it.
TEST_CASE("a listing shows what was made after the directory was opened") {
    const std::unique_ptr<Kernel> kernel = inotify::detail::make_linux_kernel();
    for (const char* const parent : {"/dev/shm", ""}) {
        if (::access(parent, W_OK) != 0 && *parent != 0)
            continue;
        RealSide real(*kernel, *parent == 0 ? std::filesystem::temp_directory_path()
                                            : std::filesystem::path(parent));
        SimulatedSide live;
        SimulatedSide as_of_rewind;
        as_of_rewind.world().lists_as_of_rewind = true;
        for (Side* side : {static_cast<Side*>(&real), static_cast<Side*>(&live),
                           static_cast<Side*>(&as_of_rewind)}) {
            const auto make = [&](const Op& op) { REQUIRE(side->run(op) == 0); };
            make({"create", "/before"});
            const int directory =
                side->kernel().open_directory(Kernel::no_directory, side->path(""), false);
            std::vector<std::string> names;
            const auto list = [&] {
                std::vector<DirectoryEntry> entries;
                REQUIRE(side->kernel().list(directory, entries) == 0);
                names.clear();
                for (const DirectoryEntry& entry : entries)
                    names.push_back(entry.name);
                std::sort(names.begin(), names.end());
            };
            make({"create", "/after"});
            list();
            CHECK(names == std::vector<std::string>{"after", "before"});
            make({"mkdir", "/again"});
            side->kernel().await_changes(directory);
            list();
            CHECK(names == std::vector<std::string>{"after", "again", "before"});
            side->kernel().close_directory(directory);
        }
    }
}

TEST_CASE("a simulated listing is as of now, or as btrfs has it, as of its rewind") {
    for (const bool as_of_rewind : {false, true}) {
        sim::World world;
        world.lists_as_of_rewind = as_of_rewind;
        for (const char* path : {"/a", "/a/gone", "/a/moved", "/a/stays"})
            world.mkdir(path);
        const auto kernel = world.make_kernel();
        const int directory = kernel->open_directory(Kernel::no_directory, "/a", false);
        std::vector<std::string> calls;
        world.before_call = [&](std::string_view call) {
            calls.emplace_back(call);
            if (call == "rewind")
                world.mkdir("/a/early");
            if (call == "list") {  // behind the rewind
                world.mkdir("/a/late");
                world.rmdir("/a/gone");
                world.rename("/a/moved", "/a/renamed");
            }
            return 0;
        };
        std::vector<DirectoryEntry> entries;
        CHECK(kernel->list(directory, entries) == 0);
        world.before_call = nullptr;
        kernel->close_directory(directory);
        std::vector<std::string> names;
        for (const DirectoryEntry& entry : entries)
            names.push_back(entry.name);
        using Names = std::vector<std::string>;
        CHECK(calls == (as_of_rewind ? Names{"rewind", "list"} : Names{"list"}));
        CHECK(names ==
              (as_of_rewind ? Names{"early", "stays"} : Names{"late", "renamed", "stays"}));
    }
}

TEST_CASE("the simulated queue overflows as the real one does") {
    const std::unique_ptr<Kernel> kernel = inotify::detail::make_linux_kernel();
    const long limit = kernel->limit("fs.inotify.max_queued_events");
    if (limit <= 0 || limit > 100000)
        return;
    RealSide real(*kernel, std::filesystem::temp_directory_path());
    SimulatedSide simulated;
    simulated.world().max_queued_events = static_cast<std::size_t>(limit);
    std::array<std::vector<OwnedRecord>, 2> records;
    std::size_t next = 0;
    for (Side* side : {static_cast<Side*>(&real), static_cast<Side*>(&simulated)}) {
        std::vector<OwnedRecord>& seen = records[next++];
        REQUIRE(side->kernel().add_watch(side->path(""), IN_ALL_EVENTS) == 1);
        side->run({"create", "/a"});
        for (long i = 0; i < limit / 2 + 10; ++i)
            side->run({"chmod", i % 2 == 0 ? "/a" : ""});
        for (long i = 0; i < limit / 3; ++i)
            side->run({"write", "/a"});
        read_some(side->kernel(), 4096, seen);
        // These come while the overflow record is still queued.
        side->run({"write", "/a"});
        side->run({"unlink", "/a"});
        for (const OwnedRecord& record : read_all(side->kernel()))
            seen.push_back(record);
    }
    CHECK(records[0] == records[1]);
    CHECK(std::count_if(records[1].begin(), records[1].end(), [](const OwnedRecord& record) {
              return record == OwnedRecord{-1, IN_Q_OVERFLOW, 0, {}};
          }) == 1);
    CHECK(records[1].back().mask == IN_DELETE);
}

TEST_CASE("a simulated watch limit costs a descriptor, as the real one") {
    sim::World world;
    world.mkdir("/a");
    world.mkdir("/b");
    world.max_user_watches = 1;
    const auto kernel = world.make_kernel();
    CHECK(kernel->add_watch("/a", IN_CREATE) == 1);
    CHECK(kernel->add_watch("/b", IN_CREATE) == -ENOSPC);
    CHECK(kernel->add_watch("/a", IN_DELETE) == 1);
    CHECK(kernel->remove_watch(1) == 0);
    CHECK(kernel->add_watch("/b", IN_CREATE) == 3);
    CHECK(world.watched("/b"));
    CHECK(world.watches() == std::map<int, sim::Id>{{3, world.inode("/b")}});
}

TEST_CASE("a simulated unmount ends the watches of its file system, the youngest first") {
    sim::World world;
    world.mkdir("/m");
    world.mount("/m");
    world.mkdir("/m/x");
    world.create("/m/f");
    const auto kernel = world.make_kernel();
    CHECK(kernel->add_watch("/", IN_ALL_EVENTS) == 1);
    CHECK(kernel->add_watch("/m", IN_ALL_EVENTS) == 2);
    CHECK(kernel->add_watch("/m/f", IN_OPEN) == 3);
    world.chmod("/m");  // the root of a mount has no parent to tell
    CHECK(world.rmdir("/m") == -EBUSY);
    CHECK(world.rename("/m/x", "/x") == -EXDEV);
    const int directory = kernel->open_directory(Kernel::no_directory, "/m/x", false);
    CHECK(world.unmount("/m") == -EBUSY);
    kernel->close_directory(directory);
    read_all(*kernel);
    CHECK(world.unmount("/m") == 0);
    CHECK(read_all(*kernel) == std::vector<OwnedRecord>{{3, IN_UNMOUNT, 0, {}},
                                                        {3, IN_IGNORED, 0, {}},
                                                        {2, IN_UNMOUNT | IN_ISDIR, 0, {}},
                                                        {2, IN_IGNORED, 0, {}}});
    CHECK_FALSE(world.exists("/m/x"));
}

TEST_CASE("a simulated bind mount leads to the same inode") {
    sim::World world;
    world.mkdir("/s");
    world.mkdir("/s/in");
    world.mkdir("/s/t");
    CHECK(world.bind("/s", "/s/t") == 0);
    CHECK(world.inode("/s/t") == world.inode("/s"));
    CHECK(world.tree("/s") ==
          std::map<std::string, bool>{
              {"/s/in", true}, {"/s/t", true}, {"/s/t/in", true}, {"/s/t/t", true}});
    const auto kernel = world.make_kernel();
    CHECK(kernel->add_watch("/s", IN_ALL_EVENTS) == 1);
    CHECK(kernel->add_watch("/s/t", IN_ALL_EVENTS) == 1);
    CHECK(world.unmount("/s/t") == 0);
    CHECK(read_all(*kernel).empty());
}

TEST_CASE("an open directory delays the end of a removed one, and of those above it") {
    sim::World world;
    world.mkdir("/a");
    world.mkdir("/a/b");
    const auto kernel = world.make_kernel();
    CHECK(kernel->add_watch("/a", IN_DELETE_SELF) == 1);
    CHECK(kernel->add_watch("/a/b", IN_DELETE_SELF) == 2);
    const int directory = kernel->open_directory(Kernel::no_directory, "/a/b", false);
    CHECK(world.rmdir("/a/b") == 0);
    CHECK(world.rmdir("/a") == 0);
    CHECK(world.queued_records() == 0);
    CHECK(world.open_directories() == 1);
    std::vector<DirectoryEntry> entries;
    CHECK(kernel->list(directory, entries) == -ENOENT);
    kernel->close_directory(directory);
    CHECK(world.open_directories() == 0);
    CHECK(read_all(*kernel) == std::vector<OwnedRecord>{{2, IN_DELETE_SELF, 0, {}},
                                                        {2, IN_IGNORED, 0, {}},
                                                        {1, IN_DELETE_SELF, 0, {}},
                                                        {1, IN_IGNORED, 0, {}}});
}

TEST_CASE("a hook changes the simulated world before a call, or makes the call fail") {
    sim::World world;
    world.mkdir("/a");
    const auto kernel = world.make_kernel();
    world.before_call = [&](std::string_view call) {
        return call == "add_watch" ? world.rmdir("/a") : -EINTR;
    };
    CHECK(kernel->add_watch("/a", IN_CREATE) == -ENOENT);
    CHECK(kernel->wait(std::chrono::milliseconds{0}) == -EINTR);
    world.before_call = nullptr;
    CHECK(kernel->wait(std::chrono::milliseconds{0}) == 0);
    kernel->wake();
    CHECK(kernel->wait(std::chrono::milliseconds{0}) == 1);
    CHECK(kernel->wait(std::chrono::milliseconds{0}) == 0);
}

TEST_CASE("a denied directory is neither opened nor watched, and a copied world is its own") {
    sim::World world;
    world.mkdir("/a");
    world.mkdir("/a/b");
    world.deny("/a");
    sim::World copy = world;
    copy.allow("/a");
    copy.rmdir("/a/b");
    const auto kernel = world.make_kernel();
    CHECK(kernel->add_watch("/a", IN_CREATE) == -EACCES);
    CHECK(kernel->open_directory(Kernel::no_directory, "/a", false) == -EACCES);
    CHECK(kernel->add_watch("/a/b", IN_CREATE) == 1);
    CHECK(copy.make_kernel()->add_watch("/a", IN_CREATE) == 1);
    CHECK_FALSE(copy.exists("/a/b"));
}

TEST_CASE("a simulated path is resolved as the real one") {
    const std::unique_ptr<Kernel> kernel = inotify::detail::make_linux_kernel();
    RealSide real(*kernel, std::filesystem::temp_directory_path());
    SimulatedSide simulated;
    std::array<std::vector<std::string>, 2> resolved;
    std::size_t next = 0;
    for (Side* side : {static_cast<Side*>(&real), static_cast<Side*>(&simulated)}) {
        for (const Op& op : {Op{"mkdir", "/a"}, Op{"mkdir", "/a/b"}, Op{"create", "/a/f"},
                             Op{"symlink", "a/b", "/link"}, Op{"symlink", "..", "/a/b/up"},
                             Op{"symlink", "f", "/a/file"}, Op{"symlink", "loop", "/a/loop"}})
            REQUIRE(side->run(op) == 0);
        std::string base;
        REQUIRE(side->kernel().resolve(side->path(""), base) == 0);
        for (const char* path :
             {"a/b",     "a//b/",  "a/./b/.",   "a/b/..",           "a/b/../../a", "link",  "link/",
              "link/..", "a/b/up", "link/up/b", "a/b/up/b/up/file", "a/f",         "a/f/",  "a/f/.",
              "none",    "a/none", "none/..",   "a/loop",           "a/loop/b",    "a/f/.."}) {
            std::string result;
            const int error = side->kernel().resolve(side->path(path), result);
            if (error == 0 && result.starts_with(base))
                result.erase(0, base.size());
            resolved.at(next).push_back(std::string(path) + ": " + std::to_string(error) + ' ' +
                                        result);
        }
        ++next;
    }
    CHECK(resolved[0] == resolved[1]);
    CHECK(resolved[0][8] == "a/b/up: 0 /a");
}

TEST_CASE("what is mounted is resolved to where it is mounted") {
    sim::World world;
    for (const char* path : {"/m", "/s", "/s/t"})
        world.mkdir(path);
    world.mount("/m");
    world.mkdir("/m/x");
    world.bind("/s", "/m/x");
    const auto kernel = world.make_kernel();
    for (const auto& [path, expected] :
         {std::pair{"/", "/"}, {"/..", "/"}, {"/m/x/..", "/m"}, {"/m/./x/t/", "/m/x/t"}}) {
        std::string result;
        CHECK(kernel->resolve(path, result) == 0);
        CHECK(result == expected);
    }
}
