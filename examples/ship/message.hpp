// SPDX-License-Identifier: MIT
// Message: what a shipper sends about one machine's tree, and its form in a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ship {

struct Message {
    std::string machine = {};
    std::uint64_t run = 0;     // one start of a shipper; each is greater than those before
    std::uint64_t number = 0;  // in the run, without gaps
    // The names of the event's mask, or else
    // START       a run begins, with what changed since `snapshot`; empty: with the whole tree
    // CLEAR       the tree is empty
    // CONTENTS    the file at `path` has `data` at `offset`, and is new if that is 0
    // LINK        the file at `path` is a symbolic link to `data`
    // SNAPSHOT    `snapshot` has been saved, and is of all that was sent before
    std::string event = {};
    std::string path = {};        // below the root
    std::string moved_from = {};  // of MOVED_TO, likewise
    std::uint32_t cookie = 0;     // ties MOVED_FROM to MOVED_TO
    std::uint64_t offset = 0;
    std::string snapshot = {};  // the name of one
    std::string data = {};

    // Whether `event` is or holds a name, as CREATE|ISDIR holds ISDIR.
    [[nodiscard]] bool is(std::string_view name) const;
};

// The name of the snapshot that holds what was sent before this message, and that is greater than
// those of former ones.
std::string snapshot_name(std::uint64_t run, std::uint64_t number);

// Appends a field as a netstring: "5:hello,".
void put(std::string& out, std::string_view field);
void put(std::string& out, std::uint64_t field);

// Takes the first field off `in`; throws std::runtime_error when there is none.
std::string_view take(std::string_view& in);
std::uint64_t take_number(std::string_view& in);

std::string encode(const Message& message);
// Throws std::runtime_error for what encode() has not made, and for names that lead elsewhere.
Message decode(std::string_view text);

}  // namespace ship
