// SPDX-License-Identifier: MIT
// The file of --since: what had been printed when it was written.
#include "since.hpp"

#include <iostream>
#include <system_error>

inotify::Snapshot load_since(const std::filesystem::path& file) {
    try {
        return inotify::Snapshot::load(file);
    } catch (const std::system_error& error) {
        if (error.code() == std::errc::no_such_file_or_directory)
            return {};
        throw;
    }
}

void Since::idle() {
    if (is_saved_ || Clock::now() < next_)
        return;
    next_ = Clock::now() + interval_;
    try {
        save();
    } catch (const std::system_error& error) {
        std::cerr << "inotify-watch: " << error.what() << "; trying again\n";
    }
}

void Since::save() {
    tree_.snapshot().save(file_);
    is_saved_ = true;
}
