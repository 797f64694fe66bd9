// SPDX-License-Identifier: MIT
// InotifyTree: the sequences of the Python package's own tests of trees, and their records.
//
// There is one difference: the tree does not report its own reading of directories.
#include "tree_client.hpp"

#include <string>

using namespace inotify;
using test::asking;
using test::drain;
using test::drain_lines;
using test::Lines;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

void append(Lines& lines, const Lines& more) {
    lines.insert(lines.end(), more.begin(), more.end());
}

Lines made_and_closed(const std::string& path) {
    return {"CREATE " + path, "OPEN " + path, "CLOSE_WRITE " + path};
}

Lines removed(const std::string& directory) {
    return {"DELETE_SELF " + directory, "IGNORED " + directory, "DELETE|ISDIR " + directory};
}

}  // namespace

TEST_CASE("a tree reports files made and removed at each level, and directories removed") {
    TempDir dir;
    for (const char* name : {"aa", "bb"})
        fs::create_directory(dir / name);
    InotifyTree tree(dir.path(), asking(IN::ALL_EVENTS));
    const Lines files{"seen_new_file1", "aa/seen_new_file2", "bb/seen_new_file3"};
    Lines expected;
    for (const std::string& file : files) {
        test::touch(dir / file);
        append(expected, made_and_closed(file));
    }
    for (const std::string& file : files) {
        fs::remove(dir / file);
        expected.push_back("DELETE " + file);
    }
    for (const char* name : {"aa", "bb"}) {
        fs::remove(dir / name);
        append(expected, removed(name));
    }
    const auto events = drain(tree);
    CHECK(test::lines(events, dir) == expected);
    for (const Event& event : events)
        CHECK(event.path == (event.mask.intersects(IN::DELETE_SELF | IN::IGNORED)
                                 ? event.full_path()
                                 : event.full_path().parent_path()));
}

TEST_CASE("a tree reports renames of a directory and of a file in it under their new paths") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(IN::ALL_EVENTS));
    fs::create_directory(dir / "old_folder");
    CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR old_folder"});

    fs::rename(dir / "old_folder", dir / "new_folder");
    const auto moved = drain(tree);
    CHECK(test::lines(moved, dir) == Lines{"MOVED_FROM|ISDIR old_folder",
                                           "MOVED_TO|ISDIR new_folder < old_folder",
                                           "MOVE_SELF new_folder"});
    REQUIRE(moved.size() == 3);
    CHECK(moved[0].cookie == moved[1].cookie);
    CHECK(moved[2].path == (dir / "new_folder").native());
    CHECK(moved[2].filename.empty());

    test::touch(dir / "new_folder/old_filename");
    fs::rename(dir / "new_folder/old_filename", dir / "new_folder/new_filename");
    fs::remove(dir / "new_folder/new_filename");
    fs::remove(dir / "new_folder");
    Lines expected = made_and_closed("new_folder/old_filename");
    append(expected, {"MOVED_FROM new_folder/old_filename",
                      "MOVED_TO new_folder/new_filename < new_folder/old_filename",
                      "DELETE new_folder/new_filename"});
    append(expected, removed("new_folder"));
    CHECK(drain_lines(tree, dir) == expected);
}

TEST_CASE("a tree watches new directories at each level") {
    TempDir dir;
    InotifyTree tree(dir.path(), asking(IN::ALL_EVENTS));
    for (const char* name : {"folder1", "folder1/folder2"}) {
        fs::create_directory(dir / name);
        CHECK(drain_lines(tree, dir) == Lines{"CREATE|ISDIR " + std::string(name)});
    }
    test::touch(dir / "folder1/folder2/filename");
    CHECK(drain_lines(tree, dir) == made_and_closed("folder1/folder2/filename"));
}

TEST_CASE("a tree watches the directories that are there at each level") {
    TempDir dir;
    fs::create_directories(dir / "folder1/folder2");
    InotifyTree tree(dir.path(), asking(IN::ALL_EVENTS));
    test::touch(dir / "folder1/folder2/filename");
    CHECK(drain_lines(tree, dir) == made_and_closed("folder1/folder2/filename"));
}

TEST_CASE("several trees report their files") {
    TempDir dir;
    for (const char* name : {"aa", "bb"})
        fs::create_directory(dir / name);
    InotifyTree tree(dir / "aa", asking(IN::ALL_EVENTS));
    tree.add_tree(dir / "bb");
    test::touch(dir / "aa/seen_new_file1");
    test::touch(dir / "bb/seen_new_file2");
    Lines expected = made_and_closed("aa/seen_new_file1");
    append(expected, made_and_closed("bb/seen_new_file2"));
    CHECK(drain_lines(tree, dir) == expected);
}
