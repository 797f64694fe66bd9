// SPDX-License-Identifier: MIT
// Adapters made with their paths: one, several, none; as literals, strings, lists and spans.
#include "support.hpp"

#include <inotify/inotify_tree.hpp>

#include <array>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace inotify;
using namespace std::chrono_literals;
using test::Lines;
namespace fs = std::filesystem;

namespace {

/// The directories a, b and c, named by literals: they are in the working directory.
class Three {
public:
    Three() {
        fs::current_path(dir_.path());
        for (const char* name : {"a", "b", "c"})
            fs::create_directory(name);
    }
    ~Three() { fs::current_path(before_); }
    Three(const Three&) = delete;
    Three& operator=(const Three&) = delete;

private:
    fs::path before_ = fs::current_path();
    test::TempDir dir_;
};

/// The paths that the adapter watches; each with `mask`, or a check fails.
Lines watched(const Inotify& adapter, Mask mask = IN::ALL_EVENTS) {
    Lines result;
    for (const Watch& watch : adapter.watches()) {
        CHECK(watch.mask.contains(mask));
        result.push_back(watch.path);
    }
    return result;
}

/// What makes neither a path of two iterators nor a copy, for either adapter.
template <typename Adapter>
void check_paths() {
    const Three directories;
    const fs::path path = "b";
    const std::string string = "a";
    const char* const pointer = "c";

    SUBCASE("one path") {
        CHECK(watched(Adapter("a")) == Lines{"a"});
        CHECK(watched(Adapter(pointer)) == Lines{"c"});
        CHECK(watched(Adapter(string)) == Lines{"a"});
        CHECK(watched(Adapter(path)) == Lines{"b"});
        CHECK(watched(Adapter(std::string_view(string))) == Lines{"a"});
        CHECK(watched(Adapter{"a"}) == Lines{"a"});
        CHECK(watched(Adapter{path}) == Lines{"b"});
    }
    SUBCASE("a braced list of literals") {
        CHECK(watched(Adapter({})).empty());
        CHECK(watched(Adapter({"a"})) == Lines{"a"});
        CHECK(watched(Adapter({"a", "b"})) == Lines{"a", "b"});
        CHECK(watched(Adapter({"a", "b", "c"})) == Lines{"a", "b", "c"});
    }
    SUBCASE("a braced list of pointers, strings and paths") {
        CHECK(watched(Adapter({pointer})) == Lines{"c"});
        CHECK(watched(Adapter({pointer, "a"})) == Lines{"c", "a"});
        CHECK(watched(Adapter({pointer, pointer})) == Lines{"c"});
        CHECK(watched(Adapter({string})) == Lines{"a"});
        CHECK(watched(Adapter({string, std::string("b")})) == Lines{"a", "b"});
        CHECK(watched(Adapter({path})) == Lines{"b"});
        CHECK(watched(Adapter({path, fs::path("c")})) == Lines{"b", "c"});
        CHECK(watched(Adapter({path, "a"})) == Lines{"b", "a"});
        CHECK(watched(Adapter({path, string, pointer})) == Lines{"b", "a", "c"});
    }
    SUBCASE("a braced list without parentheses, and one in a second pair of braces") {
        CHECK(watched(Adapter{"a", "b"}) == Lines{"a", "b"});
        CHECK(watched(Adapter{"a", "b", "c"}) == Lines{"a", "b", "c"});
        CHECK(watched(Adapter{{"a"}}) == Lines{"a"});
        CHECK(watched(Adapter{{"a", "b"}}) == Lines{"a", "b"});
        CHECK(watched(Adapter{{"a", "b", "c"}}) == Lines{"a", "b", "c"});
        CHECK(watched(Adapter({{"a", "b"}})) == Lines{"a", "b"});
        CHECK(watched(Adapter{{string, string}}) == Lines{"a"});
        CHECK(watched(Adapter{{path, path}}) == Lines{"b"});
    }
    SUBCASE("an initializer list that has a name") {
        const std::initializer_list<fs::path> list = {"a", "b"};
        CHECK(watched(Adapter(list)) == Lines{"a", "b"});
        CHECK(watched(Adapter{list}) == Lines{"a", "b"});
    }
    SUBCASE("containers, as a span") {
        const std::vector<fs::path> several{"a", "b", "c"};
        std::vector<fs::path> single{"a"};
        const std::array<fs::path, 2> two{"a", "b"};
        const fs::path plain[] = {"b", "c"};
        CHECK(watched(Adapter(several)) == Lines{"a", "b", "c"});
        CHECK(watched(Adapter(single)) == Lines{"a"});
        CHECK(watched(Adapter(two)) == Lines{"a", "b"});
        CHECK(watched(Adapter(plain)) == Lines{"b", "c"});
        CHECK(watched(Adapter(std::span(several).first(2))) == Lines{"a", "b"});
        CHECK(watched(Adapter(std::span<const fs::path>())).empty());
    }
    SUBCASE("a path that is missing throws, alone and in a list") {
        CHECK(test::error_of([] { Adapter("missing"); }).code().value() == ENOENT);
        CHECK(test::error_of([] { Adapter({"missing"}); }).code().value() == ENOENT);
        CHECK(test::error_of([] { Adapter({"a", "missing"}); }).code().value() == ENOENT);
        CHECK(test::error_of([] { Adapter{{"a", "missing"}}; }).code().value() == ENOENT);
    }
}

}  // namespace

