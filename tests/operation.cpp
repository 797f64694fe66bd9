// SPDX-License-Identifier: MIT
// An operation of another process: read from a line of text, printed as one, and run on the
// simulated or the real file system.
#include "operation.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace test {
namespace {

using sim::World;

int result_of(int value) { return value < 0 ? -errno : 0; }

// Opens a file, writes or reads a byte if that is what it is opened for, and closes it.
int use(const char* path, int flags) {
    const int fd = ::open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    if (fd < 0)
        return -errno;
    char byte = 'x';
    ssize_t size = 0;
    if (flags == O_WRONLY)
        size = ::write(fd, &byte, 1);
    else if (flags == O_RDONLY)
        size = ::read(fd, &byte, 1);
    const int result = size < 0 ? -errno : 0;
    ::close(fd);
    return result;
}

int list(const char* path) {
    DIR* directory = ::opendir(path);
    if (directory == nullptr)
        return -errno;
    while (::readdir(directory) != nullptr) {
    }
    return result_of(::closedir(directory));
}

int exchange(const char* one, const char* other) {
    return result_of(::renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE));
}

struct WithOne {
    std::string_view name;
    int (World::*simulated)(std::string_view);
    int (*real)(const char*);  // null: not without privileges
};

struct WithTwo {
    std::string_view name;
    int (World::*simulated)(std::string_view, std::string_view);
    int (*real)(const char*, const char*);
};

constexpr std::array with_one{
    WithOne{"mkdir", &World::mkdir, [](const char* a) { return result_of(::mkdir(a, 0777)); }},
    WithOne{"rmdir", &World::rmdir, [](const char* a) { return result_of(::rmdir(a)); }},
    WithOne{"create", &World::create, [](const char* a) { return use(a, O_WRONLY | O_CREAT); }},
    WithOne{"write", &World::write, [](const char* a) { return use(a, O_WRONLY); }},
    WithOne{"read", &World::read_file, [](const char* a) { return use(a, O_RDONLY); }},
    WithOne{"unlink", &World::unlink, [](const char* a) { return result_of(::unlink(a)); }},
    WithOne{"chmod", &World::chmod, [](const char* a) { return result_of(::chmod(a, 0755)); }},
    WithOne{"list", &World::list, &list},
    WithOne{"mkfifo", &World::mkfifo, [](const char* a) { return result_of(::mkfifo(a, 0666)); }},
    WithOne{"deny", &World::deny, [](const char* a) { return result_of(::chmod(a, 0000)); }},
    WithOne{"allow", &World::allow, [](const char* a) { return result_of(::chmod(a, 0755)); }},
    WithOne{"mount", &World::mount, nullptr},
    WithOne{"unmount", &World::unmount, nullptr},
};

constexpr std::array with_two{
    WithTwo{"rename", &World::rename,
            [](const char* a, const char* b) { return result_of(::rename(a, b)); }},
    WithTwo{"exchange", &World::exchange, &exchange},
    WithTwo{"link", &World::link,
            [](const char* a, const char* b) { return result_of(::link(a, b)); }},
    WithTwo{"symlink", &World::symlink,  // its target, and where it lies
            [](const char* a, const char* b) { return result_of(::symlink(a, b)); }},
    WithTwo{"bind", &World::bind, nullptr},
};

template <typename Table>
auto find(const Table& table, std::string_view name) {
    const auto found = std::ranges::find(table, name, [](const auto& row) { return row.name; });
    return found == table.end() ? nullptr : &*found;
}

std::string escape(const std::string& text) {
    std::string result;
    for (const char byte : text) {
        const auto code = static_cast<unsigned char>(byte);
        if (code > ' ' && code < 127 && std::string_view("\\{#").find(byte) == std::string::npos) {
            result += byte;
            continue;
        }
        std::array<char, 5> hex{};
        std::snprintf(hex.data(), hex.size(), "\\x%02x", code);
        result += hex.data();
    }
    return result;
}

std::string shown(const std::string& path) {
    if (path == "/r")
        return ".";
    return escape(path.starts_with("/r/") ? path.substr(3) : path);
}

}  // namespace

Words split_words(const std::string& line) {
    std::istringstream in(line.substr(0, line.find('#')));
    return {std::istream_iterator<std::string>(in), {}};
}

std::string unescape(const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.compare(i, 2, "\\n") == 0) {
            result += '\n';
            ++i;
        } else if (text.compare(i, 2, "\\x") == 0) {
            result += static_cast<char>(std::stoi(text.substr(i + 2, 2), nullptr, 16));
            i += 3;
        } else if (text[i] == '{') {
            const std::size_t end = text.find('}', i);
            result.append(std::stoul(text.substr(i + 1, end - i - 1)) - 1, result.back());
            i = end;
        } else {
            result += text[i];
        }
    }
    return result;
}

std::string full_path(const std::string& text) {
    if (text == ".")
        return "/r";
    return text.starts_with('/') ? unescape(text) : "/r/" + unescape(text);
}

Op Op::parse(std::span<const std::string> words) {
    Op op;
    std::size_t at = 0;
    const auto next = [&]() -> const std::string& {
        if (at == words.size())
            throw std::runtime_error("a word is missing");
        return words[at++];
    };
    std::string name = next();
    if (name == "lost") {
        op.lost = true;
        name = next();
    }
    if (name == "split") {
        op.split = std::stoul(next());
        name = next();
    }
    if (name == "move_out" || name == "move_in") {
        op.name = "rename";
        op.a = full_path(next());
        op.b = "/o/" + op.a.substr(op.a.rfind('/') + 1);
        if (name == "move_in")
            std::swap(op.a, op.b);
    } else if (const auto* one = find(with_one, name); one != nullptr) {
        op.name = one->name;
        op.a = full_path(next());
    } else if (const auto* two = find(with_two, name); two != nullptr) {
        op.name = two->name;
        op.a = name == "symlink" ? unescape(next()) : full_path(next());
        op.b = full_path(next());
    } else {
        throw std::runtime_error("an unknown command: " + name);
    }
    return op;
}

std::string Op::text() const {
    std::string result = lost ? "lost " : "";
    if (split)
        result += "split " + std::to_string(*split) + ' ';
    result += std::string(name) + ' ' + (name == "symlink" ? escape(a) : shown(a));
    return b.empty() ? result : result + ' ' + shown(b);
}

Op Op::below(const std::string& directory) const {
    Op op = *this;
    for (std::string* path : {&op.a, &op.b})
        if (path->empty() || path->starts_with('/'))
            path->insert(0, directory);
    return op;
}

int Op::run(World& world) const {
    const std::size_t limit = world.max_queued_events;
    if (lost)
        world.max_queued_events = 0;
    const auto* one = find(with_one, name);
    const int result = one != nullptr ? (world.*one->simulated)(a)
                                      : (world.*find(with_two, name)->simulated)(a, b);
    world.max_queued_events = limit;
    return result;
}

int Op::run() const {
    const auto* one = find(with_one, name);
    return one != nullptr ? one->real(a.c_str()) : find(with_two, name)->real(a.c_str(), b.c_str());
}

std::string to_string(const Script& script) {
    std::string result;
    for (const Op& op : script)
        result += (result.empty() ? "" : "; ") + op.text();
    return result;
}

}  // namespace test
