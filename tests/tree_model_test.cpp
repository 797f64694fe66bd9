// SPDX-License-Identifier: MIT
// TreeModel and its store of nodes: the tree as pure data, and what check() objects to.
#include <inotify/detail/tree_model.hpp>
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

using inotify::detail::is_watched;
using inotify::detail::no_node;
using inotify::detail::NodeId;
using inotify::detail::NodeRef;
using inotify::detail::NodeState;
using inotify::detail::NodeStore;
using inotify::detail::TreeModel;

namespace {

using Ids = std::vector<NodeId>;

struct Numbered {
    int value = 0;
};

Ids ids_of(const NodeStore<Numbered>& store) {
    Ids result;
    store.for_each([&](NodeId id) { result.push_back(id); });
    return result;
}

Ids children_of(const TreeModel& model, NodeId node) {
    Ids result;
    for (NodeId c = model[node].first_child; c != no_node; c = model[c].next)
        result.push_back(c);
    std::ranges::sort(result);
    return result;
}

std::string path_of(const TreeModel& model, NodeId node) {
    std::string path = "what was there before";
    model.path(node, path);
    return path;
}

/// A root "/r" with the directories a and a/b.
struct Tree {
    TreeModel model;
    NodeId root = model.add_root("/r");
    NodeId a = model.add(root, "a");
    NodeId b = model.add(a, "b");
};

}  // namespace

TEST_CASE("a store gives each node a number, the lowest that is free") {
    NodeStore<Numbered> store;
    CHECK(!store.contains(0));
    for (NodeId id = 0; id < 200; ++id) {
        REQUIRE(store.add() == id);
        store[id].value = static_cast<int>(id);
    }
    CHECK(store.contains(199));
    CHECK(!store.contains(200));
    for (const NodeId id : {150U, 3U, 70U})
        store.remove(id);
    CHECK(!store.contains(70));
    CHECK(ids_of(store).size() == 197);
    CHECK(store.add() == 3);
    CHECK(store.add() == 70);
    CHECK(store.add() == 150);
    CHECK(store.add() == 200);
    CHECK(store[3].value == 0);  // as its type makes it
    CHECK(store[4].value == 4);
}

TEST_CASE("nodes of a store do not move while others are added and removed") {
    NodeStore<Numbered> store;
    const NodeId first = store.add();
    Numbered* const node = &store[first];
    node->value = 7;
    for (int i = 0; i < 1000; ++i)
        store.add();
    for (NodeId id = 1; id < 1000; ++id)
        store.remove(id);
    CHECK(&store[first] == node);
    CHECK(node->value == 7);
    CHECK(ids_of(store) == Ids{0, 1000});
}

TEST_CASE("a block of a store that has run empty is used again, wherever it lies") {
    NodeStore<Numbered> store;
    for (int i = 0; i < 64 * 4; ++i)
        store.add();
    for (NodeId id = 64; id < 128; ++id)
        store.remove(id);
    CHECK(!store.contains(100));
    CHECK(ids_of(store).size() == std::size_t{64 * 3});
    for (NodeId id = 64; id < 128; ++id)
        CHECK(store.add() == id);
    CHECK(store.add() == 256);
    for (NodeId id = 0; id <= 256; ++id)
        store.remove(id);
    CHECK(ids_of(store).empty());
    CHECK(!store.contains(0));
    CHECK(store.add() == 0);
}

TEST_CASE("a node is found by its name in its parent") {
    Tree tree;
    TreeModel& model = tree.model;
    CHECK(model.child(tree.root, "a") == tree.a);
    CHECK(model.child(tree.a, "b") == tree.b);
    CHECK(model.child(tree.root, "b") == no_node);
    CHECK(model.child(tree.a, "a") == no_node);
    const NodeId other = model.add(tree.root, "b");
    CHECK(model.child(tree.root, "b") == other);
    CHECK(model.child(tree.a, "b") == tree.b);
    CHECK(children_of(model, tree.root) == Ids{tree.a, other});
    CHECK(model.check() == "");
}

TEST_CASE("of several children any can be removed, and the others stay") {
    for (const std::size_t removed : {0U, 1U, 2U}) {
        TreeModel model;
        const NodeId root = model.add_root("/r");
        Ids children{model.add(root, "x"), model.add(root, "y"), model.add(root, "z")};
        model.remove(children[removed]);
        children.erase(children.begin() + static_cast<std::ptrdiff_t>(removed));
        CHECK(children_of(model, root) == children);
        CHECK(model.check() == "");
    }
}

TEST_CASE("a reference to a node does not mean another one that has its number later") {
    Tree tree;
    TreeModel& model = tree.model;
    const NodeRef ref = model.ref(tree.b);
    CHECK(model.alive(ref));
    model.remove(tree.b);
    CHECK(!model.alive(ref));
    REQUIRE(model.add(tree.root, "c") == tree.b);
    CHECK(!model.alive(ref));
    CHECK(model.alive(model.ref(tree.b)));
    CHECK(!model.alive(NodeRef{}));
}

