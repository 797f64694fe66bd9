// SPDX-License-Identifier: MIT
// The file of a snapshot: its bytes, and how they are saved so that none are lost.
#include <inotify/detail/error.hpp>
#include <inotify/detail/snapshot_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <utility>

namespace inotify::detail {
namespace {

// Longer than a name of any file system; it bounds what a name that shares a prefix can cost.
constexpr std::size_t longest_name = 1024;
constexpr std::size_t header_size = 8 + 4 + 8;
constexpr std::size_t checksum_size = 4;

// The first byte of an entry; 0 ends the entries of a directory.
constexpr unsigned type_bits = 7;  // the type and 1
constexpr unsigned has_inode = 8;
constexpr unsigned has_contents = 16;
constexpr unsigned has_children = 32;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1U) ^ ((value & 1U) != 0 ? 0x82f6'3b78U : 0U);
        table[i] = value;
    }
    return table;
}
constexpr auto crc_table = make_crc_table();

// A difference of numbers that wrap around: small ones are short, whatever their sign.
std::uint64_t zigzag(std::uint64_t value, std::uint64_t before) noexcept {
    const std::uint64_t difference = value - before;
    return (difference << 1U) ^ (0U - (difference >> 63U));
}

std::uint64_t unzigzag(std::uint64_t coded, std::uint64_t before) noexcept {
    return before + ((coded >> 1U) ^ (0U - (coded & 1U)));
}

struct Time {
    std::uint64_t seconds = 0;
    std::uint64_t nanoseconds = 0;
};

Time split(std::int64_t time) noexcept {
    const std::int64_t rest = time % one_second;
    const bool rounds_up = rest < 0;  // towards zero
    return {static_cast<std::uint64_t>(time / one_second - (rounds_up ? 1 : 0)),
            static_cast<std::uint64_t>(rest + (rounds_up ? one_second : 0))};
}

std::int64_t join(Time time) noexcept {
    return static_cast<std::int64_t>(time.seconds * std::uint64_t{one_second} + time.nanoseconds);
}

// What the next entry's numbers are differences from.
struct Before {
    std::uint64_t inode = 0;
    std::uint64_t mtime = 0;
    std::uint64_t ctime = 0;
};

class Encoder {
public:
    explicit Encoder(const SnapshotData& data) : data_(data) {}

    std::string encode() {
        put(data_.roots.size());
        for (const EntryId root : data_.roots)
            put_root(root);
        return std::move(body_);
    }

private:
    void put_root(EntryId root) {
        put(data_[root].name.size());
        body_ += data_[root].name;
        put_entry(root, {});
        struct Level {
            EntryId id;
            std::size_t next = 0;
        };
        std::vector<Level> levels;
        if (!data_[root].children.empty())
            levels.push_back({root});
        while (!levels.empty()) {
            Level& level = levels.back();
            const std::vector<EntryId>& children = data_[level.id].children;
            if (level.next == children.size()) {
                body_ += '\0';
                levels.pop_back();
                continue;
            }
            const std::string_view before =
                level.next == 0 ? std::string_view() : data_[children[level.next - 1]].name;
            const EntryId child = children[level.next++];
            put_entry(child, before);
            if (!data_[child].children.empty())
                levels.push_back({child});
        }
    }

    // Of a root the name was put before.
    void put_entry(EntryId id, std::string_view before) {
        const SnapshotEntry& entry = data_[id];
        body_ += static_cast<char>(kind_of(entry));
        if (entry.parent != no_entry) {
            const auto differs = std::ranges::mismatch(before, entry.name);
            const auto shared = static_cast<std::size_t>(differs.in1 - before.begin());
            put(shared);
            put(entry.name.size() - shared);
            body_.append(entry.name, shared);
        }
        if (entry.inode != 0)
            put(zigzag(entry.inode, std::exchange(before_.inode, entry.inode)));
        if (!entry.has_contents)
            return;
        put(entry.size);
        put_time(entry.mtime, before_.mtime);
        put_time(entry.ctime, before_.ctime);
    }

    static unsigned kind_of(const SnapshotEntry& entry) noexcept {
        return (static_cast<unsigned>(entry.type) + 1) | (entry.inode != 0 ? has_inode : 0) |
               (entry.has_contents ? has_contents : 0) |
               (entry.children.empty() ? 0 : has_children);
    }

    void put_time(std::int64_t value, std::uint64_t& before) {
        const Time time = split(value);
        put(zigzag(time.seconds, std::exchange(before, time.seconds)));
        put(time.nanoseconds);
    }

    void put(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7U)
            body_ += static_cast<char>((value & 0x7fU) | 0x80U);
        body_ += static_cast<char>(value);
    }

    const SnapshotData& data_;
    std::string body_;
    Before before_;
};

// Nothing that the encoder would not have written is accepted. Once something is wrong, all that
// follows is zero.
class Decoder {
public:
    Decoder(std::string_view body, SnapshotData& data) : rest_(body), data_(data) {}

