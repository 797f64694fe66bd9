// SPDX-License-Identifier: MIT
// The stream of records: read in large pieces, numbered by position, and open to looking ahead.
#include <inotify/detail/record_queue.hpp>

#include <inotify/detail/error.hpp>

#include <sys/inotify.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace inotify::detail {
namespace {

constexpr std::size_t buffer_size = 64 * 1024;

// A read into less room than this costs more calls than moving what is left costs copying.
constexpr std::size_t least_room = 16 * 1024;

}  // namespace

RecordQueue::RecordQueue(Kernel& kernel, std::function<void(const Record&)> on_read)
    : kernel_(kernel), on_read_(std::move(on_read)), buffer_(buffer_size) {}

const Record* RecordQueue::parse_front() {
    for (;;) {
        if (!peek(position(), front_))
            return nullptr;
        if (front_.mask != 0)
            return &front_;
        pop();  // erased
    }
}

Position RecordQueue::end() {
    while (fill()) {
    }
    return base_ + end_;
}

bool RecordQueue::peek(Position position, Record& record) {
    for (;;) {
        const auto at = static_cast<std::size_t>(position - base_);
        switch (parse_record({buffer_.data() + at, end_ - at}, record)) {
        case ParseResult::record: return true;
        case ParseResult::malformed:
            begin_ = end_;  // what was read and not consumed is forgotten
            throw_error(nullptr, EBADMSG, "read", "a malformed inotify record");
        case ParseResult::incomplete:
            if (!fill())
                return false;
        }
    }
}

void RecordQueue::erase(Position position) noexcept {
    const std::size_t at = static_cast<std::size_t>(position - base_);
    const std::uint32_t none = 0;
    std::memcpy(buffer_.data() + at + offsetof(inotify_event, mask), &none, sizeof none);
}

// So that position() is where the first real record is.
void RecordQueue::pop_erased() noexcept {
    Record record;
    while (parse_record({buffer_.data() + begin_, end_ - begin_}, record) == ParseResult::record &&
           record.mask == 0)
        begin_ += record.size;
}

// Reads more behind what is there; false when the kernel's queue is empty.
bool RecordQueue::fill() {
    if (begin_ == end_) {
        base_ += end_;
        begin_ = end_ = 0;
    } else if (buffer_.size() - end_ < least_room) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        base_ += begin_;
        end_ -= begin_;
        begin_ = 0;
        if (buffer_.size() - end_ < least_room)
            buffer_.resize(buffer_.size() * 2);
    }
    for (;;) {
        const std::ptrdiff_t size = kernel_.read({buffer_.data() + end_, buffer_.size() - end_});
        if (size > 0) {
            take_read(static_cast<std::size_t>(size));
            return true;
        }
        if (size == 0 || size == -EAGAIN) {
            // What a long look ahead made of the buffer is given back.
            if (end_ == 0 && buffer_.size() > buffer_size)
                buffer_ = std::vector<std::byte>(buffer_size);
            return false;
        }
        if (size != -EINTR)
            throw_error(nullptr, static_cast<int>(-size), "read", "the inotify descriptor");
    }
}

void RecordQueue::take_read(std::size_t size) {
    std::size_t at = end_;
    end_ += size;
    Record record;
    while (on_read_ && at < end_ &&
           parse_record({buffer_.data() + at, end_ - at}, record) == ParseResult::record) {
        on_read_(record);
        at += record.size;
    }
}

}  // namespace inotify::detail
