// SPDX-License-Identifier: MIT
// A project that uses the library: sees one event and prints the version.
#include <inotify/inotify.hpp>
#include <inotify/version.hpp>

#include <chrono>
#include <filesystem>
#include <iostream>

int main() {
    inotify::Inotify i;
    i.add_watch(".", inotify::IN::OPEN);
    const std::filesystem::directory_iterator opened(".");
    const auto event = i.get(std::chrono::seconds{5});
    if (!event)
        return 1;
    std::cout << inotify::version << '\n';
    return 0;
}
