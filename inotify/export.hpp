// SPDX-License-Identifier: MIT
// INOTIFY_EXPORT marks what the shared library shows; everything else is hidden.
#pragma once

#if defined(__GNUC__)
#define INOTIFY_EXPORT __attribute__((visibility("default")))
#else
#define INOTIFY_EXPORT
#endif
