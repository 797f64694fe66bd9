// SPDX-License-Identifier: MIT
// What events come to, net: every rule in a table.
#include <inotify/batch.hpp>

#include "batch_support.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace inotify;

namespace {

// One line of a table: what happens, separated by semicolons, and what it comes to.
struct Row {
    const char* events;
    const char* changes;
};

/// The events of a table's line. A path ends in / if it is a directory's.
///
///     create P   delete P   write P   close P   attrib P   open P   self P (DELETE_SELF)
///     move P Q   from P (its first half alone)   to P (an arrival from elsewhere)   overflow
///     begin P   other P   end P (a followed name leads to something, to something else, nowhere)
///     ignored P (a followed root ends)
class Script {
public:
    explicit Script(BatchBuilder& builder) : builder_(builder) {}

    void run(std::string_view events) {
        std::istringstream all{std::string(events)};
        for (std::string event; std::getline(all, event, ';');) {
            std::istringstream words(event);
            std::string name;
            std::string path;
            std::string second;
            words >> name >> path >> second;
            run(name, path, second);
        }
    }

private:
    void run(const std::string& name, const std::string& path, const std::string& second) {
        if (name == "create")
            add(IN::CREATE, path);
        else if (name == "delete")
            add(IN::DELETE, path);
        else if (name == "write")
            add(IN::MODIFY, path);
        else if (name == "close")
            add(IN::CLOSE_WRITE, path);
        else if (name == "attrib")
            add(IN::ATTRIB, path);
        else if (name == "open")
            add(IN::OPEN, path);
        else if (name == "self")
            add_self(IN::DELETE_SELF, path);
        else if (name == "begin")
            add_self(IN::CREATE, path);
        else if (name == "ignored")
            add_self(IN::IGNORED, path, true);
        else if (name == "other")
            add_self(IN::MOVED_TO, path);
        else if (name == "end")
            add_self(IN::DELETE, path);
        else if (name == "from")
            add(IN::MOVED_FROM, path, ++cookie_);
        else if (name == "to")
            add(IN::MOVED_TO, path, ++cookie_);
        else if (name == "overflow")
            builder_.add(test::make_event(-1, IN::Q_OVERFLOW));
        else if (name == "move") {
            add(IN::MOVED_FROM, path, ++cookie_);
            add(IN::MOVED_TO, second, cookie_, path);
        } else if (name == "exchange") {
            add(IN::MOVED_FROM, path, cookie_ + 1);
            add(IN::MOVED_FROM, second, cookie_ + 2);
            add(IN::MOVED_TO, second, cookie_ + 1, path);
            add(IN::MOVED_TO, path, cookie_ + 2, second);
            cookie_ += 2;
        } else {
            FAIL("not an event: " << name);
        }
    }

    static std::string plain(std::string path) {
        if (path.ends_with('/'))
            path.pop_back();
        return path;
    }

    void add(Mask mask, const std::string& path, std::uint32_t cookie = 0,
             const std::string& moved_from = {}) {
        const std::string name = plain(path);
        const std::size_t slash = name.rfind('/');
        Event event = test::make_event(1, mask, slash == name.npos ? "." : name.substr(0, slash),
                                       name.substr(slash + 1));
        if (path.ends_with('/'))
            event.mask |= IN::ISDIR;
        event.cookie = cookie;
        if (!moved_from.empty())
            event.moved_from = (moved_from.find('/', 1) == moved_from.npos ||
                                        moved_from.find('/') == moved_from.size() - 1
                                    ? "./"
                                    : "") +
                               plain(moved_from);
        builder_.add(event);
    }

    void add_self(Mask mask, const std::string& path, bool synthetic = false) {
        Event event = test::make_event(1, mask, plain(path));
        if (path.ends_with('/') && !mask.intersects(IN::DELETE_SELF | IN::IGNORED))
            event.mask |= IN::ISDIR;
        event.synthetic = synthetic;
        builder_.add(event);
    }

