// SPDX-License-Identifier: MIT
// RenameReader: which records belong together, before and after a directory's lock was waited for.
#include <inotify/detail/rename_reader.hpp>
#include "scripted_kernel.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace IN = inotify::IN;
using inotify::Mask;
using inotify::detail::NodeId;
using inotify::detail::RenameRecord;
using test::record;

namespace {

using Wds = std::vector<int>;

constexpr Mask moved_from_dir = IN::MOVED_FROM | IN::ISDIR;
constexpr Mask moved_to_dir = IN::MOVED_TO | IN::ISDIR;

/// A tree whose records and whose kernel a test makes up: /r, /r/a, /r/b and /r/c are watched by 1
/// to 4, and all that has been queued before a rename has been handled.
struct Renames {
    test::ScriptedKernel kernel;
    inotify::TreeOptions options;
    inotify::detail::RecordQueue queue{kernel};
    inotify::detail::Picture picture{options};
    inotify::detail::Disk disk{kernel, queue, picture, options};
    inotify::detail::RenameReader reader{queue, disk, picture.model()};
    NodeId r = picture.add_root("/r", "/r", kernel.add_watch("/r", 0));
    NodeId a = add(r, "a");
    NodeId b = add(r, "b");
    NodeId c = add(r, "c");

    NodeId add(NodeId parent, std::string_view name) {
        const NodeId node = picture.create_directory(parent, name, {});
        std::string path;
        picture.model().path(node, path);
        picture.watch(node, kernel.add_watch(path, 0));
        return node;
    }

    [[nodiscard]] int wd(NodeId node) const { return picture.model()[node].wd; }

    /// Queues a record about an entry of a directory, or without a name about the directory itself.
    void queue_record(NodeId node, Mask mask, std::string_view name = {},
                      std::uint32_t cookie = 0) {
        kernel.queue(record(wd(node), mask, name, cookie));
    }

    void queue_overflow() { kernel.queue(record(-1, IN::Q_OVERFLOW)); }

    /// Consumes the first record, as the follower does.
    RenameRecord take() {
        const auto* const first = queue.front();
        REQUIRE(first != nullptr);
        RenameRecord kept;
        inotify::detail::RenameReader::keep(queue.position(), *first, kept);
        queue.pop();
        return kept;
    }

    /// Renames the directory `node`, so that its path leads nowhere.
    void hide(NodeId node) {
        std::string path;
        picture.model().path(node, path);
        kernel.wds.erase(path);
    }
};

}  // namespace

TEST_CASE("the counterpart of a rename is found at once where it is queued") {
    Renames renames;
    renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
    renames.queue_record(renames.c, IN::CREATE, "f");       // of another directory
    renames.queue_record(renames.a, IN::MODIFY, "g");       // no change of what it holds
    renames.queue_record(renames.c, IN::MOVED_TO, "f", 6);  // of another rename
    renames.queue_record(renames.b, IN::MOVED_TO, "g", 7);
    const RenameRecord from = renames.take();
    RenameRecord to;
    CHECK(renames.reader.find_counterpart(from, to));
    CHECK(to.wd == renames.wd(renames.b));
    CHECK(to.name == "g");
    CHECK(to.position > from.end());
    CHECK(renames.kernel.awaited.empty());
    CHECK(renames.take().name == "f");  // nothing was consumed
}

TEST_CASE("the counterpart of a rename within one directory is that directory's next change") {
    Renames renames;
    renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
    renames.queue_record(renames.a, IN::MOVED_TO, "g", 7);
    RenameRecord to;
    CHECK(renames.reader.find_counterpart(renames.take(), to));
    CHECK(to.name == "g");
}

TEST_CASE("the counterpart that is not queued yet is found once the directory was waited for") {
    Renames renames;
    renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
    renames.kernel.on_await([&] { renames.queue_record(renames.b, IN::MOVED_TO, "g", 7); });
    RenameRecord to;
    CHECK(renames.reader.find_counterpart(renames.take(), to));
    CHECK(to.name == "g");
    CHECK(renames.kernel.awaited == Wds{renames.wd(renames.a)});
}

