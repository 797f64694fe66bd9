// SPDX-License-Identifier: MIT
// The command line of inotify-watch.
#include "options.hpp"

#include "print.hpp"

#include <inotify/version.hpp>

#include <CLI/CLI.hpp>

#include <fnmatch.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <utility>

namespace {

namespace IN = inotify::IN;

constexpr const char* description =
    "Prints what happens to each PATH, or runs COMMAND after it, until Ctrl-C.\n"
    "Without PATH it shows what it does, on a scratch directory.";

constexpr const char* footer =
    R"(A GLOB is tried on the last component (.git) and on the full path as it is printed
(*/build/*.o; * matches / too).

  inotify-watch /tmp                                  what happens in /tmp itself
  inotify-watch -r -x .git .                          what happens in this project
  inotify-watch -r -x .git . -- make                  build it after every change
  inotify-watch -j -e CLOSE_WRITE,MOVED_TO -t 60 in   lines of JSON, for a program

Events: ACCESS MODIFY ATTRIB CLOSE_WRITE CLOSE_NOWRITE OPEN MOVED_FROM MOVED_TO
CREATE DELETE DELETE_SELF MOVE_SELF; CLOSE, MOVE and ALL_EVENTS stand for several.
Status: 0 at the end, 1 after an error, 2 for wrong arguments, 3 if --timeout ended it.)";

[[noreturn]] void usage_error(const std::string& line) {
    std::cerr << "inotify-watch: " << line << '\n';
    std::exit(2);
}

inotify::Mask parse_mask(const std::vector<std::string>& lists) {
    std::map<std::string, inotify::Mask> known{
        {"CLOSE", IN::CLOSE}, {"MOVE", IN::MOVE}, {"ALL_EVENTS", IN::ALL_EVENTS}};
    for (std::uint32_t bit = 1; bit <= IN::ALL_EVENTS.bits(); bit <<= 1U)
        known.emplace(to_string(inotify::Mask(bit)), bit);
    inotify::Mask mask;
    for (const std::string& list : lists) {
        std::istringstream words(list + ',');
        for (std::string word; std::getline(words, word, ',');) {
            std::string upper = word;
            for (char& c : upper)
                c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
            const auto found = known.find(upper.starts_with("IN_") ? upper.substr(3) : upper);
            if (found == known.end())
                usage_error("--mask: there is no event '" + word + "' (try --help)");
            mask |= found->second;
        }
    }
    return mask;
}

inotify::Duration to_duration(const char* option, double seconds) {
    if (!(seconds >= 0 && seconds <= 1e9))
        usage_error(std::string(option) + ": not a number of seconds");
    return std::chrono::ceil<inotify::Duration>(std::chrono::duration<double>(seconds));
}

// Saving it in a tree would be another change there. It replaces a symbolic link.
void check_since(const Options& options) {
    namespace fs = std::filesystem;
    if (options.since->empty())
        usage_error("--since: an empty path is no file");
    const auto directory = fs::weakly_canonical(fs::absolute(*options.since).parent_path());
    if (!fs::is_directory(directory))
        usage_error("--since: there is no directory " + directory.native());
    for (const auto& path : options.paths) {
        // Of a relative path that does not exist weakly_canonical() makes none that is absolute.
        const auto way = directory.lexically_relative(fs::weakly_canonical(fs::absolute(path)));
        if (!way.empty() && *way.begin() != "..")
            usage_error("--since: " + options.since->native() + " lies below " + path.native() +
                        "; give a file elsewhere");
    }
}

// What cannot be meant together.
void check(const Options& options) {
    const bool names_depth = options.max_depth != inotify::unlimited;
    const std::pair<bool, const char*> of_trees[] = {{!options.exclude.empty(), "--exclude"},
                                                     {names_depth, "--max-depth"},
                                                     {options.follow_symlinks, "--follow-symlinks"},
                                                     {options.one_file_system, "--one-file-system"},
                                                     {options.existing, "--existing"},
                                                     {options.since.has_value(), "--since"}};
    for (const auto& [is_set, name] : of_trees)
        if (is_set && !options.tree)
            usage_error(std::string(name) + " is of use only with --tree");
    if (options.restart && options.command.empty())
        usage_error("--restart is of use only with a COMMAND");
    if (options.since && options.existing)
        usage_error("--since and --existing exclude each other");
    if (options.since && options.batch)
        usage_error("--since is of events; it excludes --batch and a COMMAND");
    if (options.json && options.null)
        usage_error("--json and --null exclude each other");
    if (options.timestamps && options.null)
        usage_error("--timestamps and --null exclude each other");
    const bool asks_for_paths = options.tree || options.follow || options.mask || options.batch ||
                                options.count != 0 || !options.include.empty() || options.null ||
                                options.timestamps || !options.command.empty();
    if (options.paths.empty() && asks_for_paths)
        usage_error("no PATH to watch (try --help)");
    if (options.since)
        check_since(options);
}

}  // namespace

Options parse(int argc, char** argv) {
    Options options;
    std::vector<std::string> masks;
    double batch = 0.2;
    double timeout = 0;
    double since_interval = 10;
    std::optional<std::size_t> count;
    bool once = false;

    CLI::App app(description, "inotify-watch");
    app.footer(footer);
    app.set_help_flag("-h,--help", "Print this text");
    app.set_version_flag("-V,--version", std::string("inotify-watch ") + inotify::version,
                         "Print the version");
    app.add_option("PATH", options.paths, "What to watch");
    app.add_flag("-r,--tree,--recursive", options.tree, "Also all below each PATH, now and later");
    app.add_flag("-F,--follow", options.follow,
                 "Watch each PATH by its name: it may come later, be replaced, go and come again "
                 "(always so for a file)");
    app.add_option("-e,--mask,--event", masks, "Only these events, such as create,delete");
    app.add_option("-x,--exclude", options.exclude, "Tree: not what GLOB matches, nor below it");
    app.add_option("-i,--include", options.include, "Print only what GLOB matches");
    app.add_option("--max-depth", options.max_depth, "Tree: how deep; 0: what is in PATH alone");
    app.add_flag("--follow-symlinks", options.follow_symlinks, "Tree: go behind symbolic links");
    app.add_flag("--one-file-system", options.one_file_system, "Tree: stay on PATH's");
    app.add_flag("--existing", options.existing, "Tree: begin with what is there already");
    app.add_option("--since", options.since,
                   "Tree: begin with what has changed since FILE was written; write it again when "
                   "it is quiet, and at the end");
    auto* interval_option = app.add_option("--since-interval", since_interval,
                                           "How often FILE is written at most (10)");
    auto* batch_option = app.add_option("-b,--batch", batch,
                                        "Print what has changed, net, once nothing has for SECONDS "
                                        "(with a COMMAND: 0.2)");
    auto* timeout_option =
        app.add_option("-t,--timeout", timeout, "End after SECONDS without an event");
    app.add_option("-n,--count", count, "End after N events, batches or runs");
    app.add_flag("-1,--once", once, "The same as --count 1");
    app.add_flag("--restart", options.restart, "A new batch ends a COMMAND that still runs");
    app.add_flag("-j,--json", options.json, "One object a line; notes go to standard error");
    app.add_flag("-0,--null", options.null, "Paths alone, a NUL behind each and each batch");
    app.add_flag("--timestamps", options.timestamps, "Print when it was read");
    app.add_flag("-q,--quiet", options.quiet, "Print no notes");
    for (CLI::Option* option : app.get_options()) {
        const std::string& name = option->get_single_name();
        if (name == "mask" || name == "event")
            option->type_name("NAMES");
        else if (name == "exclude" || name == "include")
            option->type_name("GLOB")->allow_extra_args(false);
        else if (name == "since")
            option->type_name("FILE");
        else if (name == "batch" || name == "timeout" || name == "since-interval")
            option->type_name("SECONDS");
        else if (name == "count" || name == "max-depth")
            option->type_name("N");
        else if (name == "PATH")
            option->type_name("");
    }
    app.get_option("--mask")->allow_extra_args(false);

    // CLI11 takes all that is behind `--` for paths.
    char** const end = argv + argc;
    char** const separator = std::find(argv, end, std::string_view("--"));
    try {
        app.parse(static_cast<int>(separator - argv), argv);
    } catch (const CLI::Success& asked) {
        std::ostringstream text;
        app.exit(asked, text, text);
        std::cout << text.str();
        flush(std::cout);
        std::exit(0);
    } catch (const CLI::ParseError& error) {
        usage_error(error.what());
    }
    if (separator != end) {
        options.command.assign(separator + 1, end);
        if (options.command.empty())
            usage_error("no COMMAND behind --");
    }
    if (!masks.empty())
        options.mask = parse_mask(masks);
    if (*batch_option || !options.command.empty())
        options.batch = to_duration("--batch", batch);
    if (*interval_option && !options.since)
        usage_error("--since-interval is of use only with --since");
    options.since_interval = to_duration("--since-interval", since_interval);
    if (*timeout_option)
        options.timeout = to_duration("--timeout", timeout);
    if (count && *count == 0)
        usage_error("--count: nothing would be printed");
    options.count = once ? 1 : count.value_or(0);
    check(options);
    return options;
}

bool matches(const std::vector<std::string>& globs, std::string_view path) {
    const std::string full(path);
    const char* last = &full[full.rfind('/') + 1];
    return std::ranges::any_of(globs, [&](const std::string& glob) {
        return ::fnmatch(glob.c_str(), last, 0) == 0 ||
               ::fnmatch(glob.c_str(), full.c_str(), 0) == 0;
    });
}