    bool decode() {
        const std::uint64_t roots = take();
        for (std::uint64_t i = 0; i < roots && is_good_; ++i)
            take_root();
        return is_good_ && rest_.empty();
    }

private:
    void take_root() {
        const std::string_view name = take_bytes(take());
        require(!name.empty() && name.find('\0') == std::string_view::npos &&
                roots_.insert(name).second);
        if (!is_good_)
            return;
        EntryId directory = data_.add_root(name);
        if (!take_entry(directory, take_kind()))
            return;
        while (is_good_ && directory != no_entry) {
            const unsigned kind = take_byte();
            if (kind == 0) {
                require(!data_[directory].children.empty());
                directory = data_[directory].parent;
                continue;
            }
            const EntryId id = take_name(directory);
            if (is_good_ && take_entry(id, kind))
                directory = id;
        }
    }

    unsigned take_kind() {
        const unsigned kind = take_byte();
        require(kind != 0);
        return kind;
    }

    EntryId take_name(EntryId directory) {
        const std::vector<EntryId>& siblings = data_[directory].children;
        const std::string_view before =
            siblings.empty() ? std::string_view() : data_[siblings.back()].name;
        const std::uint64_t shared = take();
        const std::string_view rest = take_bytes(take());
        require(shared <= before.size() && !rest.empty() && shared + rest.size() <= longest_name);
        if (!is_good_)
            return no_entry;
        name_.assign(before.substr(0, shared));
        name_ += rest;
        // The same first byte would have been shared, too.
        require((siblings.empty() || before < name_) &&
                (shared == before.size() || before[shared] != rest[0]) &&
                name_.find('/') == std::string::npos && name_.find('\0') == std::string::npos &&
                name_ != "." && name_ != "..");
        return is_good_ ? data_.append(directory, name_, FileType::unknown) : no_entry;
    }

    // True when entries of its own follow.
    bool take_entry(EntryId id, unsigned kind) {
        SnapshotEntry& entry = data_[id];
        const unsigned type = kind & type_bits;
        entry.has_contents = (kind & has_contents) != 0;
        require(kind < 2 * has_children && type != 0 &&
                type <= static_cast<unsigned>(FileType::other) + 1 &&
                !(entry.has_contents && (kind & has_inode) == 0));
        if (!is_good_)
            return false;
        entry.type = static_cast<FileType>(type - 1);
        if ((kind & has_inode) != 0) {
            entry.inode = before_.inode = unzigzag(take(), before_.inode);
            require(entry.inode != 0);
        }
        if (entry.has_contents) {
            entry.size = take();
            entry.mtime = take_time(before_.mtime);
            entry.ctime = take_time(before_.ctime);
        }
        return (kind & has_children) != 0;
    }

    std::int64_t take_time(std::uint64_t& before) {
        Time time;
        time.seconds = before = unzigzag(take(), before);
        time.nanoseconds = take();
        const std::int64_t result = join(time);
        const Time again = split(result);
        require(again.seconds == time.seconds && again.nanoseconds == time.nanoseconds);
        return result;
    }

    std::uint64_t take() {
        std::uint64_t result = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint64_t byte = take_byte();
            result |= (byte & 0x7fU) << shift;
            if (byte < 0x80) {
                // No zeros in front, and no bits that do not fit.
                require((byte != 0 || shift == 0) && (shift < 63 || byte == 1));
                return is_good_ ? result : 0;
            }
        }
        require(false);
        return 0;
    }

    unsigned take_byte() {
        const std::string_view byte = take_bytes(1);
        return byte.empty() ? 0 : static_cast<unsigned char>(byte[0]);
    }

    std::string_view take_bytes(std::uint64_t size) {
        require(size <= rest_.size());
        if (!is_good_)
            return {};
        const std::string_view result = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return result;
    }

    void require(bool holds) noexcept { is_good_ = is_good_ && holds; }

    std::string_view rest_;
    SnapshotData& data_;
    Before before_;
    std::set<std::string_view> roots_;
    std::string name_;
    bool is_good_ = true;
};

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void put_fixed(std::string& text, std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i)
        text += static_cast<char>(value >> (8 * i));
}

std::uint64_t fixed_at(std::string_view text, std::size_t at, unsigned size) {
    std::uint64_t result = 0;
    for (unsigned i = 0; i < size; ++i)
        result |= std::uint64_t{static_cast<unsigned char>(text[at + i])} << (8 * i);
    return result;
}

// What is wrong with the beginning of a file that has so many bytes.
std::string_view check_header(std::string_view header, std::uint64_t size) {
    if (!snapshot_magic.starts_with(header.substr(0, snapshot_magic.size())))
        return "foreign";
    if (header.size() < header_size)
        return "truncated";
    if (fixed_at(header, 8, 4) != snapshot_version)
        return "of another version";
    const std::uint64_t body = fixed_at(header, 12, 8);
    if (size < header_size + checksum_size || size - header_size - checksum_size < body)
        return "truncated";
    return size - header_size - checksum_size == body ? "" : "damaged";
}

