// SPDX-License-Identifier: MIT
// Watches a whole tree and prints its events; marks those that the library found itself.
#include <inotify/inotify_tree.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>

namespace {
inotify::Inotify* running = nullptr;
}

int main(int argc, char** argv) try {
    using namespace std::chrono_literals;
    inotify::TreeOptions options;
    options.mask = inotify::IN::CHANGES;
    inotify::InotifyTree tree(argc > 1 ? argv[1] : ".", options);
    running = &tree;
    std::signal(SIGINT, [](int) { running->stop(); });

    const auto coverage = tree.coverage();
    std::cout << "watching " << coverage.watched << " directories, " << coverage.unwatched.size()
              << " cannot be watched; Ctrl-C ends it" << std::endl;
    bool busy = false;
    for (auto& event : tree.event_gen({.timeout = 10s})) {
        if (event) {
            // A synthetic event is no late word of the kernel: no watch was there yet to see it.
            std::cout << (event->synthetic ? "+ " : "  ") << *event << '\n';
            busy = true;
        } else if (busy) {
            std::cout << "  idle: " << tree.coverage().watched << " directories" << std::endl;
            busy = false;
        }
    }
    std::signal(SIGINT, SIG_DFL);
    return 0;
} catch (const std::exception& error) {
    std::cerr << "tree: " << error.what() << '\n';
    return 1;
}
