// SPDX-License-Identifier: MIT
// Events and batches as lines for people, as lines of JSON, or as paths.
#include "print.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string_view>
#include <utility>

namespace {

namespace IN = inotify::IN;

// RFC 3339, in local time, with microseconds.
std::string time_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    const auto seconds = static_cast<std::time_t>(micros / 1'000'000);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char date[32];
    char zone[8];
    (void)std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
    (void)std::strftime(zone, sizeof zone, "%z", &local);
    char result[64];
    (void)std::snprintf(result, sizeof result, "%s.%06d%.3s:%s", date,
                        static_cast<int>(micros % 1'000'000), zone, zone + 3);
    return result;
}

// A name may hold any byte but '/' and NUL; a newline in it must not break the line.
void print_escaped(std::ostream& out, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '\\')
            out << "\\x" << digits[byte >> 4U] << digits[byte & 15U];
        else
            out << c;
    }
}

// The length of the UTF-8 sequence at the start of `bytes`, 0 if there is none.
std::size_t utf8_length(std::string_view bytes) {
    const auto first = static_cast<unsigned char>(bytes.front());
    const auto length = static_cast<std::size_t>(std::countl_one(first));
    if (first < 0x80)
        return 1;
    if (length == 1 || length > 4 || length > bytes.size())
        return 0;
    std::uint32_t code = first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        const auto next = static_cast<unsigned char>(bytes[i]);
        if ((next & 0xc0U) != 0x80)
            return 0;
        code = code << 6U | (next & 0x3fU);
    }
    constexpr std::uint32_t least[] = {0x80, 0x800, 0x10000};  // less is an overlong form
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least[length - 2] && code <= 0x10ffff && !surrogate ? length : 0;
}

// A name is bytes, JSON is Unicode: a byte 0xNN that is not UTF-8 becomes the lone surrogate
// U+DCNN, as in Python, where os.fsencode() gives the bytes back. nlohmann-json, which would be the
// library for this, throws at such a byte or replaces it, and cannot write a lone surrogate.
void print_field(std::ostream& out, const char* field, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    out << '"' << field << "\":\"";
    while (!bytes.empty()) {
        const auto byte = static_cast<unsigned char>(bytes.front());
        const std::size_t length = utf8_length(bytes);
        if (length == 0 || byte < 0x20 || byte == 0x7f)
            out << (length == 0 ? "\\udc" : "\\u00") << digits[byte >> 4U] << digits[byte & 15U];
        else
            out << (byte == '"' || byte == '\\' ? "\\" : "") << bytes.substr(0, length);
        bytes.remove_prefix(std::max<std::size_t>(length, 1));
    }
    out << '"';
}

// Green for what appears, red for what goes and for what went wrong.
constexpr const char* green = "\033[32m";
constexpr const char* red = "\033[31m";
constexpr const char* plain = "\033[0m";

const char* colour(const inotify::Event& event) {
    if (event.mask.intersects(IN::CREATE | IN::MOVED_TO))
        return green;
    const inotify::Mask gone = IN::DELETE | IN::MOVED_FROM | IN::DELETE_SELF | IN::MOVE_SELF;
    return event.error || event.mask.intersects(gone | IN::Q_OVERFLOW) ? red : "";
}

const char* colour(inotify::ChangeKind kind) {
    switch (kind) {
    case inotify::ChangeKind::added:
    case inotify::ChangeKind::renamed: return green;
    case inotify::ChangeKind::removed: return red;
    default: return "";
    }
}

const char* name_of(inotify::ChangeKind kind) {
    switch (kind) {
    case inotify::ChangeKind::added: return "added";
    case inotify::ChangeKind::modified: return "modified";
    case inotify::ChangeKind::attributes: return "attributes";
    case inotify::ChangeKind::renamed: return "renamed";
    case inotify::ChangeKind::removed: return "removed";
    }
    return "";
}

}  // namespace

void flush(std::ostream& out) {
    if (!out.flush())
        throw std::system_error(errno, std::system_category(), "writing the output");
}

Printer::Printer(const Options& options)
    : options_(options),
      colours_(::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr) {}

void Printer::note(const std::string& text) const {
    if (options_.quiet)
        return;
    const bool to_programs = options_.json || options_.null || !options_.command.empty();
    std::ostream& out = to_programs ? std::cerr : std::cout;
    out << text << '\n';
    flush(out);
}

void Printer::print_time() const {
    if (options_.timestamps)
        std::cout << time_now() << ' ';
}

void Printer::print(const inotify::Event& event) const {
    if (options_.null) {
        std::cout << event.full_path().native() << '\0';
    } else if (options_.json) {
        print_json(event);
    } else {
        print_time();
        std::cout << (colours_ ? colour(event) : "") << event << (colours_ ? plain : "") << '\n';
    }
    flush(std::cout);
}

void Printer::print(const inotify::Batch& batch) const {
    if (options_.null) {
        for (const inotify::Change& change : batch.changes)
            std::cout << change.path << '\0';
        std::cout << '\0';
    } else if (options_.json) {
        print_json(batch);
    } else {
        print_time();
        const char* comma = "";
        if (batch.overflow)
            std::cout << std::exchange(comma, ", ") << (colours_ ? red : "") << "overflow"
                      << (colours_ ? plain : "");
        for (const inotify::Change& change : batch.changes) {
            std::cout << std::exchange(comma, ", ") << (colours_ ? colour(change.kind) : "")
                      << name_of(change.kind) << ' ';
            print_escaped(std::cout, change.path);
            if (!change.moved_from.empty()) {
                std::cout << " from ";
                print_escaped(std::cout, change.moved_from);
            }
            std::cout << (colours_ ? plain : "");
        }
        std::cout << '\n';
    }
    flush(std::cout);
}

void Printer::print_json(const inotify::Event& event) const {
    std::ostream& out = std::cout;
    out << "{\"wd\":" << event.wd << ",\"mask\":[";
    const char* comma = "";
    for (const std::string& name : event.mask.names())
        out << std::exchange(comma, ",") << '"' << name.substr(name.find('_') + 1) << '"';
    out << "],\"cookie\":" << event.cookie << ',';
    print_field(out, "path", event.path);
    out << ',';
    print_field(out, "filename", event.filename);
    out << ',';
    print_field(out, "full_path", event.full_path().native());
    if (!event.moved_from.empty()) {
        out << ',';
        print_field(out, "moved_from", event.moved_from);
    }
    if (event.synthetic)
        out << ",\"synthetic\":true";
    if (event.error) {
        out << ',';
        print_field(out, "error", event.error.message());
    }
    if (options_.timestamps) {
        out << ',';
        print_field(out, "time", time_now());
    }
    out << "}\n";
}

void Printer::print_json(const inotify::Batch& batch) const {
    std::ostream& out = std::cout;
    out << "{\"changes\":[";
    const char* comma = "";
    for (const inotify::Change& change : batch.changes) {
        out << std::exchange(comma, ",") << "{\"kind\":\"" << name_of(change.kind) << "\",";
        print_field(out, "path", change.path);
        if (!change.moved_from.empty()) {
            out << ',';
            print_field(out, "moved_from", change.moved_from);
        }
        out << (change.is_dir ? ",\"is_dir\":true}" : "}");
    }
    out << ']' << (batch.overflow ? ",\"overflow\":true" : "");
    if (options_.timestamps) {
        out << ',';
        print_field(out, "time", time_now());
    }
    out << "}\n";
}
