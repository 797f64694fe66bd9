// SPDX-License-Identifier: MIT
// Redis Streams: one stream, "files", and one consumer group, "mirror", with one consumer.
#include "broker.hpp"

#include <hiredis/hiredis.h>

#include <stdexcept>

namespace ship {

namespace {

struct Free {
    void operator()(redisContext* context) const { redisFree(context); }
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, Free>;

std::string text(const redisReply& reply) { return {reply.str, reply.len}; }

class Redis : public Broker {
public:
    Redis(const std::string& host, int port) : context_(redisConnect(host.c_str(), port)) {
        if (!context_ || context_->err != 0)
            throw std::runtime_error(std::string("redis: ") +
                                     (context_ ? context_->errstr : "no memory"));
    }

    void publish(const std::string& machine, const std::string& text) override {
        send({"XADD", "files", "*", "machine", machine, "message", text});
        ++unacknowledged_;
    }

    void flush() override {
        for (; unacknowledged_ > 0; --unacknowledged_)
            receive();
    }

    std::vector<Delivery> read() override {
        if (!reading_) {
            send({"XGROUP", "CREATE", "files", "mirror", "0", "MKSTREAM"});
            receive("BUSYGROUP");  // the group is there already
            reading_ = true;
        }
        std::vector<Delivery> deliveries = read_group(pending_ ? "0" : ">");
        if (!deliveries.empty())
            return deliveries;
        pending_ = !pending_;
        return pending_ ? deliveries : read();
    }

    void acknowledge() override {
        std::vector<std::string> command{"XACK", "files", "mirror"};
        command.insert(command.end(), ids_.begin(), ids_.end());
        if (ids_.empty())
            return;
        send(command);
        receive();
        ids_.clear();
    }

private:
    void send(const std::vector<std::string>& command) {
        std::vector<const char*> words;
        std::vector<std::size_t> sizes;
        for (const std::string& word : command) {
            words.push_back(word.data());
            sizes.push_back(word.size());
        }
        redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), words.data(),
                               sizes.data());
    }

    // The next reply, which may be an error that begins with `allowed`.
    Reply receive(const char* allowed = nullptr) {
        void* reply = nullptr;
        if (redisGetReply(context_.get(), &reply) != REDIS_OK)
            throw std::runtime_error(std::string("redis: ") + context_->errstr);
        Reply owned(static_cast<redisReply*>(reply));
        if (owned->type == REDIS_REPLY_ERROR &&
            (allowed == nullptr || !text(*owned).starts_with(allowed)))
            throw std::runtime_error("redis: " + text(*owned));
        return owned;
    }

    // From "0": what this consumer has not acknowledged; from ">": what no one has read.
    std::vector<Delivery> read_group(const char* from) {
        send({"XREADGROUP", "GROUP", "mirror", "mirror", "COUNT", "500", "BLOCK", "1000", "STREAMS",
              "files", from});
        const Reply reply = receive();
        std::vector<Delivery> deliveries;
        ids_.clear();
        if (reply->type == REDIS_REPLY_NIL)
            return deliveries;
        const redisReply& entries = *reply->element[0]->element[1];  // of the one stream
        for (std::size_t i = 0; i < entries.elements; ++i) {
            const std::string id = text(*entries.element[i]->element[0]);
            const redisReply& fields = *entries.element[i]->element[1];
            if (fields.type != REDIS_REPLY_ARRAY || fields.elements != 4)
                throw std::runtime_error("redis: the entry " + id + " is gone or foreign");
            deliveries.push_back({text(*fields.element[3]), pending_});
            ids_.push_back(id);
        }
        return deliveries;
    }

    std::unique_ptr<redisContext, Free> context_;
    int unacknowledged_ = 0;
    bool reading_ = false;
    bool pending_ = true;           // there may be entries that another process was given
    std::vector<std::string> ids_;  // of what was read last
};

}  // namespace

std::unique_ptr<Broker> connect_redis(const std::string& host, int port) {
    return std::make_unique<Redis>(host, port);
}

}  // namespace ship
