// SPDX-License-Identifier: MIT
// The threads of a first scan.
#include <inotify/detail/scan_pool.hpp>

#include <csignal>
#include <exception>
#include <new>
#include <utility>

namespace inotify::detail {
namespace {

// Blocks every signal, so that the threads that are made meanwhile take none from the program.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_;
};

}  // namespace

ScanPool::ScanPool(DirectoryCalls& own, unsigned others, MakeCalls make_calls)
    : own_(own), make_calls_(std::move(make_calls)) {
    threads_.reserve(others);
    start(others);
}

void ScanPool::start(unsigned others) {
    const SignalsBlocked blocked;
    try {
        while (threads_.size() < others)
            threads_.emplace_back([this] { serve(); });
    } catch (const std::exception&) {
        return;  // EAGAIN, ENOMEM: it goes on with those that there are
    }
}

ScanPool::~ScanPool() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    begun_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

template <typename Function>
void ScanPool::keep_error(Function function) noexcept {
    try {
        function();
    } catch (...) {
        const std::lock_guard lock(mutex_);
        if (error_ == nullptr)
            error_ = std::current_exception();
    }
}

// A thread that comes late is not waited for: the work may be done by then.
void ScanPool::run(const Work& work, const std::function<void()>& meanwhile) {
    {
        const std::lock_guard lock(mutex_);
        work_ = &work;
        ++round_;
    }
    begun_.notify_all();
    keep_error([&] {
        meanwhile();
        work(own_);
    });
    std::unique_lock lock(mutex_);
    work_ = nullptr;
    ended_.wait(lock, [this] { return active_ == 0; });
    if (error_ != nullptr)
        std::rethrow_exception(std::exchange(error_, nullptr));
}

void ScanPool::serve() {
    std::unique_ptr<DirectoryCalls> calls;
    try {
        calls = make_calls_();
    } catch (const std::bad_alloc&) {
        return;  // the others do its work
    }
    std::uint64_t served = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
        begun_.wait(lock, [&] { return closing_ || (work_ != nullptr && round_ != served); });
        if (closing_)
            return;
        served = round_;
        const Work& work = *work_;
        ++active_;
        lock.unlock();
        keep_error([&] { work(*calls); });
        lock.lock();
        if (--active_ == 0)
            ended_.notify_one();
    }
}

}  // namespace inotify::detail
