// SPDX-License-Identifier: MIT
// mirror: keeps a copy of every machine's tree from what the shippers have sent to a broker.
#include "broker.hpp"
#include "file.hpp"
#include "message.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>

namespace {

namespace fs = std::filesystem;

// Reads a netstring; false at the end, which a kill may have cut short.
bool read_record(std::istream& in, std::string& record) {
    std::size_t size = 0;
    if (!(in >> size) || in.get() != ':')
        return false;
    record.resize(size);
    return in.read(record.data(), static_cast<std::streamsize>(size)) && in.get() == ',';
}

// The copy of one machine's tree: what its last snapshot held. What was sent since waits in a
// journal until the shipper says that it has saved the next snapshot, and is applied then; or until
// a new run of the shipper begins with the former snapshot, and is dropped then, as it is sent
// again. All files are such that a process which is killed anywhere can be followed by another.
class Copy {
public:
    explicit Copy(fs::path directory) : directory_(std::move(directory)) {
        fs::create_directories(directory_ / "tree");
        fs::create_directories(directory_ / "moving");
        if (!fs::exists(directory_ / "journal"))
            begin_journal();
        load();
    }

    // What this returns from may be acknowledged.
    void receive(const ship::Delivery& delivery, const ship::Message& message) {
        // It comes again when it was not acknowledged, and a killed shipper's may come late.
        if (place(message) < expected_) {
            say() << (message.run == expected_[0] ? "again" : "of an earlier run") << std::endl;
            return;
        }
        if (!continues(message)) {
            if (!delivery.in_order && message.run != broken_run_)
                throw std::runtime_error("a message is missing, which may be still to be read");
            // The broker has refused one, so its shipper will begin a new run. Or the mirror has
            // begun too late, or the snapshots are old, and have to be removed.
            say() << "something is missing before " << message.event << ' ' << message.snapshot
                  << std::endl;
            broken_run_ = message.run;
            return;
        }
        append(delivery.text);
        note(message);
        if (ends_transaction(message))
            end_transaction(message);
    }

private:
    using Place = std::array<std::uint64_t, 2>;  // a run, and a message's number in it

    static Place place(const ship::Message& message) { return {message.run, message.number}; }

    static bool ends_transaction(const ship::Message& message) {
        return message.is("START") || message.is("SNAPSHOT");
    }

    std::ostream& say() const { return std::cout << directory_.filename().native() << ": "; }

    void append(const std::string& record) {
        std::string framed;
        ship::put(framed, record);
        journal_ << framed << std::flush;
    }

    void note(const ship::Message& message) {
        expected_ = {message.run, message.number + 1};
        ++waiting_;
    }

    // Whether nothing is missing between what is known here and `message`.
    bool continues(const ship::Message& message) const {
        if (!message.is("START"))
            return place(message) == expected_;
        return message.snapshot.empty() || message.snapshot == snapshot_ ||
               message.snapshot == ship::snapshot_name(expected_[0], expected_[1]);
    }

    void end_transaction(const ship::Message& message) {
        if (message.snapshot.empty() || message.snapshot == snapshot_) {
            say() << message.event << ": " << waiting_ - 1 << " dropped" << std::endl;
        } else {
            apply();
            say() << message.event << ": " << waiting_ - 1 << " applied" << std::endl;
        }
        snapshot_ = message.snapshot;
        begin_journal();
    }

    // The first record of the journal is the state, each further one a message.
    void begin_journal() {
        std::string state;
        ship::put(state, snapshot_);
        ship::put(state, expected_[0]);
        ship::put(state, expected_[1]);
        const fs::path fresh = directory_ / "journal.new";
        journal_ = std::ofstream(fresh, std::ios::binary);
        journal_.exceptions(std::ios::badbit | std::ios::failbit);
        append(state);
        fs::rename(fresh, directory_ / "journal");
        waiting_ = 0;
    }

