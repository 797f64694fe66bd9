// SPDX-License-Identifier: MIT
// fd() in event loops other than Asio's; the rule is: on readable, loop until the empty value.
#include "../support.hpp"

#include <inotify/inotify_tree.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>

#if defined(INOTIFY_TESTS_SD_EVENT)
#include <systemd/sd-event.h>
#endif

using namespace inotify;
using namespace std::chrono_literals;
using test::TempDir;

TEST_CASE("a plain epoll with another descriptor in it") {
    TempDir dir;
    Inotify i{0ms};
    i.add_watch(dir.path(), IN::CREATE);
    const int other = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    for (const int fd : {i.fd(), other}) {
        epoll_event interest{.events = EPOLLIN, .data = {.fd = fd}};
        REQUIRE(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) == 0);
    }
    std::vector<std::string> names;
    int others = 0;
    const auto turn = [&](int timeout) {
        std::array<epoll_event, 4> ready;
        const int count = ::epoll_wait(epoll, ready.data(), 4, timeout);
        for (int n = 0; n < count; ++n) {
            if (ready[static_cast<std::size_t>(n)].data.fd == other) {
                eventfd_t value = 0;
                ::eventfd_read(other, &value);
                ++others;
                continue;
            }
            for (auto& event : i.event_gen()) {
                if (!event)
                    break;
                names.push_back(event->filename);
            }
        }
        return count;
    };
    CHECK(turn(0) == 0);
    for (int round = 0; round < 3; ++round) {
        const std::string name = std::to_string(round);
        test::touch(dir / (name + "a"));
        test::touch(dir / (name + "b"));
        ::eventfd_write(other, 1);
        CHECK(turn(-1) == 2);
        CHECK(turn(0) == 0);
        CHECK(others == round + 1);
        CHECK(names.size() == static_cast<std::size_t>(2 * (round + 1)));
    }
    ::close(epoll);
    ::close(other);
}

#if defined(INOTIFY_TESTS_SD_EVENT)
namespace {

struct SdLoop {
    sd_event* loop = nullptr;
    Inotify* adapter = nullptr;
    std::vector<std::string> names = {};
    int timers = 0;
    std::size_t enough = 0;
};

int on_readable(sd_event_source*, int, std::uint32_t, void* data) {
    auto& state = *static_cast<SdLoop*>(data);
    for (auto& event : state.adapter->event_gen()) {
        if (!event)
            break;
        state.names.push_back(event->filename);
    }
    return state.names.size() < state.enough ? 0 : sd_event_exit(state.loop, 0);
}

}  // namespace

TEST_CASE("sd-event with a timer and a tree") {
    TempDir dir;
    InotifyTree tree(dir.path(), {.mask = IN::CREATE, .block_duration = 0ms});
    SdLoop state{.adapter = &tree, .enough = 6};
    REQUIRE(sd_event_new(&state.loop) >= 0);
    REQUIRE(sd_event_add_io(state.loop, nullptr, tree.fd(), EPOLLIN, on_readable, &state) >= 0);
    // The timer makes what the tree sees.
    static const test::fs::path* root = nullptr;
    root = &dir.path();
    const auto on_timer = [](sd_event_source* source, std::uint64_t now, void* data) {
        auto& timers = static_cast<SdLoop*>(data)->timers;
        const std::string name = std::to_string(timers);
        test::fs::create_directories(*root / name / "inner");
        if (++timers == 3)
            return 0;
        sd_event_source_set_time(source, now + 1000);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    };
    REQUIRE(sd_event_add_time_relative(state.loop, nullptr, CLOCK_MONOTONIC, 0, 1, on_timer,
                                       &state) >= 0);
    CHECK(sd_event_loop(state.loop) == 0);
    CHECK(state.timers == 3);
    CHECK(state.names == std::vector<std::string>{"0", "inner", "1", "inner", "2", "inner"});
    sd_event_unref(state.loop);
}
#endif