    BatchBuilder& builder_;
    std::uint32_t cookie_ = 0;
};

void check(std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
        CAPTURE(row.events);
        BatchBuilder builder;
        Script(builder).run(row.events);
        const std::string changes = test::to_string(builder.take());
        CHECK(changes == row.changes);
        CHECK(builder.empty());
        CHECK(builder.take().empty());
    }
}

}  // namespace

TEST_CASE("what a followed name leads to is a change of its path") {
    check({
        {"begin r/f", "added r/f"},
        {"other r/f", "modified r/f"},
        {"other r/f; close r/f", "modified r/f"},
        {"end r/f", "removed r/f"},
        {"end r/f; begin r/f", "modified r/f"},
        {"begin r/f; other r/f", "added r/f"},
        {"begin r/f; end r/f", ""},
        {"other r/f; end r/f", "removed r/f"},
        {"begin r/", "added r/"},
        {"ignored r/", "removed r/"},
        {"ignored r/; begin r/", "added r/"},
        {"begin r/; create r/f; ignored r/", ""},
        {"begin r/; self r/", ""},
    });
}

TEST_CASE("what is made, written and removed comes to one change of its path, or to none") {
    check({
        {"create r/f", "added r/f"},
        {"create r/d/", "added r/d/"},
        {"create r/f; write r/f; close r/f; attrib r/f", "added r/f"},
        {"create r/f; write r/f; delete r/f", ""},
        {"create r/f; delete r/f; create r/f", "added r/f"},
        {"write r/f; close r/f; write r/f", "modified r/f"},
        {"close r/f", "modified r/f"},
        {"attrib r/f", "attributes r/f"},
        {"attrib r/d/", "attributes r/d/"},
        {"attrib r/f; write r/f; attrib r/f", "modified r/f"},
        {"delete r/f", "removed r/f"},
        {"write r/f; delete r/f", "removed r/f"},
        {"delete r/f; create r/f", "modified r/f"},
        {"delete r/f; create r/f; delete r/f", "removed r/f"},
        {"delete r/d/; create r/d/", "modified r/d/"},
        {"delete r/f; create r/f/", "modified r/f/"},
        {"delete r/d/; create r/d", "modified r/d"},
        {"open r/f; open r/d/", ""},
    });
}

TEST_CASE("a rename is one change, from where it was before the batch to where it is") {
    check({
        {"move r/a r/b", "renamed r/b < r/a"},
        {"move r/a/ r/b/", "renamed r/b/ < r/a/"},
        {"move r/a r/b; move r/b r/c", "renamed r/c < r/a"},
        {"move r/a r/b; move r/b r/a", ""},
        {"move r/a r/b; delete r/b", "removed r/a"},
        {"move r/a r/d/b; delete r/d/b", "removed r/a"},
        {"move r/a r/b; create r/a", "renamed r/b < r/a; added r/a"},
        {"move r/a r/b; attrib r/b", "renamed r/b < r/a"},
        {"create r/a; move r/a r/b; delete r/b", "removed r/b"},
        {"move r/b r/c; move r/a r/b", "renamed r/c < r/b; renamed r/b < r/a"},
        {"delete r/b; move r/a r/b", "renamed r/b < r/a"},
        {"from r/a", "removed r/a"},
        {"from r/a/", "removed r/a/"},
        {"to r/d/", "added r/d/"},
        {"to r/d/; create r/d/f", "added r/d/; added r/d/f"},
        {"from r/d/; to r/d/", "added r/d/"},
    });
}

TEST_CASE("a file that was renamed and written is removed and added: its contents are others") {
    check({
        {"move r/a r/b; write r/b", "removed r/a; added r/b"},
        {"write r/a; move r/a r/b", "removed r/a; added r/b"},
        {"write r/a; move r/a r/b; move r/b r/a", "modified r/a"},
        {"delete r/b; move r/a r/b; write r/b", "removed r/a; modified r/b"},
    });
}

