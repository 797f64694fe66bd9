// SPDX-License-Identifier: MIT
// The loop behind every range: cycles, waiting, stopping.
#include <inotify/detail/stream.hpp>

#include <inotify/detail/error.hpp>
#include <inotify/detail/give_back.hpp>

#include <algorithm>
#include <cerrno>
#include <stop_token>
#include <string>
#include <utility>

namespace inotify::detail {
namespace {

// What is left of the session's timeout, rounded up so that it is never cut short; negative
// for a session without one.
Duration time_left(const Session& session) {
    const auto& timeout = session.options.timeout;
    if (!timeout || *timeout == forever)
        return forever;
    const auto quiet =
        std::chrono::floor<Duration>(std::chrono::steady_clock::now() - session.quiet_since);
    return std::max(*timeout - quiet, Duration::zero());
}

}  // namespace

void check_duration(Duration duration, const char* call) {
    if (duration < Duration::zero() && duration != forever)
        throw_invalid(call, std::to_string(duration.count()) + " ms",
                      "zero polls, `forever` has no limit, other negative durations mean nothing");
}

Stream::Stream(std::unique_ptr<Kernel> kernel, std::unique_ptr<Source> source,
               Duration block_duration)
    : kernel_(std::move(kernel)), source_(std::move(source)) {
    set_block_duration(block_duration);
}

void Stream::set_block_duration(Duration block_duration) {
    check_duration(block_duration, "block_duration");
    block_duration_ = block_duration;
}

void Stream::stop() noexcept {
    stop_.store(true);
    kernel_->wake();
}

bool Stream::stop_requested(const Session& session) noexcept {
    if (session.options.stop.stop_requested())
        return true;
    if (!stop_.load(std::memory_order_relaxed))
        return false;
    // A stop() that comes between the two is one with this one.
    kernel_->clear_wake();
    stop_.store(false);
    return true;
}

bool Stream::fetch_event() {
    if (!element_)
        element_.emplace(std::move(spare_));
    if (source_->next(*element_))
        return true;
    spare_ = std::move(*element_);
    element_.reset();
    for (std::string* text : {&spare_.path, &spare_.filename, &spare_.moved_from})
        give_back(*text);
    return false;
}

bool Stream::fetch(Session& session) {
    if (session.ended)
        return false;
    if (state_ != State::none && (element_ || session.options.yield_empty))
        return true;
    state_ = State::none;
    for (;;) {
        if (stop_requested(session))
            return !(session.ended = true);
        if (fetch_event()) {
            cycle_has_events_ = true;
            state_ = State::fetched;
            return true;
        }
        if (!cycle_has_events_ && !cycle_has_waited_) {
            cycle_has_waited_ = true;
            wait(session);
            continue;
        }
        cycle_has_waited_ = false;
        if (std::exchange(cycle_has_events_, false))
            session.quiet_since = std::chrono::steady_clock::now();
        else if (time_left(session) == Duration::zero() ||
                 (session.ends_on_signal && std::exchange(interrupted_, false)))
            return !(session.ended = true);
        if (session.options.yield_empty) {
            state_ = State::fetched;
            return true;
        }
    }
}

void Stream::wait(const Session& session) {
    const Duration limit =
        shorter(shorter(session.wait_limit.value_or(block_duration_), time_left(session)),
                source_->until_due());
    int result;
    if (session.options.stop.stop_possible()) {
        const std::stop_callback wake(session.options.stop, [this]() noexcept { kernel_->wake(); });
        result = kernel_->wait(limit);
    } else {
        result = kernel_->wait(limit);
    }
    interrupted_ = result == -EINTR;
    if (result < 0 && !interrupted_)
        throw_error(nullptr, -result, "epoll_wait");
}

}  // namespace inotify::detail
