// SPDX-License-Identifier: MIT
// The idle tick: count the events of a directory and report each time that all have been read.
#include <inotify/inotify.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>

int main(int argc, char** argv) try {
    using namespace std::chrono_literals;
    inotify::Inotify i{500ms};
    i.add_watch(argc > 1 ? argv[1] : ".", inotify::IN::CLOSE_WRITE | inotify::IN::MOVED_TO);
    std::size_t changed = 0;
    for (auto& event : i.event_gen({.timeout = 10s})) {
        if (event) {
            ++changed;
        } else if (changed > 0) {
            // Everything that happened so far has been counted: a good moment to work on it.
            std::cout << changed << " changed" << std::endl;
            changed = 0;
        }
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << "idle: " << error.what() << '\n';
    return 1;
}
