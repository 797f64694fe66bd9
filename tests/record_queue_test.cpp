// SPDX-License-Identifier: MIT
// RecordQueue: records in order whatever the reads are like, and looking ahead without losing any.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <inotify/detail/record_queue.hpp>

using namespace inotify;
using inotify::detail::Position;
using inotify::detail::Record;
using inotify::detail::RecordQueue;
using test::record;
using test::ScriptedKernel;

namespace {

// Consumes the next record and gives its name; "-" when there is none.
std::string take(RecordQueue& queue) {
    const Record* front = queue.front();
    if (front == nullptr)
        return "-";
    std::string name(front->name);
    queue.pop();
    return name;
}

}  // namespace

TEST_CASE("records come in order, across reads, and then there is none") {
    ScriptedKernel kernel;
    kernel.queue(record(1, IN::CREATE, "a") + record(1, IN::CREATE, "b"));
    kernel.queue(record(1, IN::CREATE, "c"));
    RecordQueue queue(kernel);
    CHECK(take(queue) == "a");
    CHECK(take(queue) == "b");
    CHECK(kernel.reads == 1);
    CHECK(take(queue) == "c");
    CHECK(take(queue) == "-");
    CHECK(kernel.reads == 3);  // the last one found the queue empty
    kernel.queue(record(1, IN::CREATE, "d"));
    CHECK(take(queue) == "d");
}

TEST_CASE("front() is the same record until it is popped") {
    ScriptedKernel kernel;
    kernel.queue(record(1, IN::CREATE, "a") + record(1, IN::CREATE, "b"));
    RecordQueue queue(kernel);
    CHECK(queue.front()->name == "a");
    CHECK(queue.front()->name == "a");
    queue.pop();
    CHECK(queue.front()->name == "b");
}

TEST_CASE("a position is the number of bytes before it") {
    ScriptedKernel kernel;
    const std::string a = record(1, IN::CREATE, "a"), b = record(1, IN::CREATE, "b");
    kernel.queue(a);
    kernel.queue(b);
    RecordQueue queue(kernel);
    CHECK(queue.position() == 0);
    CHECK(queue.end() == a.size() + b.size());
    CHECK(take(queue) == "a");
    CHECK(queue.position() == a.size());
    CHECK(take(queue) == "b");
    CHECK(take(queue) == "-");
    CHECK(queue.position() == a.size() + b.size());
    CHECK(queue.end() == queue.position());
}

TEST_CASE("peek() looks ahead, across reads, and consumes nothing") {
    ScriptedKernel kernel;
    kernel.queue(record(1, IN::CREATE, "a"));
    kernel.queue(record(1, IN::CREATE, "b"));
    RecordQueue queue(kernel);
    Record ahead;
    Position at = queue.position();
    REQUIRE(queue.peek(at, ahead));
    CHECK(ahead.name == "a");
    at += ahead.size;
    REQUIRE(queue.peek(at, ahead));
    CHECK(ahead.name == "b");
    at += ahead.size;
    CHECK(!queue.peek(at, ahead));
    CHECK(queue.position() == 0);
    CHECK(queue.buffered() == 64);
    CHECK(take(queue) == "a");
    CHECK(take(queue) == "b");
}

TEST_CASE("an erased record is passed over, wherever it lies") {
    ScriptedKernel kernel;
    kernel.queue(record(1, IN::CREATE, "a") + record(1, IN::CREATE, "b") +
                 record(1, IN::CREATE, "c") + record(1, IN::CREATE, "d"));
    RecordQueue queue(kernel);
    CHECK(queue.front()->name == "a");
    Record ahead;
    REQUIRE(queue.peek(32, ahead));
    CHECK(ahead.name == "b");
    queue.erase(0);
    queue.erase(32);
    queue.erase(96);
    CHECK(take(queue) == "c");
    CHECK(take(queue) == "-");
    CHECK(queue.position() == 128);
}

TEST_CASE("erase_if() erases what matches between two positions, and nothing else") {
    ScriptedKernel kernel;
    kernel.queue(record(1, IN::CREATE, "a") + record(2, IN::CREATE, "b") +
                 record(1, IN::CREATE, "c") + record(1, IN::CREATE, "d"));
    RecordQueue queue(kernel);
    REQUIRE(queue.end() == 128);
    queue.erase_if(0, 96, [](const Record& record) { return record.wd == 1; });
    CHECK(queue.position() == 32);  // behind those that come first
    CHECK(queue.any_of(32, 128, [](const Record& record) { return record.name == "d"; }));
    CHECK(!queue.any_of(32, 96, [](const Record& record) { return record.name == "d"; }));
    CHECK(!queue.any_of(32, 128, [](const Record& record) { return record.name == "c"; }));
    CHECK(take(queue) == "b");
    CHECK(take(queue) == "d");
    CHECK(take(queue) == "-");
}