TEST_CASE("an atomic save modifies the name that is saved") {
    check({
        {"create r/t; write r/t; close r/t; move r/t r/f", "modified r/f"},
        {"to r/f", "added r/f"},
        {"create r/t; move r/t r/f; create r/u; move r/u r/f", "modified r/f"},
        {"create r/f; create r/t; move r/t r/f", "added r/f"},
        {"delete r/f; create r/t; move r/t r/f", "modified r/f"},
        {"move r/f r/f~; create r/f; write r/f", "renamed r/f~ < r/f; added r/f"},
        {"move r/f r/f~; create r/f; delete r/f~", "modified r/f"},
        {"create r/t; move r/t r/u; move r/u r/f", "modified r/f"},
        {"create r/t; move r/t r/f; delete r/f", "removed r/f"},
        {"create r/d/; create r/t; move r/t r/d/f", "added r/d/; added r/d/f"},
        {"create r/t/; move r/t/ r/d/", "added r/d/"},
    });
}

TEST_CASE("a directory takes what is below it along") {
    check({
        {"create r/d/; create r/d/f; move r/d/ r/e/", "added r/e/; added r/e/f"},
        {"write r/d/f; move r/d/ r/e/", "renamed r/e/ < r/d/; modified r/e/f"},
        {"move r/d/ r/e/; write r/e/f", "renamed r/e/ < r/d/; modified r/e/f"},
        {"move r/d/ r/e/; move r/e/f r/e/g", "renamed r/e/ < r/d/; renamed r/e/g < r/e/f"},
        {"move r/d/f r/d/g; move r/d/ r/e/", "renamed r/e/ < r/d/; renamed r/e/g < r/e/f"},
        {"move r/d/ r/e/; move r/e/f r/f", "renamed r/e/ < r/d/; renamed r/f < r/e/f"},
        {"move r/d/ r/e/; move r/f r/e/f", "renamed r/e/ < r/d/; renamed r/e/f < r/f"},
        {"delete r/d/f; move r/d/ r/e/", "removed r/d/f; renamed r/e/ < r/d/"},
        {"move r/d/ r/e/; delete r/e/f", "removed r/d/f; renamed r/e/ < r/d/"},
        {"move r/d/ r/e/; delete r/e/f; create r/e/f", "renamed r/e/ < r/d/; modified r/e/f"},
        {"create r/d/f; write r/d/g; from r/d/", "removed r/d/"},
        {"write r/d/f; move r/d/ r/e/; move r/e/ r/d/", "modified r/d/f"},
        {"move r/d/ r/d2/; create r/d/; create r/d/f; delete r/d2/f",
         "renamed r/d2/ < r/d/; removed r/d2/f; added r/d/; added r/d/f"},
    });
}

TEST_CASE("a directory that is removed stands for what was below it") {
    check({
        {"delete r/d/f; delete r/d/", "removed r/d/"},
        {"delete r/d/e/f; delete r/d/e/; delete r/d/", "removed r/d/"},
        {"create r/d/f; delete r/d/f; delete r/d/", "removed r/d/"},
        {"create r/d/; create r/d/f; delete r/d/f; delete r/d/", ""},
        {"write r/d/f; move r/d/ r/e/; delete r/e/f; delete r/e/", "removed r/d/"},
        {"delete r/d/f; delete r/d/; create r/d/", "removed r/d/f; modified r/d/"},
        {"delete r/d/f; delete r/d/g; delete r/d/; create r/d/; create r/d/f",
         "removed r/d/g; modified r/d/; modified r/d/f"},
        {"delete r/d/f; delete r/d/; create r/d", "removed r/d/f; modified r/d"},
        {"from r/d/; create r/d/; create r/d/f", "added r/d/; added r/d/f"},
        {"from r/d/; create r/d", "added r/d"},
        {"delete r/a; delete r/a.b; delete r/a/x", "removed r/a; removed r/a.b"},
    });
}

