// SPDX-License-Identifier: MIT
// Mask: a set of bits, the kernel's own macros accepted, and readable names.
#include "support.hpp"

#include <sys/inotify.h>

#include <sstream>
#include <type_traits>

using namespace inotify;

static_assert(std::is_trivially_copyable_v<Mask>);
static_assert(std::is_nothrow_default_constructible_v<Mask>);
static_assert(std::is_convertible_v<std::uint32_t, Mask>);
static_assert(!std::is_convertible_v<Mask, bool>, "only `if (mask)`, never a silent number");
static_assert(!std::is_convertible_v<Mask, std::uint32_t>);

// All of it is constexpr.
static_assert(!Mask{} && Mask{}.bits() == 0);
static_assert((IN::CREATE | IN::DELETE).bits() == 0x300);
static_assert((IN::MOVE & IN::MOVED_TO) == IN::MOVED_TO);
static_assert((IN::MOVE ^ IN::MOVED_TO) == IN::MOVED_FROM);
static_assert((~IN::CREATE).bits() == 0xffff'feff);
static_assert(IN::ALL_EVENTS.contains(IN::CREATE | IN::MOVE_SELF));
static_assert(!IN::CREATE.contains(IN::CREATE | IN::DELETE));
static_assert(IN::CREATE.contains({}), "the empty set is part of every set");
static_assert(IN::CREATE.intersects(IN::CREATE | IN::DELETE));
static_assert(!IN::CREATE.intersects(IN::DELETE | IN::ISDIR));

TEST_CASE("the kernel's own macros can be passed wherever a mask is taken") {
    const Mask mask = IN_CREATE | IN_DELETE;
    CHECK(mask == (IN::CREATE | IN::DELETE));
    CHECK((IN::CREATE | IN_ONESHOT) == (IN::CREATE | IN::ONESHOT));
    CHECK(mask.contains(IN_CREATE));
}

TEST_CASE("bits are added and taken in place") {
    Mask mask = IN::CREATE;
    mask |= IN::DELETE;
    CHECK(mask == (IN::CREATE | IN::DELETE));
    mask &= IN::DELETE | IN::OPEN;
    CHECK(mask == IN::DELETE);
}

TEST_CASE("CHANGES is what changes names and contents, and no reading") {
    CHECK(IN::CHANGES == (IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE));
    CHECK(to_string(IN::CHANGES) == "CLOSE_WRITE|MOVED_FROM|MOVED_TO|CREATE|DELETE");
    CHECK(!IN::CHANGES.intersects(IN::OPEN | IN::ACCESS | IN::CLOSE_NOWRITE));
}

TEST_CASE("names() gives the kernel's names, and unknown bits as one hexadecimal number") {
    using Names = std::vector<std::string>;
    CHECK((IN::CREATE | IN::ISDIR).names() == Names{"IN_CREATE", "IN_ISDIR"});
    CHECK(Mask{}.names().empty());
    CHECK(Mask{0x0003'0100}.names() == Names{"IN_CREATE", "0x30000"});
    CHECK((~Mask{}).names().size() == 22 + 1);  // every bit of inotify(7), and the rest
}

TEST_CASE("a mask prints as its names without IN_") {
    CHECK(to_string(IN::CREATE | IN::ISDIR) == "CREATE|ISDIR");
    CHECK(to_string(IN::CLOSE) == "CLOSE_WRITE|CLOSE_NOWRITE");
    CHECK(to_string(Mask{}) == "0");
    CHECK(to_string(Mask{0x1'0000}) == "0x10000");
    std::ostringstream out;
    out << std::hex << (IN::MOVED_FROM | IN::Q_OVERFLOW);
    CHECK(out.str() == "MOVED_FROM|Q_OVERFLOW");
}
