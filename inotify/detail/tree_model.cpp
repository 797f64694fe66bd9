// SPDX-License-Identifier: MIT
// The tree model: the directories that the client knows, as pure data.
#include <inotify/detail/tree_model.hpp>

#include <cassert>
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

NodeId TreeModel::add_node() {
    const NodeId id = nodes_.add();
    nodes_[id].generation = ++last_generation_;
    ++counts_[static_cast<std::size_t>(nodes_[id].state)];
    return id;
}

NodeId TreeModel::add(NodeId parent, std::string_view name) {
    assert(child(parent, name) == no_node);
    const NodeId id = add_node();
    attach(id, parent, name);
    return id;
}

NodeId TreeModel::add_root(std::string_view name) {
    const NodeId id = add_node();
    nodes_[id].is_root = true;
    nodes_[id].name = name;
    return id;
}

void TreeModel::remove(NodeId id) {
    assert(nodes_[id].first_child == no_node);
    if (nodes_[id].wd >= 0)
        unwatch(id, NodeState::ended);
    if (nodes_[id].parent != no_node)
        detach(id);
    set_via_link(id, false);
    --counts_[static_cast<std::size_t>(nodes_[id].state)];
    nodes_.remove(id);
}

NodeId TreeModel::child(NodeId parent, std::string_view name) const {
    return by_name_.find(hash_of_name(parent, name), [&](NodeId id) {
        return nodes_[id].parent == parent && nodes_[id].name == name;
    });
}

NodeId TreeModel::watched_by(int wd) const {
    return by_wd_.find(hash_of_wd(wd), [&](NodeId id) { return nodes_[id].wd == wd; });
}

void TreeModel::watch(NodeId id, int wd) {
    assert(!is_watched(nodes_[id].state) && watched_by(wd) == no_node);
    nodes_[id].wd = wd;
    by_wd_.insert(id, hash_of_wd(wd));
    count_state(id, NodeState::unlisted);
}

void TreeModel::unwatch(NodeId id, NodeState state) {
    assert(is_watched(nodes_[id].state) && !is_watched(state));
    by_wd_.erase(id, hash_of_wd(nodes_[id].wd));
    nodes_[id].wd = -1;
    nodes_[id].hears_attributes = false;
    count_state(id, state);
}

void TreeModel::set_state(NodeId id, NodeState state) {
    assert(is_watched(nodes_[id].state) == is_watched(state));
    count_state(id, state);
}

void TreeModel::count_state(NodeId id, NodeState state) noexcept {
    --counts_[static_cast<std::size_t>(nodes_[id].state)];
    nodes_[id].state = state;
    ++counts_[static_cast<std::size_t>(state)];
}

void TreeModel::set_via_link(NodeId id, bool via_link) noexcept {
    via_link_count_ += static_cast<std::size_t>(via_link);
    via_link_count_ -= static_cast<std::size_t>(nodes_[id].via_link);
    nodes_[id].via_link = via_link;
}

void TreeModel::detach(NodeId id) {
    Node& node = nodes_[id];
    assert(node.parent != no_node);
    by_name_.erase(id, hash_of_name(node.parent, node.name));
    if (node.previous != no_node)
        nodes_[node.previous].next = node.next;
    else
        nodes_[node.parent].first_child = node.next;
    if (node.next != no_node)
        nodes_[node.next].previous = node.previous;
    node.parent = node.next = node.previous = no_node;
}

void TreeModel::make_root(NodeId id, std::string_view name) {
    assert(nodes_[id].parent == no_node);
    nodes_[id].is_root = true;
    nodes_[id].name = name;
    nodes_[id].is_missing = false;
    set_via_link(id, false);
}

void TreeModel::attach(NodeId id, NodeId parent, std::string_view name) {
    Node& node = nodes_[id];
    assert(!node.is_root && node.parent == no_node && !is_within(parent, id));
    node.parent = parent;
    node.name = name;
    node.is_missing = false;
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

NodeId TreeModel::top_of(NodeId id) const noexcept {
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

std::string TreeModel::check() const {
    std::array<std::size_t, node_states> counts{};
    std::size_t watched = 0;
    std::size_t named = 0;
    std::size_t links = 0;
    std::size_t children = 0;
    std::string wrong;
    nodes_.for_each([&](NodeId id) {
        const Node& node = nodes_[id];
        ++counts[static_cast<std::size_t>(node.state)];
        watched += static_cast<std::size_t>(node.wd >= 0);
        named += static_cast<std::size_t>(node.parent != no_node);
        links += static_cast<std::size_t>(node.via_link);
        const auto require = [&](bool holds, const char* what) {
            if (!holds && wrong.empty())
                wrong = "node " + std::to_string(id) + " (" + node.name + ") " + what;
        };
        require(is_watched(node.state) == (node.wd >= 0), "is watched without a descriptor");
        require(node.wd < 0 || watched_by(node.wd) == id, "does not have its descriptor");
        require(node.parent == no_node || child(node.parent, node.name) == id,
                "does not have its name");
        require(node.parent == no_node || !node.is_root, "is a root with a parent");
        NodeId previous = no_node;
        for (NodeId c = node.first_child; c != no_node; previous = c, c = nodes_[c].next) {
            ++children;
            require(nodes_[c].parent == id && nodes_[c].previous == previous,
                    "has a child that is not linked to it");
        }
    });
    if (wrong.empty() && (counts != counts_ || links != via_link_count_))
        return "the states are counted wrong";
    if (wrong.empty() && watched != by_wd_.size())
        return "a descriptor has no node";
    if (wrong.empty() && (named != by_name_.size() || named != children))
        return "a name has no node";
    return wrong;
}

}  // namespace inotify::detail
