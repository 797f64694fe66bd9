// SPDX-License-Identifier: MIT
// parse_record: any bytes are allowed, and what is no whole record is never read past its end.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <inotify/detail/record.hpp>

using namespace inotify;
using inotify::detail::parse_record;
using inotify::detail::ParseResult;
using inotify::detail::Record;

namespace {

// Exactly as large as its bytes, so that ASan sees a read beyond them.
ParseResult parse(const std::string& bytes, Record& record) {
    static std::vector<std::byte> exact;
    exact.assign(reinterpret_cast<const std::byte*>(bytes.data()),
                 reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size());
    exact.shrink_to_fit();
    return parse_record(exact, record);
}

void set_length(std::string& bytes, std::uint32_t length) {
    std::memcpy(bytes.data() + 12, &length, sizeof length);
}

}  // namespace

TEST_CASE("no bytes are an incomplete record") {
    Record record;
    CHECK(parse("", record) == ParseResult::incomplete);
}

TEST_CASE("a header alone is a record without a name") {
    Record record;
    REQUIRE(parse(test::record(7, IN::DELETE_SELF), record) == ParseResult::record);
    CHECK(record.wd == 7);
    CHECK(Mask(record.mask) == IN::DELETE_SELF);
    CHECK(record.cookie == 0);
    CHECK(record.name.empty());
    CHECK(record.size == 16);
}

TEST_CASE("a record has its descriptor, mask, cookie and name") {
    Record record;
    REQUIRE(parse(test::record(3, IN::MOVED_TO | IN::ISDIR, "name", 42), record) ==
            ParseResult::record);
    CHECK(record.wd == 3);
    CHECK(Mask(record.mask) == (IN::MOVED_TO | IN::ISDIR));
    CHECK(record.cookie == 42);
    CHECK(record.name == "name");
    CHECK(record.size == 32);
}

TEST_CASE("a record torn at any byte is incomplete") {
    const std::string whole = test::record(1, IN::CREATE, "a name of more than 16 bytes");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Record record;
        CHECK(parse(whole.substr(0, size), record) == ParseResult::incomplete);
    }
}

TEST_CASE("a length beyond the bytes is incomplete, and one beyond any name is malformed") {
    std::string bytes = test::record(1, IN::CREATE, "f");
    Record record;
    set_length(bytes, 272);
    CHECK(parse(bytes, record) == ParseResult::incomplete);
    set_length(bytes, 0xffff'ffff);
    CHECK(parse(bytes, record) == ParseResult::malformed);
    set_length(bytes, 0x8000'0000);
    CHECK(parse(bytes, record) == ParseResult::malformed);
}

TEST_CASE("a name without a terminator ends where its record does") {
    std::string bytes = test::record(1, IN::CREATE, "0123456789abcde");
    bytes.back() = 'f';
    Record record;
    REQUIRE(parse(bytes, record) == ParseResult::record);
    CHECK(record.name == "0123456789abcdef");
    REQUIRE(parse(bytes + test::record(2, IN::DELETE, "next"), record) == ParseResult::record);
    CHECK(record.name == "0123456789abcdef");
}

TEST_CASE("several records are read one after the other") {
    const std::string bytes = test::record(1, IN::CREATE, "first") +
                              test::record(2, IN::DELETE_SELF) +
                              test::record(3, IN::MODIFY, std::string(255, 'x'));
    Record record;
    std::size_t at = 0;
    std::vector<std::pair<int, std::string>> seen;
    while (parse(bytes.substr(at), record) == ParseResult::record) {
        seen.emplace_back(record.wd, record.name);
        at += record.size;
    }
    CHECK(at == bytes.size());
    CHECK((seen == decltype(seen){{1, "first"}, {2, ""}, {3, std::string(255, 'x')}}));
}
