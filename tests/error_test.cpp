// SPDX-License-Identifier: MIT
// Errors: each failing call is thrown with its errno and a remedy, and leaks no descriptor.
#include "scripted_kernel.hpp"
#include "support.hpp"

#include <inotify/detail/error.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <list>

using namespace inotify;
using namespace std::chrono_literals;
using test::contains;
using test::error_of;
using test::record;
using test::ScriptedInotify;
using test::TempDir;

namespace {

// Lets this process open only `count` more descriptors, as long as this lives.
class DescriptorsLeft {
public:
    explicit DescriptorsLeft(int count) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        // A new descriptor is the lowest one that is free, and has to lie below the limit.
        int limit = 0;
        for (int free = 0; free <= count; ++limit)
            free += ::fcntl(limit, F_GETFD) < 0 ? 1 : 0;
        rlimit lowered = before_;
        lowered.rlim_cur = static_cast<rlim_t>(limit) - 1;
        ::setrlimit(RLIMIT_NOFILE, &lowered);
    }
    ~DescriptorsLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    DescriptorsLeft(const DescriptorsLeft&) = delete;
    DescriptorsLeft& operator=(const DescriptorsLeft&) = delete;

private:
    rlimit before_{};
};

std::system_error error_with_descriptors_left(int count) {
    const DescriptorsLeft limit(count);
    return error_of([] { Inotify i; });
}

}  // namespace

