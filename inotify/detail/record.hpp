// SPDX-License-Identifier: MIT
// The record reader: bytes of read(2) become kernel records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace inotify::detail {

/// One `struct inotify_event`; `name` points into the bytes that it was read from.
struct Record {
    int wd = -1;
    std::uint32_t mask = 0;
    std::uint32_t cookie = 0;
    std::string_view name;
    std::size_t size = 0;  // of the whole record, in bytes
};

enum class ParseResult {
    record,      // `record` holds the first record
    incomplete,  // the bytes end inside the first record
    malformed,   // no kernel writes this
};

/// Reads the record at the beginning of `bytes`; pure, any bytes are allowed.
ParseResult parse_record(std::span<const std::byte> bytes, Record& record) noexcept;

}  // namespace inotify::detail
