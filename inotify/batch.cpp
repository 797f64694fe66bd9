// SPDX-License-Identifier: MIT
// BatchBuilder and BatchRange: the public face of batches.
#include <inotify/batch.hpp>

#include <inotify/detail/batch_state.hpp>
#include <inotify/detail/stream.hpp>

#include <algorithm>
#include <utility>

namespace inotify {

namespace detail {

using Time = PendingBatch::Time;

/// What belongs to one range of batches and not to the stream.
struct BatchSession {
    explicit BatchSession(BatchOptions range_options)
        : options(std::move(range_options)), stream({.stop = options.stop}) {}

    BatchOptions options;
    Session stream;
    Time begun = std::chrono::steady_clock::now();
    unsigned events = 0;  // since the clock was read
};

namespace {

// A flood may never let the queue be read empty: the clock is also read once in so many events.
constexpr unsigned events_between_looks = 256;

// What is longer is no limit, and could not be added up.
constexpr Duration most = std::chrono::years{100};

Time after(Time time, std::optional<Duration> duration) {
    const bool is_limited = duration && *duration != forever && *duration < most;
    return is_limited ? time + *duration : Time::max();
}

// When the batch is to end that is in the making, or else the range.
Time deadline(const PendingBatch& pending, const BatchSession& session) {
    const BatchOptions& options = session.options;
    if (!pending.has_changes)
        return after(std::max(session.begun, pending.last), options.timeout);
    return std::min({after(pending.last, options.quiet), after(pending.first, options.longest),
                     after(pending.last, options.timeout)});
}

std::optional<Duration> wait_limit(const PendingBatch& pending, const BatchSession& session,
                                   Duration block_duration) {
    const Time due = deadline(pending, session);
    const bool ticks = session.options.yield_empty && !pending.has_changes;
    if (due == Time::max())
        return ticks ? block_duration : forever;
    const auto left = std::max(std::chrono::ceil<Duration>(due - std::chrono::steady_clock::now()),
                               Duration::zero());
    return ticks && block_duration != forever ? std::min(left, block_duration) : left;
}

// False when the changes come to nothing.
bool finish(PendingBatch& pending) {
    pending.has_changes = false;
    pending.batch = pending.state.take();
    return !pending.batch.empty();
}

void add(PendingBatch& pending, const Event& event, Arrival arrival) {
    if (!pending.state.add(event, arrival))
        return;
    pending.cycle_has_changes = true;
    if (!std::exchange(pending.has_changes, true))
        pending.first = pending.last = std::chrono::steady_clock::now();
}

}  // namespace
}  // namespace detail

inline namespace v0 {

BatchBuilder::BatchBuilder() : state_(std::make_unique<detail::BatchState>()) {}
BatchBuilder::BatchBuilder(BatchBuilder&&) noexcept = default;
BatchBuilder& BatchBuilder::operator=(BatchBuilder&&) noexcept = default;
BatchBuilder::~BatchBuilder() = default;

void BatchBuilder::add(const Event& event) { state_->add(event); }

bool BatchBuilder::empty() const { return state_->empty(); }

Batch BatchBuilder::take() { return state_->take(); }

BatchRange::BatchRange(detail::Stream& stream, BatchOptions options)
    : stream_(&stream), session_(std::make_unique<detail::BatchSession>(std::move(options))) {}

BatchRange::BatchRange(BatchRange&&) noexcept = default;
BatchRange& BatchRange::operator=(BatchRange&&) noexcept = default;
BatchRange::~BatchRange() = default;

BatchRange::Iterator BatchRange::begin() {
    stream_->begin();
    session_->begun = std::chrono::steady_clock::now();
    // An empty batch has ceased to be a fact.
    detail::PendingBatch& pending = stream_->pending_batch();
    if (pending.element == detail::PendingBatch::Element::yielded || pending.batch.empty())
        pending.element = detail::PendingBatch::Element::none;
    return Iterator(*this);
}

bool BatchRange::fetch() {
    using Element = detail::PendingBatch::Element;
    detail::PendingBatch& pending = stream_->pending_batch();
    if (session_->stream.ended)
        return false;
    while (pending.element == Element::none) {
        session_->stream.wait_limit =
            detail::wait_limit(pending, *session_, stream_->block_duration());
        if (!stream_->fetch(session_->stream))
            return false;
        std::optional<Event>& event = stream_->element();
        const bool is_barrier = !event;
        if (event && event->mask.intersects(IN::DELETE_SELF) &&
            stream_->source().watches_directories())
            event->mask |= IN::ISDIR;
        if (event)
            detail::add(pending, *event, stream_->arrival());
        stream_->consume();
        if (!is_barrier &&
            (++session_->events < detail::events_between_looks || !pending.has_changes))
            continue;
        session_->events = 0;
        const auto now = std::chrono::steady_clock::now();
        if (std::exchange(pending.cycle_has_changes, false))
            pending.last = now;
        const bool is_due =
            now >= (is_barrier ? detail::deadline(pending, *session_)
                               : detail::after(pending.first, session_->options.longest));
        if (!is_barrier && (!is_due || pending.state.tree.is_renaming()))
            continue;
        const bool had_changes = pending.has_changes;
        if (had_changes && is_due && detail::finish(pending)) {
            pending.element = Element::fetched;
        } else if (!had_changes && is_due) {
            return !(session_->stream.ended = true);
        } else if (session_->options.yield_empty && !pending.has_changes) {
            pending.batch = {};
            pending.element = Element::fetched;
        }
    }
    return true;
}

Batch& BatchRange::current() {
    fetch();
    detail::PendingBatch& pending = stream_->pending_batch();
    pending.element = detail::PendingBatch::Element::yielded;
    return pending.batch;
}

void BatchRange::consume() noexcept {
    stream_->pending_batch().element = detail::PendingBatch::Element::none;
}

BatchRange batches(Inotify& stream, BatchOptions options) {
    detail::check_duration(options.quiet, "batches: quiet");
    detail::check_duration(options.longest, "batches: longest");
    if (options.timeout)
        detail::check_duration(*options.timeout, "batches: timeout");
    return {*stream.stream_, std::move(options)};
}

}  // namespace v0
}  // namespace inotify
