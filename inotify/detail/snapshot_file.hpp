// SPDX-License-Identifier: MIT
// The file of a snapshot; docs/design.md describes it.
#pragma once

#include <inotify/detail/snapshot_data.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace inotify::detail {

inline constexpr std::string_view snapshot_magic = "inotify\n";
inline constexpr std::uint32_t snapshot_version = 1;

/// The bytes of a snapshot. Equal snapshots have equal bytes, and the other way round.
std::string encode_snapshot(const SnapshotData& data);

/// Puts the header before a body and the checksum behind it.
std::string frame_snapshot(std::string_view body);

/// Reads what encode_snapshot() has made: empty, or the word that says what is wrong; then `data`
/// holds what was read up to there. It takes no more memory than a few hundred times the bytes.
std::string_view decode_snapshot(std::span<const std::byte> bytes, SnapshotData& data);

/// CRC-32C of bytes behind those that have the CRC-32C `before`.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

/// Snapshot::load() and save().
void read_snapshot(const std::string& path, SnapshotData& data);
void write_snapshot(const std::string& path, const SnapshotData& data);

}  // namespace inotify::detail
