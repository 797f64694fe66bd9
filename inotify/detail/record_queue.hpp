// SPDX-License-Identifier: MIT
// The stream of records: read in large pieces, numbered by position, and open to looking ahead.
#pragma once

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/record.hpp>

#include <cstdint>
#include <functional>
#include <vector>

namespace inotify::detail {

/// A place in the record stream: the number of bytes before it since the instance was made.
using Position = std::uint64_t;

/// The records of one inotify instance, in order.
///
/// Records that were read but not yet consumed stay in the buffer, so looking ahead is reading
/// further into the same buffer. Names of records are valid until the next call that may read.
class RecordQueue {
public:
    /// `on_read`, if there is one, is called with each record once, when it is read from the
    /// kernel.
    explicit RecordQueue(Kernel& kernel, std::function<void(const Record&)> on_read = {});

    /// The next record; null when the kernel's queue has been read empty.
    /// Throws std::system_error if read(2) fails or the bytes are no records.
    const Record* front() { return begin_ == end_ && !fill() ? nullptr : parse_front(); }

    /// Consumes front().
    void pop() noexcept { begin_ += front_.size; }

    /// Where the first record that is not consumed begins.
    [[nodiscard]] Position position() const noexcept { return base_ + begin_; }

    /// Where the next record will be queued: reads all that is in the kernel's queue. What is
    /// queued later cannot be merged by the kernel with what was before.
    Position end();

    /// The record at `position`, which is a record's beginning from position() to end(); false when
    /// there is none yet.
    bool peek(Position position, Record& record);

    /// Whether `matches` holds for a record that begins from `since` on and before `until`.
    template <typename Matches>
    bool any_of(Position since, Position until, Matches matches) {
        Record record;
        for (; since < until && peek(since, record); since += record.size)
            if (record.mask != 0 && matches(record))
                return true;
        return false;
    }

    /// Makes the record at `position` one that front() passes over.
    void erase(Position position) noexcept;

    /// Erases each record from `since` on and before `until` for which `matches` holds.
    template <typename Matches>
    void erase_if(Position since, Position until, Matches matches) {
        Record record;
        for (; since < until && peek(since, record); since += record.size)
            if (matches(record))
                erase(since);
        pop_erased();
    }

    /// The bytes that were read and not consumed.
    [[nodiscard]] std::size_t buffered() const noexcept { return end_ - begin_; }

private:
    const Record* parse_front();
    void pop_erased() noexcept;
    bool fill();
    void take_read(std::size_t size);

    Kernel& kernel_;
    std::function<void(const Record&)> on_read_;
    std::vector<std::byte> buffer_;
    std::size_t begin_ = 0;  // of what is not consumed, in buffer_
    std::size_t end_ = 0;    // of what was read, in buffer_
    Position base_ = 0;      // of buffer_'s first byte
    Record front_;
};

}  // namespace inotify::detail
