// SPDX-License-Identifier: MIT
// The file of a snapshot: what is written is read again, what is damaged is refused, and a save
// that ends at any moment leaves a whole file.
#include "support.hpp"

#include <inotify/detail/snapshot_data.hpp>
#include <inotify/detail/snapshot_file.hpp>
#include <inotify/snapshot.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>

namespace fs = std::filesystem;
using inotify::Snapshot;
using inotify::detail::EntryId;
using inotify::detail::FileType;
using inotify::detail::SnapshotData;

namespace {

EntryId add_file(SnapshotData& data, EntryId directory, const std::string& name,
                 std::uint64_t inode, std::uint64_t size = 0, std::int64_t mtime = 0,
                 std::int64_t ctime = 0) {
    const EntryId id = data.append(directory, name, FileType::regular);
    data[id].inode = inode;
    data[id].has_contents = inode != 0;
    if (inode != 0)
        std::tie(data[id].size, data[id].mtime, data[id].ctime) = std::tuple(size, mtime, ctime);
    return id;
}

// Two roots, with every kind of entry and with numbers of every size.
SnapshotData example() {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
    SnapshotData data;
    const EntryId root = data.add_root("/some/where");
    data[root].inode = 2;
    const EntryId sub = data.append(root, "a directory", FileType::directory);
    data[sub].inode = std::numeric_limits<std::uint64_t>::max();
    add_file(data, sub, "f", 7, 1'000'000'007, most, least);
    add_file(data, sub, "f\xff", 8, std::numeric_limits<std::uint64_t>::max(), -1, 0);
    add_file(data, sub, "fg", 0);
    std::swap(data[sub].children[1], data[sub].children[2]);  // sorted by bytes, without a sign
    const EntryId link = data.append(root, "a link", FileType::symlink);
    data[link].inode = 3;
    add_file(data, link, "behind", 4, 5, 1'700'000'000'123'456'789, 1'700'000'001'000'000'000);
    data.append(root, "a\nsocket", FileType::other);
    std::swap(data[root].children[0], data[root].children[2]);
    std::swap(data[root].children[1], data[root].children[2]);
    data.append(root, "b", FileType::unknown);
    const EntryId other = data.add_root(".");
    data[other].type = FileType::unknown;
    return data;
}

Snapshot snapshot_of(SnapshotData data) {
    return Snapshot(std::make_shared<SnapshotData>(std::move(data)));
}

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string_view wrong_with(std::string_view bytes) {
    SnapshotData data;
    return decode_snapshot(std::as_bytes(std::span(bytes)), data);
}

// A save of many bytes, so that it can be killed within.
Snapshot large(std::uint64_t number) {
    SnapshotData data;
    const EntryId root = data.add_root("/r");
    for (int i = 0; i < 3000; ++i)
        add_file(data, root, std::to_string(100'000 + i), number);
    return snapshot_of(std::move(data));
}

}  // namespace

TEST_CASE("a snapshot is read as it was written") {
    const test::TempDir directory;
    const Snapshot written = snapshot_of(example());
    written.save(directory / "s");
    const Snapshot read = Snapshot::load(directory / "s");
    CHECK(read.size() == 8);
    CHECK_FALSE(read.empty());
    CHECK(encode_snapshot(read.data()) == encode_snapshot(written.data()));
    const SnapshotData& data = read.data();
    REQUIRE(data.roots.size() == 2);
    CHECK(data[data.roots[0]].name == "/some/where");
    const EntryId sub = data.child(data.roots[0], "a directory");
    const EntryId file = data.child(sub, "f");
    CHECK(data[file].ctime == std::numeric_limits<std::int64_t>::min());
    CHECK(data[data.child(sub, "fg")].inode == 0);
    CHECK(data[data.child(sub, "f\xff")].mtime == -1);
}

TEST_CASE("an empty snapshot can be saved and read") {
    const test::TempDir directory;
    Snapshot().save(directory / "s");
    CHECK(Snapshot::load(directory / "s").empty());
}

TEST_CASE("a copy of a snapshot is the same, and what was moved from is empty") {
    Snapshot one = snapshot_of(example());
    const Snapshot copy = one;
    const Snapshot moved = std::move(one);
    CHECK(copy.size() == 8);
    CHECK(moved.size() == 8);
    CHECK(one.empty());  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("the checksum is CRC-32C") {
    CHECK(inotify::detail::crc32c(std::as_bytes(std::span(std::string_view("123456789")))) ==
          0xe306'9283U);
}

TEST_CASE("a snapshot that is cut off anywhere is refused") {
    const std::string bytes = encode_snapshot(example());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        CHECK(wrong_with(std::string_view(bytes).substr(0, size)) == "truncated");
    }
    CHECK(wrong_with(bytes) == "");
    CHECK(wrong_with(bytes + '\0') == "damaged");
}

TEST_CASE("a snapshot in which any bit is another is refused") {
    const std::string bytes = encode_snapshot(example());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        CAPTURE(bit);
        std::string flipped = bytes;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        CHECK(wrong_with(flipped) != "");
    }
}

// Behind a right checksum, too, nothing but what save() writes is accepted.
TEST_CASE("a body in which any byte is another is refused, or a snapshot of its own") {
    const std::string bytes = encode_snapshot(example());
    const std::string body = bytes.substr(20, bytes.size() - 24);
    CHECK(inotify::detail::frame_snapshot(body) == bytes);
    for (std::size_t at = 0; at < body.size(); ++at)
        for (int byte = 0; byte < 256; ++byte) {
            std::string changed = body;
            changed[at] = static_cast<char>(byte);
            const std::string framed = inotify::detail::frame_snapshot(changed);
            SnapshotData data;
            if (decode_snapshot(std::as_bytes(std::span(framed)), data).empty())
                CHECK(encode_snapshot(data) == framed);
        }
    for (std::size_t size = 0; size < body.size(); ++size)
        CHECK(wrong_with(inotify::detail::frame_snapshot(body.substr(0, size))) == "damaged");
}

TEST_CASE("the error says what is wrong with a file, and which") {
    const test::TempDir directory;
    const fs::path path = directory / "s";
    const auto load = [&] { Snapshot::load(path); };
    const auto error = test::error_of(load);
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(test::contains(error.what(), path.native()));
    const std::string good = encode_snapshot(example());
    std::string later = good;
    later[8] = 2;
    std::string damaged = good;
    damaged[30] ^= 1;
    for (const auto& [bytes, word] : {std::pair<std::string, const char*>{"", "truncated"},
                                      {good.substr(0, 40), "truncated"},
                                      {"#!/bin/sh\n", "foreign"},
                                      {later, "of another version"},
                                      {damaged, "damaged"}}) {
        CAPTURE(word);
        std::ofstream(path, std::ios::binary) << bytes;
        const auto bad = test::error_of(load);
        CHECK(bad.code() == std::errc::bad_message);
        CHECK(test::contains(bad.what(), path.native()));
        CHECK(test::contains(bad.what(), word));
    }
}

TEST_CASE("what is no file is no snapshot, and does not block") {
    const test::TempDir directory;
    CHECK(test::error_of([&] { Snapshot::load(directory.path()); }).code() ==
          std::errc::is_a_directory);
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    CHECK(test::error_of([&] { Snapshot::load(directory / "fifo"); }).code() ==
          std::errc::bad_message);
    CHECK(test::error_of([&] { Snapshot::load("/dev/zero"); }).code() == std::errc::bad_message);
}

TEST_CASE("a save replaces the file and leaves nothing beside it") {
    const test::TempDir directory;
    const fs::path path = directory / "s";
    for (const std::uint64_t number : {1U, 2U, 3U}) {
        large(number).save(path);
        CHECK(Snapshot::load(path).data()[1].inode == number);
    }
    CHECK(std::distance(fs::directory_iterator(directory.path()), {}) == 1);
    CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

// RLIMIT_FSIZE stands for a full disk: write(2) fails in the middle.
TEST_CASE("a save that fails leaves the former file and nothing beside it") {
    const test::TempDir directory;
    const fs::path path = directory / "s";
    large(1).save(path);
    const std::string before = contents(path);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        rlimit limit{};
        limit.rlim_cur = limit.rlim_max = 4096;
        ::setrlimit(RLIMIT_FSIZE, &limit);
        try {
            large(2).save(path);
        } catch (const std::system_error& error) {
            ::_exit(error.code().value() == EFBIG ? 0 : 1);
        }
        ::_exit(2);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(contents(path) == before);
    CHECK(std::distance(fs::directory_iterator(directory.path()), {}) == 1);

    fs::create_directory(directory / "taken");
    CHECK(test::error_of([&] { large(2).save(directory / "taken"); }).code() ==
          std::errc::is_a_directory);
    CHECK(test::error_of([&] { large(2).save(directory / "none/s"); }).code() ==
          std::errc::no_such_file_or_directory);
    CHECK(std::distance(fs::directory_iterator(directory.path()), {}) == 2);
}

// The directory is opened to be synchronised: a limit of descriptors fails in between.
TEST_CASE("a save that has too few descriptors leaves the former file") {
    const test::TempDir directory;
    const fs::path path = directory / "s";
    large(1).save(path);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const int next = ::dup(0);
        ::close(next);
        rlimit limit{};
        limit.rlim_cur = limit.rlim_max = static_cast<rlim_t>(next) + 1;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        try {
            large(2).save(path);
        } catch (const std::system_error& error) {
            ::_exit(error.code().value() == EMFILE ? 0 : 1);
        }
        ::_exit(2);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(Snapshot::load(path).data()[1].inode == 1);
    CHECK(std::distance(fs::directory_iterator(directory.path()), {}) == 1);
}

// The child saves one snapshot after the other, and says when it begins; it is killed some turns
// of a loop later.
TEST_CASE("a save that is killed at any moment leaves the former file or the new one") {
    const test::TempDir directory;
    const fs::path path = directory / "s";
    large(1).save(path);
    std::mt19937 random(1);
    std::uint64_t least = 1;
    for (int run = 0; run < 100; ++run) {
        int pipe[2];
        REQUIRE(::pipe(pipe) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            for (std::uint64_t number = least;; ++number) {
                const Snapshot next = large(number);
                if (::write(pipe[1], "x", 1) != 1)
                    ::_exit(1);
                next.save(path);
            }
        }
        ::close(pipe[1]);
        char begun = 0;
        REQUIRE(::read(pipe[0], &begun, 1) == 1);
        for (std::atomic<unsigned long> turns = random() % 2'000'000; turns > 0; --turns) {
        }
        ::kill(child, SIGKILL);
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        ::close(pipe[0]);
        const Snapshot left = Snapshot::load(path);
        REQUIRE(left.size() == 3000);
        const std::uint64_t number = left.data()[1].inode;
        CHECK(number >= least);
        CHECK(encode_snapshot(left.data()) == encode_snapshot(large(number).data()));
        least = number;
    }
    MESSAGE("saves until the last kill: ", least);
}
