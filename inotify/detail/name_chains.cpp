// SPDX-License-Identifier: MIT
// Names that are followed: the directories and links that lead to what each one means.
#include <inotify/detail/name_chains.hpp>

#include <inotify/detail/error.hpp>
#include <inotify/detail/source.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace inotify::detail {
namespace {

constexpr int most_links = 40;  // of one name, as in path_resolution(7)

constexpr Mask entry_changes = IN::CREATE | IN::DELETE | IN::MOVE;
// A walk has followed the links: where there is no /proc, the path must follow no other.
constexpr Mask walk_flags = IN::MASK_ADD | IN::DONT_FOLLOW;
constexpr Mask directory_mask = entry_changes | IN::ONLYDIR | walk_flags;

constexpr Mask target_flags = IN::ALL_EVENTS | IN::EXCL_UNLINK;

// Cuts the first component off a path; empty if only slashes and dots are left.
std::string take_component(std::string& path) {
    std::string_view rest = path;
    std::string_view component;
    do {
        rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
        component = rest.substr(0, rest.find('/'));
        rest.remove_prefix(component.size());
    } while (component == ".");
    std::string result(component);
    path.erase(0, path.size() - rest.size());
    return result;
}

// An error that says that the name leads nowhere, and no more.
constexpr bool is_absence(int error) noexcept { return error == ENOENT || error == ENOTDIR; }

// An error that says that the name leads nowhere, for a reason that is to be reported.
constexpr bool is_dead_end(int error) noexcept { return error == ELOOP || error == ENAMETOOLONG; }

}  // namespace

// One walk along a name, component by component, from the root directory on.
class NameChains::Walk {
public:
    Walk(NameChains& chains, const Name& name, bool watches_rights)
        : chains_(chains), kernel_(chains.kernel_), name_(name) {
        if (watches_rights)
            directory_mask_ |= IN::ATTRIB;
    }
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    Sight run() {
        std::string rest = name_.absolute;
        int error = enter_root();
        while (error == 0 && !rest.empty()) {
            if (stat_.type != FileType::directory) {
                error = ENOTDIR;
                break;
            }
            const std::string component = take_component(rest);
            if (component.empty())
                break;
            // A directory gets another parent only by leaving the entry through which it was
            // reached.
            if (component != "..")
                watch_step(component);
            error = step(component, rest);
        }
        if (error == 0)
            watch_target();
        else if (!is_absence(error))
            fail(error, is_dead_end(error));
        return std::move(sight_);
    }

private:
    void fail(int error, bool is_known) {
        if (sight_.error == 0)
            sight_.error = error;
        sight_.is_known = sight_.is_known && is_known;
    }

    int enter_root() {
        OpenDirectory root(kernel_, kernel_.open_path(Kernel::no_directory, "/"));
        if (!root.is_open())
            return root.error();
        here_ = std::move(root);
        location_.assign(1, '/');
        return -kernel_.stat(here_.get(), "", false, stat_);
    }

    // Goes on to an entry, or to the beginning of what is left where a link leads.
    int step(const std::string& entry, std::string& rest) {
        OpenDirectory opened(kernel_, kernel_.open_path(here_.get(), entry));
        if (!opened.is_open())
            return opened.error();
        Stat stat;
        int error = -kernel_.stat(opened.get(), "", false, stat);
        if (error == 0 && stat.type == FileType::symlink &&
            (!rest.empty() || !name_.mask.contains(IN::DONT_FOLLOW))) {
            std::string link;
            error = ++links_ > most_links ? ELOOP : -kernel_.read_link(opened.get(), link);
            opened.close();
            rest = link += rest;
            return error == 0 && rest.starts_with('/') ? enter_root() : error;
        }
        here_ = std::move(opened);
        stat_ = stat;
        append_name(location_, entry);
        return error;
    }

