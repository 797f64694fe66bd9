// SPDX-License-Identifier: MIT
// Event: its path and its line.
#include <inotify/event.hpp>

#include <ostream>
#include <string_view>

namespace inotify {
inline namespace v0 {
namespace {

// A name may hold any byte but '/' and NUL; a newline in it must not break the line.
void print_escaped(std::ostream& out, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (char c : bytes) {
        auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '\\')
            out << "\\x" << digits[byte >> 4U] << digits[byte & 15U];
        else
            out << c;
    }
}

}  // namespace

std::filesystem::path Event::full_path() const {
    return filename.empty() ? std::filesystem::path(path) : std::filesystem::path(path) / filename;
}

std::ostream& operator<<(std::ostream& out, const Event& event) {
    if (event.error)
        out << "error";
    else
        out << event.mask;
    if (!event.path.empty()) {
        out << ' ';
        print_escaped(out, event.full_path().native());
    }
    if (!event.moved_from.empty()) {
        out << " from ";
        print_escaped(out, event.moved_from);
    }
    if (event.cookie != 0)
        out << " (cookie " << event.cookie << ')';
    if (event.synthetic)
        out << " (synthetic)";
    if (event.error)
        out << ": " << event.error.message();
    return out;
}

std::ostream& operator<<(std::ostream& out, const std::optional<Event>& event) {
    return event ? out << *event : out << "(empty)";
}

}  // namespace v0
}  // namespace inotify