TEST_CASE("a long look ahead grows the buffer, keeps every record, and gives the memory back") {
    ScriptedKernel kernel;
    constexpr int count = 20'000;  // 5.8 MB of records
    for (int n = 0; n < count; ++n)
        kernel.queue(record(n + 1, IN::CREATE, std::string(255, 'x')));
    RecordQueue queue(kernel);
    REQUIRE(queue.front() != nullptr);
    Record ahead;
    Position at = 0;
    int seen = 0;
    for (; queue.peek(at, ahead); at += ahead.size)
        seen += ahead.wd == seen + 1 ? 1 : 0;
    CHECK(seen == count);
    CHECK(queue.buffered() == at);

    int taken = 0;
    for (; const Record* front = queue.front(); queue.pop())
        taken += front->wd == taken + 1 ? 1 : 0;
    CHECK(taken == count);
    CHECK(queue.position() == at);

    kernel.queue(record(1, IN::CREATE, "after"));
    CHECK(take(queue) == "after");
    CHECK(queue.position() == at + 32);
}

TEST_CASE("positions stay true while consumed bytes make room for new ones") {
    ScriptedKernel kernel;
    const std::string name(200, 'x');
    const std::size_t size = record(1, IN::CREATE, name).size();
    RecordQueue queue(kernel);
    // Ever one record ahead, so that the buffer is never empty when it is read into.
    kernel.queue(record(1, IN::CREATE, name));
    for (int n = 1; n <= 2'000; ++n) {
        const Record* front = queue.front();
        REQUIRE(front != nullptr);
        REQUIRE(front->wd == n);
        REQUIRE(queue.position() == static_cast<Position>(n - 1) * size);
        kernel.queue(record(n + 1, IN::CREATE, name));
        Record ahead;
        REQUIRE(queue.peek(queue.position() + size, ahead));
        REQUIRE(ahead.wd == n + 1);
        REQUIRE(queue.front()->wd == n);
        queue.pop();
    }
}

TEST_CASE("peek() at a position that was not read yet reads up to it") {
    ScriptedKernel kernel;
    kernel.queue(record(1, IN::CREATE, "a"));
    kernel.queue(record(1, IN::CREATE, "b"));
    RecordQueue queue(kernel);
    const Position end = queue.end();
    Record ahead;
    CHECK(!queue.peek(end, ahead));
    kernel.queue(record(1, IN::CREATE, "c"));
    REQUIRE(queue.peek(end, ahead));
    CHECK(ahead.name == "c");
    CHECK(take(queue) == "a");
}

TEST_CASE("a record that a read tore is put together, however small the pieces") {
    ScriptedKernel kernel;
    for (char byte : record(1, IN::CREATE, "torn") + record(1, IN::DELETE, "too"))
        kernel.queue(std::string(1, byte));
    RecordQueue queue(kernel);
    CHECK(take(queue) == "torn");
    CHECK(take(queue) == "too");
    CHECK(take(queue) == "-");
}

TEST_CASE("a torn record waits for its rest") {
    ScriptedKernel kernel;
    const std::string whole = record(1, IN::CREATE, "torn");
    kernel.queue(whole.substr(0, 20));
    RecordQueue queue(kernel);
    CHECK(take(queue) == "-");
    CHECK(take(queue) == "-");
    kernel.queue(whole.substr(20));
    CHECK(take(queue) == "torn");
}

TEST_CASE("bytes that are no record are refused, and what is queued after them is read") {
    ScriptedKernel kernel;
    kernel.queue(std::string(64, '\xff'));
    kernel.queue(record(1, IN::CREATE, "after"));
    RecordQueue queue(kernel);
    const auto error = test::error_of([&] { queue.front(); });
    CHECK(error.code() == std::errc::bad_message);
    CHECK(take(queue) == "after");
}

TEST_CASE("EINTR is retried, another error is thrown, and nothing is lost by it") {
    ScriptedKernel kernel;
    kernel.fail_read(EINTR);
    kernel.queue(record(1, IN::CREATE, "a"));
    kernel.fail_read(EIO);
    kernel.queue(record(1, IN::CREATE, "b"));
    RecordQueue queue(kernel);
    CHECK(take(queue) == "a");
    const auto error = test::error_of([&] { queue.front(); });
    CHECK(error.code() == std::errc::io_error);
    CHECK(test::contains(error.what(), "read"));
    CHECK(take(queue) == "b");
}
