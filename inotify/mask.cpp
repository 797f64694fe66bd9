// SPDX-License-Identifier: MIT
// The names of the mask bits, each held against the kernel's value.
#include <inotify/mask.hpp>

#include <sys/inotify.h>

#include <array>
#include <ostream>
#include <string_view>

namespace inotify {
inline namespace v0 {
namespace {

struct Bit {
    Mask mask;
    std::string_view name;
};

constexpr std::array known_bits{
    Bit{IN::ACCESS, "IN_ACCESS"},
    Bit{IN::MODIFY, "IN_MODIFY"},
    Bit{IN::ATTRIB, "IN_ATTRIB"},
    Bit{IN::CLOSE_WRITE, "IN_CLOSE_WRITE"},
    Bit{IN::CLOSE_NOWRITE, "IN_CLOSE_NOWRITE"},
    Bit{IN::OPEN, "IN_OPEN"},
    Bit{IN::MOVED_FROM, "IN_MOVED_FROM"},
    Bit{IN::MOVED_TO, "IN_MOVED_TO"},
    Bit{IN::CREATE, "IN_CREATE"},
    Bit{IN::DELETE, "IN_DELETE"},
    Bit{IN::DELETE_SELF, "IN_DELETE_SELF"},
    Bit{IN::MOVE_SELF, "IN_MOVE_SELF"},
    Bit{IN::UNMOUNT, "IN_UNMOUNT"},
    Bit{IN::Q_OVERFLOW, "IN_Q_OVERFLOW"},
    Bit{IN::IGNORED, "IN_IGNORED"},
    Bit{IN::ONLYDIR, "IN_ONLYDIR"},
    Bit{IN::DONT_FOLLOW, "IN_DONT_FOLLOW"},
    Bit{IN::EXCL_UNLINK, "IN_EXCL_UNLINK"},
    Bit{IN::MASK_CREATE, "IN_MASK_CREATE"},
    Bit{IN::MASK_ADD, "IN_MASK_ADD"},
    Bit{IN::ISDIR, "IN_ISDIR"},
    Bit{IN::ONESHOT, "IN_ONESHOT"},
};

static_assert(IN::ACCESS == IN_ACCESS && IN::MODIFY == IN_MODIFY && IN::ATTRIB == IN_ATTRIB);
static_assert(IN::CLOSE_WRITE == IN_CLOSE_WRITE && IN::CLOSE_NOWRITE == IN_CLOSE_NOWRITE);
static_assert(IN::OPEN == IN_OPEN && IN::MOVED_FROM == IN_MOVED_FROM);
static_assert(IN::MOVED_TO == IN_MOVED_TO && IN::CREATE == IN_CREATE && IN::DELETE == IN_DELETE);
static_assert(IN::DELETE_SELF == IN_DELETE_SELF && IN::MOVE_SELF == IN_MOVE_SELF);
static_assert(IN::CLOSE == IN_CLOSE && IN::MOVE == IN_MOVE && IN::ALL_EVENTS == IN_ALL_EVENTS);
static_assert(IN::UNMOUNT == IN_UNMOUNT && IN::Q_OVERFLOW == IN_Q_OVERFLOW);
static_assert(IN::IGNORED == IN_IGNORED && IN::ONLYDIR == IN_ONLYDIR);
static_assert(IN::DONT_FOLLOW == IN_DONT_FOLLOW && IN::EXCL_UNLINK == IN_EXCL_UNLINK);
static_assert(IN::MASK_ADD == IN_MASK_ADD && IN::ISDIR == IN_ISDIR && IN::ONESHOT == IN_ONESHOT);
#ifdef IN_MASK_CREATE  // Linux 4.18; older C library headers lack it
static_assert(IN::MASK_CREATE == IN_MASK_CREATE);
#endif

}  // namespace

std::vector<std::string> Mask::names() const {
    std::vector<std::string> result;
    std::uint32_t unknown = bits_;
    for (const Bit& bit : known_bits)
        if (contains(bit.mask)) {
            result.emplace_back(bit.name);
            unknown &= ~bit.mask.bits();
        }
    if (unknown != 0) {
        constexpr std::string_view digits = "0123456789abcdef";
        std::string number;
        for (; unknown != 0; unknown >>= 4U)
            number.insert(number.begin(), digits[unknown & 15U]);
        result.push_back("0x" + number);
    }
    return result;
}

std::string to_string(Mask mask) {
    std::string result;
    for (std::string_view name : mask.names()) {
        if (!result.empty())
            result += '|';
        if (name.starts_with("IN_"))
            name.remove_prefix(3);
        result += name;
    }
    return result.empty() ? "0" : result;
}

std::ostream& operator<<(std::ostream& out, Mask mask) { return out << to_string(mask); }

}  // namespace v0
}  // namespace inotify