TEST_CASE("a removed node leaves neither its name nor its descriptor behind") {
    Tree tree;
    TreeModel& model = tree.model;
    model.watch(tree.b, 3);
    model.set_via_link(tree.b, true);
    model.remove(tree.b);
    CHECK(model.watched_by(3) == no_node);
    CHECK(model.child(tree.a, "b") == no_node);
    CHECK(model.watched_count() == 0);
    CHECK(model.via_link_count() == 0);
    CHECK(model.count(NodeState::found) == 2);
    CHECK(model.count(NodeState::ended) == 0);
    CHECK(model.check() == "");
}

TEST_CASE("a watched node is found by its descriptor") {
    Tree tree;
    TreeModel& model = tree.model;
    CHECK(model.watched_by(3) == no_node);
    CHECK(model[tree.a].state == NodeState::found);
    model.watch(tree.a, 3);
    model.watch(tree.b, 11);
    CHECK(model[tree.a].state == NodeState::unlisted);
    CHECK(model[tree.a].wd == 3);
    CHECK(model.watched_by(3) == tree.a);
    CHECK(model.watched_by(11) == tree.b);
    CHECK(model.watched_by(4) == no_node);
    CHECK(model.watched_count() == 2);
    model.set_hears_attributes(tree.a);
    model.unwatch(tree.a, NodeState::ended);
    CHECK(model.watched_by(3) == no_node);
    CHECK(model[tree.a].wd == -1);
    CHECK(model[tree.a].state == NodeState::ended);
    CHECK(!model[tree.a].hears_attributes);
    CHECK(model.watched_count() == 1);
    model.watch(tree.a, 12);  // the watch of the next inode there
    CHECK(model.watched_by(12) == tree.a);
    CHECK(model.check() == "");
}

TEST_CASE("descriptors that count up, and go again, are each found") {
    TreeModel model;
    const NodeId root = model.add_root("/r");
    Ids nodes;
    for (int wd = 1; wd <= 500; ++wd) {
        nodes.push_back(model.add(root, std::to_string(wd)));
        model.watch(nodes.back(), wd);
    }
    for (int wd = 1; wd <= 500; wd += 2)
        model.remove(nodes[static_cast<std::size_t>(wd) - 1]);
    for (int wd = 1; wd <= 500; ++wd)
        CHECK(model.watched_by(wd) ==
              (wd % 2 == 1 ? no_node : nodes[static_cast<std::size_t>(wd) - 1]));
    CHECK(model.check() == "");
}

TEST_CASE("the states of all nodes are counted, and those of one state visited") {
    Tree tree;
    TreeModel& model = tree.model;
    CHECK(model.count(NodeState::found) == 3);
    for (const NodeState state :
         {NodeState::alias, NodeState::pruned, NodeState::failed, NodeState::ended}) {
        model.set_state(tree.b, state);
        CHECK(model.count(state) == 1);
        CHECK(model.count(NodeState::found) == 2);
        CHECK(model.check() == "");
    }
    model.watch(tree.a, 1);
    model.watch(tree.b, 2);
    CHECK(model.count(NodeState::unlisted) == 2);
    for (const NodeState state : {NodeState::listed, NodeState::stale, NodeState::unlisted}) {
        model.set_state(tree.b, state);
        Ids visited;
        model.for_each(state, [&](NodeId id) { visited.push_back(id); });
        std::erase(visited, tree.a);
        CHECK(visited == Ids{tree.b});
        CHECK(model.check() == "");
    }
    Ids visited;
    model.for_each(NodeState::failed, [&](NodeId id) { visited.push_back(id); });
    CHECK(visited.empty());
    model.for_each([](const inotify::detail::Node& node) { return node.is_root; },
                   [&](NodeId id) { visited.push_back(id); });
    CHECK(visited == Ids{tree.root});
}

TEST_CASE("the states from unlisted to stale are watched") {
    for (const NodeState state : {NodeState::found, NodeState::alias, NodeState::pruned,
                                  NodeState::failed, NodeState::ended})
        CHECK(!is_watched(state));
    for (const NodeState state : {NodeState::unlisted, NodeState::listed, NodeState::stale})
        CHECK(is_watched(state));
}

TEST_CASE("what is detached keeps all below it, and takes it to another place") {
    Tree tree;
    TreeModel& model = tree.model;
    const NodeId c = model.add(tree.root, "c");
    model.watch(tree.a, 1);
    model.watch(tree.b, 2);
    model.set_missing(tree.a, true);
    model.detach(tree.a);
    CHECK(model.child(tree.root, "a") == no_node);
    CHECK(children_of(model, tree.root) == Ids{c});
    CHECK(model[tree.a].parent == no_node);
    CHECK(!model[tree.a].is_root);
    CHECK(model.top_of(tree.b) == tree.a);
    CHECK(model.watched_by(2) == tree.b);
    CHECK(model.check() == "");
    const NodeId next = model.add(tree.root, "a");  // the name is free
    model.attach(tree.a, c, "x");
    CHECK(model.child(c, "x") == tree.a);
    CHECK(model.child(tree.root, "a") == next);
    CHECK(model.child(tree.a, "b") == tree.b);
    CHECK(path_of(model, tree.b) == "/r/c/x/b");
    CHECK(!model[tree.a].is_missing);
    CHECK(model.check() == "");
}

