// SPDX-License-Identifier: MIT
// The fuzzed body for the record reader: any bytes, in pieces of any size.
#pragma once

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record.hpp>
#include <inotify/detail/record_queue.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace fuzz {

using Bytes = std::span<const std::byte>;

/// Takes the input from its front; behind its end everything is zero.
class Input {
public:
    explicit Input(Bytes bytes) : rest_(bytes) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] Bytes rest() const { return rest_; }

    unsigned byte() {
        const Bytes taken = take(1);
        return taken.empty() ? 0 : std::to_integer<unsigned>(taken.front());
    }

    Bytes take(std::size_t size) {
        const Bytes result = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(result.size());
        return result;
    }

private:
    Bytes rest_;
};

/// read(2) gives the stream in pieces, with EINTR, EAGAIN and EIO between them.
class PieceKernel final : public inotify::detail::Kernel {
public:
    PieceKernel(Bytes pieces, Bytes stream) : pieces_(pieces), stream_(stream) {}

    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        if (buffer.empty())
            return -EINVAL;
        std::size_t size = 16;
        if (!pieces_.empty()) {
            const unsigned piece = pieces_.byte();
            if (piece >= 0xfd)
                return piece == 0xff ? -EIO : piece == 0xfe ? -EINTR : -EAGAIN;
            size = piece < 0x80 ? piece + 1U : (piece - 0x7fU) * 64U;
        }
        const Bytes bytes = stream_.take(std::min(size, buffer.size()));
        if (bytes.empty())
            return -EAGAIN;
        std::memcpy(buffer.data(), bytes.data(), bytes.size());
        return static_cast<std::ptrdiff_t>(bytes.size());
    }

    [[nodiscard]] bool empty() const { return stream_.empty() && pieces_.empty(); }

    int add_watch(const std::string&, std::uint32_t) override { return -ENOSYS; }
    int add_watch(int, const std::string&, std::uint32_t) override { return -ENOSYS; }
    int remove_watch(int) override { return -ENOSYS; }
    int wait(std::chrono::milliseconds) override { return 0; }
    void wake() noexcept override {}
    void clear_wake() noexcept override {}
    [[nodiscard]] int descriptor() const noexcept override { return -1; }
    int open_directory(int, const std::string&, bool) override { return -ENOSYS; }
    int open_path(int, const std::string&) override { return -ENOSYS; }
    int read_link(int, std::string&) override { return -ENOSYS; }
    void close_directory(int) noexcept override {}
    int list(int, std::vector<inotify::detail::DirectoryEntry>&) override { return -ENOSYS; }
    void await_changes(int) override {}
    int stat(int, const std::string&, bool, inotify::detail::Stat&) override { return -ENOSYS; }
    int resolve(const std::string&, std::string&) override { return -ENOSYS; }
    long limit(const std::string&) override { return -ENOENT; }

private:
    Input pieces_;
    Input stream_;
};

/// A record that owns its name.
struct Seen {
    int wd;
    std::uint32_t mask;
    std::uint32_t cookie;
    std::string name;

    explicit Seen(const inotify::detail::Record& record)
        : wd(record.wd), mask(record.mask), cookie(record.cookie), name(record.name) {}
    friend bool operator==(const Seen&, const Seen&) = default;
};

/// Every record of the stream up to the first that is torn or malformed; `error` says what the
/// reader did wrong.
inline std::vector<Seen> parse_all(Bytes stream, std::string& error) {
    using inotify::detail::ParseResult;
    std::vector<Seen> result;
    for (;;) {
        // Storage of exactly this size, so that a sanitizer sees a read behind it.
        const auto copy = std::make_unique<std::byte[]>(stream.size());
        std::copy(stream.begin(), stream.end(), copy.get());
        const Bytes bytes(copy.get(), stream.size());
        inotify::detail::Record record;
        if (parse_record(bytes, record) != ParseResult::record)
            return result;
        const auto* begin = reinterpret_cast<const char*>(bytes.data());
        if (record.size < 16 || record.size > bytes.size())
            error = "a record of an impossible size";
        else if (record.name.data() < begin + 16 ||
                 record.name.data() + record.name.size() > begin + record.size)
            error = "a name outside of its record";
        else if (record.name.find('\0') != std::string_view::npos)
            error = "a name that holds its terminator";
        if (!error.empty())
            return result;
        result.emplace_back(record);
        stream = stream.subspan(record.size);
    }
}

/// The input is: a number of control bytes, the control bytes, a number of pieces, the sizes of the
/// pieces, and the stream. Returns what went wrong, or nothing.
inline std::string run_record(Bytes bytes) {
    using inotify::detail::Position;
    using inotify::detail::Record;
    Input input(bytes);
    Input control(input.take(input.byte()));
    const Bytes pieces = input.take(input.byte());
    const Bytes stream = input.rest().first(std::min<std::size_t>(input.rest().size(), 64 * 1024));
    std::string error;
    std::vector<Seen> expected;
    for (Seen& seen : parse_all(stream, error))
        if (seen.mask != 0)  // none that the kernel writes; a queue marks what was erased so
            expected.push_back(std::move(seen));

    PieceKernel kernel(pieces, stream);
    inotify::detail::RecordQueue queue(kernel);
    std::size_t next = 0;
    bool exact = true;  // nothing was erased: front() is expected[next]
    for (int calls = 0; error.empty(); ++calls) {
        if (calls > 200'000)
            return "it does not end";
        const Position before = queue.position();
        try {
            switch (control.byte() % 8) {
            case 1: {  // look ahead at all that is queued
                Record record;
                for (Position at = before; queue.peek(at, record); at += record.size) {
                }
                break;
            }
            case 2: {  // erase the record after the next
                Record record;
                if (queue.front() != nullptr && queue.peek(queue.position(), record)) {
                    const Position second = queue.position() + record.size;
                    if (queue.peek(second, record)) {
                        queue.erase(second);
                        exact = false;
                    }
                }
                break;
            }
            case 3: queue.erase_if(before, queue.end(), [](const Record&) { return false; }); break;
            case 4:
                if (queue.end() < queue.position())
                    return "the end is before the position";
                break;
            case 5:
                if (queue.any_of(before, queue.end(),
                                 [](const Record& record) { return record.mask == 0; }))
                    return "an erased record was shown";
                break;
            default:
                if (const Record* record = queue.front(); record != nullptr) {
                    if (exact && (next >= expected.size() || Seen(*record) != expected[next]))
                        return "not the record that was written";
                    ++next;
                    queue.pop();
                } else if (kernel.empty() && control.empty()) {
                    if (exact && next != expected.size())
                        return "a record was lost";
                    return {};
                }
            }
        } catch (const std::system_error& thrown) {
            if (thrown.code().value() != EBADMSG && thrown.code().value() != EIO)
                return std::string("not an error of a read: ") + thrown.what();
            exact = exact && thrown.code().value() == EIO;
        }
        if (queue.position() < before)
            return "the position went back";
        if (queue.buffered() > stream.size())
            return "more is buffered than was read";
    }
    return error;
}

}  // namespace fuzz
