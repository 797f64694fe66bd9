// SPDX-License-Identifier: MIT
// The command that is run after a batch.
#include "command.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

// execve(2) takes no more than 128 KiB in one string.
constexpr std::size_t longest_variable = 100'000;

std::vector<std::string> environment_for(const Paths& paths) {
    std::vector<std::string> result;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        if (!text.starts_with("INOTIFY_PATHS=") && !text.starts_with("INOTIFY_COUNT="))
            result.emplace_back(text);
    }
    std::string list = "INOTIFY_PATHS=";
    for (const std::string& path : paths)
        if (list.size() <= longest_variable)
            list += (list.ends_with('=') ? "" : "\n") + path;
    if (list.size() <= longest_variable)
        result.push_back(std::move(list));
    result.push_back("INOTIFY_COUNT=" + std::to_string(paths.size()));
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    result.reserve(strings.size() + 1);
    for (std::string& text : strings)
        result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

// The child has the signals as they were before main() changed them.
struct Attributes {
    posix_spawnattr_t attributes;

    explicit Attributes(bool own_group) {
        ::posix_spawnattr_init(&attributes);
        sigset_t changed;
        ::sigemptyset(&changed);
        for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD})
            ::sigaddset(&changed, signal);
        ::posix_spawnattr_setsigdefault(&attributes, &changed);
        ::posix_spawnattr_setpgroup(&attributes, 0);
        ::posix_spawnattr_setflags(
            &attributes,
            static_cast<short>(POSIX_SPAWN_SETSIGDEF | (own_group ? POSIX_SPAWN_SETPGROUP : 0)));
    }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    ~Attributes() { ::posix_spawnattr_destroy(&attributes); }
};

}  // namespace

Command::Command(std::vector<std::string> arguments, bool own_group)
    : arguments_(std::move(arguments)), own_group_(own_group) {}

void Command::start(const Paths& paths) {
    std::vector<std::string> environment = environment_for(paths);
    status_ = 0;
    int error = spawn(paths, environment);
    if (error == E2BIG) {
        std::cerr << "inotify-watch: too many paths for one command line; {} stands for none\n";
        error = spawn({}, environment);
    }
    if (error == 0)
        return;
    pid_ = 0;
    throw std::system_error(error, std::system_category(), arguments_.front());
}

int Command::spawn(const Paths& paths, std::vector<std::string>& environment) {
    std::vector<std::string> arguments;
    for (const std::string& argument : arguments_)
        if (argument == "{}")
            arguments.insert(arguments.end(), paths.begin(), paths.end());
        else
            arguments.push_back(argument);
    const Attributes attributes(own_group_);
    return ::posix_spawnp(&pid_, arguments_.front().c_str(), nullptr, &attributes.attributes,
                          pointers(arguments).data(), pointers(environment).data());
}

bool Command::is_running() {
    int status = 0;
    if (pid_ != 0 && ::waitpid(pid_, &status, WNOHANG) == pid_)
        finish(status);
    return pid_ != 0;
}

void Command::end(int signal) {
    if (!is_running())
        return;
    ::kill(own_group_ ? -pid_ : pid_, signal);
    wait();
}

void Command::wait() {
    int status = 0;
    while (pid_ != 0)
        if (::waitpid(pid_, &status, 0) == pid_)
            finish(status);
        else if (errno != EINTR)
            pid_ = 0;
}

void Command::finish(int status) {
    pid_ = 0;
    status_ = status;
}

void OutputFilter::idle(const inotify::Batch& batch) {
    in_a_row_ = 0;
    for (const inotify::Change& change : batch.changes)
        if (change.kind != inotify::ChangeKind::removed)  // as `make clean` does
            edited_.insert(change.path);
}

Paths OutputFilter::during(const inotify::Batch& batch) {
    Paths result;
    for (const inotify::Change& change : batch.changes)
        if (outputs_.insert(change.path).second || edited_.contains(change.path))
            result.push_back(change.path);
    ++in_a_row_;
    return result;
}