TEST_CASE("what is detached can become a root, which is no link and not missing") {
    Tree tree;
    TreeModel& model = tree.model;
    model.set_via_link(tree.a, true);
    CHECK(model.via_link_count() == 1);
    model.detach(tree.a);
    model.set_missing(tree.a, true);
    model.make_root(tree.a, "/q");
    CHECK(model[tree.a].is_root);
    CHECK(!model[tree.a].via_link);
    CHECK(!model[tree.a].is_missing);
    CHECK(model.via_link_count() == 0);
    CHECK(path_of(model, tree.b) == "/q/b");
    CHECK(model.check() == "");
}

TEST_CASE("a link is counted once, however often it is said to be one") {
    Tree tree;
    for (const bool via_link : {true, true, false, false, true}) {
        tree.model.set_via_link(tree.a, via_link);
        CHECK(tree.model.via_link_count() == (via_link ? 1 : 0));
    }
}

TEST_CASE("what lies in what, how deep, and below which top") {
    Tree tree;
    const TreeModel& model = tree.model;
    CHECK(model.is_within(tree.b, tree.root));
    CHECK(model.is_within(tree.b, tree.a));
    CHECK(model.is_within(tree.b, tree.b));
    CHECK(!model.is_within(tree.a, tree.b));
    CHECK(!model.is_within(no_node, tree.a));
    CHECK(model.depth(tree.root) == 0);
    CHECK(model.depth(tree.b) == 2);
    CHECK(model.top_of(tree.b) == tree.root);
    CHECK(model.top_of(tree.root) == tree.root);
}

TEST_CASE("a path begins with the root as it was given, or with another spelling of it") {
    Tree tree;
    TreeModel& model = tree.model;
    CHECK(path_of(model, tree.root) == "/r");
    CHECK(path_of(model, tree.b) == "/r/a/b");
    std::string path;
    const std::string other = "/elsewhere/";
    model.path(tree.b, path, &other);
    CHECK(path == "/elsewhere/a/b");
    model.path(tree.root, path, &other);
    CHECK(path == "/elsewhere/");
    const NodeId all = model.add_root("/");
    CHECK(path_of(model, all) == "/");
    CHECK(path_of(model, model.add(all, "a")) == "/a");
    const NodeId odd = model.add(all, std::string("\n\xff", 2));
    CHECK(path_of(model, odd) == "/\n\xff");
}

TEST_CASE("a model without a node, and one of which all nodes are gone, are right") {
    TreeModel model;
    CHECK(model.check() == "");
    model.remove(model.add_root("/r"));
    CHECK(model.check() == "");
}

TEST_CASE("check() objects to two nodes of one name") {
    Tree tree;
    TreeModel& model = tree.model;
    const NodeId c = model.add(tree.root, "c");
    model.detach(c);
    model.attach(c, tree.root, "a");
    CHECK(model.check() == "node " + std::to_string(c) + " (a) does not have its name");
}

// Where assertions are off, check() is what finds a caller that breaks a condition.
#ifdef NDEBUG
TEST_CASE("check() objects to what no caller may do") {
    Tree tree;
    TreeModel& model = tree.model;
    const std::string node_a = "node " + std::to_string(tree.a) + " (a) ";
    const std::string node_b = "node " + std::to_string(tree.b) + " (b) ";
    model.watch(tree.a, 1);
    SUBCASE("a state that is watched without a descriptor") {
        model.set_state(tree.b, NodeState::listed);
        CHECK(model.check() == node_b + "is watched without a descriptor");
    }
    SUBCASE("a descriptor in a state that is not watched") {
        model.set_state(tree.a, NodeState::alias);
        CHECK(model.check() == node_a + "is watched without a descriptor");
    }
    SUBCASE("two nodes of one descriptor") {
        model.watch(tree.b, 1);
        CHECK(model.check() == node_b + "does not have its descriptor");
    }
    SUBCASE("two descriptors of one node") {
        model.watch(tree.a, 2);
        CHECK(model.check() == "a descriptor has no node");
    }
    SUBCASE("a root with a parent") {
        model.attach(model.add_root("/q"), tree.root, "q");
        CHECK(test::contains(model.check(), "(q) is a root with a parent"));
    }
    SUBCASE("a node in two parents") {
        model.attach(tree.b, tree.root, "b");
        CHECK(model.check() == node_a + "has a child that is not linked to it");
    }
    SUBCASE("children of what is gone") {
        model.remove(tree.a);
        CHECK(model.check() == "a name has no node");
    }
}
#endif