    // Before the entry is looked up.
    void watch_step(const std::string& entry) {
        int wd = kernel_.add_watch(here_.get(), location_, directory_mask_.bits());
        if (wd < 0) {
            // Adding it takes the right to read; a watch that is in place does without.
            const int error = -wd;
            wd = find_watch();
            if (wd < 0)
                fail(error, true);
        }
        sight_.chain.push_back({wd, stat_.device, stat_.inode, entry});
    }

    [[nodiscard]] int find_watch() const {
        for (const Step& step : name_.chain)
            if (step.device == stat_.device && step.inode == stat_.inode && chains_.uses(step.wd))
                return step.wd;
        return -1;
    }

    void watch_target() {
        const bool is_directory = stat_.type == FileType::directory;
        if (name_.mask.contains(IN::ONLYDIR) && !is_directory)
            return;
        const Mask mask = (name_.mask & target_flags) | walk_flags;
        const int wd = kernel_.add_watch(here_.get(), location_, mask.bits());
        const Target& before = name_.target;
        if (wd >= 0) {
            sight_.target = {wd, is_directory, stat_.device, stat_.inode};
            sight_.location = location_;
            return;
        }
        fail(-wd, true);
        if (before.device == stat_.device && before.inode == stat_.inode &&
            chains_.uses(before.wd)) {
            sight_.target = before;
            sight_.location = location_;
        }
    }

    NameChains& chains_;
    Kernel& kernel_;
    const Name& name_;
    Mask directory_mask_ = directory_mask;
    Sight sight_;
    OpenDirectory here_{kernel_, -1};  // or whatever else is there
    Stat stat_;
    std::string location_;  // the path of `here_` without links, for systems without /proc
    int links_ = 0;
};

NameChains::Id NameChains::add(const std::string& path, Mask mask) {
    Name name{.path = path, .absolute = path, .mask = mask, .chain = {}, .target = {}};
    if (!path.starts_with('/')) {
        std::string directory;
        if (const int error = kernel_.resolve(".", directory); error < 0)
            throw_error(&kernel_, -error, "follow", path);
        append_name(directory, path);
        name.absolute = std::move(directory);
    }
    const Id id = next_id_++;
    ids_.emplace(path, id);
    names_.emplace(id, std::move(name));
    return id;
}

NameChains::Id NameChains::find(std::string_view path) const {
    const auto found = ids_.find(path);
    return found == ids_.end() ? no_node : found->second;
}

void NameChains::remove(Id id) {
    const auto found = names_.find(id);
    release(id, found->second.chain, found->second.target.wd);
    failures_.erase(id);
    suspects_.erase(id);
    ids_.erase(found->second.path);
    names_.erase(found);
}

bool NameChains::set_mask(Id id, Mask mask) {
    const Target& target = names_.at(id).target;
    names_.at(id).mask = mask;
    Sight sight = see(id);
    if (sight.error == 0 && target.wd >= 0 && sight.target.wd == target.wd) {
        replace_chain(id, std::move(sight));
        return true;
    }
    discard(sight);
    suspects_.insert(id);
    return false;
}

bool NameChains::handle(const Record& record) {
    const Mask mask = record.mask;
    if (mask.contains(IN::Q_OVERFLOW)) {
        for (const auto& [id, name] : names_)
            suspects_.insert(id);
        return true;
    }
    if (mask.contains(IN::IGNORED))
        end_shortage();
    const auto found = users_.find(record.wd);
    if (found == users_.end())
        return false;
    Users& users = found->second;
    if (mask.contains(IN::IGNORED)) {
        suspect_all(users);
        users_.erase(found);
        return true;
    }
    if (mask.contains(IN::ATTRIB) && record.name.empty())
        for (const auto& [entry, names] : users.entries)
            expedite(names);
    const auto names = users.entries.find(record.name);
    if (names == users.entries.end())
        return false;
    if (mask.intersects(entry_changes))
        suspects_.insert(names->second.begin(), names->second.end());
    else if (mask.contains(IN::ATTRIB))
        expedite(names->second);
    return mask.intersects(entry_changes);
}

