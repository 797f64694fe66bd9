// SPDX-License-Identifier: MIT
#include "message.hpp"

#include <charconv>
#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace ship {

namespace {

// Whether `name` is one of those that `list` holds, with `separator` between.
bool holds(std::string_view list, std::string_view name, char separator) {
    for (;;) {
        const std::size_t end = list.find(separator);
        if (list.substr(0, end) == name)
            return true;
        if (end == std::string_view::npos)
            return false;
        list.remove_prefix(end + 1);
    }
}

std::uint64_t to_number(std::string_view digits) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
    if (error != std::errc() || end != digits.end())
        throw std::runtime_error("no message: a number is wrong");
    return number;
}

}  // namespace

bool Message::is(std::string_view name) const { return holds(event, name, '|'); }

std::string snapshot_name(std::uint64_t run, std::uint64_t number) {
    std::ostringstream name;
    name << std::setfill('0') << std::setw(20) << run << '-' << std::setw(20) << number;
    return name.str();
}

void put(std::string& out, std::string_view field) {
    out += std::to_string(field.size());
    out += ':';
    out += field;
    out += ',';
}

void put(std::string& out, std::uint64_t field) { put(out, std::to_string(field)); }

std::string_view take(std::string_view& in) {
    const std::size_t colon = in.find(':');
    if (colon == std::string_view::npos)
        throw std::runtime_error("no message: it is cut short");
    const std::uint64_t size = to_number(in.substr(0, colon));
    in.remove_prefix(colon + 1);
    if (size >= in.size() || in[size] != ',')
        throw std::runtime_error("no message: it is cut short");
    const std::string_view field = in.substr(0, size);
    in.remove_prefix(size + 1);
    return field;
}

std::uint64_t take_number(std::string_view& in) { return to_number(take(in)); }

std::string encode(const Message& message) {
    std::string text;
    put(text, message.machine);
    put(text, message.run);
    put(text, message.number);
    put(text, message.event);
    put(text, message.path);
    put(text, message.moved_from);
    put(text, message.cookie);
    put(text, message.offset);
    put(text, message.snapshot);
    put(text, message.data);
    return text;
}

Message decode(std::string_view text) {
    Message message;
    message.machine = take(text);
    message.run = take_number(text);
    message.number = take_number(text);
    message.event = take(text);
    message.path = take(text);
    message.moved_from = take(text);
    message.cookie = static_cast<std::uint32_t>(take_number(text));
    message.offset = take_number(text);
    message.snapshot = take(text);
    message.data = take(text);
    if (message.machine.empty() || message.machine.front() == '.' ||
        message.machine.find('/') != std::string::npos || message.path.starts_with('/') ||
        holds(message.path, "..", '/'))
        throw std::runtime_error("no message: a name leads elsewhere");
    return message;
}

}  // namespace ship