TEST_CASE("a rename out of the tree has no counterpart, and its directory is waited for once") {
    Renames renames;
    renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
    RenameRecord to;
    CHECK(!renames.reader.find_counterpart(renames.take(), to));
    CHECK(renames.kernel.awaited == Wds{renames.wd(renames.a)});
}

TEST_CASE("no counterpart lies behind the next change of the directory that was left") {
    for (const Mask change : {IN::CREATE, IN::DELETE, IN::MOVED_FROM, IN::MOVED_TO}) {
        CAPTURE(change.bits());
        Renames renames;
        renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
        renames.queue_record(renames.a, change, "h", 8);
        renames.queue_record(renames.b, IN::MOVED_TO, "g", 7);  // the cookies have come round
        RenameRecord to;
        CHECK(!renames.reader.find_counterpart(renames.take(), to));
        CHECK(renames.kernel.awaited.empty());  // the rename is over
    }
}

TEST_CASE("no counterpart lies behind an overflow") {
    Renames renames;
    renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
    renames.queue_overflow();
    renames.queue_record(renames.b, IN::MOVED_TO, "g", 7);
    RenameRecord to;
    CHECK(!renames.reader.find_counterpart(renames.take(), to));
    CHECK(renames.kernel.awaited.empty());
}

TEST_CASE("no counterpart lies behind what was queued while the directory was waited for") {
    Renames renames;
    renames.queue_record(renames.a, IN::MOVED_FROM, "f", 7);
    SUBCASE("a change of the directory")
    renames.kernel.on_await([&] {
        renames.queue_record(renames.a, IN::CREATE, "h");
        renames.queue_record(renames.b, IN::MOVED_TO, "g", 7);
    });
    SUBCASE("an overflow")
    renames.kernel.on_await([&] {
        renames.queue_overflow();
        renames.queue_record(renames.b, IN::MOVED_TO, "g", 7);
    });
    RenameRecord to;
    CHECK(!renames.reader.find_counterpart(renames.take(), to));
    CHECK(renames.kernel.awaited.size() == 1);
}

TEST_CASE("a directory has moved if its own MOVE_SELF follows its rename") {
    Renames renames;
    const NodeId x = renames.add(renames.a, "x");
    renames.queue_record(renames.a, moved_from_dir, "x", 7);
    renames.queue_record(renames.b, moved_to_dir, "x", 7);  // no next change, but its own
    renames.queue_record(renames.c, IN::CREATE, "f");
    renames.queue_record(x, IN::MOVE_SELF);
    const RenameRecord from = renames.take();
    RenameRecord to;
    REQUIRE(renames.reader.find_counterpart(from, to));
    CHECK(renames.reader.moves_itself(from, &to, x));
    CHECK(renames.kernel.awaited.empty());
}

TEST_CASE("a directory has moved if its MOVE_SELF is queued once a directory was waited for") {
    Renames renames;
    const NodeId x = renames.add(renames.a, "x");
    renames.queue_record(renames.a, moved_from_dir, "x", 7);
    renames.queue_record(renames.b, moved_to_dir, "x", 7);
    const RenameRecord from = renames.take();
    RenameRecord to;
    REQUIRE(renames.reader.find_counterpart(from, to));
    SUBCASE("the one that it has left") {
        renames.kernel.on_await([&] { renames.queue_record(x, IN::MOVE_SELF); });
        CHECK(renames.reader.moves_itself(from, &to, x));
        CHECK(renames.kernel.awaited == Wds{renames.wd(renames.a)});
    }
    SUBCASE("the other, where that one cannot be reached") {
        renames.hide(renames.a);
        renames.kernel.on_await([&] { renames.queue_record(x, IN::MOVE_SELF); });
        CHECK(renames.reader.moves_itself(from, &to, x));
        CHECK(renames.kernel.awaited == Wds{renames.wd(renames.b)});
    }
    SUBCASE("the one that it has left, when it has left the tree") {
        renames.kernel.on_await([&] { renames.queue_record(x, IN::MOVE_SELF); });
        CHECK(renames.reader.moves_itself(from, nullptr, x));
    }
}

