// SPDX-License-Identifier: MIT
// What the fuzzers found or reached is run again as an ordinary test.
#include "fuzz/record_target.hpp"
#include "fuzz/snapshot_target.hpp"
#include "fuzz/tree_target.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> inputs(const std::string& target) {
    std::vector<fs::path> result;
    for (const auto& entry : fs::directory_iterator(fs::path(INOTIFY_FUZZ_CORPUS) / target))
        result.push_back(entry.path());
    std::ranges::sort(result);
    REQUIRE(!result.empty());
    return result;
}

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the record reader passes its fuzzer's corpus") {
    const auto paths = inputs("record");
    for (const fs::path& path : paths) {
        const std::string bytes = contents(path);
        CHECK_MESSAGE(fuzz::run_record(std::as_bytes(std::span(bytes))).empty(), path.native());
    }
    MESSAGE(paths.size(), " inputs");
}

TEST_CASE("the file of a snapshot passes its fuzzer's corpus") {
    const auto paths = inputs("snapshot");
    for (const fs::path& path : paths) {
        const std::string bytes = contents(path);
        CHECK_MESSAGE(fuzz::run_snapshot(std::as_bytes(std::span(bytes))).empty(), path.native());
    }
    MESSAGE(paths.size(), " inputs");
}

TEST_CASE("a tree passes its fuzzer's corpus") {
    const auto paths = inputs("tree");
    for (const fs::path& path : paths) {
        const std::string bytes = contents(path);
        const std::string error = fuzz::run_tree(std::as_bytes(std::span(bytes)));
        if (error.empty())
            continue;
        std::ostringstream log;
        fuzz::run_tree(std::as_bytes(std::span(bytes)), &log);
        FAIL_CHECK(path.native(), ": ", error, '\n', log.str());
    }
    MESSAGE(paths.size(), " inputs");
}