    void load() {
        const fs::path path = directory_ / "journal";
        std::ifstream in(path, std::ios::binary);
        std::string record;
        if (!read_record(in, record))
            throw std::runtime_error(path.native() + ": no state");
        std::string_view state = record;
        snapshot_ = ship::take(state);
        expected_ = {ship::take_number(state), ship::take_number(state)};
        auto end = in.tellg();
        ship::Message message;
        for (; read_record(in, record); end = in.tellg()) {
            message = ship::decode(record);
            note(message);
        }
        fs::resize_file(path, static_cast<std::uintmax_t>(end));
        journal_ = std::ofstream(path, std::ios::binary | std::ios::app);
        journal_.exceptions(std::ios::badbit | std::ios::failbit);
        std::ifstream applied(directory_ / "applied", std::ios::binary);
        applied.read(reinterpret_cast<char*>(&applied_), sizeof applied_);
        if (ends_transaction(message)) {
            say() << "going on with " << message.event << std::endl;
            end_transaction(message);
        }
    }

    // A process that was killed here is followed by another one, which goes on behind the last
    // message that was applied: `applied` has its place. The next one may have been applied,
    // too, or in part, so applying it again makes no difference.
    void apply() {
        const fs::path path = directory_ / "applied";
        const ship::File applied(path, O_WRONLY | O_CREAT);
        std::ifstream in(directory_ / "journal", std::ios::binary);
        std::string record;
        read_record(in, record);
        while (read_record(in, record)) {
            const ship::Message message = ship::decode(record);
            if (place(message) <= applied_)
                continue;
            apply(message);
            applied_ = place(message);
            applied.write({reinterpret_cast<const char*>(&applied_), sizeof applied_}, 0);
        }
        // The other half of these moves is outside the tree.
        for (const auto& entry : fs::directory_iterator(directory_ / "moving"))
            fs::remove_all(entry);
    }

    // The contents of a file that comes or moves follow in the same transaction; a directory that
    // moves takes with it what is in it.
    void apply(const ship::Message& message) {
        const fs::path path = directory_ / "tree" / message.path;
        const fs::path moving = directory_ / "moving" / std::to_string(message.cookie);
        if (message.is("CLEAR")) {
            fs::remove_all(directory_ / "tree");
            fs::create_directory(directory_ / "tree");
        } else if (message.is("MOVED_FROM") && message.is("ISDIR")) {
            if (fs::exists(path))
                fs::rename(path, moving);
        } else if (message.is("DELETE") || message.is("MOVED_FROM")) {
            fs::remove_all(path);
        } else if (message.is("MOVED_TO") && !message.moved_from.empty() && fs::exists(moving)) {
            fs::rename(moving, path);
        } else if ((message.is("CREATE") || message.is("MOVED_TO")) && message.is("ISDIR")) {
            fs::create_directory(path);
        } else if (message.is("CREATE") || message.is("MOVED_TO")) {
            fs::remove(path);
        } else if (message.is("CONTENTS")) {
            if (message.offset == 0)
                fs::remove(path);
            const ship::File file(path, O_WRONLY | O_CREAT | O_NOFOLLOW);
            file.write(message.data, message.offset);
        } else if (message.is("LINK")) {
            fs::remove(path);
            fs::create_symlink(message.data, path);
        }
    }

    fs::path directory_;
    std::ofstream journal_;
    std::string snapshot_;       // what the tree is
    Place expected_ = {};        // of the message that the run continues with
    Place applied_ = {};         // of the last message that was applied
    std::uint64_t waiting_ = 0;  // messages in the journal
    std::uint64_t broken_run_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 3) {
        std::cerr << "usage: mirror redis://HOST:PORT|nats://HOST:PORT DIRECTORY\n";
        return 2;
    }
    const auto broker = ship::connect(argv[1]);
    std::map<std::string, Copy> copies;
    for (;;) {
        for (const ship::Delivery& delivery : broker->read()) {
            const ship::Message message = ship::decode(delivery.text);
            copies.try_emplace(message.machine, fs::path(argv[2]) / message.machine)
                .first->second.receive(delivery, message);
        }
        broker->acknowledge();
    }
} catch (const std::exception& error) {
    std::cerr << "mirror: " << error.what() << std::endl;
    return 1;
}