void NameChains::suspect_all(const Users& users) {
    suspects_.insert(users.targets.begin(), users.targets.end());
    for (const auto& [entry, names] : users.entries)
        suspects_.insert(names.begin(), names.end());
}

// Rights have changed on the way of these names.
void NameChains::expedite(const std::set<Id>& names) {
    if (!failures_.empty())
        std::ranges::for_each(names, [&](Id id) { failures_.expedite(id); });
}

void NameChains::suspect(std::string_view path) {
    if (const Id id = find(path); id != no_node)
        suspects_.insert(id);
}

bool NameChains::has_suspect() {
    if (suspects_.empty() && !failures_.empty() && failures_.next_due() <= kernel_.now())
        for (const Id id : failures_.take(kernel_.now()))
            suspects_.insert(id);
    return !suspects_.empty();
}

// In turn, so that a name that always changes does not hold up the others.
NameChains::Finding NameChains::look() {
    auto next = suspects_.upper_bound(last_look_);
    if (next == suspects_.end())
        next = suspects_.begin();
    last_look_ = *next;
    return look(last_look_);
}

NameChains::Finding NameChains::look(Id id) {
    suspects_.erase(id);
    Sight sight = see(id);
    const Target before = names_.at(id).target;
    // What cannot be seen stays as it was reported, while its watch is in place.
    if (!sight.is_known && uses(before.wd))
        sight.target = before;
    const int error = sight.error;
    Finding finding{.name = id,
                    .before = before,
                    .now = sight.target,
                    .location = std::move(sight.location),
                    .error = 0};
    replace_chain(id, std::move(sight));
    if (error == 0) {
        failures_.succeed(id);
        return finding;
    }
    // From now on its directories are watched for changes of rights too, and only then is what they
    // forbid worth a look.
    if (!failures_.contains(id))
        suspects_.insert(id);
    if (failures_.fail(id, error, kernel_.now()))
        finding.error = error;
    return finding;
}

Duration NameChains::until_due() const {
    if (!suspects_.empty())
        return Duration::zero();
    return failures_.empty() ? forever : failures_.until_due(kernel_.now());
}

NameChains::Sight NameChains::see(Id id) {
    return Walk(*this, names_.at(id), failures_.contains(id)).run();
}

void NameChains::replace_chain(Id id, Sight sight) {
    Name& name = names_.at(id);
    release(id, name.chain, name.target.wd);
    name.chain = std::move(sight.chain);
    name.target = sight.target;
    for (const Step& step : name.chain)
        if (step.wd >= 0)
            users_[step.wd].entries[step.entry].insert(id);
    if (name.target.wd >= 0)
        users_[name.target.wd].targets.insert(id);
}

void NameChains::release(Id id, const std::vector<Step>& chain, int target) {
    for (const Step& step : chain) {
        const auto users = users_.find(step.wd);
        if (users == users_.end())
            continue;  // its watch has ended
        auto& entries = users->second.entries;
        const auto names = entries.find(step.entry);
        if (names != entries.end() && names->second.erase(id) == 1 && names->second.empty())
            entries.erase(names);
        release_if_unused(step.wd);
    }
    if (const auto users = users_.find(target); users != users_.end()) {
        users->second.targets.erase(id);
        release_if_unused(target);
    }
}

void NameChains::release_if_unused(int wd) {
    const auto users = users_.find(wd);
    if (users->second.entries.empty() && users->second.targets.empty()) {
        users_.erase(users);
        released_.insert(wd);
    }
}

// A walk whose result is not used: its watches may be nobody's.
void NameChains::discard(const Sight& sight) {
    for (const Step& step : sight.chain)
        released_.insert(step.wd);
    released_.insert(sight.target.wd);
}

std::vector<int> NameChains::take_released() {
    std::vector<int> result;
    for (const int wd : std::exchange(released_, {}))
        if (wd >= 0 && !uses(wd))
            result.push_back(wd);
    return result;
}

}  // namespace inotify::detail
