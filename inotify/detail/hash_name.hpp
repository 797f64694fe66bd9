// SPDX-License-Identifier: MIT
// The hash of a name in a directory.
#pragma once

#include <inotify/detail/node_index.hpp>

#include <cstdint>
#include <functional>
#include <string_view>

namespace inotify::detail {

inline std::uint32_t hash_name(NodeId directory, std::string_view name) noexcept {
    const std::uint64_t hash =
        std::hash<std::string_view>{}(name) ^ (directory * std::uint64_t{0x9e3779b97f4a7c15U});
    return static_cast<std::uint32_t>(hash ^ (hash >> 32U));
}

}  // namespace inotify::detail
