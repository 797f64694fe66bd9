// SPDX-License-Identifier: MIT
// The fuzzed body for a whole tree: operations at any moment, or records that no kernel sent.
#pragma once

#include "../forwarding_kernel.hpp"
#include "../operation.hpp"
#include "../picture.hpp"
#include "../sim_tree.hpp"
#include "record_target.hpp"

#include <inotify/inotify_tree.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace fuzz {

/// Puts records of the input between those of the simulated kernel.
class InjectingKernel final : public test::ForwardingKernel {
public:
    InjectingKernel(std::unique_ptr<Kernel> inner, Input& input, std::ostream* log)
        : ForwardingKernel(std::move(inner)), input_(input), log_(log) {}

    std::ptrdiff_t read(std::span<std::byte> buffer) override {
        if (input_.empty() || input_.byte() % 2 == 0)
            return ForwardingKernel::read(buffer);
        std::size_t size = 0;
        for (unsigned left = 1 + input_.byte() % 8; left > 0; --left)
            if (buffer.size() - size >= 512)
                size += put(buffer.subspan(size));
        return static_cast<std::ptrdiff_t>(size);
    }

private:
    std::size_t put(std::span<std::byte> buffer) {
        namespace IN = inotify::IN;
        static constexpr std::array masks{
            IN::CREATE | IN::ISDIR,
            IN::CREATE,
            IN::DELETE | IN::ISDIR,
            IN::DELETE,
            IN::MOVED_FROM | IN::ISDIR,
            IN::MOVED_FROM,
            IN::MOVED_TO | IN::ISDIR,
            IN::MOVED_TO,
            IN::IGNORED,
            IN::DELETE_SELF,
            IN::MOVE_SELF,
            IN::Q_OVERFLOW,
            IN::UNMOUNT,
            IN::OPEN | IN::ISDIR,
            IN::MODIFY,
        };
        struct Header {
            int wd;
            std::uint32_t mask;
            std::uint32_t cookie;
            std::uint32_t length;
        } header{};
        static constexpr std::array names{"a", "b", "c", "d"};
        const unsigned wd = input_.byte();
        header.wd = wd == 255 ? -1 : static_cast<int>(wd % 16);
        const unsigned mask = input_.byte();
        if (mask < 240)
            header.mask = masks.at(mask % masks.size()).bits();
        else
            for (unsigned i = 0; i < 4; ++i)
                header.mask = header.mask << 8U | input_.byte();
        const unsigned tail = input_.byte();
        header.cookie = tail % 4 + (tail % 8 >= 4 ? 0xffff'fff0U : 0U);
        std::string name;
        if (tail < 0xc0)
            name = names.at((tail >> 4U) % names.size());
        else if (tail < 0xf0)
            for (const std::byte byte : input_.take(tail % 64))
                name += static_cast<char>(byte);
        if (!name.empty())
            header.length = static_cast<std::uint32_t>(name.size() / 16 + 1) * 16;
        std::memset(buffer.data(), 0, sizeof header + header.length);
        std::memcpy(buffer.data(), &header, sizeof header);
        std::memcpy(buffer.data() + sizeof header, name.data(), name.size());
        if (log_ != nullptr)
            *log_ << "  injected: wd " << header.wd << ' ' << to_string(inotify::Mask(header.mask))
                  << ' ' << name << " cookie " << header.cookie << '\n';
        return sizeof header + header.length;
    }

    Input& input_;
    std::ostream* log_;
};

/// One operation of another process, as the input says.
inline test::Op any_operation(Input& input) {
    static constexpr std::array places{"/r/a",     "/r/b",     "/r/c",   "/r/a/a",
                                       "/r/a/b",   "/r/b/a",   "/r/b/b", "/r/a/a/a",
                                       "/r/a/b/a", "/r/b/a/b", "/o/x",   "/o/y"};
    static constexpr std::array names{"mkdir",  "mkdir",  "rmdir",  "create",  "write",
                                      "unlink", "rename", "rename", "exchange"};
    constexpr std::size_t first_with_two = 6;
    const std::size_t code = input.byte() % names.size();
    test::Op op{names.at(code), places.at(input.byte() % places.size())};
    if (code >= first_with_two)
        op.b = places.at(input.byte() % places.size());
    return op;
}

inline void operate(sim::World& world, Input& input, std::ostream* log) {
    const test::Op op = any_operation(input);
    const int result = op.run(world);
    if (log != nullptr)
        *log << "    " << op.text() << " = " << result << '\n';
}

/// Flags first: 1 injects records, 2 tracks files, 4 reports what exists, 8 has a queue of
/// ten for all but the library's own reading, 16 no link counts, 32 no types. Then for each call of
/// the library a byte: in one of four, an operation. Returns what went wrong, or nothing.
inline std::string run_tree(Bytes bytes, std::ostream* log = nullptr) {
    namespace IN = inotify::IN;
    Input input(bytes.first(std::min<std::size_t>(bytes.size(), 2000)));
    const unsigned flags = input.byte();
    const bool injects = (flags & 1U) != 0;
    inotify::TreeOptions options;
    options.track_files = (flags & 2U) != 0;
    options.report_existing = (flags & 4U) != 0;
    sim::World world;
    const std::size_t room = (flags & 8U) != 0 ? 10 : 16384;
    const auto act = [&] {
        const std::size_t limit = std::exchange(world.max_queued_events, room);
        operate(world, input, log);
        world.max_queued_events = limit;
    };
    world.counts_subdirectories = (flags & 16U) == 0;
    world.unknown_types = (flags & 32U) != 0;
    world.lists_as_of_rewind = (flags & 64U) != 0;
    world.mkdir("/r");
    world.mkdir("/o");
    for (unsigned left = input.byte() % 16; left > 0; --left)
        operate(world, input, log);

    constexpr std::size_t most_calls = 200'000;
    std::size_t calls = 0;
    bool made = options.report_existing;
    world.before_call = [&](std::string_view call) {
        if (++calls > most_calls)
            return -EIO;  // ends the loop, which does not end by itself
        if (made && !input.empty() && input.byte() % 4 == 0)
            act();
        if (log != nullptr)
            *log << "  " << call << '\n';
        return 0;
    };
    std::string error;
    {
        std::unique_ptr<inotify::detail::Kernel> kernel = world.make_kernel();
        if (injects)
            kernel = std::make_unique<InjectingKernel>(std::move(kernel), input, log);
        test::KernelTree tree(std::move(kernel), options);
        tree.add_tree("/r");
        test::Picture picture(
            "/r", options.report_existing ? test::Picture::Entries{} : world.tree("/r"));
        made = true;
        bool overflowed = false;
        const auto fail = [&](const std::string& what) {
            if (error.empty())
                error = what;
        };
        const auto drain = [&] {
            std::size_t events = 0;
            for (auto& event : tree.event_gen()) {
                if (log != nullptr && event)
                    *log << "-> " << *event << '\n';
                if (!event)
                    break;
                if (++events > most_calls) {
                    fail("the events do not end");
                    break;
                }
                overflowed = overflowed || event->mask.intersects(IN::Q_OVERFLOW);
                // Without track_files an overflow leaves files behind that are not there any more.
                const auto held = picture.entries().find(event->full_path().native());
                const bool on_file = held != picture.entries().end() && !held->second;
                const bool exact =
                    !overflowed || options.track_files || (event->is_dir() && !on_file);
                const std::string wrong = picture.apply(*event);
                if (!wrong.empty() && !injects && exact) {
                    std::ostringstream line;
                    line << wrong << ": " << *event;
                    fail(line.str());
                }
            }
            if (log != nullptr)
                *log << "-> (empty)\n";
        };
        try {
            do {
                drain();
                if (!injects && !input.empty())
                    act();
            } while (!input.empty());
            drain();
        } catch (const std::system_error& thrown) {
            fail(calls > most_calls ? "the calls do not end" : thrown.what());
        }
        world.before_call = nullptr;

        if (!injects && error.empty()) {
            const auto relevant = [&](test::Picture::Entries entries) {
                if (overflowed && !options.track_files)
                    std::erase_if(entries, [](const auto& entry) { return !entry.second; });
                return entries;
            };
            const auto disk = world.tree("/r");
            if (relevant(picture.entries()) != relevant(disk))
                fail("the picture is not the disk");
            if (const std::string wrong = test::wrong_watches(world, tree, "/r"); !wrong.empty())
                fail(wrong);
        }
        if (world.open_directories() != 0)
            fail("a directory was left open");
    }
    return error;
}

}  // namespace fuzz
