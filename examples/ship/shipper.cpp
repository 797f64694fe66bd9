// SPDX-License-Identifier: MIT
// shipper: sends what happens in a tree to a broker, and loses nothing when it is killed.
#include "broker.hpp"
#include "file.hpp"
#include "message.hpp"

#include <inotify/inotify_tree.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace IN = inotify::IN;
using Clock = std::chrono::steady_clock;

// How often a snapshot is saved at most. It costs an fstatat(2) on each file of the tree.
constexpr auto interval = 250ms;

// The largest part of a file in a message; NATS takes 1 MiB unless it is configured otherwise.
constexpr std::size_t part_size = std::size_t{256} * 1024;

// How many bytes may wait for their acknowledgement.
constexpr std::size_t max_unacknowledged = std::size_t{1024} * 1024;

bool is_snapshot(const std::string& name) {
    return name.size() == ship::snapshot_name(0, 0).size() && name.front() != '.';
}

// The name of the last snapshot; empty if there is none.
std::string last_snapshot(const fs::path& directory) {
    std::string last;
    for (const auto& entry : fs::directory_iterator(directory))
        if (const std::string name = entry.path().filename(); is_snapshot(name))
            last = std::max(last, name);
    return last;
}

// A number that is greater than that of every earlier run. The clock alone could go back, the file
// alone could have been removed.
std::uint64_t next_run(const fs::path& directory) {
    std::uint64_t last = 0;
    std::ifstream(directory / "run") >> last;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto run = std::max(last + 1, static_cast<std::uint64_t>(now / 1us));
    std::ofstream out(directory / "run.new");
    if (!(out << run << std::flush))
        throw std::runtime_error("cannot write " + (directory / "run.new").native());
    fs::rename(directory / "run.new", directory / "run");
    return run;
}

class Shipper {
public:
    Shipper(ship::Broker& broker, std::string machine, fs::path root, fs::path snapshots)
        : broker_(broker),
          machine_(std::move(machine)),
          root_(std::move(root)),
          snapshots_(std::move(snapshots)),
          snapshot_(last_snapshot(snapshots_)),
          run_(next_run(snapshots_)) {}

    void run() {
        inotify::TreeOptions options;
        options.mask = IN::CHANGES | IN::MODIFY;
        options.block_duration = interval;
        options.track_files = true;
        options.since = load();
        publish({.event = "START", .snapshot = snapshot_});
        if (snapshot_.empty())
            publish({.event = "CLEAR"});
        inotify::InotifyTree tree(root_, options);

        bool saved = false;
        Clock::time_point next = Clock::now();
        for (const auto& event : tree.event_gen()) {
            if (event) {
                ship(*event);
                saved = false;
            } else if (!saved && Clock::now() >= next) {
                save(tree);
                saved = true;
                next = Clock::now() + interval;
            }
        }
    }

private:
    void publish(ship::Message message) {
        message.machine = machine_;
        message.run = run_;
        message.number = number_++;
        const std::string text = encode(message);
        broker_.publish(machine_, text);
        unacknowledged_ += text.size();
        if (unacknowledged_ > max_unacknowledged)
            flush();
    }

    void flush() {
        broker_.flush();
        unacknowledged_ = 0;
    }

