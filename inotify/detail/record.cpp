// SPDX-License-Identifier: MIT
// The record reader: bytes of read(2) become kernel records.
#include <inotify/detail/record.hpp>

#include <sys/inotify.h>

#include <cstring>

namespace inotify::detail {
namespace {

// NAME_MAX and its terminator, padded to a multiple of the header: 272. Some file systems allow
// longer names; a length far beyond any of them is a lie that would make us wait for ever.
constexpr std::size_t longest_name = 4096;

}  // namespace

ParseResult parse_record(std::span<const std::byte> bytes, Record& record) noexcept {
    inotify_event header;
    if (bytes.size() < sizeof header)
        return ParseResult::incomplete;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.len > longest_name)
        return ParseResult::malformed;
    if (bytes.size() - sizeof header < header.len)
        return ParseResult::incomplete;
    const auto* name = reinterpret_cast<const char*>(bytes.data() + sizeof header);
    record.wd = header.wd;
    record.mask = header.mask;
    record.cookie = header.cookie;
    record.name = {name, ::strnlen(name, header.len)};
    record.size = sizeof header + header.len;
    return ParseResult::record;
}

}  // namespace inotify::detail
