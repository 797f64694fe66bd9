// SPDX-License-Identifier: MIT
// The test runner: its tests have a directory that no other program reads.
#define DOCTEST_CONFIG_IMPLEMENT
#include "support.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

namespace {

// Root may have mounts of its own; another user may in a user namespace, as the same user.
bool enter_mount_namespace() {
    const auto user = std::to_string(::geteuid());
    const auto group = std::to_string(::getegid());
    if (::geteuid() == 0)
        return ::unshare(CLONE_NEWNS) == 0;
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           test::write_text("/proc/self/setgroups", "deny") &&
           test::write_text("/proc/self/uid_map", user + ' ' + user + " 1") &&
           test::write_text("/proc/self/gid_map", group + ' ' + group + " 1");
}

// Whether the capabilities that a user namespace gives are in force: rights have to bind the tests.
void use_capabilities(bool use) {
    if (::geteuid() == 0)
        return;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    ::syscall(SYS_capget, &header, sets.data());
    for (auto& set : sets)
        set.effective = use ? set.permitted : 0;
    ::syscall(SYS_capset, &header, sets.data());
}

// A tmpfs that only this process sees. Elsewhere a backup or a file indexer would open what the
// tests watch, which sends records, and would hold open what they remove, which delays records.
class PrivateDirectory {
public:
    PrivateDirectory() {
        path_ = (std::filesystem::temp_directory_path() / "inotify-tests-XXXXXX").native();
        if (::mkdtemp(path_.data()) == nullptr || !enter_mount_namespace())
            return;
        mounted_ = ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   ::mount("none", path_.c_str(), "tmpfs", 0, nullptr) == 0;
        use_capabilities(false);
    }
    PrivateDirectory(const PrivateDirectory&) = delete;
    PrivateDirectory& operator=(const PrivateDirectory&) = delete;
    ~PrivateDirectory() {
        use_capabilities(true);
        if (mounted_)
            ::umount2(path_.c_str(), MNT_DETACH);
        ::rmdir(path_.c_str());
    }

    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
    bool mounted_ = false;
};

}  // namespace

// The tests make their directories in the one that INOTIFY_TESTS_DIR names, or else in a private
// one.
int main(int argc, char** argv) {
    if (const char* chosen = std::getenv("INOTIFY_TESTS_DIR"); chosen != nullptr) {
        ::setenv("TMPDIR", std::filesystem::canonical(chosen).c_str(), 1);
        return doctest::Context(argc, argv).run();
    }
    const PrivateDirectory directory;
    if (directory.mounted())
        ::setenv("TMPDIR", directory.path().c_str(), 1);
    else
        std::cout << "no private mounts here: a program that reads "
                  << std::filesystem::temp_directory_path().native()
                  << " meanwhile makes tests fail\n";
    return doctest::Context(argc, argv).run();
}
