// SPDX-License-Identifier: MIT
// Random operations on a handful of names, inside a tree and outside.
#pragma once

#include "operation.hpp"

#include <cstddef>
#include <random>
#include <string>

namespace test {

/// A place in /r, in up to three levels. The fewer names, the more often operations meet.
inline std::string any_place(std::mt19937_64& random, std::size_t names) {
    std::string result = "/r";
    for (std::size_t level = random() % 3;; --level) {
        result += '/';
        result += "abcd"[random() % names];
        if (level == 0)
            return result;
    }
}

/// An operation in /r, or between it and /o.
inline Op any_operation(std::mt19937_64& random, std::size_t names) {
    const std::string a = any_place(random, names);
    const std::string b = any_place(random, names);
    const std::string outside = std::string("/o/") + "wxyz"[random() % names];
    switch (random() % 16) {
    case 0:
    case 1:
    case 2: return {"mkdir", a};
    case 3: return {"rmdir", a};
    case 4:
    case 5: return {"create", a};
    case 6: return {"write", a};
    case 7: return {"unlink", a};
    case 8:
    case 9: return {"rename", a, b};
    case 10: return {"rename", a, outside};
    case 11: return {"rename", outside, a};
    case 12:
    case 13: return {"exchange", a, b};
    case 14: return {"exchange", a, outside};
    default: return {"exchange", outside, a};
    }
}

/// The same, and often one that makes a symbolic link, or that renames or changes what links
/// outside lead to.
inline Op any_operation_with_links(std::mt19937_64& random, std::size_t names) {
    const auto outside = [&] { return std::string("/o/") + "wxyz"[random() % names]; };
    const auto name = [&] { return std::string(1, "abcd"[random() % names]); };
    const std::string a = any_place(random, names);
    switch (random() % 16) {
    case 0:
    case 1: return {"symlink", outside(), a};
    case 2: return {"symlink", "/r/" + name(), a};
    case 3: return {"symlink", name(), a};
    case 4: return {"symlink", random() % 4 == 0 ? ".." : "../" + name(), a};
    case 5: return {"exchange", outside(), outside()};
    case 6: return {"rename", outside(), outside()};
    case 7: return {"mkdir", outside()};
    case 8: return {random() % 2 == 0 ? "mkdir" : "create", outside() + '/' + name()};
    default: return any_operation(random, names);
    }
}

/// Whether a symbolic link comes to lie where links lead to and nothing is watched: what it leads
/// to would change unheard.
inline bool puts_link_outside(const sim::World& world, const Op& op) {
    const auto comes_to = [&](const std::string& link, const std::string& place) {
        return place.size() == 4 && place.starts_with("/o/") && world.is_symlink(link);
    };
    return (op.name == "rename" && comes_to(op.a, op.b)) ||
           (op.name == "exchange" && (comes_to(op.a, op.b) || comes_to(op.b, op.a)));
}

}  // namespace test
