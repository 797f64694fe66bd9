// SPDX-License-Identifier: MIT
// Inotify and EventRange: the public face of the stream.
#include <inotify/inotify.hpp>

#include <inotify/detail/file_source.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/stream.hpp>

#include <utility>

namespace inotify {
inline namespace v0 {

EventRange::EventRange(detail::Stream& stream, EventGenOptions options)
    : stream_(&stream), session_(std::make_unique<detail::Session>(std::move(options))) {}

EventRange::EventRange(EventRange&&) noexcept = default;
EventRange& EventRange::operator=(EventRange&&) noexcept = default;
EventRange::~EventRange() = default;

EventRange::Iterator EventRange::begin() {
    stream_->begin();
    session_->quiet_since = std::chrono::steady_clock::now();
    return Iterator(*this);
}

bool EventRange::fetch() { return stream_->fetch(*session_); }

std::optional<Event>& EventRange::current() {
    fetch();
    return stream_->element();
}

void EventRange::consume() noexcept { stream_->consume(); }

Inotify::Inotify(Duration duration) {
    auto kernel = detail::make_linux_kernel();
    auto source = std::make_unique<detail::FileSource>(*kernel);
    stream_ = std::make_unique<detail::Stream>(std::move(kernel), std::move(source), duration);
}

Inotify::Inotify(std::span<const std::filesystem::path> paths, Duration duration)
    : Inotify(duration) {
    for (const auto& path : paths)
        add_watch(path);
}

Inotify::Inotify(std::initializer_list<std::filesystem::path> paths, Duration duration)
    : Inotify(std::span(paths.begin(), paths.size()), duration) {}

Inotify::Inotify(const std::filesystem::path& path, Duration duration)
    : Inotify(std::span(&path, 1), duration) {}

Inotify::Inotify(std::unique_ptr<detail::Stream> stream) : stream_(std::move(stream)) {}

Inotify::Inotify(Inotify&&) noexcept = default;
Inotify& Inotify::operator=(Inotify&&) noexcept = default;
Inotify::~Inotify() = default;

int Inotify::add_watch(const std::filesystem::path& path, Mask mask) {
    return stream_->source().add_watch(path, mask);
}

void Inotify::follow(const std::filesystem::path& path, Mask mask) {
    stream_->source().follow(path, mask);
}

void Inotify::remove_watch(const std::filesystem::path& path) {
    stream_->source().remove_watch(path);
}

void Inotify::remove_watch(int wd) { stream_->source().remove_watch(wd); }

std::vector<Watch> Inotify::watches() const { return stream_->source().watches(); }

EventRange Inotify::event_gen(EventGenOptions options) {
    if (options.timeout)
        detail::check_duration(*options.timeout, "event_gen: timeout");
    return {*stream_, std::move(options)};
}

std::optional<Event> Inotify::get(Duration timeout) {
    detail::check_duration(timeout, "get: timeout");
    detail::Session session{EventGenOptions{.timeout = timeout, .yield_empty = false}};
    session.ends_on_signal = true;
    stream_->begin();
    if (!stream_->fetch(session))
        return {};
    std::optional<Event> event = std::move(stream_->element());
    stream_->consume();
    return event;
}

Duration Inotify::block_duration() const { return stream_->block_duration(); }

void Inotify::set_block_duration(Duration duration) { stream_->set_block_duration(duration); }

Duration Inotify::until_due() const { return stream_->source().until_due(); }

void Inotify::stop() noexcept { stream_->stop(); }

int Inotify::fd() const noexcept { return stream_->kernel().descriptor(); }

}  // namespace v0
}  // namespace inotify
