// SPDX-License-Identifier: MIT
// Ending by Ctrl-C: stop() may be called from a signal handler.
#include <inotify/inotify.hpp>

#include <csignal>
#include <exception>
#include <iostream>

namespace {
inotify::Inotify* running = nullptr;
}

int main(int argc, char** argv) try {
    inotify::Inotify i{inotify::forever};
    i.add_watch(argc > 1 ? argv[1] : ".");
    running = &i;
    std::signal(SIGINT, [](int) { running->stop(); });
    for (auto& event : i.event_gen({.yield_empty = false}))
        std::cout << *event << '\n';
    std::cout << "stopped\n";
    std::signal(SIGINT, SIG_DFL);
    return 0;
} catch (const std::exception& error) {
    std::cerr << "ctrl_c: " << error.what() << '\n';
    return 1;
}
