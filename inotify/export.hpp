// SPDX-License-Identifier: MIT
// INOTIFY_EXPORT marks what the shared library shows; everything else is hidden.
#pragma once

// Every header includes this one first; the others are empty before C++20, so that this is the only
// error.
#if __cplusplus < 202002L
#error "inotify needs C++20: compile with -std=c++20"
#endif

#if defined(__GNUC__)
#define INOTIFY_EXPORT __attribute__((visibility("default")))
#else
#define INOTIFY_EXPORT
#endif
