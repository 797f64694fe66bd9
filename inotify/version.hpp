// SPDX-License-Identifier: MIT
// The version; both build systems read it here.
#pragma once

#include <inotify/export.hpp>

namespace inotify {
inline namespace v0 {

/// The version of these headers, as semver.org counts.
inline constexpr char version[] = "0.2.0";

}  // namespace v0
}  // namespace inotify