TEST_CASE(
    "without descriptors left every call of the constructor fails with EMFILE in its turn, "
    "and none leaks") {
    const auto before = test::open_descriptors();
    const auto init = error_with_descriptors_left(0);
    CHECK(init.code() == std::errc::too_many_files_open);
    CHECK(contains(init.what(), "inotify_init1"));
    CHECK(contains(init.what(), "fs.inotify.max_user_instances"));
    CHECK(contains(init.what(), "ulimit -n"));

    const auto eventfd = error_with_descriptors_left(1);
    CHECK(eventfd.code() == std::errc::too_many_files_open);
    CHECK(contains(eventfd.what(), "eventfd: the limit of open files"));
    CHECK(contains(eventfd.what(), "ulimit -n"));

    const auto epoll = error_with_descriptors_left(2);
    CHECK(epoll.code() == std::errc::too_many_files_open);
    CHECK(contains(epoll.what(), "epoll_create1: the limit of open files"));
    CHECK(contains(epoll.what(), "ulimit -n"));

    CHECK(test::open_descriptors() == before);
    {
        const DescriptorsLeft limit(3);
        const Inotify i;
    }
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("EMFILE of inotify_init1 names the limits and how to raise them") {
    test::ScriptedKernel kernel;
    kernel.limits = {{"fs.inotify.max_user_instances", 128}, {"RLIMIT_NOFILE", 1024}};
    const auto message = [&] {
        return std::string(error_of([&] {
                               inotify::detail::throw_error(&kernel, EMFILE, "inotify_init1");
                           }).what());
    };
    CHECK(contains(message(), "fs.inotify.max_user_instances (128)"));
    CHECK(contains(message(), "sysctl fs.inotify.max_user_instances=256"));
    CHECK(contains(message(), "the limit of open files (1024)"));
    CHECK(contains(message(), "ulimit -n 2048"));
    kernel.limits["user.max_inotify_instances"] = 5;
    CHECK(contains(message(), "user.max_inotify_instances (5) is reached"));
    CHECK(contains(message(), "sysctl user.max_inotify_instances=10"));
    CHECK(!contains(message(), "fs.inotify"));
}

TEST_CASE("ENFILE of the constructor names the limit and how to raise it") {
    test::ScriptedKernel kernel;
    kernel.limits = {{"fs.file-max", 1000}};
    const auto error = error_of([&] { inotify::detail::throw_error(&kernel, ENFILE, "eventfd"); });
    CHECK(error.code() == std::errc::too_many_files_open_in_system);
    CHECK(contains(error.what(), "eventfd: fs.file-max (1000) is reached"));
    CHECK(contains(error.what(), "sysctl fs.file-max=2000"));
}

TEST_CASE("ENOSPC of another call than add_watch is not the limit of watches") {
    test::ScriptedKernel kernel;
    const auto error =
        error_of([&] { inotify::detail::throw_error(&kernel, ENOSPC, "epoll_ctl"); });
    CHECK(!contains(error.what(), "max_user_watches"));
}

TEST_CASE("in a user namespace the lower limit of watches is named") {
    using inotify::detail::limit_reached;
    test::ScriptedKernel kernel;
    const auto read = [&](const std::string& name) { return kernel.limit(name); };
    auto& limits = kernel.limits;
    limits["user.max_inotify_watches"] = 100;
    CHECK(limit_reached(read, ENOSPC) ==
          "user.max_inotify_watches (100) is reached; raise it with "
          "`sysctl user.max_inotify_watches=200`");
    limits["user.max_inotify_watches"] = 2147483647;  // what a new namespace begins with
    CHECK(limit_reached(read, ENOSPC) ==
          "fs.inotify.max_user_watches (8192) is reached; raise it with "
          "`sysctl fs.inotify.max_user_watches=16384`");
    limits["user.max_inotify_watches"] = 8192;  // the initial one: both names are of one limit
    CHECK(contains(limit_reached(read, ENOSPC), "fs.inotify.max_user_watches (8192)"));
    limits["user.max_inotify_watches"] = 0;
    CHECK(contains(limit_reached(read, ENOSPC), "user.max_inotify_watches (0) is reached"));
    CHECK(!contains(limit_reached(read, ENOSPC), "=0"));
}

TEST_CASE("the error of an event at a limit equals the errc, and its message names the limit") {
    using inotify::detail::event_error;
    const auto watches = event_error(ENOSPC);
    CHECK(watches.value() == ENOSPC);
    CHECK(watches == std::errc::no_space_on_device);
    CHECK(watches != std::errc::too_many_files_open);
    CHECK(contains(watches.message(), "No space left on device: "));
    CHECK(contains(watches.message(), "watches ("));
    CHECK(contains(watches.message(), ") is reached; raise it with `sysctl "));

    const auto files = event_error(EMFILE);
    CHECK(files.value() == EMFILE);
    CHECK(files == std::errc::too_many_files_open);
    CHECK(contains(files.message(), "the limit of open files ("));
    CHECK(contains(files.message(), "`ulimit -n "));

    const auto system_files = event_error(ENFILE);
    CHECK(system_files == std::errc::too_many_files_open_in_system);
    CHECK(contains(system_files.message(), "fs.file-max ("));

    CHECK(event_error(EACCES) == std::error_code(EACCES, std::system_category()));
    CHECK(event_error(ENOSPC) == watches);
}

TEST_CASE("ENOSPC of add_watch names the path, the limit and how to raise it") {
    ScriptedInotify i;
    i.kernel().fail_add_watch(ENOSPC);
    const auto error = error_of([&] { i.add_watch("/some/path"); });
    CHECK(error.code() == std::errc::no_space_on_device);
    CHECK(contains(error.what(), "inotify_add_watch: /some/path"));
    CHECK(contains(error.what(), "fs.inotify.max_user_watches (8192)"));
    CHECK(contains(error.what(), "sysctl fs.inotify.max_user_watches=16384"));
    CHECK(i.watches().empty());

    i.add_watch("/some/path");
    CHECK(i.watches().size() == 1);
}

TEST_CASE("ENOSPC names the limit even when its value cannot be read") {
    ScriptedInotify i;
    i.kernel().limits.clear();
    i.kernel().fail_add_watch(ENOSPC);
    const auto error = error_of([&] { i.add_watch("/some/path"); });
    CHECK(contains(error.what(), "fs.inotify.max_user_watches is reached"));
}

TEST_CASE("an add_watch that fails leaves the watch that was there") {
    ScriptedInotify i;
    i.add_watch("/d", IN::CREATE);
    i.kernel().fail_add_watch(EACCES);
    CHECK(error_of([&] { i.add_watch("/d", IN::DELETE); }).code() == std::errc::permission_denied);
    CHECK(i.watches() == std::vector{Watch{1, "/d", IN::CREATE}});
    i.kernel().queue(record(1, IN::CREATE, "f"));
    CHECK(test::drain(i).size() == 1);
}

TEST_CASE("EIO of read is thrown by the loop, which can go on afterwards") {
    ScriptedInotify i{0ms};
    i.add_watch("/d");
    i.kernel().queue(record(1, IN::CREATE, "1"));
    i.kernel().fail_read(EIO);
    i.kernel().queue(record(1, IN::CREATE, "2"));
    auto range = i.event_gen();
    auto it = range.begin();
    CHECK((*it)->filename == "1");
    ++it;
    const auto error = error_of([&] { (void)(it == range.end()); });
    CHECK(error.code() == std::errc::io_error);
    CHECK(contains(error.what(), "read"));
    CHECK((*it)->filename == "2");
    CHECK(!*++it);
}

TEST_CASE("an error of epoll_wait is thrown by the loop, which can go on afterwards") {
    ScriptedInotify i{0ms};
    i.add_watch("/d");
    i.kernel().on_wait([] { return -EIO; });
    const auto error = error_of([&] { test::drain(i); });
    CHECK(error.code() == std::errc::io_error);
    CHECK(contains(error.what(), "epoll_wait"));
    i.kernel().queue(record(1, IN::CREATE, "f"));
    CHECK(test::drain(i).size() == 1);
}

TEST_CASE("EINTR of read is retried") {
    ScriptedInotify i{0ms};
    i.add_watch("/d");
    i.kernel().fail_read(EINTR);
    i.kernel().fail_read(EINTR);
    i.kernel().queue(record(1, IN::CREATE, "f"));
    CHECK(test::drain(i).size() == 1);
}

TEST_CASE("bytes that are no record are thrown, and the loop can go on") {
    ScriptedInotify i{0ms};
    i.add_watch("/d");
    i.kernel().queue(std::string(32, '\xff'));
    CHECK(error_of([&] { test::drain(i); }).code() == std::errc::bad_message);
    i.kernel().queue(record(1, IN::CREATE, "f"));
    CHECK(test::drain(i).size() == 1);
}

TEST_CASE("every descriptor is close-on-exec, and all are closed at the end") {
    const auto before = test::open_descriptors();
    {
        const Inotify i;
        auto opened = test::open_descriptors();
        std::erase_if(opened, [&](int fd) { return before.contains(fd); });
        CHECK(!opened.empty());
        for (const int fd : opened)
            CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("a constructor that throws over its paths or its duration leaks no descriptor") {
    TempDir dir;
    const auto before = test::open_descriptors();
    error_of([&] { Inotify i({dir.path(), dir / "missing"}); });
    error_of([] { Inotify i{-7ms}; });
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("moving leaks no descriptor") {
    const auto before = test::open_descriptors();
    {
        Inotify a;
        Inotify b = std::move(a);
        a = Inotify{};
        b = std::move(a);
        CHECK(test::open_descriptors().size() == before.size() + 3);
    }
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("descriptors above 1024 work, where select would not") {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const rlimit before = limit;
    if (limit.rlim_max < 2048) {
        MESSAGE("skipped: the limit of open files is ", limit.rlim_max);
        return;
    }
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, 2048);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    {
        std::list<test::OpenFile> used;
        do
            used.emplace_back("/dev/null", O_RDONLY);
        while (used.back().fd() < 1024);
        TempDir dir;
        Inotify i{10ms};
        CHECK(i.fd() > 1024);
        CHECK(test::drain(i).empty());
        i.add_watch(dir.path(), IN::CREATE);
        test::touch(dir / "f");
        CHECK(test::drain(i).size() == 1);
        i.stop();
        CHECK(i.get() == std::nullopt);
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
}
