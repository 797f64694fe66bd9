// SPDX-License-Identifier: MIT
// The one place where a failed call becomes an exception.
#include <inotify/detail/error.hpp>

#include <cerrno>
#include <system_error>

namespace inotify::detail {
namespace {

std::string limit_reached(Kernel& kernel, const char* name) {
    const std::string setting = std::string("fs.inotify.") + name;
    const long value = kernel.limit(name);
    if (value < 0)
        return setting + " is reached; raise it with `sysctl " + setting + "=...`";
    return setting + " (" + std::to_string(value) + ") is reached; raise it with `sysctl " +
           setting + "=" + std::to_string(value * 2) + "`";
}

}  // namespace

void throw_error(Kernel* kernel, int error, const std::string& call, const std::string& path) {
    std::string what = call;
    if (!path.empty())
        what += ": " + path;
    else if (call == "inotify_add_watch")
        what += ": ''";
    if (kernel != nullptr && call == "inotify_add_watch" && error == ENOSPC)
        what += ": " + limit_reached(*kernel, "max_user_watches");
    if (kernel != nullptr && call == "inotify_init1" && error == EMFILE)
        what += ": " + limit_reached(*kernel, "max_user_instances") +
                ", or the limit of open files (`ulimit -n`) is";
    else if (error == EMFILE)
        what += ": the limit of open files is reached; raise it with `ulimit -n`";
    throw std::system_error(error, std::system_category(), what);
}

void throw_invalid(const std::string& call, const std::string& argument,
                   const std::string& remedy) {
    throw std::system_error(EINVAL, std::system_category(), call + ": " + argument + ": " + remedy);
}

}  // namespace inotify::detail
