// SPDX-License-Identifier: MIT
// inotipy's example: event = await watcher.get(), in a coroutine.
#include <inotify/watcher.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <exception>
#include <filesystem>
#include <iostream>
#include <vector>

namespace {

asio::awaitable<void> mainline(std::vector<std::filesystem::path> paths_to_watch) {
    inotify::Watcher watcher(co_await asio::this_coro::executor);
    for (const auto& path : paths_to_watch)
        watcher.watch(path, inotify::IN::ALL_EVENTS);
    // Without a timeout, `co_await watcher.get()`, it would wait for ever.
    while (const auto event = co_await watcher.get(std::chrono::seconds{10}))
        std::cout << "Got event: " << *event << std::endl;
}

}  // namespace

int main(int argc, char** argv) try {
    std::vector<std::filesystem::path> paths_to_watch(argv + 1, argv + argc);
    if (paths_to_watch.empty())
        paths_to_watch.emplace_back(".");
    asio::io_context loop;
    asio::co_spawn(loop, mainline(std::move(paths_to_watch)), [](const std::exception_ptr& error) {
        if (error)
            std::rethrow_exception(error);
    });
    loop.run();
    return 0;
} catch (const std::exception& error) {
    std::cerr << "await: " << error.what() << '\n';
    return 1;
}
