// SPDX-License-Identifier: MIT
// A kernel that plays a script, so that a test decides what each system call of the loop returns.
#pragma once

#include <inotify/detail/file_source.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/stream.hpp>
#include <inotify/inotify.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// The bytes of one record, padded as the kernel pads it.
inline std::string record(int wd, inotify::Mask mask, std::string_view name = {},
                          std::uint32_t cookie = 0) {
    const std::uint32_t bits = mask.bits();
    const auto length = static_cast<std::uint32_t>(name.empty() ? 0 : (name.size() / 16 + 1) * 16);
    std::string bytes(16 + length, '\0');
    std::memcpy(bytes.data(), &wd, 4);
    std::memcpy(bytes.data() + 4, &bits, 4);
    std::memcpy(bytes.data() + 8, &cookie, 4);
    std::memcpy(bytes.data() + 12, &length, 4);
    name.copy(bytes.data() + 16, name.size());
    return bytes;
}

/// Without a script: nothing is queued, every wait returns at once as if its time were over, and
/// every path can be watched.
class ScriptedKernel final : public inotify::detail::Kernel {
public:
    /// One more read(2) finds `bytes`.
    void queue(std::string bytes) { reads_.push_back({std::move(bytes), 0}); }
    /// One more read(2) fails.
    void fail_read(int error) { reads_.push_back({{}, error}); }
    /// The next wait without an earlier script does `action` and returns its result.
    void on_wait(std::function<int()> action) { waits_.push_back(std::move(action)); }
    /// The next wait for the changes of a directory does `action` first.
    void on_await(std::function<void()> action) { awaits_.push_back(std::move(action)); }
    /// The next inotify_add_watch(2) fails.
    void fail_add_watch(int error) { add_watch_error = error; }

    std::map<std::string, int> wds;  // the inode that a path leads to; paths may share one
    int add_watch_error = 0;
    std::map<std::string, long> limits{{"fs.inotify.max_user_watches", 8192}};

    std::vector<std::pair<std::string, inotify::Mask>> added;  // what add_watch() was called with
    std::vector<int> removed;               // what remove_watch() was called with
    std::vector<inotify::Duration> waited;  // what wait() was called with
    std::vector<int> awaited;  // the watch descriptors of what await_changes() was called with
    int reads = 0;
    std::atomic<bool> woken = false;

    int add_watch(const std::string& path, std::uint32_t mask) override {
        if (add_watch_error != 0)
            return -std::exchange(add_watch_error, 0);
        added.emplace_back(path, mask);
        const auto [entry, is_new] = wds.try_emplace(path, next_wd_);
        if (is_new)
            ++next_wd_;
        return entry->second;
    }

    int add_watch(int, const std::string& path, std::uint32_t mask) override {
        return add_watch(path, mask);
    }

    int remove_watch(int wd) override {
        removed.push_back(wd);
        return 0;
    }

    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        ++reads;
        if (reads_.empty())
            return -EAGAIN;
        Read& next = reads_.front();
        if (next.error != 0) {
            const int error = next.error;
            reads_.pop_front();
            return -error;
        }
        const std::size_t size = std::min(buffer.size(), next.bytes.size());
        std::memcpy(buffer.data(), next.bytes.data(), size);
        next.bytes.erase(0, size);
        if (next.bytes.empty())
            reads_.pop_front();
        return static_cast<std::ptrdiff_t>(size);
    }

    int wait(std::chrono::milliseconds timeout) override {
        waited.push_back(timeout);
        if (!waits_.empty()) {
            const auto action = std::move(waits_.front());
            waits_.pop_front();
            const int result = action();
            woken = false;
            return result;
        }
        return woken.exchange(false) ? 1 : 0;
    }

    void wake() noexcept override { woken = true; }
    void clear_wake() noexcept override { woken = false; }
    [[nodiscard]] int descriptor() const noexcept override { return -1; }

    // A directory that is in `wds` is open as its watch descriptor.
    int open_directory(int, const std::string& path, bool) override {
        const auto known = wds.find(path);
        return known == wds.end() ? -ENOENT : known->second;
    }
    void close_directory(int) noexcept override {}
    void await_changes(int directory) override {
        awaited.push_back(directory);
        if (awaits_.empty())
            return;
        const auto action = std::move(awaits_.front());
        awaits_.pop_front();
        action();
    }

    // A flat adapter makes none of these calls.
    int list(int, std::vector<inotify::detail::DirectoryEntry>&) override { return -ENOSYS; }
    int open_path(int, const std::string&) override { return -ENOSYS; }
    int read_link(int, std::string&) override { return -ENOSYS; }
    int stat(int, const std::string&, bool, inotify::detail::Stat&) override { return -ENOSYS; }
    int resolve(const std::string&, std::string&) override { return -ENOSYS; }

    long limit(const std::string& name) override {
        const auto known = limits.find(name);
        return known == limits.end() ? -ENOENT : known->second;
    }

private:
    struct Read {
        std::string bytes;
        int error = 0;
    };
    std::deque<Read> reads_;
    std::deque<std::function<int()>> waits_;
    std::deque<std::function<void()>> awaits_;
    int next_wd_ = 1;
};

/// Inotify on a ScriptedKernel.
class ScriptedInotify : public inotify::Inotify {
public:
    explicit ScriptedInotify(inotify::Duration block_duration = std::chrono::seconds{1})
        : Inotify(make_stream(block_duration)) {}

    [[nodiscard]] ScriptedKernel& kernel() const {
        return static_cast<ScriptedKernel&>(stream().kernel());
    }

private:
    static std::unique_ptr<inotify::detail::Stream> make_stream(inotify::Duration block_duration) {
        auto kernel = std::make_unique<ScriptedKernel>();
        auto source = std::make_unique<inotify::detail::FileSource>(*kernel);
        return std::make_unique<inotify::detail::Stream>(std::move(kernel), std::move(source),
                                                         block_duration);
    }
};

}  // namespace test
