// SPDX-License-Identifier: MIT
// What a failed call becomes: an exception, or the error_code of an event.
#pragma once

#include <inotify/detail/kernel.hpp>

#include <functional>
#include <string>
#include <system_error>

namespace inotify::detail {

/// Kernel::limit().
using ReadLimit = std::function<long(const std::string& name)>;

/// Which limit is reached, its value now and the remedy: ENOSPC is one of watches, EMFILE and
/// ENFILE are those of open files. Empty for any other error.
std::string limit_reached(const ReadLimit& read, int error);

/// The error_code of a directory that cannot be watched. It equals the std::errc; the message of a
/// limit says what limit_reached() does, of the limits as they are when it is asked for.
std::error_code event_error(int error);

/// Throws the std::system_error of a `call` that failed with `error`: the call and the path, and
/// what limit_reached() says, for which it needs the kernel.
[[noreturn]] void throw_error(Kernel* kernel, int error, const std::string& call,
                              const std::string& path = {});

/// Throws std::system_error(EINVAL): the call, the offending argument, and the remedy.
[[noreturn]] void throw_invalid(const std::string& call, const std::string& argument,
                                const std::string& remedy);

/// Throws std::system_error(EINVAL) if a path of the client's holds a NUL byte.
void check_path(const char* call, const std::string& path);

}  // namespace inotify::detail
