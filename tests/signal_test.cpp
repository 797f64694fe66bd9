// SPDX-License-Identifier: MIT
// Signals: EINTR ends a wait early with the empty value, so that a loop can look at its flags.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <pthread.h>
#include <sys/stat.h>
#include <csignal>

#include <atomic>
#include <stop_token>
#include <thread>

using namespace inotify;
using namespace std::chrono_literals;
using test::record;
using test::ScriptedInotify;
using test::TempDir;

namespace {

// SIGUSR1 does nothing but interrupt, as long as this lives.
class InterruptOnSignal {
public:
    InterruptOnSignal() {
        struct sigaction action{};
        action.sa_handler = [](int) {};
        action.sa_flags = 0;  // no SA_RESTART
        ::sigaction(SIGUSR1, &action, &before_);
    }
    ~InterruptOnSignal() { ::sigaction(SIGUSR1, &before_, nullptr); }
    InterruptOnSignal(const InterruptOnSignal&) = delete;
    InterruptOnSignal& operator=(const InterruptOnSignal&) = delete;

private:
    struct sigaction before_{};
};

// Sends SIGUSR1 to the thread that made it, again and again: one of them comes while it waits.
std::jthread signals_to_this_thread() {
    return std::jthread([target = ::pthread_self()](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            ::pthread_kill(target, SIGUSR1);
            std::this_thread::yield();
        }
    });
}

int interrupt() { return -EINTR; }

}  // namespace

TEST_CASE("a signal ends the wait with the empty value, and the range goes on") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().on_wait(interrupt);
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return 1;
    });
    auto range = i.event_gen();
    auto it = range.begin();
    CHECK(!*it);
    CHECK((*++it)->filename == "f");
    CHECK(i.kernel().waited.size() == 2);
}

TEST_CASE("what was queued when the signal came precedes the empty value") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return -EINTR;
    });
    auto range = i.event_gen();
    auto it = range.begin();
    CHECK((*it)->filename == "f");
    CHECK(!*++it);
}

TEST_CASE("without empty values a signal does not end the range") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().on_wait(interrupt);
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return 1;
    });
    auto range = i.event_gen({.yield_empty = false});
    CHECK((*range.begin())->filename == "f");
}

TEST_CASE("a signal ends get() with nothing, and loses no event") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().on_wait(interrupt);
    CHECK(i.get() == std::nullopt);
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return -EINTR;
    });
    CHECK(i.get()->filename == "f");
}

TEST_CASE("a signal in one range does not end a later get()") {
    ScriptedInotify i{forever};
    i.add_watch("/d");
    i.kernel().on_wait(interrupt);
    CHECK(test::drain(i).empty());
    i.kernel().on_wait([] { return 0; });
    i.kernel().on_wait([&] {
        i.kernel().queue(record(1, IN::CREATE, "f"));
        return 1;
    });
    CHECK(i.get()->filename == "f");
}

// These block for ever if a signal does not end the wait.
TEST_SUITE("threads") {
    TEST_CASE("a real signal ends a wait in the kernel with the empty value") {
        const InterruptOnSignal handler;
        Inotify i{forever};
        const auto signals = signals_to_this_thread();
        CHECK(test::drain(i).empty());
        CHECK(test::drain(i).empty());
    }

    TEST_CASE("a real signal ends get() with nothing") {
        const InterruptOnSignal handler;
        Inotify i{forever};
        const auto signals = signals_to_this_thread();
        CHECK(i.get() == std::nullopt);
    }

    TEST_CASE("a storm of signals loses no event") {
        const InterruptOnSignal handler;
        TempDir dir;
        Inotify i{forever};
        i.add_watch(dir.path(), IN::CREATE);
        constexpr std::size_t count = 200;
        for (std::size_t n = 0; n < count; ++n)
            REQUIRE(::mknod((dir / std::to_string(n)).c_str(), S_IFREG | 0600, 0) == 0);
        const auto signals = signals_to_this_thread();
        CHECK(test::drain(i).size() == count);
    }
}
