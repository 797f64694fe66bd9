// SPDX-License-Identifier: MIT
// The tree model: the directories of the picture that was told, as pure data.
#include <inotify/detail/tree_model.hpp>

#include <inotify/detail/give_back.hpp>

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace inotify::detail {
namespace {

// Multiplying spreads numbers that count up; the high half mixes best.
std::uint32_t mixed(std::uint32_t number) noexcept {
    return static_cast<std::uint32_t>((number * std::uint64_t{0x9e37'79b9'7f4a'7c15}) >> 32U);
}

// Eight descriptors in a row share a cache line: a first scan gets them in a row.
std::uint32_t hash_of_wd(int wd) noexcept {
    const auto number = static_cast<std::uint32_t>(wd);
    return mixed(number >> 3U) << 3U | (number & 7U);
}

std::uint32_t hash_of_name(NodeId parent, std::string_view name) noexcept {
    return static_cast<std::uint32_t>(std::hash<std::string_view>{}(name)) ^ mixed(parent);
}

}  // namespace

// The lowest ids first, so that the higher blocks run empty.
NodeId TreeModel::take_id() {
    std::size_t block;
    if (!open_blocks_.empty()) {
        block = *open_blocks_.begin();
    } else if (null_blocks_ > 0) {
        block = static_cast<std::size_t>(std::find(blocks_.begin(), blocks_.end(), nullptr) -
                                         blocks_.begin());
        --null_blocks_;
    } else {
        block = blocks_.size();
        blocks_.emplace_back();
    }
    if (blocks_[block] == nullptr) {
        blocks_[block] = spare_ != nullptr ? std::move(spare_) : std::make_unique<Block>();
        open_blocks_.insert(block);
    }
    std::uint64_t& used = blocks_[block]->used;
    const auto i = static_cast<std::size_t>(std::countr_one(used));
    used |= std::uint64_t{1} << i;
    if (used == ~std::uint64_t{0})
        open_blocks_.erase(block);
    return static_cast<NodeId>(block * block_size + i);
}

NodeId TreeModel::add(NodeId parent, std::string_view name) {
    const NodeId id = take_id();
    (*this)[id].generation = ++last_generation_;
    if (parent == no_node)
        (*this)[id].name = name;
    else
        attach(id, parent, name);
    return id;
}

void TreeModel::remove(NodeId id) {
    set_wd(id, -1);
    if ((*this)[id].parent != no_node)
        detach(id);
    const std::size_t block = id / block_size;
    std::uint64_t& used = blocks_[block]->used;
    used &= ~(std::uint64_t{1} << (id % block_size));
    (*this)[id] = Node{};
    if (used != 0) {
        open_blocks_.insert(block);
        return;
    }
    spare_ = std::move(blocks_[block]);
    ++null_blocks_;
    open_blocks_.erase(block);
    for (; !blocks_.empty() && blocks_.back() == nullptr; --null_blocks_)
        blocks_.pop_back();
    give_back(blocks_);
}

NodeId TreeModel::child(NodeId parent, std::string_view name) const {
    return by_name_.find(hash_of_name(parent, name), [&](NodeId id) {
        return (*this)[id].parent == parent && (*this)[id].name == name;
    });
}

NodeId TreeModel::watched_by(int wd) const {
    return by_wd_.find(hash_of_wd(wd), [&](NodeId id) { return (*this)[id].wd == wd; });
}

void TreeModel::set_wd(NodeId id, int wd) {
    if ((*this)[id].wd >= 0)
        by_wd_.erase(id, hash_of_wd((*this)[id].wd));
    (*this)[id].wd = wd;
    if (wd >= 0)
        by_wd_.insert(id, hash_of_wd(wd));
}

void TreeModel::detach(NodeId id) {
    Node& node = (*this)[id];
    by_name_.erase(id, hash_of_name(node.parent, node.name));
    if (node.previous != no_node)
        (*this)[node.previous].next = node.next;
    else
        (*this)[node.parent].first_child = node.next;
    if (node.next != no_node)
        (*this)[node.next].previous = node.previous;
    node.parent = node.next = node.previous = no_node;
}

void TreeModel::attach(NodeId id, NodeId parent, std::string_view name) {
    Node& node = (*this)[id];
    node.parent = parent;
    node.name = name;
    node.next = (*this)[parent].first_child;
    if (node.next != no_node)
        (*this)[node.next].previous = id;
    (*this)[parent].first_child = id;
    by_name_.insert(id, hash_of_name(parent, name));
}

bool TreeModel::is_within(NodeId id, NodeId ancestor) const noexcept {
    while (id != no_node && id != ancestor)
        id = (*this)[id].parent;
    return id == ancestor;
}

std::size_t TreeModel::depth(NodeId id) const noexcept {
    std::size_t depth = 0;
    for (; (*this)[id].parent != no_node; id = (*this)[id].parent)
        ++depth;
    return depth;
}

NodeId TreeModel::root_of(NodeId id) const noexcept {
    while ((*this)[id].parent != no_node)
        id = (*this)[id].parent;
    return id;
}

void TreeModel::path(NodeId id, std::string& result, const std::string* root_path) const {
    std::size_t size = 0;
    NodeId root = id;
    for (; (*this)[root].parent != no_node; root = (*this)[root].parent)
        size += (*this)[root].name.size() + 1;
    const std::string& start = root_path != nullptr ? *root_path : (*this)[root].name;
    // A root that ends with a slash ("/") needs none behind it.
    const std::size_t base = start.ends_with('/') && size > 0 ? start.size() - 1 : start.size();
    result.resize(base + size);
    start.copy(result.data(), base);
    for (std::size_t end = base + size; id != root; id = (*this)[id].parent) {
        const std::string& name = (*this)[id].name;
        end -= name.size();
        name.copy(result.data() + end, name.size());
        result[--end] = '/';
    }
}

}  // namespace inotify::detail
