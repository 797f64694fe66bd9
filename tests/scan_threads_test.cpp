// SPDX-License-Identifier: MIT
// The threads of a first scan, on the real kernel: when there are any, and that none is left.
#include "support.hpp"

#include <inotify/inotify_tree.hpp>

#include <doctest/doctest.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <csignal>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;

#ifdef INOTIFY_TESTS_SANITIZED
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::set<std::string> threads() {
    std::set<std::string> result;
    for (const auto& thread : fs::directory_iterator("/proc/self/task"))
        result.insert(thread.path());
    return result;
}

// A thread that was joined may be listed for a moment yet, with one processor above all.
bool threads_become(const std::set<std::string>& expected) {
    for (const auto begun = test::Clock::now(); threads() != expected; std::this_thread::yield())
        if (test::Clock::now() - begun > test::plenty)
            return false;
    return true;
}

bool blocks_signals(const std::string& thread) {
    std::ifstream status(thread + "/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("SigBlk:"))
            return (std::stoull(line.substr(7), nullptr, 16) >> (SIGUSR1 - 1) & 1U) != 0;
    return false;
}

// `outer` directories with `inner` in each.
void make_directories(const std::string& root, int outer, int inner) {
    for (int i = 0; i < outer; ++i) {
        const std::string directory = root + '/' + std::to_string(i);
        ::mkdir(directory.c_str(), 0700);
        for (int j = 0; j < inner; ++j)
            ::mkdir((directory + '/' + std::to_string(j)).c_str(), 0700);
    }
}

// What is seen of the threads while a tree is made.
struct Seen {
    std::size_t most = 0;
    bool block_signals = true;
};

Seen watch_threads(inotify::TreeOptions options, const std::string& root, std::size_t directories) {
    std::string first;  // ThreadSanitizer starts one of its own with it
    std::thread([&] { first = "/proc/self/task/" + std::to_string(::gettid()); }).join();
    auto before = threads();
    before.erase(first);
    REQUIRE(threads_become(before));
    const auto caller = std::this_thread::get_id();
    bool by_caller = true;
    Seen seen;
    options.exclude = [&](std::string_view path) {
        by_caller &= std::this_thread::get_id() == caller;
        if (!path.ends_with("/0"))
            return false;
        const auto running = threads();
        seen.most = std::max(seen.most, running.size() - before.size());
        for (const std::string& thread : running)
            seen.block_signals &= before.contains(thread) || blocks_signals(thread);
        return false;
    };
    const inotify::InotifyTree tree(root, std::move(options));
    CHECK(threads_become(before));
    CHECK(by_caller);
    CHECK(tree.coverage().watched == directories);
    return seen;
}

// From now on these calls end so (SECCOMP_RET_...). False: the system has no seccomp(2).
bool refuse(const std::vector<std::uint32_t>& calls, std::uint32_t end) {
    std::vector<sock_filter> filter{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
    for (const std::uint32_t call : calls) {
        filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call});
        filter.push_back({BPF_RET | BPF_K, 0, 0, end});
    }
    filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum class Scan : int { complete, incomplete, not_limited };

// Scans on several threads in a process that is limited first.
Scan scan_limited(const std::function<bool()>& limit) {
    const test::TempDir directory;
    make_directories(directory.str(), 50, 50);
    const pid_t child = ::fork();
    if (child == 0) {
        inotify::InotifyTree tree(std::span<const fs::path>{}, {.scan_threads = 4});
        if (!limit())
            ::_exit(static_cast<int>(Scan::not_limited));
        tree.add_tree(directory.str());
        const bool complete = tree.coverage().watched == 1 + 50 + 50 * 50;
        ::_exit(static_cast<int>(complete ? Scan::complete : Scan::incomplete));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return static_cast<Scan>(WEXITSTATUS(status));
}

// One more file can be opened.
bool leave_one_descriptor() {
    const int next = ::dup(0);
    ::close(next);
    const rlimit limit{static_cast<rlim_t>(next) + 1, static_cast<rlim_t>(next) + 1};
    return next >= 0 && ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// As a sandbox does that answers calls itself.
void answer_by_signal(int, siginfo_t*, void*) {}
bool refuse_by_signal() {
    struct sigaction action{};
    action.sa_sigaction = answer_by_signal;
    action.sa_flags = SA_SIGINFO;
    return ::sigaction(SIGSYS, &action, nullptr) == 0 && refuse({SYS_unshare}, SECCOMP_RET_TRAP);
}

}  // namespace

TEST_CASE("a scan goes on where threads or working directories of their own are refused") {
    const auto refusing = [](const std::vector<std::uint32_t>& calls, std::uint32_t error) {
        return [=] { return refuse(calls, SECCOMP_RET_ERRNO | error); };
    };
    if (scan_limited(refusing({SYS_unshare}, EPERM)) == Scan::not_limited) {
        MESSAGE("skipped: there is no seccomp(2) here");
        return;
    }
    CHECK(scan_limited(refusing({SYS_unshare}, EPERM)) == Scan::complete);
    CHECK(scan_limited(refusing({SYS_clone, SYS_clone3}, EAGAIN)) == Scan::complete);
    CHECK(scan_limited(refuse_by_signal) == Scan::complete);
}

// Sanitizers need descriptors of their own.
TEST_CASE("threads that lack descriptors leave the scan to the caller's" *
          doctest::skip(sanitized)) {
    CHECK(scan_limited(leave_one_descriptor) == Scan::complete);
}

TEST_SUITE("threads") {
    TEST_CASE("a small tree starts no thread, a large one as many as are asked for") {
        const test::TempDir directory;
        make_directories(directory.str(), 30, 32);
        CHECK(watch_threads({}, directory.str(), 991).most == 0);
        make_directories(directory.str(), 60, 60);
        const std::size_t directories = 1 + 60 + 60 * 60;
        CHECK(watch_threads({.scan_threads = 1}, directory.str(), directories).most == 0);
        const Seen three = watch_threads({.scan_threads = 3}, directory.str(), directories);
        CHECK(three.most == 2);
        CHECK(three.block_signals);
        CHECK(watch_threads({.scan_threads = UINT_MAX}, directory.str(), directories).most < 64);
        CHECK(watch_threads({}, directory.str(), directories).most <=
              std::min(4U, std::thread::hardware_concurrency()) - 1);
    }

    TEST_CASE("what the scan of a large tree reads itself does not end it early") {
        const test::TempDir directory;
        make_directories(directory.str(), 10'000, 1);
        for (const unsigned threads : {1U, 2U}) {
            inotify::InotifyTree tree(directory.str(),
                                      {.block_duration = {}, .scan_threads = threads});
            CHECK(tree.coverage().watched == 20'001);
            CHECK(test::drain(tree).empty());
        }
    }

    TEST_CASE("the threads of a scan that throws have ended") {
        const test::TempDir directory;
        make_directories(directory.str(), 30, 30);
        const auto before = threads();
        int calls = 0;
        inotify::TreeOptions options{.scan_threads = 3};
        options.exclude = [&](std::string_view) -> bool {
            return ++calls > 500 ? throw std::runtime_error("enough") : false;
        };
        CHECK_THROWS_AS(inotify::InotifyTree(directory.str(), options), std::runtime_error);
        CHECK(threads_become(before));
    }

    TEST_CASE("directories that change while threads share the scan are watched in the end") {
        const test::TempDir directory;
        make_directories(directory.str(), 40, 40);
        std::jthread changes([root = directory.str()](const std::stop_token& stop) {
            for (int i = 0; !stop.stop_requested(); ++i) {
                const std::string one = root + '/' + std::to_string(i % 40);
                const std::string inner = one + '/' + std::to_string(i % 7);
                ::rename(inner.c_str(), (root + "/moved").c_str());
                ::mkdir((one + "/new").c_str(), 0700);
                ::rename((root + "/moved").c_str(), inner.c_str());
                ::rmdir((root + '/' + std::to_string((i + 1) % 40) + "/new").c_str());
            }
        });
        inotify::InotifyTree tree(directory.str(), {.block_duration = {}, .scan_threads = 3});
        changes.request_stop();
        changes.join();
        test::drain(tree);
        std::size_t directories = 1;
        for ([[maybe_unused]] const auto& entry : fs::recursive_directory_iterator(directory.str()))
            ++directories;
        CHECK(tree.coverage().watched == directories);
        CHECK(tree.coverage().unwatched.empty());
    }

    TEST_CASE("an exclude that throws while threads share a scan leaves no watch behind") {
        const test::TempDir first;
        const test::TempDir second;
        make_directories(first.str(), 3, 3);
        make_directories(second.str(), 60, 60);
        int calls = 0;
        int most = 1'000'000;
        inotify::TreeOptions options{.block_duration = {}, .scan_threads = 3};
        options.exclude = [&](std::string_view) -> bool {
            return ++calls > most ? throw std::runtime_error("enough") : false;
        };
        inotify::InotifyTree tree(first.str(), options);
        most = calls + 1000;
        CHECK_THROWS_AS(tree.add_tree(second.str()), std::runtime_error);
        most = 1'000'000;
        tree.remove_tree(second.str());
        test::drain(tree);
        CHECK(tree.coverage().watched == 1 + 3 + 3 * 3);
        CHECK(test::kernel_watches() == tree.coverage().watched);
    }
}
