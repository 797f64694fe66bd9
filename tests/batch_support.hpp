// SPDX-License-Identifier: MIT
// What the tests of batches share: batches that can be read, and a client that applies them.
#pragma once

#include "support.hpp"

#include <inotify/batch.hpp>

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace test {

inline std::string to_string(const inotify::Change& change) {
    static constexpr std::string_view kinds[] = {"added ", "modified ", "attributes ", "renamed ",
                                                 "removed "};
    const std::string slash = change.is_dir ? "/" : "";
    std::string result(kinds[static_cast<std::size_t>(change.kind)]);
    result += change.path + slash;
    if (!change.moved_from.empty())
        result += " < " + change.moved_from + slash;
    return result;
}

/// `overflow; removed a; renamed c/ < b/`
inline std::string to_string(const inotify::Batch& batch) {
    std::string result = batch.overflow ? "overflow" : "";
    for (const inotify::Change& change : batch.changes)
        result += (result.empty() ? "" : "; ") + to_string(change);
    return result;
}

}  // namespace test