TEST_CASE("an Inotify is made with its paths") { check_paths<Inotify>(); }

TEST_CASE("an InotifyTree is made with its roots") { check_paths<InotifyTree>(); }

TEST_CASE("an Inotify is made with its paths and a block duration") {
    const Three directories;
    const std::vector<fs::path> both{"a", "b"};
    const auto check = [](const Inotify& i, const Lines& paths) {
        CHECK(watched(i) == paths);
        CHECK(i.block_duration() == 5s);
    };
    check(Inotify("a", 5s), {"a"});
    check(Inotify{"a", 5s}, {"a"});
    check(Inotify(std::string("a"), 5s), {"a"});
    check(Inotify(fs::path("a"), Duration{5000}), {"a"});
    check(Inotify({}, 5s), {});
    check(Inotify({"a"}, 5s), {"a"});
    check(Inotify({"a", "b"}, 5s), {"a", "b"});
    check(Inotify{{"a", "b"}, 5s}, {"a", "b"});
    check(Inotify({{"a", "b"}}, 5s), {"a", "b"});
    check(Inotify({"a", "b", "c"}, Duration{5000}), {"a", "b", "c"});
    check(Inotify(both, 5s), {"a", "b"});
    check(Inotify(5s), {});
    check(Inotify{5s}, {});
    CHECK(Inotify("a").block_duration() == 1s);
    CHECK(Inotify({"a", "b"}).block_duration() == 1s);
    CHECK(Inotify{}.block_duration() == 1s);
}

TEST_CASE("an InotifyTree is made with its roots and options") {
    const Three directories;
    const std::vector<fs::path> both{"a", "b"};
    const TreeOptions options{.mask = IN::CLOSE_WRITE, .block_duration = 5s};
    const auto check = [](const InotifyTree& tree, const Lines& paths) {
        CHECK(watched(tree, IN::CLOSE_WRITE) == paths);
        for (const Watch& watch : tree.watches())
            CHECK(!watch.mask.intersects(IN::ATTRIB));
        CHECK(tree.block_duration() == 5s);
    };
    check(InotifyTree("a", options), {"a"});
    check(InotifyTree({}, options), {});
    check(InotifyTree({"a"}, options), {"a"});
    check(InotifyTree({"a", "b"}, options), {"a", "b"});
    check(InotifyTree({"a", "b", "c"}, options), {"a", "b", "c"});
    check(InotifyTree{{"a", "b"}, options}, {"a", "b"});
    check(InotifyTree({{"a", "b"}}, options), {"a", "b"});
    check(InotifyTree(both, options), {"a", "b"});

    check(InotifyTree("a", {.mask = IN::CLOSE_WRITE, .block_duration = 5s}), {"a"});
    check(InotifyTree({"a"}, {.mask = IN::CLOSE_WRITE, .block_duration = 5s}), {"a"});
    check(InotifyTree({"a", "b"}, {.mask = IN::CLOSE_WRITE, .block_duration = 5s}), {"a", "b"});
    check(InotifyTree(both, {.mask = IN::CLOSE_WRITE, .block_duration = 5s}), {"a", "b"});

    check(InotifyTree("a", IN::CLOSE_WRITE, 5s), {"a"});
    check(InotifyTree({"a"}, IN::CLOSE_WRITE, 5s), {"a"});
    check(InotifyTree({"a", "b"}, IN::CLOSE_WRITE, 5s), {"a", "b"});
    check(InotifyTree({"a", "b", "c"}, IN::CLOSE_WRITE, 5s), {"a", "b", "c"});
    check(InotifyTree{{"a", "b"}, IN::CLOSE_WRITE, 5s}, {"a", "b"});

    CHECK(watched(InotifyTree({"a", "b"}, IN::CREATE), IN::CREATE) == Lines{"a", "b"});
    // The kernel's own macro is a number.
    CHECK(watched(InotifyTree({"a", "b"}, 0x100), IN::CREATE) == Lines{"a", "b"});
    CHECK(watched(InotifyTree({"a", "b"}, {})) == Lines{"a", "b"});
    CHECK(watched(InotifyTree("a", {})) == Lines{"a"});
}
