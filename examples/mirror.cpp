// SPDX-License-Identifier: MIT
// mirror: keeps a list of all that is below a directory, through renames and overflows.
#include <inotify/inotify_tree.hpp>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace IN = inotify::IN;

// The paths that the events up to now have brought.
struct Mirror {
    std::set<std::string> paths;
    std::map<std::uint32_t, std::vector<std::string>> moving;  // by cookie: what was below

    void apply(const inotify::Event& event) {
        const std::string path = event.full_path();
        if (event.mask.intersects(IN::DELETE | IN::MOVED_FROM)) {
            // What is below lies side by side, up to the character behind '/': so the work is that
            // of what is taken out.
            const auto below = paths.lower_bound(path + '/');
            const auto end = paths.lower_bound(path + '0');
            moving[event.cookie].assign(below, end);
            paths.erase(below, end);
            paths.erase(path);
        } else if (event.mask.intersects(IN::CREATE | IN::MOVED_TO)) {
            paths.insert(path);
            if (!event.moved_from.empty())
                for (const std::string& old : moving[event.cookie])
                    paths.insert(path + old.substr(event.moved_from.size()));
        }
    }

    // Replaces the file as a whole. A null byte ends each path, as in `find -print0`.
    void write(const std::filesystem::path& file) const {
        const std::filesystem::path next = file.native() + ".next";
        std::ofstream out(next, std::ios::binary);
        out.exceptions(std::ios::failbit | std::ios::badbit);
        for (const std::string& path : paths)
            out << path << '\0';
        out.close();
        std::filesystem::rename(next, file);
    }
};

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 3) {
        std::cerr
            << "usage: mirror DIRECTORY FILE    keep FILE, outside DIRECTORY, a sorted list\n";
        return 2;
    }
    inotify::InotifyTree tree(argv[1],
                              {.mask = IN::CHANGES, .report_existing = true, .track_files = true});
    Mirror mirror;
    bool is_written = false;
    for (auto& event : tree.event_gen()) {
        if (event) {
            if (event->error || event->mask.intersects(IN::Q_OVERFLOW))
                std::cout << *event << std::endl;
            mirror.apply(*event);
            is_written = false;
        } else if (!std::exchange(is_written, true)) {
            mirror.moving.clear();  // what has not come back has left the tree
            mirror.write(argv[2]);
            std::cout << mirror.paths.size() << " entries" << std::endl;
        }
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << "mirror: " << error.what() << '\n';
    return 1;
}
