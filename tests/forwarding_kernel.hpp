// SPDX-License-Identifier: MIT
// A kernel around another one, and adapters on any kernel.
#pragma once

#include <inotify/detail/file_source.hpp>
#include <inotify/detail/kernel.hpp>
#include <inotify/detail/stream.hpp>
#include <inotify/detail/tree_source.hpp>
#include <inotify/inotify_tree.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// Passes every call on; a test overrides what it wants to change.
class ForwardingKernel : public inotify::detail::Kernel {
public:
    explicit ForwardingKernel(std::shared_ptr<Kernel> inner) : inner_(std::move(inner)) {}

    int add_watch(const std::string& path, std::uint32_t mask) override {
        return inner_->add_watch(path, mask);
    }
    int add_watch(int directory, const std::string& path, std::uint32_t mask) override {
        return inner_->add_watch(directory, path, mask);
    }
    int remove_watch(int wd) override { return inner_->remove_watch(wd); }
    [[nodiscard]] bool is_watched(int wd) override { return inner_->is_watched(wd); }
    std::ptrdiff_t read(std::span<std::byte> buffer) override { return inner_->read(buffer); }
    int wait(std::chrono::milliseconds timeout) override { return inner_->wait(timeout); }
    void wake() noexcept override { inner_->wake(); }
    void clear_wake() noexcept override { inner_->clear_wake(); }
    [[nodiscard]] int descriptor() const noexcept override { return inner_->descriptor(); }
    int open_directory(int parent, const std::string& path, bool follow_symlink) override {
        return inner_->open_directory(parent, path, follow_symlink);
    }
    int open_path(int parent, const std::string& path) override {
        return inner_->open_path(parent, path);
    }
    int read_link(int link, std::string& target) override {
        return inner_->read_link(link, target);
    }
    void close_directory(int directory) noexcept override { inner_->close_directory(directory); }
    int list(int directory, std::vector<inotify::detail::DirectoryEntry>& entries) override {
        return inner_->list(directory, entries);
    }
    void await_changes(int directory) override { inner_->await_changes(directory); }
    int stat(int directory, const std::string& name, bool follow_symlink,
             inotify::detail::Stat& stat) override {
        return inner_->stat(directory, name, follow_symlink, stat);
    }
    int resolve(const std::string& path, std::string& result) override {
        return inner_->resolve(path, result);
    }
    std::chrono::steady_clock::time_point now() override { return inner_->now(); }
    std::int64_t file_time() override { return inner_->file_time(); }
    long limit(const std::string& name) override { return inner_->limit(name); }

private:
    std::shared_ptr<Kernel> inner_;
};

/// Single paths, none of them watched yet; never waits.
class KernelInotify : public inotify::Inotify {
public:
    explicit KernelInotify(std::unique_ptr<inotify::detail::Kernel> kernel)
        : Inotify(make(std::move(kernel))) {}

private:
    static std::unique_ptr<inotify::detail::Stream> make(
        std::unique_ptr<inotify::detail::Kernel> kernel) {
        auto source = std::make_unique<inotify::detail::FileSource>(*kernel);
        return std::make_unique<inotify::detail::Stream>(std::move(kernel), std::move(source),
                                                         inotify::Duration::zero());
    }
};

/// A tree, without a root yet, that never waits.
class KernelTree : public inotify::InotifyTree {
public:
    KernelTree(std::unique_ptr<inotify::detail::Kernel> kernel, inotify::TreeOptions options)
        : InotifyTree(make(std::move(kernel), std::move(options))) {}

    /// What is wrong inside, in a sentence; empty when all invariants hold.
    [[nodiscard]] std::string check() const {
        return static_cast<inotify::detail::TreeSource&>(stream().source()).check();
    }

private:
    static std::unique_ptr<inotify::detail::Stream> make(
        std::unique_ptr<inotify::detail::Kernel> kernel, inotify::TreeOptions options) {
        auto source = std::make_unique<inotify::detail::TreeSource>(*kernel, std::move(options));
        return std::make_unique<inotify::detail::Stream>(std::move(kernel), std::move(source),
                                                         inotify::Duration::zero());
    }
};

}  // namespace test
