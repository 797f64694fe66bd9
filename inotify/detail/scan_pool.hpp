// SPDX-License-Identifier: MIT
// The threads of a first scan.
#pragma once

#include <inotify/detail/kernel.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace inotify::detail {

/// Threads that wait for work, with every signal blocked, and end with the pool.
class ScanPool final : public Workers {
public:
    /// Makes the calls of a thread, on this thread.
    using MakeCalls = std::function<std::unique_ptr<DirectoryCalls>()>;

    /// Starts up to `others` threads, as many as the system allows. `own` are the calls of the
    /// caller's thread.
    ScanPool(DirectoryCalls& own, unsigned others, MakeCalls make_calls);
    ~ScanPool() override;

    [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }

    void run(const Work& work, const std::function<void()>& meanwhile) override;

private:
    void start(unsigned others);
    void serve();
    template <typename Function>
    void keep_error(Function function) noexcept;

    DirectoryCalls& own_;
    const MakeCalls make_calls_;

    std::mutex mutex_;  // of all below but the threads
    std::condition_variable begun_;
    std::condition_variable ended_;
    const Work* work_ = nullptr;  // null: a thread that comes now has nothing to do
    std::uint64_t round_ = 0;     // the number of the work
    std::size_t active_ = 0;      // threads that are at work, without the caller's
    bool closing_ = false;
    std::exception_ptr error_;

    std::vector<std::thread> threads_;
};

}  // namespace inotify::detail
