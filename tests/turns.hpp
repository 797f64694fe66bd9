// SPDX-License-Identifier: MIT
// Threads of which one runs at a time, so that a test decides the order of their calls.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace sim {

class Turns {
public:
    /// Chooses who goes on, of so many.
    using Choose = std::function<std::size_t(std::size_t)>;

    explicit Turns(Choose choose) : choose_(std::move(choose)) {}

    /// Runs all bodies, the first on the caller's thread. Throws what one of them has thrown.
    void run(const std::vector<std::function<void()>>& bodies) {
        for (std::size_t i = 0; i < bodies.size(); ++i)
            running_.push_back(i);
        current_ = 0;
        std::vector<std::thread> threads;
        for (std::size_t i = 1; i < bodies.size(); ++i)
            threads.emplace_back([&, i] { take_part(i, bodies[i]); });
        take_part(0, bodies[0]);
        for (std::thread& thread : threads)
            thread.join();
        if (error_ != nullptr)
            std::rethrow_exception(std::exchange(error_, nullptr));
    }

    /// Called by the one that runs: perhaps another goes on, and this one later.
    void pass() {
        std::unique_lock lock(mutex_);
        const std::size_t me = current_;
        choose_next();
        changed_.wait(lock, [&] { return current_ == me; });
    }

private:
    void take_part(std::size_t me, const std::function<void()>& body) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return current_ == me; });
        lock.unlock();
        std::exception_ptr error;
        try {
            body();
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        if (error_ == nullptr)
            error_ = error;
        std::erase(running_, me);
        if (!running_.empty())
            choose_next();
    }

    void choose_next() {
        current_ = running_[choose_(running_.size())];
        changed_.notify_all();
    }

    const Choose choose_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::size_t> running_;
    std::size_t current_ = 0;
    std::exception_ptr error_;
};

}  // namespace sim
