// SPDX-License-Identifier: MIT
// watch: prints what happens to files, directories and trees, for people or as lines of JSON.
#include <inotify/inotify_tree.hpp>

#include <fnmatch.h>
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace IN = inotify::IN;

constexpr const char* help =
    R"(usage: watch [OPTION]... PATH...    print what happens to each PATH, until Ctrl-C
       watch [--json] [--timeout SECONDS]    show it on a scratch directory

  --tree             watch all that is below each PATH too, now and later
  --mask NAMES       only these events (below), such as CREATE,DELETE; in a tree,
                     what makes, removes or renames a directory always comes
  --exclude GLOB     in a tree: leave out what GLOB matches, and all below it. GLOB
                     is tried on the last component (.git) and on the full path as
                     it is printed (*/build/*.o; * matches / too); may be repeated
  --json             one JSON object a line for each event; notes go to stderr
  --timeout SECONDS  end after that long without an event; 0.5 is fine
  --help             print this text

  watch /tmp                            what happens in /tmp itself
  watch --tree --exclude .git .         what happens in this project
  watch --json --mask CLOSE_WRITE,MOVED_TO --timeout 60 /srv/upload

Events: ACCESS MODIFY ATTRIB CLOSE_WRITE CLOSE_NOWRITE OPEN MOVED_FROM MOVED_TO
CREATE DELETE DELETE_SELF MOVE_SELF; CLOSE, MOVE and ALL_EVENTS stand for several.
Status: 0 at the end, 1 after an error, 2 for wrong arguments.)";

[[noreturn]] void usage_error(const std::string& line) {
    std::cerr << "watch: " << line << '\n';
    std::exit(2);
}

struct Options {
    bool tree = false;
    bool json = false;
    inotify::Mask mask = IN::ALL_EVENTS;
    std::vector<std::string> exclude;
    std::optional<inotify::Duration> timeout;
    std::vector<fs::path> paths;
};

// Ends a line and flushes it, so that a reader at the other end of a pipe has it at once.
void end_line(std::ostream& out) {
    if (!(out << std::endl))
        throw std::system_error(errno, std::system_category(), "writing the output");
}

inotify::Mask parse_mask(const std::string& list) {
    std::map<std::string, inotify::Mask> known{
        {"CLOSE", IN::CLOSE}, {"MOVE", IN::MOVE}, {"ALL_EVENTS", IN::ALL_EVENTS}};
    for (std::uint32_t bit = 1; bit <= IN::ALL_EVENTS.bits(); bit <<= 1U)
        known.emplace(to_string(inotify::Mask(bit)), bit);
    inotify::Mask mask;
    std::istringstream words(list + ',');
    for (std::string word; std::getline(words, word, ',');) {
        const auto found = known.find(word.starts_with("IN_") ? word.substr(3) : word);
        if (found == known.end())
            usage_error("--mask: there is no event '" + word + "' (try --help)");
        mask |= found->second;
    }
    return mask;
}

inotify::Duration parse_seconds(const char* text) {
    char* end = nullptr;
    const double seconds = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 1e9))
        usage_error("--timeout: '" + std::string(text) + "' is no number of seconds");
    return std::chrono::ceil<inotify::Duration>(std::chrono::duration<double>(seconds));
}

Options parse(int argc, char** argv) {
    constexpr option known[] = {{"tree", no_argument, nullptr, 't'},
                                {"json", no_argument, nullptr, 'j'},
                                {"mask", required_argument, nullptr, 'm'},
                                {"exclude", required_argument, nullptr, 'x'},
                                {"timeout", required_argument, nullptr, 's'},
                                {"help", no_argument, nullptr, 'h'},
                                {nullptr, 0, nullptr, 0}};
    Options options;
    for (int c = 0; (c = ::getopt_long(argc, argv, "h", known, nullptr)) != -1;) {
        switch (c) {
        case 't': options.tree = true; break;
        case 'j': options.json = true; break;
        case 'm': options.mask = parse_mask(::optarg); break;
        case 'x': options.exclude.emplace_back(::optarg); break;
        case 's': options.timeout = parse_seconds(::optarg); break;
        case 'h': end_line(std::cout << help); std::exit(0);
        default: std::exit(2);  // getopt_long(3) has printed the line
        }
    }
    options.paths.assign(argv + ::optind, argv + argc);
    if (!options.exclude.empty() && !options.tree)
        usage_error("--exclude is of use only with --tree");
    if (options.paths.empty() && (options.tree || options.mask != IN::ALL_EVENTS))
        usage_error("no PATH to watch (try --help)");
    return options;
}

// The length of the UTF-8 sequence at the start of `bytes`, 0 if there is none.
std::size_t utf8_length(std::string_view bytes) {
    const auto first = static_cast<unsigned char>(bytes.front());
    const auto length = static_cast<std::size_t>(std::countl_one(first));
    if (first < 0x80)
        return 1;
    if (length == 1 || length > 4 || length > bytes.size())
        return 0;
    std::uint32_t code = first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        const auto next = static_cast<unsigned char>(bytes[i]);
        if ((next & 0xc0U) != 0x80)
            return 0;
        code = code << 6U | (next & 0x3fU);
    }
    constexpr std::uint32_t least[] = {0x80, 0x800, 0x10000};  // less is an overlong form
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least[length - 2] && code <= 0x10ffff && !surrogate ? length : 0;
}

// A name is bytes, JSON is Unicode: a byte 0xNN that is not UTF-8 becomes the lone surrogate
// U+DCNN, as in Python, where os.fsencode() gives the bytes back.
void print_field(std::ostream& out, const char* field, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    out << ",\"" << field << "\":\"";
    while (!bytes.empty()) {
        const auto byte = static_cast<unsigned char>(bytes.front());
        const std::size_t length = utf8_length(bytes);
        if (length == 0 || byte < 0x20 || byte == 0x7f)
            out << (length == 0 ? "\\udc" : "\\u00") << digits[byte >> 4U] << digits[byte & 15U];
        else
            out << (byte == '"' || byte == '\\' ? "\\" : "") << bytes.substr(0, length);
        bytes.remove_prefix(std::max<std::size_t>(length, 1));
    }
    out << '"';
}

void print_json(std::ostream& out, const inotify::Event& event) {
    out << "{\"wd\":" << event.wd << ",\"mask\":[";
    const char* comma = "";
    for (const std::string& name : event.mask.names())
        out << std::exchange(comma, ",") << '"' << name.substr(name.find('_') + 1) << '"';
    out << "],\"cookie\":" << event.cookie;
    print_field(out, "path", event.path);
    print_field(out, "filename", event.filename);
    print_field(out, "full_path", event.full_path().native());
    if (!event.moved_from.empty())
        print_field(out, "moved_from", event.moved_from);
    if (event.synthetic)
        out << ",\"synthetic\":true";
    if (event.error)
        print_field(out, "error", event.error.message());
    out << '}';
}

// Green for what appears, red for what goes and for what went wrong.
const char* colour(const inotify::Event& event) {
    if (event.mask.intersects(IN::CREATE | IN::MOVED_TO))
        return "\033[32m";
    const inotify::Mask gone = IN::DELETE | IN::MOVED_FROM | IN::DELETE_SELF | IN::MOVE_SELF;
    return event.error || event.mask.intersects(gone | IN::Q_OVERFLOW) ? "\033[31m" : "";
}

// Notes are for people: with --json, standard output is left to the programs.
std::ostream& notes(const Options& options) { return options.json ? std::cerr : std::cout; }

void follow(inotify::Inotify& stream, const Options& options,
            std::optional<inotify::Duration> timeout) {
    const bool colours = ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
    for (auto& event : stream.event_gen({.timeout = timeout, .yield_empty = false})) {
        if (options.json)
            print_json(std::cout, *event);
        else
            std::cout << (colours ? colour(*event) : "") << *event << (colours ? "\033[0m" : "");
        end_line(std::cout);
    }
}

inotify::Inotify* running = nullptr;
volatile std::sig_atomic_t stopped = 0;

// As long as it lives, SIGINT and SIGTERM end the loops over `stream`. The second time they kill,
// should the program be stuck in writing to a pipe that is full.
struct Signals {
    explicit Signals(inotify::Inotify& stream) {
        running = &stream;
        set([](int) {
            set(SIG_DFL);
            stopped = 1;
            running->stop();
        });
    }
    ~Signals() { set(SIG_DFL); }

    static void set(void (*handler)(int)) {
        std::signal(SIGINT, handler);
        std::signal(SIGTERM, handler);
    }
};

bool matches(const std::vector<std::string>& globs, std::string_view path) {
    const std::string full(path);
    const char* last = &full[full.rfind('/') + 1];
    return std::ranges::any_of(globs, [&](const std::string& glob) {
        return ::fnmatch(glob.c_str(), last, 0) == 0 ||
               ::fnmatch(glob.c_str(), full.c_str(), 0) == 0;
    });
}

void watch(const Options& options) {
    std::unique_ptr<inotify::Inotify> stream;
    if (options.tree) {
        inotify::TreeOptions tree{.mask = options.mask};
        if (!options.exclude.empty())
            tree.exclude = [&](std::string_view path) { return matches(options.exclude, path); };
        stream = std::make_unique<inotify::InotifyTree>(options.paths, tree);
    } else {
        stream = std::make_unique<inotify::Inotify>();
        for (const fs::path& path : options.paths)
            stream->add_watch(path, options.mask);
    }
    const Signals signals(*stream);
    notes(options) << "watching";
    for (const fs::path& path : options.paths)
        notes(options) << ' ' << path.native();
    end_line(notes(options) << (options.tree ? " and all below" : "") << "; Ctrl-C "
                            << (options.timeout ? "or silence " : "") << "ends it");
    follow(*stream, options, options.timeout);
}

// Removes the directory if it is empty: what else is in it at the end is not the program's own.
struct Scratch {
    std::string path = (fs::temp_directory_path() / "inotify-XXXXXX").native();
    ~Scratch() {
        std::error_code error;
        fs::remove(path, error);
        if (error)
            std::cerr << "watch: left " << path << ": " << error.message() << '\n';
    }
};

void demonstrate(const Options& options) {
    constexpr const char* session =
        "echo hi >test/f1; mv test/f1 test/f2; cat test/f2 >/dev/null; rm test/f2; rmdir test";
    Scratch scratch;
    std::string& path = scratch.path;
    if (::mkdtemp(path.data()) == nullptr)
        throw std::system_error(errno, std::system_category(), "mkdtemp: " + path);
    fs::current_path(path);
    fs::create_directory("test");
    inotify::InotifyTree tree("test");
    const Signals signals(tree);
    end_line(notes(options) << "watching " << path << "/test during: " << session);
    if (std::system(session) != 0)
        throw std::runtime_error("the shell session failed");
    follow(tree, options, 0ms);
    if (stopped)
        return;
    tree.add_tree(path);
    const inotify::Duration timeout = options.timeout.value_or(10s);
    notes(options) << "\nwatching " << path << " and all below; make events from a second "
                   << "terminal:\n    mkdir -p " << path << "/a/b/c && touch " << path
                   << "/a/b/c/hello\n(ends on Ctrl-C or after "
                   << std::chrono::duration<double>(timeout).count() << " seconds of silence)";
    end_line(notes(options));
    follow(tree, options, timeout);
}

}  // namespace

int main(int argc, char** argv) try {
    std::signal(SIGPIPE, SIG_IGN);  // writing then fails with EPIPE
    const Options options = parse(argc, argv);
    options.paths.empty() ? demonstrate(options) : watch(options);
} catch (const std::exception& error) {
    const auto* failed = dynamic_cast<const std::system_error*>(&error);
    if (failed != nullptr && failed->code() == std::errc::broken_pipe)
        return 0;  // the reader has seen enough, as in `| head -1`
    std::cerr << "watch: " << error.what() << '\n';
    return 1;
}
