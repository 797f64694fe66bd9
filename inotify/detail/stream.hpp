// SPDX-License-Identifier: MIT
// The loop behind every range: cycles, waiting, stopping.
#pragma once

#include <inotify/detail/batch_state.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/source.hpp>
#include <inotify/inotify.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

namespace inotify::detail {

/// What belongs to one range (or one get()) and not to the stream.
struct Session {
    explicit Session(EventGenOptions range_options) : options(std::move(range_options)) {}

    EventGenOptions options;
    bool ends_on_signal = false;
    std::optional<Duration> wait_limit = {};  // instead of the stream's block_duration
    bool ended = false;
    std::chrono::steady_clock::time_point quiet_since = std::chrono::steady_clock::now();
};

/// One adapter's stream: its kernel, its source, and the one element that all its ranges share.
class Stream {
public:
    Stream(std::unique_ptr<Kernel> kernel, std::unique_ptr<Source> source, Duration block_duration);

    /// Makes element() the next one, unless it is one that was fetched and not yet consumed;
    /// false when the range has ended. Blocks.
    bool fetch(Session& session);

    /// The element; it counts as yielded from now on.
    std::optional<Event>& element() noexcept {
        state_ = State::yielded;
        return element_;
    }

    /// The element if it is an event that was fetched and not yielded; null otherwise.
    [[nodiscard]] const Event* unyielded() const noexcept {
        return state_ == State::fetched && element_ ? &*element_ : nullptr;
    }

    /// Lets the next fetch() go on behind the element.
    void consume() noexcept { state_ = State::none; }

    /// A new range begins: what an earlier one yielded is consumed. An event that it only peeked at
    /// is not; an empty value is, for it has ceased to be a fact.
    void begin() noexcept {
        if (state_ == State::yielded || !element_)
            consume();
    }

    void stop() noexcept;

    /// Of the event that was fetched last.
    [[nodiscard]] Arrival arrival() const noexcept { return source_->arrival(); }

    /// What has been fetched for a batch that was not yielded: the next range of batches goes on
    /// with it.
    [[nodiscard]] PendingBatch& pending_batch() {
        if (pending_batch_ == nullptr)
            pending_batch_ = std::make_unique<PendingBatch>();
        return *pending_batch_;
    }

    [[nodiscard]] Duration block_duration() const noexcept { return block_duration_; }
    void set_block_duration(Duration block_duration);

    [[nodiscard]] Kernel& kernel() noexcept { return *kernel_; }
    [[nodiscard]] Source& source() noexcept { return *source_; }

private:
    enum class State { none, fetched, yielded };

    bool stop_requested(const Session& session) noexcept;
    bool fetch_event();
    void wait(const Session& session);

    std::unique_ptr<Kernel> kernel_;
    std::unique_ptr<Source> source_;
    Duration block_duration_{};
    std::unique_ptr<PendingBatch> pending_batch_;
    std::atomic<bool> stop_ = false;
    static_assert(std::atomic<bool>::is_always_lock_free, "stop() is for signal handlers too");

    std::optional<Event> element_;
    Event spare_;  // keeps the element's storage while the element is the empty value
    State state_ = State::none;

    // One cycle: events as long as there are any, or else one wait and what it brought; then the
    // empty value.
    bool cycle_has_events_ = false;
    bool cycle_has_waited_ = false;
    bool interrupted_ = false;
};

/// Throws std::system_error(EINVAL) for a negative duration that is not `forever`.
void check_duration(Duration duration, const char* call);

}  // namespace inotify::detail
