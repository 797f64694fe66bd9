// SPDX-License-Identifier: MIT
// InotifyTree: the public face of the tree source.
#include <inotify/inotify_tree.hpp>

#include <inotify/detail/kernel.hpp>
#include <inotify/detail/stream.hpp>
#include <inotify/detail/tree_source.hpp>

#include <memory>
#include <utility>

namespace inotify {
inline namespace v0 {
namespace {

std::unique_ptr<detail::Stream> make_stream(TreeOptions options) {
    auto kernel = detail::make_linux_kernel();
    const Duration block_duration = options.block_duration;
    auto source = std::make_unique<detail::TreeSource>(*kernel, std::move(options));
    return std::make_unique<detail::Stream>(std::move(kernel), std::move(source), block_duration);
}

}  // namespace

InotifyTree::InotifyTree(const std::filesystem::path& root, TreeOptions options)
    : InotifyTree(std::span(&root, 1), std::move(options)) {}

InotifyTree::InotifyTree(std::span<const std::filesystem::path> roots, TreeOptions options)
    : Inotify(make_stream(std::move(options))) {
    for (const auto& root : roots)
        add_tree(root);
}

InotifyTree::InotifyTree(std::initializer_list<std::filesystem::path> roots, TreeOptions options)
    : InotifyTree(std::span(roots.begin(), roots.size()), std::move(options)) {}

InotifyTree::InotifyTree(std::unique_ptr<detail::Stream> stream) : Inotify(std::move(stream)) {}

void InotifyTree::add_tree(const std::filesystem::path& root) { source().add_tree(root.native()); }

void InotifyTree::remove_tree(const std::filesystem::path& root) {
    source().remove_tree(root.native());
}

InotifyTree::Coverage InotifyTree::coverage() const { return source().coverage(); }

Snapshot InotifyTree::snapshot() { return source().snapshot(stream().unyielded()); }

detail::TreeSource& InotifyTree::source() const noexcept {
    return static_cast<detail::TreeSource&>(stream().source());
}

}  // namespace v0
}  // namespace inotify
