// SPDX-License-Identifier: MIT
// File: a file descriptor that is closed at the end.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace ship {

class File {
public:
    // Throws std::system_error, as the other functions do.
    File(const std::filesystem::path& path, int flags)
        : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
        check(fd_ >= 0);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { ::close(fd_); }

    [[nodiscard]] int fd() const { return fd_; }

    // At most `size` bytes; fewer at the end of the file.
    [[nodiscard]] std::string read(std::size_t size, std::uint64_t offset) const {
        std::string bytes(size, '\0');
        const ssize_t got = ::pread(fd_, bytes.data(), size, static_cast<off_t>(offset));
        check(got >= 0);
        bytes.resize(static_cast<std::size_t>(got));
        return bytes;
    }

    void write(std::string_view bytes, std::uint64_t offset) const {
        while (!bytes.empty()) {
            const ssize_t size =
                ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            check(size > 0);
            bytes.remove_prefix(static_cast<std::size_t>(size));
            offset += static_cast<std::uint64_t>(size);
        }
    }

private:
    void check(bool good) const {
        if (!good)
            throw std::system_error(errno, std::system_category(), path_.native());
    }

    std::filesystem::path path_;
    int fd_;
};

}  // namespace ship
