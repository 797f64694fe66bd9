// SPDX-License-Identifier: MIT
// A tree, a socket and a timer in one thread: whoever connects is sent the events of the tree.
#include <inotify/watcher.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/signal_set.hpp>
#include <asio/write.hpp>

#include <csignal>
#include <cstddef>
#include <exception>
#include <iostream>
#include <list>
#include <sstream>
#include <string>
#include <system_error>

namespace {

using namespace std::chrono_literals;
using asio::use_awaitable;
using asio::ip::tcp;

std::list<tcp::socket> clients;
std::size_t served = 0;

// Ends after ten seconds without an event.
asio::awaitable<void> watch(inotify::Watcher& watcher) {
    while (const auto event = co_await watcher.get(10s)) {
        std::ostringstream line;
        line << *event << '\n';
        std::cout << line.str() << std::flush;
        ++served;
        for (auto client = clients.begin(); client != clients.end();) {
            std::error_code error;
            co_await asio::async_write(*client, asio::buffer(line.str()),
                                       asio::redirect_error(use_awaitable, error));
            client = error ? clients.erase(client) : std::next(client);
        }
    }
}

asio::awaitable<void> accept(tcp::acceptor& acceptor) {
    for (;;)
        clients.push_back(co_await acceptor.async_accept(use_awaitable));
}

asio::awaitable<void> report() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        timer.expires_after(2s);
        co_await timer.async_wait(use_awaitable);
        std::cout << served << " events, " << clients.size() << " clients" << std::endl;
    }
}

}  // namespace

int main(int argc, char** argv) try {
    asio::io_context loop;
    const auto stop = [&](const std::exception_ptr& error) {
        loop.stop();
        if (error)
            std::rethrow_exception(error);
    };
    asio::signal_set signals(loop, SIGINT, SIGTERM);
    signals.async_wait([&](std::error_code, int) { loop.stop(); });

    inotify::Watcher watcher(loop.get_executor(), inotify::InotifyTree(argc > 1 ? argv[1] : "."));
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    std::cout << "nc 127.0.0.1 " << acceptor.local_endpoint().port()
              << " shows the events too; ends on Ctrl-C or after ten seconds without any"
              << std::endl;
    asio::co_spawn(loop, watch(watcher), stop);
    asio::co_spawn(loop, accept(acceptor), stop);
    asio::co_spawn(loop, report(), stop);
    loop.run();
    clients.clear();
    return 0;
} catch (const std::exception& error) {
    std::cerr << "serve: " << error.what() << '\n';
    return 1;
}