    // A snapshot of nothing: then everything is new.
    inotify::Snapshot load() try {
        return snapshot_.empty() ? inotify::Snapshot()
                                 : inotify::Snapshot::load(snapshots_ / snapshot_);
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::bad_message)
            throw;
        std::cerr << "shipper: beginning anew: " << error.what() << std::endl;
        snapshot_.clear();
        return {};
    }

    void ship(const inotify::Event& event) {
        if (event.error) {
            std::cerr << "shipper: " << event << std::endl;
            return;
        }
        // What was written meanwhile is not reported; compared with the last snapshot it is.
        if (event.mask & IN::Q_OVERFLOW)
            throw std::runtime_error("events were lost");
        if (event.filename.empty()) {
            if (event.path == root_ && event.mask & (IN::IGNORED | IN::UNMOUNT))
                throw std::runtime_error("the root is gone");
            return;
        }
        const std::string path = below_root(event.full_path());
        publish({.event = to_string(event.mask),
                 .path = path,
                 .moved_from = event.moved_from.empty() ? "" : below_root(event.moved_from),
                 .cookie = event.cookie});
        if (event.mask & (IN::DELETE | IN::MOVED_FROM))
            moving_[event.cookie] = forget(path);
        if (!event.moved_from.empty())
            for (const std::string& rest : moving_[event.cookie])
                files_[path + rest] = true;
        if (!event.is_dir() && !(event.mask & (IN::DELETE | IN::MOVED_FROM)))
            files_[path] = true;
    }

    std::string below_root(const fs::path& path) const {
        return path.lexically_relative(root_).native();
    }

    // Takes a file, or those in a directory, out of `files_`; returns what followed `path`.
    std::vector<std::string> forget(const std::string& path) {
        std::vector<std::string> rests(files_.erase(path));
        const std::string in = path + '/';
        auto file = files_.lower_bound(in);
        while (file != files_.end() && file->first.starts_with(in)) {
            rests.push_back(file->first.substr(path.size()));
            file = files_.erase(file);
        }
        return rests;
    }

    // At an empty value: sends contents, and when all has been acknowledged saves the snapshot.
    // What changes after a file was read is unknown in the snapshot, so it is sent again in any
    // case.
    void save(inotify::InotifyTree& tree) {
        moving_.clear();
        std::erase_if(files_, [](const auto& file) { return !file.second; });
        for (auto& [path, to_send] : files_) {
            send_contents(path);
            to_send = false;
        }
        const inotify::Snapshot held = tree.snapshot();
        flush();
        snapshot_ = ship::snapshot_name(run_, number_);
        held.save(snapshots_ / snapshot_);
        publish({.event = "SNAPSHOT", .snapshot = snapshot_});
        flush();
        for (const auto& entry : fs::directory_iterator(snapshots_))
            if (const std::string name = entry.path().filename();
                name.starts_with(".snapshot-") || (is_snapshot(name) && name != snapshot_))
                fs::remove(entry.path());
    }

    // What is not there any more, or is another type of file, is reported by events that follow.
    void send_contents(const std::string& path) {
        const fs::path file = root_ / path;
        std::error_code error;
        const fs::path target = fs::read_symlink(file, error);
        if (!error) {
            publish({.event = "LINK", .path = path, .data = target.native()});
            return;
        }
        try {
            const ship::File opened(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
            struct stat status = {};
            if (::fstat(opened.fd(), &status) != 0 || !S_ISREG(status.st_mode))
                return;
            // No further than its end is now, for it may grow faster than it is read.
            const auto size = static_cast<std::uint64_t>(status.st_size);
            for (std::uint64_t offset = 0; offset == 0 || offset < size; offset += part_size)
                publish({.event = "CONTENTS",
                         .path = path,
                         .offset = offset,
                         .data = opened.read(part_size, offset)});
        } catch (const std::system_error& failed) {
            if (failed.code() != std::errc::no_such_file_or_directory)
                std::cerr << "shipper: " << failed.what() << std::endl;
        }
    }

    ship::Broker& broker_;
    std::string machine_;
    fs::path root_;
    fs::path snapshots_;
    std::string snapshot_;  // the name of the last one; empty: none
    std::uint64_t run_;
    std::uint64_t number_ = 0;
    std::size_t unacknowledged_ = 0;
    // The files whose contents are to be sent (true), and those whose contents were sent with the
    // last snapshot: if a directory above one of these turns out to have moved before its contents
    // were read, they may have been those of another file, and are sent again.
    std::map<std::string, bool> files_;
    std::map<std::uint32_t, std::vector<std::string>> moving_;  // files on their way, by cookie
};

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 5) {
        std::cerr << "usage: shipper redis://HOST:PORT|nats://HOST:PORT MACHINE ROOT SNAPSHOTS\n";
        return 2;
    }
    fs::create_directories(argv[4]);
    const auto broker = ship::connect(argv[1]);
    Shipper(*broker, argv[2], fs::canonical(argv[3]), argv[4]).run();
    return 0;
} catch (const std::exception& error) {
    std::cerr << "shipper: " << error.what() << std::endl;
    return 1;
}
