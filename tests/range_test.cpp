// SPDX-License-Identifier: MIT
// EventRange: a lazy, resumable, move-only range that composes with std::views.
#include "support.hpp"

#include <concepts>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

using namespace inotify;
using test::Lines;
using test::TempDir;

static_assert(std::ranges::input_range<EventRange>);
static_assert(std::ranges::view<EventRange>);
static_assert(std::ranges::viewable_range<EventRange>);
static_assert(!std::ranges::forward_range<EventRange>, "what was read is gone");
static_assert(!std::ranges::common_range<EventRange>);
static_assert(std::movable<EventRange> && !std::copyable<EventRange>);
static_assert(std::same_as<std::ranges::range_value_t<EventRange>, std::optional<Event>>);
static_assert(std::same_as<std::ranges::range_reference_t<EventRange>, std::optional<Event>&>);
static_assert(std::same_as<std::ranges::sentinel_t<EventRange>, std::default_sentinel_t>);
static_assert(std::input_iterator<EventRange::Iterator>);
static_assert(std::movable<EventRange::Iterator> && !std::copyable<EventRange::Iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, EventRange::Iterator>);
static_assert(noexcept(++std::declval<EventRange::Iterator&>()),
              "++ cannot block, so it cannot fail");
static_assert(std::is_nothrow_move_constructible_v<Inotify> &&
              std::is_nothrow_move_assignable_v<Inotify>);
static_assert(!std::is_copy_constructible_v<Inotify> && !std::is_copy_assignable_v<Inotify>);
static_assert(std::has_virtual_destructor_v<Inotify>);

namespace {

// Five events are queued; to wait for a sixth would block for ever.
struct FiveQueued {
    TempDir dir;
    Inotify inotify{forever};

    FiveQueued() {
        inotify.add_watch(dir.path(), IN::CREATE);
        for (const char* name : {"1", "2", "3", "4", "5"})
            test::touch(dir / name);
    }

    // The file names of the next `count` elements; "" for the empty value.
    Lines next(int count) {
        Lines names;
        for (auto& event : inotify.event_gen() | std::views::take(count))
            names.push_back(event ? event->filename : "");
        return names;
    }
};

}  // namespace

TEST_CASE("take(2) on five queued events returns at once, and the next loop starts at the third") {
    FiveQueued five;
    CHECK(five.next(2) == Lines{"1", "2"});
    CHECK(five.next(3) == Lines{"3", "4", "5"});
    CHECK(five.next(1) == Lines{""});
}

TEST_CASE("break and a new loop go on with the next event") {
    FiveQueued five;
    Lines names;
    for (int loop = 0; loop < 5; ++loop)
        for (auto& event : five.inotify.event_gen()) {
            REQUIRE(event);
            names.push_back(event->filename);
            break;
        }
    CHECK(names == Lines{"1", "2", "3", "4", "5"});
    CHECK(five.next(1) == Lines{""});
}

TEST_CASE("get() and ranges are one stream") {
    FiveQueued five;
    CHECK(five.next(1) == Lines{"1"});
    CHECK(five.inotify.get()->filename == "2");
    CHECK(five.next(1) == Lines{"3"});
    CHECK(five.inotify.get()->filename == "4");
    CHECK(five.inotify.get(Duration::zero())->filename == "5");
    CHECK(five.inotify.get(Duration::zero()) == std::nullopt);
}

TEST_CASE("begin() and ++ read nothing") {
    TempDir dir;
    Inotify i{forever};
    i.add_watch(dir.path(), IN::CREATE);
    auto range = i.event_gen();
    auto it = range.begin();  // nothing is queued yet: this would block for ever
    test::touch(dir / "1");
    CHECK((*it)->filename == "1");
    ++it;
    test::touch(dir / "2");
    CHECK((*it)->filename == "2");
    it++;
    CHECK(!*it);
}

TEST_CASE("* gives the same element until ++") {
    FiveQueued five;
    auto range = five.inotify.event_gen();
    auto it = range.begin();
    CHECK((*it)->filename == "1");
    CHECK((*it)->filename == "1");
    CHECK(&*it == &*it);
    ++it;
    CHECK((*it)->filename == "2");
}

TEST_CASE("what is only compared and never looked at is not dropped") {
    FiveQueued five;
    {
        auto range = five.inotify.event_gen();
        auto it = range.begin();
        CHECK(it != range.end());
        CHECK(it != std::default_sentinel);
    }
    CHECK(five.inotify.get()->filename == "1");
    {
        auto range = five.inotify.event_gen();
        CHECK(range.begin() != range.end());
    }
    CHECK(five.next(2) == Lines{"2", "3"});
}

TEST_CASE("++ passes over an element that was not looked at") {
    FiveQueued five;
    auto range = five.inotify.event_gen();
    auto it = range.begin();
    CHECK(it != range.end());
    ++it;
    CHECK((*it)->filename == "2");
}

TEST_CASE("the element may be changed and moved away") {
    FiveQueued five;
    std::vector<Event> kept;
    for (auto& event : five.inotify.event_gen()) {
        if (!event)
            break;
        kept.push_back(std::move(*event));
        event.reset();
        if (kept.size() == 5)
            break;
    }
    CHECK(test::lines(kept, five.dir) ==
          Lines{"CREATE 1", "CREATE 2", "CREATE 3", "CREATE 4", "CREATE 5"});
}

TEST_CASE("filter and transform pipelines on an rvalue range") {
    FiveQueued five;
    Lines names;
    auto odd = five.inotify.event_gen({.timeout = Duration::zero()}) |
               std::views::filter([](const auto& event) { return event.has_value(); }) |
               std::views::filter([](auto& event) { return event->filename != "2"; }) |
               std::views::transform([](auto& event) { return event->filename; });
    for (const std::string& name : odd)
        names.push_back(name);
    CHECK(names == Lines{"1", "3", "4", "5"});
}

TEST_CASE("take_while, drop and standard algorithms work") {
    FiveQueued five;
    CHECK(std::ranges::distance(five.inotify.event_gen() | std::views::drop(1) |
                                std::views::take_while([](auto& event) { return !!event; })) == 4);
    five.inotify.set_block_duration(Duration::zero());
    auto range = five.inotify.event_gen();
    test::touch(five.dir / "6");
    const auto found = std::ranges::find_if(
        range, [](const auto& event) { return event && event->filename == "6"; });
    CHECK((*found)->filename == "6");
}

TEST_CASE("a range may be moved before it is iterated") {
    FiveQueued five;
    auto first = five.inotify.event_gen();
    auto range = std::move(first);
    CHECK((*range.begin())->filename == "1");
    auto other = five.inotify.event_gen();
    other = std::move(range);
    CHECK((*other.begin())->filename == "2");
}

TEST_CASE("moving the adapter leaves its iterators valid") {
    FiveQueued five;
    auto range = five.inotify.event_gen();
    auto it = range.begin();
    CHECK((*it)->filename == "1");

    Inotify moved = std::move(five.inotify);
    ++it;
    CHECK((*it)->filename == "2");
    CHECK(moved.watches().size() == 1);

    Inotify assigned;
    assigned = std::move(moved);
    ++it;
    CHECK((*it)->filename == "3");
    CHECK(assigned.get()->filename == "4");
}
