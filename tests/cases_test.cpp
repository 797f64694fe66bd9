// SPDX-License-Identifier: MIT
// Every file in cases/ is a script, run on the simulated kernel; case.hpp says how it is written.
//
// Cases of the field that are no script live in named tests: a storm of signals (signal_test),
// fork and exec, and a descriptor above 1024 (error_test), mkdir -p in a loop during reads and the
// rm -rf of a root on the real kernel (tree tests), random churn (churn_test).
#include "case.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

test::CaseLines lines_of(const fs::path& file) {
    std::ifstream in(file);
    test::CaseLines lines;
    for (std::string line; std::getline(in, line);)
        lines.push_back(line);
    return lines;
}

}  // namespace

TEST_CASE("every case in cases/ tells the events that it expects") {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(INOTIFY_CASES))
        if (entry.path().extension() == ".txt")
            files.push_back(entry.path());
    std::ranges::sort(files);
    REQUIRE(!files.empty());
    for (const fs::path& file : files) {
        try {
            for (const std::string& wrong : test::run_case(lines_of(file)))
                FAIL_CHECK(file.native(), ", ", wrong);
        } catch (const test::Refused& error) {
            FAIL_CHECK(file.native(), ", ", std::string(error.what()));
        }
    }
    MESSAGE(files.size(), " cases");
}

TEST_CASE("an operation is read as it is printed") {
    using test::Op;
    for (const Op& op : {Op{"mkdir", "/r/a"}, Op{"list", "/r"}, Op{"rename", "/r/a/b", "/o/x"},
                         Op{"symlink", "../b", "/r/a"}, Op{"create", "/r/a b\n#\\{\xff"},
                         Op{"unlink", "/r/f", "", true}, Op{"exchange", "/r/a", "/r/b", false, 2}})
        CHECK(Op::parse(test::split_words(op.text())) == op);
    CHECK(Op{"rename", "/r/a/b", "/o/x", true}.text() == "lost rename a/b /o/x");
    CHECK_THROWS(Op::parse(test::split_words("rename a")));
    CHECK_THROWS(Op::parse(test::split_words("remove a")));
}

TEST_CASE("a case that fails is shrunk to what makes it fail") {
    const std::string shortest = test::to_string(test::shrink_case(
        {"mkdir a", "create a/f", "option mask CREATE", "watch", "during read 1 split 0 create f",
         "cycle", "rest", "unlink a/f", "expect", "picture", "watches"}));
    CHECK(shortest == "option mask CREATE\nwatch\ncreate f\nexpect\n");
}

TEST_CASE("what cannot be run, or checks nothing, is no case") {
    const auto refuses = [](const test::CaseLines& lines) {
        CHECK_THROWS_AS(test::run_case(lines), test::Refused);
    };
    refuses({"mkdir a", "watch"});
    refuses({"rmdir a", "watch", "cycle"});
    refuses({"watch", "during list 99 mkdir a", "cycle"});
    refuses({"watch", "during read 1 rmdir a", "cycle"});
    refuses({"watch", "cycle", "mkdir a", "watches"});
    refuses({"watch", "split 0 mkdir a", "picture"});
    CHECK(test::run_case({"watch", "split 0 mkdir a", "cycle", "rest", "picture", "watches"})
              .empty());
}
