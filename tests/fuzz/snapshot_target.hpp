// SPDX-License-Identifier: MIT
// The fuzzed body for the file of a snapshot: any bytes, and any body behind a right header.
#pragma once

#include <inotify/detail/snapshot_file.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fuzz {

/// What is wrong with how these bytes are read, or nothing. What is accepted is well-formed, and
/// written again it is the same.
inline std::string read_as_snapshot(std::span<const std::byte> bytes) {
    // Storage of exactly this size, so that a sanitizer sees a read behind it.
    const auto copy = std::make_unique<std::byte[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.get());
    inotify::detail::SnapshotData data;
    if (!decode_snapshot({copy.get(), bytes.size()}, data).empty())
        return {};
    const std::string again = encode_snapshot(data);
    if (again != std::string_view(reinterpret_cast<const char*>(copy.get()), bytes.size()))
        return "what was read is written in another way";
    if (data.count() + data.roots.size() != data.entries.size())
        return "an entry lies nowhere";
    for (const auto& entry : data.entries) {
        if (entry.name.empty())
            return "a name is empty";
        for (std::size_t i = 0; i < entry.children.size(); ++i)
            if (i > 0 && data[entry.children[i - 1]].name >= data[entry.children[i]].name)
                return "names are not sorted";
    }
    return {};
}

inline std::string run_snapshot(std::span<const std::byte> bytes) {
    if (const std::string wrong = read_as_snapshot(bytes); !wrong.empty())
        return wrong;
    const std::string framed = inotify::detail::frame_snapshot(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return read_as_snapshot(std::as_bytes(std::span(framed)));
}

}  // namespace fuzz
