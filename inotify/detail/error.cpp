// SPDX-License-Identifier: MIT
// What a failed call becomes: an exception, or the error_code of an event.
#include <inotify/detail/error.hpp>

#include <cerrno>
#include <limits>

namespace inotify::detail {
namespace {

// The remedy is a command that the new value follows.
std::string describe(const std::string& name, long value, const std::string& remedy) {
    const bool doubles = value > 0 && value <= std::numeric_limits<long>::max() / 2;
    return name + (value < 0 ? "" : " (" + std::to_string(value) + ")") +
           " is reached; raise it with `" + remedy + (doubles ? std::to_string(value * 2) : "...") +
           "`";
}

std::string sysctl_reached(const std::string& name, long value) {
    return describe(name, value, "sysctl " + name + "=");
}

// In a user namespace two limits apply to "watches" and to "instances", and the kernel does not say
// which one was reached: the lower one is named. In the initial namespace they are one.
std::string lower_limit_reached(const ReadLimit& read, const std::string& what) {
    const std::string system_wide = "fs.inotify.max_user_" + what;
    const std::string of_namespace = "user.max_inotify_" + what;
    const long value = read(system_wide);
    const long inner = read(of_namespace);
    return inner >= 0 && inner < value ? sysctl_reached(of_namespace, inner)
                                       : sysctl_reached(system_wide, value);
}

// It holds no state, so that an error_code may outlive the tree and be used in any thread.
class EventErrors final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "inotify"; }

    [[nodiscard]] std::string message(int error) const override {
        return std::generic_category().message(error) + ": " + limit_reached(read_limit, error);
    }

    [[nodiscard]] std::error_condition default_error_condition(int error) const noexcept override {
        return {error, std::generic_category()};
    }
};

bool is_limit(int error) { return error == ENOSPC || error == EMFILE || error == ENFILE; }

}  // namespace

std::string limit_reached(const ReadLimit& read, int error) {
    switch (error) {
    case ENOSPC: return lower_limit_reached(read, "watches");
    case EMFILE: return describe("the limit of open files", read("RLIMIT_NOFILE"), "ulimit -n ");
    case ENFILE: return sysctl_reached("fs.file-max", read("fs.file-max"));
    default: return {};
    }
}

std::error_code event_error(int error) {
    static const EventErrors of_limits;
    if (is_limit(error))
        return {error, of_limits};
    return {error, std::system_category()};
}

void throw_error(Kernel* kernel, int error, const std::string& call, const std::string& path) {
    std::string what = call;
    if (!path.empty())
        what += ": " + path;
    else if (call == "inotify_add_watch")
        what += ": ''";
    // ENOSPC of epoll_ctl is another limit.
    if (kernel != nullptr && is_limit(error) && (error != ENOSPC || call == "inotify_add_watch")) {
        const auto read = [kernel](const std::string& name) { return kernel->limit(name); };
        what += ": ";
        if (error == EMFILE && call == "inotify_init1")
            what += lower_limit_reached(read, "instances") + ", or ";
        what += limit_reached(read, error);
    }
    throw std::system_error(error, std::system_category(), what);
}

void throw_invalid(const std::string& call, const std::string& argument,
                   const std::string& remedy) {
    throw std::system_error(EINVAL, std::system_category(), call + ": " + argument + ": " + remedy);
}

void check_path(const char* call, const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw_invalid(call, path.c_str(), "a path must not hold a NUL byte");
}

}  // namespace inotify::detail
