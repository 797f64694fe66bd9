// SPDX-License-Identifier: MIT
// The one place where a failed call becomes an exception.
#pragma once

#include <inotify/detail/kernel.hpp>

#include <string>

namespace inotify::detail {

/// Throws the std::system_error of a `call` that failed with `error`: the call and the path, and
/// for a limit how to raise it, with its value now where it is one of inotify.
[[noreturn]] void throw_error(Kernel* kernel, int error, const std::string& call,
                              const std::string& path = {});

/// Throws std::system_error(EINVAL): the call, the offending argument, and the remedy.
[[noreturn]] void throw_invalid(const std::string& call, const std::string& argument,
                                const std::string& remedy);

}  // namespace inotify::detail
