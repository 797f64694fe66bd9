// SPDX-License-Identifier: MIT
// tail: prints what is appended to a file, whatever log rotation does to it, as `tail -n 0 -F`
// does.
#include <inotify/inotify.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <utility>

namespace {

namespace IN = inotify::IN;

// One file, whatever becomes of its name.
class File {
public:
    File() = default;
    explicit File(const std::filesystem::path& path)
        : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
        if (fd_ < 0 && errno != ENOENT)
            std::cerr << "tail: " << path.native() << ": " << std::system_category().message(errno)
                      << std::endl;
    }
    File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    File& operator=(File&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~File() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    [[nodiscard]] bool is_open() const { return fd_ >= 0; }

    // While a file is open, no other gets its number.
    [[nodiscard]] bool is_same(const File& other) const {
        struct stat one;
        struct stat two;
        return ::fstat(fd_, &one) == 0 && ::fstat(other.fd_, &two) == 0 &&
               one.st_dev == two.st_dev && one.st_ino == two.st_ino;
    }

    void skip() const { ::lseek(fd_, 0, SEEK_END); }

    // Prints what was written since the last call; all of it, if the file was truncated.
    void print() const {
        struct stat status;
        if (::fstat(fd_, &status) == 0 && status.st_size < ::lseek(fd_, 0, SEEK_CUR))
            ::lseek(fd_, 0, SEEK_SET);
        std::array<char, 65536> text;
        for (ssize_t size; (size = ::read(fd_, text.data(), text.size())) > 0;)
            std::cout.write(text.data(), size);
        std::cout.flush();
    }

private:
    int fd_ = -1;
};

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 2) {
        std::cerr << "usage: tail FILE    print what is appended to FILE, until Ctrl-C\n";
        return 2;
    }
    const std::filesystem::path path = argv[1];
    inotify::Inotify i;
    i.follow(path, IN::MODIFY);
    File file(path);  // opened after it is followed, so that nothing comes in between
    file.skip();
    std::cerr << "following " << path.native() << std::endl;
    for (auto& event : i.event_gen({.yield_empty = false})) {
        if (event->error) {
            std::cerr << "tail: " << path.native() << ": " << event->error.message() << std::endl;
            continue;
        }
        // A writer that has not heard of the rotation yet goes on in the old file.
        file.print();
        if (!event->mask.intersects(IN::CREATE | IN::MOVED_TO))
            continue;
        if (File next(path); next.is_open() && !next.is_same(file)) {
            file = std::move(next);
            file.print();
        }
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << "tail: " << error.what() << '\n';
    return 1;
}
