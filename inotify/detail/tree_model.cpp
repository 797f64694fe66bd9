// SPDX-License-Identifier: MIT
// The tree model: the directories of the picture that was told, as pure data.
#include <inotify/detail/tree_model.hpp>

#include <functional>

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

NodeId TreeModel::add(NodeId parent, std::string_view name) {
    NodeId id;
    if (free_.empty()) {
        id = static_cast<NodeId>(nodes_.size());
        nodes_.emplace_back();
    } else {
        id = free_.back();
        free_.pop_back();
    }
    nodes_[id].in_use = true;
    if (parent == no_node)
        nodes_[id].name = name;
    else
        attach(id, parent, name);
    return id;
}

void TreeModel::remove(NodeId id) {
    set_wd(id, -1);
    if (nodes_[id].parent != no_node)
        detach(id);
    const std::uint32_t generation = nodes_[id].generation + 1;
    nodes_[id] = Node{};
    nodes_[id].generation = generation;
    free_.push_back(id);
}

NodeId TreeModel::child(NodeId parent, std::string_view name) const {
    return by_name_.find(hash_of_name(parent, name), [&](NodeId id) {
        return nodes_[id].parent == parent && nodes_[id].name == name;
    });
}

NodeId TreeModel::watched_by(int wd) const {
    return by_wd_.find(hash_of_wd(wd), [&](NodeId id) { return nodes_[id].wd == wd; });
}

void TreeModel::set_wd(NodeId id, int wd) {
    if (nodes_[id].wd >= 0)
        by_wd_.erase(id, hash_of_wd(nodes_[id].wd));
    nodes_[id].wd = wd;
    if (wd >= 0)
        by_wd_.insert(id, hash_of_wd(wd));
}

void TreeModel::detach(NodeId id) {
    Node& node = nodes_[id];
    by_name_.erase(id, hash_of_name(node.parent, node.name));
    if (node.previous != no_node)
        nodes_[node.previous].next = node.next;
    else
        nodes_[node.parent].first_child = node.next;
    if (node.next != no_node)
        nodes_[node.next].previous = node.previous;
    node.parent = node.next = node.previous = no_node;
}

void TreeModel::attach(NodeId id, NodeId parent, std::string_view name) {
    Node& node = nodes_[id];
    node.parent = parent;
    node.name = name;
    node.next = nodes_[parent].first_child;
    if (node.next != no_node)
        nodes_[node.next].previous = id;
    nodes_[parent].first_child = id;
    by_name_.insert(id, hash_of_name(parent, name));
}

bool TreeModel::is_within(NodeId id, NodeId ancestor) const noexcept {
    while (id != no_node && id != ancestor)
        id = nodes_[id].parent;
    return id == ancestor;
}

std::size_t TreeModel::depth(NodeId id) const noexcept {
    std::size_t depth = 0;
    for (; nodes_[id].parent != no_node; id = nodes_[id].parent)
        ++depth;
    return depth;
}

NodeId TreeModel::root_of(NodeId id) const noexcept {
    while (nodes_[id].parent != no_node)
        id = nodes_[id].parent;
    return id;
}

void TreeModel::path(NodeId id, std::string& result, const std::string* root_path) const {
    std::size_t size = 0;
    NodeId root = id;
    for (; nodes_[root].parent != no_node; root = nodes_[root].parent)
        size += nodes_[root].name.size() + 1;
    const std::string& start = root_path != nullptr ? *root_path : nodes_[root].name;
    // A root that ends with a slash ("/") needs none behind it.
    const std::size_t base = start.ends_with('/') && size > 0 ? start.size() - 1 : start.size();
    result.resize(base + size);
    start.copy(result.data(), base);
    for (std::size_t end = base + size; id != root; id = nodes_[id].parent) {
        const std::string& name = nodes_[id].name;
        end -= name.size();
        name.copy(result.data() + end, name.size());
        result[--end] = '/';
    }
}

}  // namespace inotify::detail
