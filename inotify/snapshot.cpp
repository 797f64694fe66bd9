// SPDX-License-Identifier: MIT
// Snapshot: the public face of a snapshot's data and file.
#include <inotify/snapshot.hpp>

#include <inotify/detail/snapshot_data.hpp>
#include <inotify/detail/snapshot_file.hpp>

#include <utility>

namespace inotify {
inline namespace v0 {

Snapshot::Snapshot(std::shared_ptr<const detail::SnapshotData> data) noexcept
    : data_(std::move(data)) {}

Snapshot Snapshot::load(const std::filesystem::path& file) {
    auto data = std::make_shared<detail::SnapshotData>();
    detail::read_snapshot(file.native(), *data);
    return Snapshot(std::move(data));
}

void Snapshot::save(const std::filesystem::path& file) const {
    detail::write_snapshot(file.native(), data());
}

std::size_t Snapshot::size() const noexcept { return data().count(); }

const detail::SnapshotData& Snapshot::data() const noexcept {
    static const detail::SnapshotData none;
    return data_ == nullptr ? none : *data_;
}

}  // namespace v0
}  // namespace inotify