TEST_CASE(
    "removals come first, then renames, then additions, parents before children, then the "
    "rest") {
    check({
        {"write r/w; attrib r/v; create r/n; create r/m/; create r/m/k; move r/a r/b; delete r/z; "
         "delete r/y",
         "removed r/y; removed r/z; renamed r/b < r/a; added r/m/; added r/m/k; added r/n; "
         "attributes r/v; modified r/w"},
        {"create r/b/; move r/a r/b/a", "added r/b/; renamed r/b/a < r/a"},
        {"move r/d/f r/f; delete r/d/", "renamed r/f < r/d/f; removed r/d/"},
        {"move r/d/e/f r/f; delete r/d/e/; delete r/d/; delete r/a",
         "removed r/a; renamed r/f < r/d/e/f; removed r/d/"},
        {"move r/d/f r/f; delete r/d/; move r/f r/d", "renamed r/d < r/d/f"},
        {"move r/d/e/ r/e/; delete r/d/; move r/e/ r/d/", "renamed r/d/ < r/d/e/"},
        {"move r/x/ r/t/; move r/y/ r/t/y/; move r/t/ r/z/",
         "renamed r/z/ < r/x/; renamed r/z/y/ < r/y/"},
    });
}

TEST_CASE("names that are exchanged: files are modified, directories are renamed both at once") {
    check({
        {"exchange r/a r/b", "modified r/a; modified r/b"},
        {"move r/a r/t; move r/b r/a; move r/t r/b", "modified r/a; modified r/b"},
        {"move r/a r/t; move r/b r/a; move r/c r/b; move r/t r/c",
         "modified r/a; modified r/b; modified r/c"},
        {"exchange r/a/ r/b/", "renamed r/b/ < r/a/; renamed r/a/ < r/b/"},
        {"exchange r/a/ r/b/; exchange r/a/ r/b/", ""},
        {"move r/a/ r/t/; move r/f r/a; move r/t/ r/f/", "renamed r/f/ < r/a/; added r/a"},
        {"exchange r/a/ r/b/; write r/a/f",
         "renamed r/b/ < r/a/; renamed r/a/ < r/b/; "
         "modified r/a/f"},
        {"move r/a/b/ r/t/; move r/a/ r/t/a/; move r/t/ r/a/",
         "renamed r/a/ < r/a/b/; renamed r/a/a/ < r/a/"},
    });
}

TEST_CASE("a directory made anew that takes over what the old one held") {
    check({
        {"create r/n/; move r/d/f r/n/f; delete r/d/; move r/n/ r/d/", "modified r/d/"},
        {"create r/n/; move r/d/f r/n/f; delete r/d/g; delete r/d/; move r/n/ r/d/",
         "removed r/d/g; modified r/d/"},
        {"create r/n/; move r/d/f r/n/f; from r/d/; move r/n/ r/d/", "added r/d/; added r/d/f"},
    });
}

TEST_CASE("what a directory that is removed held goes into the one that takes its name") {
    check({
        {"move r/d/a/ r/n/b/; delete r/d/; move r/n/ r/d/",
         "renamed r/n/b/ < r/d/a/; renamed r/d/ < r/n/"},
        {"move r/d/a/ r/n/b/; attrib r/n/a; delete r/d/; move r/n/ r/d/",
         "renamed r/n/b/ < r/d/a/; renamed r/d/ < r/n/; attributes r/d/a"},
        {"move r/d/a r/n/b; delete r/d/; move r/n/ r/d/", "renamed r/d/ < r/n/; added r/d/b"},
    });
}

TEST_CASE("an overflow is said, whatever else there is") {
    check({
        {"overflow", "overflow"},
        {"create r/f; overflow; delete r/f", "overflow"},
        {"overflow; create r/f", "overflow; added r/f"},
        {"delete r/d/; create r/d/; overflow", "overflow; modified r/d/"},
        {"overflow; delete r/d/; create r/d/", "overflow; added r/d/"},
    });
}