TEST_CASE("a directory has not moved if its MOVE_SELF does not follow before the next change") {
    Renames renames;
    const NodeId x = renames.add(renames.a, "x");
    const NodeId y = renames.add(renames.a, "y");
    renames.queue_record(renames.a, moved_from_dir, "x", 7);
    renames.queue_record(renames.b, moved_to_dir, "x", 7);
    SUBCASE("of the directory that was left")
    renames.queue_record(renames.a, IN::CREATE, "f");
    SUBCASE("of the directory where it arrived")
    renames.queue_record(renames.b, IN::CREATE, "f");
    SUBCASE("although another one's follows") {
        renames.queue_record(y, IN::MOVE_SELF);
        renames.queue_record(renames.a, IN::CREATE, "f");
    }
    SUBCASE("nor before an overflow")
    renames.queue_overflow();
    renames.queue_record(x, IN::MOVE_SELF);
    const RenameRecord from = renames.take();
    RenameRecord to;
    REQUIRE(renames.reader.find_counterpart(from, to));
    CHECK(!renames.reader.moves_itself(from, &to, x));
    CHECK(renames.kernel.awaited.empty());
}

TEST_CASE("of two directories exchanged, the one in the way leaves by the next change") {
    Renames renames;
    const NodeId x = renames.add(renames.a, "x");
    const NodeId y = renames.add(renames.b, "y");
    renames.queue_record(renames.b, moved_to_dir, "y", 7);
    renames.queue_record(x, IN::MOVE_SELF);
    renames.queue_record(renames.b, moved_from_dir, "y", 8);
    SUBCASE("all is queued") {
        renames.queue_record(renames.a, moved_to_dir, "x", 8);
        renames.queue_record(y, IN::MOVE_SELF);
    }
    SUBCASE("some of it when its directory was waited for")
    renames.kernel.on_await([&] {
        renames.queue_record(renames.a, moved_to_dir, "x", 8);
        renames.queue_record(y, IN::MOVE_SELF);
    });
    const RenameRecord to = renames.take();
    RenameRecord from;
    CHECK(renames.reader.leaves_next(renames.b, to, from));
    CHECK(from.name == "y");
    CHECK(from.cookie == 8);
}

TEST_CASE("a directory and a file exchanged leave by the next change, whatever MOVE_SELF says") {
    Renames renames;
    renames.add(renames.b, "y");
    renames.queue_record(renames.b, IN::MOVED_TO, "y", 7);
    renames.queue_record(renames.b, moved_from_dir, "y", 8);
    const RenameRecord to = renames.take();
    RenameRecord from;
    CHECK(renames.reader.leaves_next(renames.b, to, from));
    CHECK(from.cookie == 8);
}

TEST_CASE("what is in the way was replaced if it does not leave by the next change") {
    Renames renames;
    const NodeId x = renames.add(renames.a, "x");
    const NodeId y = renames.add(renames.b, "y");
    renames.queue_record(renames.b, moved_to_dir, "y", 7);
    SUBCASE("what has arrived leaves again") {
        renames.queue_record(renames.b, moved_from_dir, "y", 8);
        renames.queue_record(x, IN::MOVE_SELF);
        renames.queue_record(renames.b, IN::CREATE, "f");
    }
    SUBCASE("another name leaves")
    renames.queue_record(renames.b, moved_from_dir, "z", 8);
    SUBCASE("it is removed")
    renames.queue_record(renames.b, IN::DELETE | IN::ISDIR, "y");
    SUBCASE("another change comes before") {
        renames.queue_record(renames.b, IN::CREATE, "f");
        renames.queue_record(renames.b, moved_from_dir, "y", 8);
        renames.queue_record(y, IN::MOVE_SELF);
    }
    SUBCASE("records were lost") {
        renames.queue_overflow();
        renames.queue_record(renames.b, moved_from_dir, "y", 8);
        renames.queue_record(y, IN::MOVE_SELF);
    }
    SUBCASE("nothing more comes") {}
    const RenameRecord to = renames.take();
    RenameRecord from;
    CHECK(!renames.reader.leaves_next(renames.b, to, from));
}

TEST_CASE("of two files nothing but the disk says whether one has replaced the other") {
    Renames renames;
    renames.queue_record(renames.b, IN::MOVED_TO, "y", 7);
    renames.queue_record(renames.b, IN::MOVED_FROM, "y", 8);
    const RenameRecord to = renames.take();
    RenameRecord from;
    CHECK(!renames.reader.leaves_next(renames.b, to, from));
}

