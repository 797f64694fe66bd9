// SPDX-License-Identifier: MIT
// The changes of a batch, in an order in which they can be applied.
#include <inotify/detail/change_list.hpp>

#include <inotify/detail/hash_name.hpp>

#include <algorithm>
#include <utility>

namespace inotify::detail {

std::vector<Change> ChangeList::make() {
    tree_.close();
    index_before();
    walk();
    split_modified();
    while (order_renames()) {
    }
    clear_marks();
    put_removals(true);
    put_steps();
    put_removals(false);
    put_additions();
    put_rest();
    return std::move(changes_);
}

void ChangeList::index_before() {
    before_ = {};
    notes_.resize(tree_.size());
    for (NodeId id = 1; id < tree_.size(); ++id)
        if (tree_[id].was_there() && (tree_[id].has_moved || !tree_[id].is_there))
            before_.insert(id, hash_name(tree_[id].before, name_before(id)));
}

// Fills there_; siblings are sorted by name.
void ChangeList::walk() {
    notes_[ChangeTree::top].counterpart = ChangeTree::top;
    std::vector<NodeId> open{ChangeTree::top};
    while (!open.empty()) {
        const NodeId id = open.back();
        open.pop_back();
        const ChangeTree::Entry& entry = tree_[id];
        if (id != ChangeTree::top) {
            there_.push_back(id);
            const NodeId parent = notes_[entry.parent].counterpart;
            if (entry.was_there()) {
                notes_[id].counterpart = id;
                notes_[id].is_renamed =
                    entry.has_moved && (parent != entry.before || entry.name != entry.name_before);
            } else if (const NodeId held = held_before(id);
                       held != no_node && !tree_[held].is_there && tree_[held].is_dir &&
                       tree_[held].was_emptied) {
                notes_[held].successor = id;
                if (entry.is_dir)
                    notes_[id].counterpart = held;
            }
        }
        const std::size_t first = open.size();
        for (NodeId child = entry.first_child; child != no_node; child = tree_[child].next)
            if (tree_[child].is_there)
                open.push_back(child);
        std::sort(open.begin() + static_cast<std::ptrdiff_t>(first), open.end(),
                  [&](NodeId a, NodeId b) { return tree_[a].name > tree_[b].name; });
    }
}

// A file that was renamed and written: whoever keeps contents cannot take it for the same.
void ChangeList::split_modified() {
    for (const NodeId id : there_)
        if (notes_[id].is_renamed && tree_[id].has_contents && is_leaf(id))
            cycles_.push_back(id);
}

// Fills steps_ and survivors_; true when a file has to be split and all this done again.
bool ChangeList::order_renames() {
    if (!cycles_.empty()) {
        for (const NodeId id : cycles_) {
            tree_.split(id);
            notes_[id].is_renamed = false;
        }
        cycles_.clear();
        index_before();
    }
    steps_.clear();
    survivors_.clear();
    clear_marks();
    for (Notes& notes : notes_)
        notes.is_carried = false;
    for (const NodeId id : there_)
        if (notes_[id].is_renamed)
            for (NodeId at = tree_[id].before; at != ChangeTree::top; at = tree_[at].before)
                if (!tree_[at].is_there)
                    survivors_[at].push_back(id);
    for (const NodeId id : there_)
        if (notes_[id].is_renamed)
            visit(id);
    return !cycles_.empty();
}

// Puts an entry into steps_, behind all that has to come before it. No recursion: a row of files
// that were renamed by one number each is as long as the row.
void ChangeList::visit(NodeId first) {
    if (notes_[first].mark == Mark::none)
        visits_.push_back({first});
    while (!visits_.empty()) {
        Visit& current = visits_.back();
        const NodeId id = current.id;
        notes_[id].mark = Mark::active;
        const NodeId required = requirement(id, current.requirements++);
        if (required == no_node) {
            notes_[id].mark = Mark::done;
            steps_.push_back(id);
            visits_.pop_back();
        } else if (notes_[required].mark == Mark::none && required != id) {
            visits_.push_back({required});
        } else if (notes_[required].mark == Mark::active && required != id) {
            note_cycle(required);
            if (current.requirements == 1 && can_be_carried(required))
                notes_[id].is_carried = true;
            else if (current.requirements == 1)
                postpone_visits();
        }
    }
}

// The innermost visit waits for a directory whose own goes on, and so do those that wait for it to
// be their directory. The others need it only to be out of the way, and do without.
void ChangeList::postpone_visits() {
    do {
        notes_[visits_.back().id].mark = Mark::none;
        visits_.pop_back();
    } while (visits_.back().requirements == 1);
}

// Whether the innermost visit, which waits for `directory`, can put its entry into that one where
// it is now: then it is carried to its place. So it is when what has to leave a name goes into the
// directory that is to have that name, as in `mv old/a new/b; rmdir old; mv new old`.
bool ChangeList::can_be_carried(NodeId directory) const {
    const std::size_t count = visits_.size();
    if (!notes_[directory].is_renamed || visits_[count - 2].id != directory)
        return false;
    const NodeId id = visits_.back().id;
    if (const NodeId held = held_before(id); held != no_node && notes_[held].mark != Mark::done &&
                                             (tree_[held].is_there || survivors_.contains(held)))
        return false;
    const NodeId parent = notes_[tree_[id].parent].counterpart;
    if (parent == no_node)
        return false;
    for (NodeId at = parent; at != ChangeTree::top; at = tree_[at].before)
        if (at == id)
            return false;
    // The name must not be another entry's at the end.
    const NodeId now = directory_now_at(parent);
    const NodeId found = now == no_node ? no_node : tree_.find(now, tree_[id].name);
    return found == no_node || !tree_[found].is_there;
}

// What has to come before an entry is put at its name: the directory around it, what was there, and
// what lay in that; no_node: nothing more. What need not change is passed over by naming the entry
// itself.
NodeId ChangeList::requirement(NodeId id, std::size_t number) const {
    if (number == 0) {
        for (NodeId at = tree_[id].parent; at != ChangeTree::top; at = tree_[at].parent)
            if (notes_[at].is_renamed || comes_early(at))
                return at;  // which needs what is above it
        return id;
    }
    const NodeId held = held_before(id);
    if (held == no_node)
        return no_node;
    if (tree_[held].is_there)
        return number == 1 ? held : no_node;
    const auto found = survivors_.find(held);
    return found == survivors_.end() || found->second.size() < number ? no_node
                                                                      : found->second[number - 1];
}

void ChangeList::note_cycle(NodeId id) {
    for (std::size_t i = visits_.size(); i-- > 0;) {
        const NodeId at = visits_[i].id;
        if (notes_[at].is_renamed && is_leaf(at) && !std::exchange(notes_[at].is_on_cycle, true))
            cycles_.push_back(at);
        if (at == id)
            return;
    }
}

// What had the name of an entry before, and has it no more; no_node: nothing is known of it.
NodeId ChangeList::held_before(NodeId id) const {
    const NodeId directory = notes_[tree_[id].parent].counterpart;
    if (directory == no_node)
        return no_node;
    const NodeId held = find_before(directory, tree_[id].name);
    return held == id ? no_node : held;
}

NodeId ChangeList::find_before(NodeId directory, std::string_view name) const {
    return before_.find(hash_name(directory, name), [&](NodeId id) {
        return tree_[id].before == directory && name_before(id) == name;
    });
}

const std::string& ChangeList::name_before(NodeId id) const {
    return tree_[id].has_moved ? tree_[id].name_before : tree_[id].name;
}

// What has taken the place of a directory that left with all that was in it is added, so that this
// is forgotten.
ChangeKind ChangeList::kind_of_new(NodeId id) const {
    const NodeId held = held_before(id);
    const bool was_removed = held != no_node && !tree_[held].is_there;
    return was_removed && (!tree_[held].is_dir || tree_[held].was_emptied) ? ChangeKind::modified
                                                                           : ChangeKind::added;
}

// A directory that was none has to be one before anything can be put into it.
bool ChangeList::comes_early(NodeId id) const {
    return !tree_[id].was_there() && tree_[id].is_dir && notes_[id].counterpart == no_node;
}

bool ChangeList::is_leaf(NodeId id) const {
    return !tree_[id].is_dir && tree_[id].first_child == no_node;
}

// The directory, as it is now, in which a removed entry is missed; no_node: that has gone with it.
NodeId ChangeList::place_of_removed(NodeId id) const {
    const NodeId before = tree_[id].before;
    return before == ChangeTree::top || tree_[before].is_there ? before : notes_[before].successor;
}

// The directory that has the path now that another one had before; no_node: none that is known.
NodeId ChangeList::directory_now_at(NodeId directory) const {
    if (directory == ChangeTree::top)
        return directory;
    const NodeId parent = directory_now_at(tree_[directory].before);
    if (parent == no_node)
        return no_node;
    const NodeId now = tree_.find(parent, name_before(directory));
    return now != no_node && tree_[now].is_there ? now : no_node;
}

// A removal comes first, under the path that the entry had, unless that would tear away what goes
// on elsewhere, or the path may be another entry's now.
bool ChangeList::is_removed_first(NodeId id, NodeId place) const {
    if (steps_.empty())
        return true;
    if (survivors_.contains(id))
        return false;
    const NodeId now = directory_now_at(tree_[id].before);
    return now == no_node || now == place;
}

void ChangeList::clear_marks() {
    for (Notes& notes : notes_)
        notes.mark = Mark::none;
}

void ChangeList::put_removals(bool first) {
    const std::size_t begin = changes_.size();
    for (NodeId id = 1; id < tree_.size(); ++id) {
        if (!tree_[id].was_there() || tree_[id].is_there)
            continue;
        const NodeId place = place_of_removed(id);
        if (place == no_node || is_removed_first(id, place) != first)
            continue;
        const std::string& name = name_before(id);
        if (const NodeId now = tree_.find(place, name); now != no_node && tree_[now].is_there)
            continue;
        changes_.push_back({.kind = ChangeKind::removed,
                            .path = path_so_far(tree_[id].before, name),
                            .moved_from = {},
                            .is_dir = tree_[id].is_dir});
    }
    std::sort(changes_.begin() + static_cast<std::ptrdiff_t>(begin), changes_.end(),
              [](const Change& a, const Change& b) { return a.path < b.path; });
}

void ChangeList::put_steps() {
    for (const NodeId id : steps_) {
        if (notes_[id].is_renamed) {
            std::string from = path_so_far(tree_[id].before, tree_[id].name_before);
            put(ChangeKind::renamed, id);
            changes_.back().path = placed_path(id);
            changes_.back().moved_from = std::move(from);
        } else {
            put(kind_of_new(id), id);
        }
        notes_[id].mark = Mark::done;
    }
}

void ChangeList::put_additions() {
    for (const NodeId id : there_)
        if (!tree_[id].was_there() && notes_[id].mark != Mark::done)
            if (const ChangeKind kind = kind_of_new(id);
                kind == ChangeKind::added || comes_early(id)) {
                put(kind, id);
                notes_[id].mark = Mark::done;
            }
}

void ChangeList::put_rest() {
    for (const NodeId id : there_) {
        const ChangeTree::Entry& entry = tree_[id];
        if (notes_[id].mark == Mark::done)
            continue;
        if (!entry.was_there() || entry.has_contents)
            put(ChangeKind::modified, id);
        else if (entry.has_attributes)
            put(ChangeKind::attributes, id);
    }
}

void ChangeList::put(ChangeKind kind, NodeId id) {
    changes_.push_back(
        {.kind = kind, .path = path(id), .moved_from = {}, .is_dir = tree_[id].is_dir});
}

// "/" is a directory without a name in the top.
std::string ChangeList::path(NodeId id) const {
    std::size_t length = 0;
    for (NodeId at = id; at != ChangeTree::top; at = tree_[at].parent)
        length += tree_[at].name.size() + 1;
    std::string result(length - 1, '/');
    for (NodeId at = id; at != ChangeTree::top; at = tree_[at].parent) {
        const std::string& name = tree_[at].name;
        length -= name.size() + 1;
        name.copy(result.data() + length, name.size());
    }
    return result.empty() ? "/" : result;
}

// Where an entry was put: at its path, or into a directory that is to carry it there.
std::string ChangeList::placed_path(NodeId id) const {
    if (!notes_[id].is_carried)
        return path(id);
    return path_so_far(notes_[tree_[id].parent].counterpart, tree_[id].name);
}

// Where an entry is that was in `directory`, once the renames that are marked have been applied.
std::string ChangeList::path_so_far(NodeId directory, std::string_view name) const {
    const auto is_placed = [&](NodeId at) {
        return notes_[at].is_renamed && notes_[at].mark == Mark::done;
    };
    std::size_t length = name.size();
    NodeId at = directory;
    for (; at != ChangeTree::top && !is_placed(at); at = tree_[at].before)
        length += name_before(at).size() + 1;
    std::string result = at == ChangeTree::top ? "" : placed_path(at) + '/';
    std::size_t end = result.size() + length;
    result.resize(end, '/');
    for (std::string_view part = name;;
         part = name_before(directory), directory = tree_[directory].before) {
        part.copy(result.data() + end - part.size(), part.size());
        if (directory == at)
            break;
        end -= part.size() + 1;
    }
    return result.empty() ? "/" : result;
}

}  // namespace inotify::detail