class OpenFile {
public:
    explicit OpenFile(int fd) noexcept : fd_(fd) {}
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    ~OpenFile() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

// A file that is removed again unless it is kept.
class NewFile {
public:
    explicit NewFile(std::string path)
        : path_(std::move(path)), file_(::mkostemp(path_.data(), O_CLOEXEC)) {}
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;
    ~NewFile() {
        if (file_.get() >= 0 && !is_kept_)
            ::unlink(path_.c_str());
    }
    [[nodiscard]] int get() const noexcept { return file_.get(); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    void keep() noexcept { is_kept_ = true; }

private:
    std::string path_;
    OpenFile file_;
    bool is_kept_ = false;
};

void check(bool succeeded, const char* call, const std::string& path) {
    if (!succeeded)
        throw_error(nullptr, errno, call, path);
}

template <typename Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR)
        result = call();
    return result;
}

[[noreturn]] void throw_bad(const std::string& path, std::string_view word) {
    throw std::system_error(EBADMSG, std::system_category(),
                            "Snapshot::load: " + path + ": " + std::string(word));
}

// Appends up to `size` bytes of a file.
void read_more(int fd, std::string& bytes, std::uint64_t size, const std::string& path) {
    constexpr std::uint64_t most = 1U << 20U;  // what is not there takes no memory
    while (size > 0) {
        const std::size_t had = bytes.size();
        const auto wanted = static_cast<std::size_t>(std::min(size, most));
        bytes.resize(had + wanted);
        const ssize_t got = uninterrupted([&] { return ::read(fd, bytes.data() + had, wanted); });
        bytes.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        check(got >= 0, "read", path);
        if (got == 0)
            return;
        size -= static_cast<std::uint64_t>(got);
    }
}

void sync_directory(int fd, const std::string& directory) {
    // EINVAL: the file system has nothing to synchronise.
    check(uninterrupted([&] { return ::fsync(fd); }) == 0 || errno == EINVAL, "fsync", directory);
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
    std::uint32_t value = ~before;
    for (const std::byte byte : bytes)
        value = crc_table[(value ^ std::to_integer<std::uint32_t>(byte)) & 0xffU] ^ (value >> 8U);
    return ~value;
}

std::string frame_snapshot(std::string_view body) {
    std::string result(snapshot_magic);
    put_fixed(result, snapshot_version, 4);
    put_fixed(result, body.size(), 8);
    result += body;
    put_fixed(result, crc32c(bytes_of(result)), checksum_size);
    return result;
}

std::string encode_snapshot(const SnapshotData& data) {
    return frame_snapshot(Encoder(data).encode());
}

std::string_view decode_snapshot(std::span<const std::byte> bytes, SnapshotData& data) {
    const std::string_view text = text_of(bytes);
    if (const std::string_view wrong = check_header(text.substr(0, header_size), text.size());
        !wrong.empty())
        return wrong;
    const std::size_t end = text.size() - checksum_size;
    if (fixed_at(text, end, checksum_size) != crc32c(bytes.first(end)))
        return "damaged";
    const bool is_good = Decoder(text.substr(header_size, end - header_size), data).decode();
    return is_good ? "" : "damaged";
}

void read_snapshot(const std::string& path, SnapshotData& data) {
    // O_NONBLOCK: a FIFO does not wait for a writer.
    const OpenFile file(
        uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
    check(file.get() >= 0, "open", path);
    struct stat status;
    check(::fstat(file.get(), &status) == 0, "fstat", path);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::string bytes;
    read_more(file.get(), bytes, header_size, path);
    if (const std::string_view wrong = check_header(bytes, size); !wrong.empty())
        throw_bad(path, wrong);
    read_more(file.get(), bytes, size - header_size, path);
    if (const std::string_view wrong = decode_snapshot(bytes_of(bytes), data); !wrong.empty())
        throw_bad(path, wrong);
}

void write_snapshot(const std::string& path, const SnapshotData& data) {
    const std::string bytes = encode_snapshot(data);
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "./" : path.substr(0, slash + 1);
    // Should it fail, then before anything is replaced.
    const OpenFile opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    check(opened.get() >= 0, "open", path);
    NewFile file(directory + ".snapshot-XXXXXX");
    check(file.get() >= 0, "open", path);
    for (std::string_view rest = bytes; !rest.empty();) {
        const ssize_t written =
            uninterrupted([&] { return ::write(file.get(), rest.data(), rest.size()); });
        check(written >= 0, "write", path);
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    check(uninterrupted([&] { return ::fsync(file.get()); }) == 0, "fsync", path);
    check(::rename(file.path().c_str(), path.c_str()) == 0, "rename", path);
    file.keep();
    sync_directory(opened.get(), directory);
}

}  // namespace inotify::detail
