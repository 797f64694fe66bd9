// SPDX-License-Identifier: MIT
// Watcher: the same events, awaited on an Asio event loop. The only header that needs Asio.
#pragma once

#include <inotify/export.hpp>

#if __cplusplus >= 202002L

#include <inotify/inotify.hpp>
#include <inotify/inotify_tree.hpp>

// Asio before 1.24 knows clang's coroutines only by their experimental name.
#if defined(__clang__) && defined(__cpp_impl_coroutine) && !defined(ASIO_HAS_CO_AWAIT) && \
    !defined(ASIO_DISABLE_CO_AWAIT) && !defined(ASIO_DETAIL_CONFIG_HPP)
#define ASIO_HAS_CO_AWAIT 1
#endif

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/posix/descriptor_base.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#if !defined(ASIO_HAS_CO_AWAIT)
#error "Asio found no coroutines; with clang and Asio before 1.24: -DASIO_HAS_CO_AWAIT=1"
#endif

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace inotify {
inline namespace v0 {

/// Awaits the events of single paths, or of a tree, on an Asio event loop: no thread, no polling;
/// the executor sleeps on Inotify::fd().
///
/// Several gets may wait at once: each event goes to exactly one of them, first come first served.
/// No event is lost by a timeout or a cancellation: it goes to the next get.
///
/// Nothing here blocks and no handler runs inside the call that started it. The executor has to be
/// one implicit strand: an io_context that is run by one thread, or an asio::strand. Every call,
/// every emission of a cancellation signal and the destructor belong on that strand; completion
/// handlers run on their own associated executors.
///
/// Move-only; what waits stays with the events, not with the object. A moved-from Watcher can be
/// assigned to and destroyed. It must not outlive its execution context.
class Watcher {
public:
    /// Watches single paths, those given to watch(). Throws std::system_error as Inotify does:
    /// EMFILE at fs.inotify.max_user_instances or the limit of open files, ENFILE, ENOMEM.
    explicit Watcher(asio::any_io_executor executor)
        : state_(std::make_shared<State>(std::move(executor), std::make_unique<Inotify>(),
                                         static_cast<InotifyTree*>(nullptr))) {}

    /// Watches a tree, whose block duration no longer counts. What it has not yielded comes first.
    /// Directories that could not be watched are tried again while something waits.
    Watcher(asio::any_io_executor executor, InotifyTree tree) {
        auto owned = std::make_unique<InotifyTree>(std::move(tree));
        InotifyTree* const seen = owned.get();
        state_ = std::make_shared<State>(std::move(executor), std::move(owned), seen);
    }

    /// Takes over the watches and what waits.
    Watcher(Watcher&&) noexcept = default;
    /// Closes this instance, as the destructor does, and takes over the other's.
    Watcher& operator=(Watcher&& other) noexcept {
        if (this != &other) {
            close();
            state_ = std::move(other.state_);
        }
        return *this;
    }
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    /// Closes the instance; what still waits completes with asio::error::operation_aborted.
    ~Watcher() { close(); }

    /// Watches `path` (inotify_add_watch(2)), or replaces the mask of a watched path, and returns
    /// the watch descriptor. Never blocks. Throws as Inotify::add_watch() does; std::logic_error
    /// over a tree, which manages its watches itself.
    int watch(const std::filesystem::path& path, Mask mask) {
        const int wd = state_->inotify->add_watch(path, mask);
        state_->nominate();  // replacing a mask may have read what the descriptor showed
        return wd;
    }

    /// Follows the name `path`, whatever it leads to, or replaces the mask of a name that is
    /// followed. What could not be watched is tried again while something waits. Never blocks.
    /// Throws as Inotify::follow() does; std::logic_error over a tree.
    void follow(const std::filesystem::path& path, Mask mask) {
        state_->inotify->follow(path, mask);
        state_->nominate();
    }

    /// Stops watching and following `path`, spelled as it was given; nothing more of it comes.
    /// Never blocks. Throws as Inotify::remove_watch() does; std::logic_error over a tree.
    void remove_watch(const std::filesystem::path& path) { state_->inotify->remove_watch(path); }

    /// Stops watching every path of a watch descriptor; the same otherwise.
    void remove_watch(int wd) { state_->inotify->remove_watch(wd); }

    /// Adds a root to the tree, and returns when all below it is watched. Throws as
    /// InotifyTree::add_tree() does; std::logic_error over single paths.
    void add_tree(const std::filesystem::path& root) { tree("add_tree").add_tree(root); }

    /// Removes a whole root, spelled as it was given; nothing more of it comes. Throws as
    /// InotifyTree::remove_tree() does; std::logic_error over single paths.
    void remove_tree(const std::filesystem::path& root) { tree("remove_tree").remove_tree(root); }

    /// How much of the tree is watched; exact when `get(0ms)` has come back empty. Throws
    /// std::logic_error over single paths.
    [[nodiscard]] InotifyTree::Coverage coverage() const { return tree("coverage").coverage(); }

    /// The watches, in the order of their descriptors.
    [[nodiscard]] std::vector<Watch> watches() const { return state_->inotify->watches(); }

    /// The next event. `co_await` throws std::system_error: asio::error::operation_aborted when it
    /// was cancelled or the Watcher was destroyed, or the error of the inotify instance.
    [[nodiscard]] asio::awaitable<Event> get();

    /// The same; empty after `timeout` without an event. Zero takes what is there, `forever` has no
    /// limit. The time counts from the `co_await`. Throws std::system_error(EINVAL) at once for
    /// another negative duration.
    [[nodiscard]] asio::awaitable<std::optional<Event>> get(Duration timeout);

    /// The next event for any completion token, as `void(std::error_code, Event)`: a callback,
    /// asio::use_future, asio::use_awaitable, ... The handler is never invoked from within this
    /// call. Every cancellation type is taken; the errors are those of get().
    template <typename CompletionToken>
    auto async_get(CompletionToken&& token) {
        return start(state_, forever, std::forward<CompletionToken>(token));
    }

private:
    using Clock = std::chrono::steady_clock;

    // One get that waits. Its handler sits in the timer's wait, which belongs to the execution
    // context: so what waits and the Watcher never own each other. The timer ends with the timeout;
    // cancelling it has the handler look for an event.
    struct Waiter {
        explicit Waiter(const asio::any_io_executor& executor) : timer(executor) {}

        asio::steady_timer timer;
        bool cancelled = false;
    };

    struct Result {
        std::error_code error = {};
        Event event = {};
    };

    struct State : std::enable_shared_from_this<State> {
        State(asio::any_io_executor loop, std::unique_ptr<Inotify> source, InotifyTree* as_tree)
            : executor(std::move(loop)),
              inotify(std::move(source)),
              tree(as_tree),
              descriptor(executor),
              retry(executor) {
            inotify->set_block_duration(Duration::zero());
        }
        ~State() { rest(); }  // the descriptor is the adapter's to close
        State(const State&) = delete;
        State& operator=(const State&) = delete;

        // Makes the first in the queue look for an event.
        void nominate() {
            if (!waiters.empty())
                waiters.front()->timer.cancel();
        }

        // A waiter's turn: its result, or nothing if it has to go on waiting. An event is taken
        // only here, right before the handler is invoked, so that whatever ends a wait loses none.
        std::optional<Result> resume(const std::shared_ptr<Waiter>& waiter, bool expired) {
            std::optional<Result> result;
            if (!inotify || waiter->cancelled) {
                result = Result{.error = asio::error::operation_aborted};
            } else if (waiter == waiters.front()) {
                const Leave leave{*this, waiter, result, expired};
                result = next();
                if (!result && !expired)
                    if (const std::error_code error = sleep())
                        result = Result{.error = error};
            }
            if (!result && expired)
                result = Result{.error = asio::error::timed_out};
            if (result)
                remove(waiter);
            return result;
        }

        // An exception of the user's (a tree's `exclude`) ends the wait as well.
        struct Leave {
            State& state;
            const std::shared_ptr<Waiter>& waiter;
            const std::optional<Result>& result;
            bool expired;
            int before = std::uncaught_exceptions();

            Leave(State& s, const std::shared_ptr<Waiter>& w, const std::optional<Result>& r,
                  bool e)
                : state(s), waiter(w), result(r), expired(e) {}
            Leave(const Leave&) = delete;
            Leave& operator=(const Leave&) = delete;
            ~Leave() {
                if (std::uncaught_exceptions() > before)
                    state.remove(waiter);
            }
        };

        void remove(const std::shared_ptr<Waiter>& waiter) {
            if (waiters.empty())
                return;
            const bool first = waiters.front() == waiter;
            waiters.remove(waiter);
            if (waiters.empty())
                rest();
            else if (first)
                nominate();
        }

        // The next event or the stream's error, without waiting; nothing at the empty value.
        std::optional<Result> next() {
            std::optional<Result> result;
            try {
                EventRange range = inotify->event_gen();
                auto element = range.begin();
                if (element != range.end() && *element)
                    result = Result{.event = std::move(**element)};
                ++element;
            } catch (const std::system_error& error) {
                result = Result{.error = error.code()};
            } catch (const std::bad_alloc&) {
                result = Result{.error = std::make_error_code(std::errc::not_enough_memory)};
            }
            return result;
        }

        // Nothing is left to read: wake up when the descriptor shows something, or when what could
        // not be watched is to be tried again.
        std::error_code sleep() {
            if (const Duration due = inotify->until_due(); due != forever) {
                retry.expires_after(due);
                retry.async_wait([self = this->shared_from_this()](std::error_code error) {
                    if (!error)
                        self->nominate();
                });
            }
            if (descriptor.is_open())
                return {};
            std::error_code error;
            static_cast<void>(descriptor.assign(inotify->fd(), error));  // the same as `error`
            if (error)
                return error;
            descriptor.async_wait(
                asio::posix::descriptor_base::wait_read,
                [self = this->shared_from_this(), sleep = ++sleeps](std::error_code failure) {
                    if (sleep != self->sleeps || !self->descriptor.is_open() ||
                        failure == asio::error::operation_aborted)
                        return;
                    self->descriptor.release();
                    self->nominate();
                });
            return {};
        }

        // Nobody waits.
        void rest() {
            if (descriptor.is_open())
                descriptor.release();
            retry.cancel();
        }

        asio::any_io_executor executor;
        std::unique_ptr<Inotify> inotify;  // none: closed
        InotifyTree* tree;
        asio::posix::stream_descriptor descriptor;  // holds Inotify::fd() while it sleeps
        asio::steady_timer retry;
        std::uint64_t sleeps = 0;
        std::list<std::shared_ptr<Waiter>> waiters;
    };

    // The handler of a waiter's timer; it runs on the Watcher's executor and passes the result on
    // to the executor of the user's handler.
    template <typename Handler>
    class Turn {
    public:
        using allocator_type = asio::associated_allocator_t<Handler>;

        Turn(std::shared_ptr<State> state, std::shared_ptr<Waiter> waiter, Handler handler)
            : state_(std::move(state)),
              waiter_(std::move(waiter)),
              work_(asio::get_associated_executor(handler, state_->executor)),
              handler_(std::move(handler)) {}

        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return asio::get_associated_allocator(handler_);
        }

        void operator()(std::error_code error) {
            std::optional<Result> result = state_->resume(waiter_, !error);
            if (!result) {
                Waiter& waiter = *waiter_;
                waiter.timer.async_wait(std::move(*this));
                return;
            }
            // Nothing of the Watcher is held while the handler runs.
            state_.reset();
            waiter_.reset();
            const auto work = std::move(work_);
            asio::dispatch(work.get_executor(),
                           [handler = std::move(handler_), done = std::move(*result)]() mutable {
                               std::move(handler)(done.error, std::move(done.event));
                           });
        }

    private:
        std::shared_ptr<State> state_;
        std::shared_ptr<Waiter> waiter_;
        asio::executor_work_guard<asio::associated_executor_t<Handler, asio::any_io_executor>>
            work_;
        Handler handler_;
    };

    template <typename CompletionToken>
    static auto start(std::shared_ptr<State> state, Duration timeout, CompletionToken&& token) {
        return asio::async_initiate<CompletionToken, void(std::error_code, Event)>(
            [state = std::move(state), timeout](auto&& handler) mutable {
                auto waiter = std::make_shared<Waiter>(state->executor);
                waiter->timer.expires_at(end_of(timeout));
                if (auto slot = asio::get_associated_cancellation_slot(handler);
                    slot.is_connected())
                    slot.assign([weak = std::weak_ptr(waiter)](asio::cancellation_type type) {
                        const auto waiting = weak.lock();
                        if (waiting && type != asio::cancellation_type::none) {
                            waiting->cancelled = true;
                            waiting->timer.cancel();
                        }
                    });
                State& shared = *state;
                shared.waiters.push_back(waiter);
                using Handler = std::decay_t<decltype(handler)>;
                asio::steady_timer& timer = waiter->timer;
                timer.async_wait(Turn<Handler>(std::move(state), waiter,
                                               std::forward<decltype(handler)>(handler)));
                if (shared.waiters.front() == waiter)
                    shared.nominate();
            },
            token);
    }

    static Clock::time_point end_of(Duration timeout) {
        const auto now = Clock::now();
        const auto most = std::chrono::floor<Duration>(Clock::time_point::max() - now);
        return timeout == forever || timeout >= most ? Clock::time_point::max() : now + timeout;
    }

    static asio::awaitable<std::optional<Event>> get_within(std::shared_ptr<State> state,
                                                            Duration timeout);

    [[nodiscard]] InotifyTree& tree(const char* call) const {
        if (state_->tree == nullptr)
            throw std::logic_error(std::string(call) + ": this Watcher watches single paths");
        return *state_->tree;
    }

    void close() noexcept {
        if (!state_)
            return;
        state_->rest();
        state_->inotify.reset();
        state_->tree = nullptr;
        for (const auto& waiter : std::exchange(state_->waiters, {}))
            waiter->timer.cancel();
        state_.reset();
    }

    std::shared_ptr<State> state_;
};

inline asio::awaitable<Event> Watcher::get() { return async_get(asio::use_awaitable); }

inline asio::awaitable<std::optional<Event>> Watcher::get(Duration timeout) {
    if (timeout < Duration::zero() && timeout != forever)
        throw std::system_error(EINVAL, std::system_category(), "Watcher::get: timeout");
    return get_within(state_, timeout);
}

inline asio::awaitable<std::optional<Event>> Watcher::get_within(std::shared_ptr<State> state,
                                                                 Duration timeout) {
    std::error_code error;
    Event event =
        co_await start(std::move(state), timeout, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::timed_out)
        co_return std::nullopt;
    if (error)
        throw std::system_error(error, "Watcher::get");
    co_return event;
}

}  // namespace v0
}  // namespace inotify

#endif  // C++20