TEST_CASE("the last arrival in each directory is kept until that directory changes") {
    Renames renames;
    auto& reader = renames.reader;
    CHECK(!reader.forget_arrival(renames.a, "f", false));
    reader.note_arrival(renames.a, "f", false);
    reader.note_arrival(renames.b, "d", true);
    CHECK(reader.forget_arrival(renames.a, "f", false));
    CHECK(!reader.forget_arrival(renames.a, "f", false));  // that was the change
    CHECK(reader.forget_arrival(renames.b, "d", true));
    for (const auto& [name, is_dir] : {std::pair{"g", false}, {"f", true}}) {
        reader.note_arrival(renames.a, "f", false);
        CHECK(!reader.forget_arrival(renames.a, name, is_dir));
        CHECK(!reader.forget_arrival(renames.a, "f", false));
    }
    reader.note_arrival(renames.a, "f", false);
    reader.note_arrival(renames.a, "g", false);
    CHECK(!reader.forget_arrival(renames.a, "f", false));  // it was not the last
    reader.note_arrival(renames.a, "f", false);
    reader.forget_arrivals();
    CHECK(!reader.forget_arrival(renames.a, "f", false));
}

TEST_CASE("an arrival is no longer kept once its directory was waited for and nothing came") {
    Renames renames;
    renames.reader.note_arrival(renames.a, "f", false);
    renames.reader.note_arrival(renames.b, "f", false);
    renames.reader.forget_arrival(renames.b, "g", false);  // nothing is kept of it
    CHECK(renames.reader.await_arrivals());
    CHECK(renames.kernel.awaited == Wds{renames.wd(renames.a)});
    CHECK(!renames.reader.forget_arrival(renames.a, "f", false));
}

TEST_CASE("an arrival is kept while there are records to handle, which may be its other half") {
    Renames renames;
    renames.reader.note_arrival(renames.a, "f", false);
    renames.kernel.on_await([&] { renames.queue_record(renames.a, IN::MOVED_FROM, "f", 8); });
    CHECK(!renames.reader.await_arrivals());
    CHECK(renames.reader.forget_arrival(renames.a, "f", false));
}

TEST_CASE("arrivals are kept while one of their directories cannot be reached") {
    Renames renames;
    renames.reader.note_arrival(renames.a, "f", false);
    renames.reader.note_arrival(renames.b, "g", false);
    renames.hide(renames.a);
    CHECK(renames.reader.await_arrivals());
    CHECK(renames.kernel.awaited == Wds{renames.wd(renames.b)});
    CHECK(renames.reader.forget_arrival(renames.a, "f", false));
}

TEST_CASE("nothing is waited for of a directory that is not watched any more, or is gone") {
    Renames renames;
    renames.reader.note_arrival(renames.a, "f", false);
    renames.reader.note_arrival(renames.b, "f", false);
    renames.reader.note_arrival(renames.c, "f", false);
    renames.picture.end_watch(renames.a);
    renames.picture.remove(renames.r, "b", inotify::detail::silently);
    CHECK(renames.reader.await_arrivals());
    CHECK(renames.kernel.awaited == Wds{renames.wd(renames.c)});
    CHECK(!renames.reader.forget_arrival(renames.a, "f", false));
}

TEST_CASE("a directory that takes the number of one that is gone has none of its arrivals") {
    Renames renames;
    renames.reader.note_arrival(renames.c, "f", false);
    renames.picture.remove(renames.r, "c", inotify::detail::silently);
    const NodeId next = renames.add(renames.r, "d");
    REQUIRE(next == renames.c);
    CHECK(!renames.reader.forget_arrival(next, "f", false));
}

TEST_CASE("when arrivals of many directories are kept, it is time to wait for them") {
    Renames renames;
    int noted = 0;
    while (!renames.reader.is_full() && noted < 1000)
        renames.reader.note_arrival(renames.add(renames.r, std::to_string(noted++)), "f", false);
    CHECK(noted == 257);
    CHECK(renames.reader.await_arrivals());
    CHECK(renames.kernel.awaited.size() == 257);
    CHECK(!renames.reader.is_full());
}
