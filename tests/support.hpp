// SPDX-License-Identifier: MIT
// What every test needs: a fresh directory, ways to act in it, and events that can be read.
#pragma once

#include <inotify/inotify.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INOTIFY_TESTS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define INOTIFY_TESTS_SANITIZED 1
#endif
#endif

namespace test {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;
using Clock = std::chrono::steady_clock;

/// No machine is that slow; what takes longer has blocked.
inline constexpr std::chrono::seconds plenty{10};

/// A fresh, empty directory, removed at the end.
class TempDir {
public:
    TempDir() {
        std::string name = (fs::temp_directory_path() / "inotify-test-XXXXXX").native();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::system_error(errno, std::system_category(), "mkdtemp");
        path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    [[nodiscard]] const fs::path& path() const { return path_; }
    [[nodiscard]] std::string str() const { return path_.native(); }
    [[nodiscard]] fs::path operator/(std::string_view name) const { return path_ / name; }

private:
    fs::path path_;
};

/// A file descriptor of the test itself.
class OpenFile {
public:
    explicit OpenFile(const fs::path& path, int flags = O_RDWR | O_CREAT)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
        if (fd_ < 0)
            throw std::system_error(errno, std::system_category(), "open: " + path.native());
    }
    ~OpenFile() { ::close(fd_); }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    [[nodiscard]] int fd() const { return fd_; }

    void write(std::string_view text) const {
        if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
            throw std::system_error(errno, std::system_category(), "write");
    }

private:
    int fd_;
};

/// Creates the file (or truncates it) and writes `text` into it.
inline void write_file(const fs::path& path, std::string_view text = "text") {
    OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC).write(text);
}

/// Creates an empty file, without a write.
/// Writes to a file of /proc, in one call.
inline bool write_text(const char* path, const std::string& text) {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    return written;
}

inline void touch(const fs::path& path) { OpenFile{path}; }

/// Makes a link lead elsewhere, in one step.
inline void swap_link(const fs::path& link, const fs::path& target) {
    const fs::path fresh = link.native() + ".new";
    fs::create_symlink(target, fresh);
    fs::rename(fresh, link);
}

/// The watches that the kernel holds for the instances of this process.
inline std::size_t kernel_watches() {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream info(entry.path());
        for (std::string line; std::getline(info, line);)
            count += line.starts_with("inotify wd:") ? 1 : 0;
    }
    return count;
}

/// Takes the capabilities that let root read what it may not, and gives them back.
class WithoutCapabilities {
public:
    WithoutCapabilities() {
        ::syscall(SYS_capget, &header_, data_);
        __user_cap_data_struct none[2] = {data_[0], data_[1]};
        none[0].effective = none[1].effective = 0;
        ::syscall(SYS_capset, &header_, none);
    }
    ~WithoutCapabilities() { ::syscall(SYS_capset, &header_, data_); }
    WithoutCapabilities(const WithoutCapabilities&) = delete;
    WithoutCapabilities& operator=(const WithoutCapabilities&) = delete;

private:
    __user_cap_header_struct header_{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data_[2] = {};
};

/// An event with these members; the others as they are by default.
inline inotify::Event make_event(int wd, inotify::Mask mask, std::string path = {},
                                 std::string filename = {}) {
    inotify::Event event;
    event.wd = wd;
    event.mask = mask;
    event.path = std::move(path);
    event.filename = std::move(filename);
    return event;
}

/// All events up to the empty value. With nothing queued it waits, so give the adapter a short
/// block duration.
inline std::vector<inotify::Event> drain(inotify::Inotify& adapter) {
    std::vector<inotify::Event> events;
    for (auto& event : adapter.event_gen()) {
        if (!event)
            break;
        events.push_back(*event);
    }
    return events;
}

/// Each event as `MASK path`, or `MASK path < moved_from`, with the directory's own path left out.
inline Lines lines(const std::vector<inotify::Event>& events, const std::string& directory) {
    const auto shortened = [&](const std::string& path) {
        if (path == directory)
            return std::string(".");
        return path.starts_with(directory + "/") ? path.substr(directory.size() + 1) : path;
    };
    Lines result;
    for (const auto& event : events) {
        std::string line = to_string(event.mask);
        if (!event.path.empty())
            line += ' ' + shortened(event.full_path().native());
        if (!event.moved_from.empty())
            line += " < " + shortened(event.moved_from);
        result.push_back(line);
    }
    return result;
}

inline Lines lines(const std::vector<inotify::Event>& events, const TempDir& directory) {
    return lines(events, directory.str());
}

/// `drain()` as lines.
inline Lines drain_lines(inotify::Inotify& adapter, const TempDir& directory) {
    return lines(drain(adapter), directory);
}

/// Whether another event loop is woken because there is something to loop over.
inline bool readable(const inotify::Inotify& adapter) {
    pollfd descriptor{.fd = adapter.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLIN) != 0;
}

/// The std::system_error that `action` throws; a failed check if it throws none.
inline std::system_error error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const std::system_error& error) {
        return error;
    }
    FAIL_CHECK("no std::system_error was thrown");
    return {std::error_code(), "nothing was thrown"};
}

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// The descriptors that this process has open.
inline std::set<int> open_descriptors() {
    std::set<int> result;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd"))
        result.insert(std::stoi(entry.path().filename().native()));
    // The listing had a descriptor of its own.
    std::erase_if(result, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });
    return result;
}

/// Whether the exhaustive and the random tests are to run whole: INOTIFY_TESTS_WHOLE is set. By
/// default they run a fixed part of it, which takes seconds.
inline bool runs_whole() { return std::getenv("INOTIFY_TESTS_WHOLE") != nullptr; }

/// The first and the last seed of a random test: 1 to `most`, of hundreds only a twentieth unless
/// the tests run whole, or for a soak by hand those of INOTIFY_TESTS_SEEDS=FIRST:COUNT.
inline std::pair<unsigned, unsigned> seeds(unsigned most) {
    unsigned first = 1;
    unsigned count = most < 100 || runs_whole() ? most : most / 20;
    if (const char* text = std::getenv("INOTIFY_TESTS_SEEDS"); text != nullptr)
        if (std::sscanf(text, "%u:%u", &first, &count) != 2)
            throw std::invalid_argument("INOTIFY_TESTS_SEEDS is FIRST:COUNT");
    return {first, first + count - 1};
}

}  // namespace test

namespace doctest {

template <>
struct StringMaker<inotify::Event> {
    static String convert(const inotify::Event& event) {
        std::ostringstream out;
        out << "{wd " << event.wd << ": " << event << '}';
        return out.str().c_str();
    }
};

template <>
struct StringMaker<std::optional<inotify::Event>> {
    static String convert(const std::optional<inotify::Event>& event) {
        return event ? StringMaker<inotify::Event>::convert(*event) : "{empty}";
    }
};

template <typename T>
struct StringMaker<std::vector<T>> {
    static String convert(const std::vector<T>& elements) {
        String result = "[";
        for (const T& element : elements)
            result += String("\n    ") + toString(element);
        return result + "]";
    }
};

}  // namespace doctest
