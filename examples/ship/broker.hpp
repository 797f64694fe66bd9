// SPDX-License-Identifier: MIT
// Broker: a stream of messages that outlives those who write and read it.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace ship {

struct Delivery {
    std::string text;
    // False if there may be one before it that was given to a process that had ended. When that
    // is missing, the next process is to read it.
    bool in_order;
};

// A connection to one. Every function throws std::runtime_error when the connection or the broker
// fails, and the connection is of no use then.
class Broker {
public:
    virtual ~Broker() = default;

    // Sends `text`. It may be lost as long as flush() has not returned.
    virtual void publish(const std::string& machine, const std::string& text) = 0;
    // Waits until the broker has acknowledged everything that was published.
    virtual void flush() = 0;

    // The next messages in the order of the stream, beginning with those that this process has not
    // acknowledged, nor one before it; none after a while without one.
    virtual std::vector<Delivery> read() = 0;
    // Acknowledges what read() has returned last.
    virtual void acknowledge() = 0;
};

// By its URL: redis://127.0.0.1:6379 or nats://127.0.0.1:4222.
std::unique_ptr<Broker> connect(const std::string& url);
std::unique_ptr<Broker> connect_redis(const std::string& host, int port);
std::unique_ptr<Broker> connect_nats(const std::string& url);

}  // namespace ship
