// SPDX-License-Identifier: MIT
// Event: its path, its equality, and its one readable line.
#include "support.hpp"

#include <algorithm>
#include <sstream>
#include <type_traits>

using namespace inotify;
using test::make_event;
using test::TempDir;

static_assert(std::is_nothrow_move_constructible_v<Event>);
static_assert(std::is_copy_constructible_v<Event>);

namespace {

template <typename T>
concept Prints = requires(std::ostream& out, const T& value) { out << value; };

/// A user's own type that converts to an event, and so prints as one.
struct LikeAnEvent {
    operator Event() const { return make_event(1, IN::MODIFY); }
};

std::string line(const Event& event) {
    std::ostringstream out;
    out << event;
    return out.str();
}

}  // namespace

TEST_CASE("full_path() is the path and the file name, or the path alone") {
    CHECK(make_event(1, IN::CREATE, "/tmp/d", "f").full_path() == "/tmp/d/f");
    CHECK(make_event(1, IN::CREATE, "/tmp/d").full_path() == "/tmp/d");
    CHECK(make_event(1, IN::CREATE, "d/", "f").full_path() == "d/f");
    CHECK(make_event(1, IN::CREATE, "/", "f").full_path() == "/f");
}

TEST_CASE("is_dir() is true with ISDIR") {
    CHECK(make_event(1, IN::CREATE | IN::ISDIR).is_dir());
    CHECK(!make_event(1, IN::CREATE).is_dir());
}

TEST_CASE("events are equal when every member is") {
    const Event event = make_event(1, IN::MOVED_TO, "d", "f");
    CHECK(event == Event(event));
    const auto differs = [&](auto change) {
        Event other = event;
        change(other);
        return other != event;
    };
    CHECK(differs([](Event& e) { e.wd = 2; }));
    CHECK(differs([](Event& e) { e.mask = IN::CREATE; }));
    CHECK(differs([](Event& e) { e.cookie = 3; }));
    CHECK(differs([](Event& e) { e.path = "e"; }));
    CHECK(differs([](Event& e) { e.filename = "g"; }));
    CHECK(differs([](Event& e) { e.moved_from = "d/e"; }));
    CHECK(differs([](Event& e) { e.synthetic = true; }));
    CHECK(differs([](Event& e) { e.error = std::make_error_code(std::errc::io_error); }));
}

TEST_CASE(
    "the mask of a directory's event holds ISDIR: it contains CREATE and is not equal to it") {
    TempDir dir;
    Inotify i(dir.path(), Duration::zero());
    test::fs::create_directory(dir / "sub");
    const std::optional<Event> event = i.get(Duration::zero());
    REQUIRE(event);
    CHECK(event->mask != IN::CREATE);
    CHECK(event->mask == (IN::CREATE | IN::ISDIR));
    CHECK(event->mask.contains(IN::CREATE));
    CHECK(bool(event->mask & IN::CREATE));
}

TEST_CASE("an element of a range prints as its event, or as (empty)") {
    TempDir dir;
    Inotify i(dir.path(), Duration::zero());
    test::touch(dir / "f");
    std::ostringstream out;
    for (const auto& event : i.event_gen()) {
        out << event << '\n';
        if (!event)
            break;
    }
    const std::string f = (dir / "f").native();
    CHECK(out.str() == "CREATE " + f + "\nOPEN " + f + "\nCLOSE_WRITE " + f + "\n(empty)\n");
}

TEST_CASE("printing elements changes nothing for what is none, nor for what converts to one") {
    static_assert(!Prints<std::optional<Watch>>);
    static_assert(!Prints<std::nullopt_t>);
    static_assert(!Prints<std::optional<int>>);
    static_assert(!Prints<Inotify>);
    std::ostringstream out;
    out << LikeAnEvent{} << ' ' << IN::CREATE << ' ' << make_event(1, IN::OPEN);
    CHECK(out.str() == "MODIFY CREATE OPEN");
}

TEST_CASE("an event prints as one readable line") {
    CHECK(line(make_event(1, IN::CREATE | IN::ISDIR, "/d", "sub")) == "CREATE|ISDIR /d/sub");
    CHECK(line(make_event(-1, IN::Q_OVERFLOW)) == "Q_OVERFLOW");

    Event moved = make_event(1, IN::MOVED_TO, "/d", "b");
    moved.cookie = 7;
    moved.moved_from = "/d/a";
    CHECK(line(moved) == "MOVED_TO /d/b from /d/a (cookie 7)");

    Event synthetic = make_event(1, IN::CREATE, "/d", "f");
    synthetic.synthetic = true;
    CHECK(line(synthetic) == "CREATE /d/f (synthetic)");

    Event unwatched = make_event(-1, {}, "/d");
    unwatched.error = std::make_error_code(std::errc::permission_denied);
    CHECK(line(unwatched) == "error /d: " + unwatched.error.message());
}

TEST_CASE("a newline in a name does not break the line") {
    CHECK(line(make_event(1, IN::CREATE, "/d", "a\nb\\c\x7f")) == "CREATE /d/a\\x0ab\\x5cc\\x7f");
}

TEST_CASE("names are raw bytes, up to 255 of them, and never decoded") {
    const TempDir dir;
    // Every byte that a name can hold but is no UTF-8, a newline, and the longest name.
    std::string bytes;
    for (int byte = 1; byte < 256; ++byte)
        if (byte != '/')
            bytes += static_cast<char>(byte);
    bytes += bytes[0];
    REQUIRE(bytes.size() == 255);
    Inotify i{Duration::zero()};
    i.add_watch(dir.path(), IN::CREATE);
    test::touch(dir / bytes);
    const auto events = test::drain(i);
    REQUIRE(events.size() == 1);
    CHECK(events[0].filename == bytes);
    CHECK(events[0].full_path() == dir / bytes);
    const std::string printed = line(events[0]);
    CHECK(std::ranges::count(printed, '\n') == 0);
}