TEST_CASE("what comes late of a file that has no name any more is no change") {
    check({
        {"create r/f; delete r/f; write r/f; close r/f", ""},
        {"delete r/f; write r/f; close r/f", "removed r/f"},
        {"delete r/f; delete r/f", "removed r/f"},
        {"move r/a r/b; write r/a; attrib r/a", "renamed r/b < r/a"},
        {"create r/d/; create r/d/f; delete r/d/f; delete r/d/; close r/d/f", ""},
    });
}

TEST_CASE("what is watched itself: its own events and its end") {
    check({
        {"self r/f", "removed r/f"},
        {"self r", "removed r"},
        {"write r/f; self r", "removed r/"},
        {"self r/d; delete r/d/", "removed r/d/"},
        {"self r/d; delete r/d/; create r/d/", "modified r/d/"},
        {"create r/d/; self r/d; delete r/d/", ""},
        {"to r/f; self r/f", "added r/f"},
        {"create r/d/; create r/d/f; self r", "removed r/"},
        {"write r/d/f; self r/d; create r/d/f", "modified r/d/; modified r/d/f"},
    });
    BatchBuilder builder;
    builder.add(test::make_event(1, IN::MODIFY, "/etc/hosts"));
    builder.add(test::make_event(2, IN::ATTRIB | IN::ISDIR, "/"));
    builder.add(test::make_event(2, IN::MOVE_SELF | IN::ISDIR, "/srv"));
    builder.add(test::make_event(2, IN::IGNORED, "/srv"));
    builder.add(test::make_event(2, IN::UNMOUNT, "/srv"));
    CHECK(test::to_string(builder.take()) == "attributes //; modified /etc/hosts");
}

TEST_CASE("paths are spelled as the events spell them") {
    for (const std::string root : {"/r", "r", ".", "..", "./r", "r//d", "/", "r/"}) {
        CAPTURE(root);
        BatchBuilder builder;
        const Event event = test::make_event(1, IN::CREATE, root, "f");
        builder.add(event);
        const Batch batch = builder.take();
        REQUIRE(batch.changes.size() == 1);
        CHECK(batch.changes[0].path == event.full_path());
    }
}

TEST_CASE("errors of the stream are no change") {
    BatchBuilder builder;
    Event event = test::make_event(-1, {}, "/r/secret");
    event.error = std::make_error_code(std::errc::permission_denied);
    builder.add(event);
    CHECK(builder.empty());
    CHECK(builder.take().empty());
}

TEST_CASE("a builder is empty exactly when it has nothing to give") {
    BatchBuilder builder;
    Script script(builder);
    CHECK(builder.empty());
    script.run("open r/f; create r/f");
    CHECK_FALSE(builder.empty());
    script.run("delete r/f");
    CHECK(builder.empty());
    script.run("move r/a r/b");
    CHECK_FALSE(builder.empty());
    script.run("move r/b r/a");
    CHECK(builder.empty());
    script.run("from r/a");
    CHECK_FALSE(builder.empty());
    builder = BatchBuilder();
    CHECK(builder.empty());
    Script(builder).run("overflow");
    CHECK_FALSE(builder.empty());
    BatchBuilder other = std::move(builder);
    CHECK(other.take().overflow);
}

TEST_CASE("the second half of a rename that comes in the next batch is an addition there") {
    BatchBuilder builder;
    Script(builder).run("from r/a");
    CHECK(test::to_string(builder.take()) == "removed r/a");
    Event event = test::make_event(1, IN::MOVED_TO | IN::ISDIR, "r", "b");
    event.cookie = 1;
    event.moved_from = "r/a";
    builder.add(event);
    CHECK(test::to_string(builder.take()) == "added r/b/");
}
