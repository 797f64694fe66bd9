// SPDX-License-Identifier: MIT
// NATS JetStream: one stream, "FILES", of the subjects files.MACHINE, and one durable pull
// consumer, "mirror".
#include "broker.hpp"

#include <nats/nats.h>

#include <atomic>
#include <stdexcept>
#include <utility>

namespace ship {

namespace {

constexpr const char* subjects = "files.>";  // a machine's name may have dots

void check(natsStatus status, const char* what) {
    if (status != NATS_OK)
        throw std::runtime_error(std::string("nats: ") + what + ": " + natsStatus_GetText(status));
}

struct Destroy {
    void operator()(natsOptions* options) const { natsOptions_Destroy(options); }
    void operator()(natsConnection* connection) const { natsConnection_Destroy(connection); }
    void operator()(jsCtx* context) const { jsCtx_Destroy(context); }
    void operator()(natsSubscription* subscription) const {
        natsSubscription_Destroy(subscription);
    }
    void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
};
template <typename T>
using Owned = std::unique_ptr<T, Destroy>;

class Nats : public Broker {
public:
    explicit Nats(const std::string& url) {
        natsOptions* options = nullptr;
        check(natsOptions_Create(&options), "options");
        const Owned<natsOptions> owned(options);
        check(natsOptions_SetURL(options, url.c_str()), "options");
        // What was in flight when a connection broke is not known, so a new run has to begin.
        check(natsOptions_SetAllowReconnect(options, false), "options");
        // Otherwise up to a millisecond is waited for more to send, at each message that is read.
        check(natsOptions_SetSendAsap(options, true), "options");
        natsConnection* connection = nullptr;
        check(natsConnection_Connect(&connection, options), "connect");
        connection_.reset(connection);

        jsOptions js;
        check(jsOptions_Init(&js), "options");
        js.PublishAsync.ErrHandler = [](jsCtx*, jsPubAckErr*, void* refused) {
            *static_cast<std::atomic<bool>*>(refused) = true;
        };
        js.PublishAsync.ErrHandlerClosure = &refused_;
        jsCtx* context = nullptr;
        check(natsConnection_JetStream(&context, connection, &js), "JetStream");
        context_.reset(context);

        jsStreamConfig stream;
        check(jsStreamConfig_Init(&stream), "stream");
        stream.Name = "FILES";
        const char* list[] = {subjects};
        stream.Subjects = list;
        stream.SubjectsLen = 1;
        check(js_AddStream(nullptr, context, &stream, nullptr, nullptr), "add the stream");
    }

    void publish(const std::string& machine, const std::string& text) override {
        check(js_PublishAsync(context_.get(), ("files." + machine).c_str(), text.data(),
                              static_cast<int>(text.size()), nullptr),
              "publish");
    }

    void flush() override {
        jsPubOptions options;
        check(jsPubOptions_Init(&options), "options");
        options.MaxWait = 100;  // milliseconds; nothing ends the wait when the connection breaks
        natsStatus status = NATS_OK;
        for (int tries = 0; tries < 100; ++tries) {
            status = js_PublishAsyncComplete(context_.get(), &options);
            if (status != NATS_TIMEOUT || natsConnection_IsClosed(connection_.get()))
                break;
        }
        check(status, "acknowledgement");
        if (refused_)
            throw std::runtime_error("nats: a message was refused");
    }

    std::vector<Delivery> read() override {
        if (!subscription_)
            subscribe();
        natsMsgList list{};
        const natsStatus status =
            natsSubscription_Fetch(&list, subscription_.get(), 1, 1000, nullptr);
        if (status == NATS_TIMEOUT)
            return {};
        check(status, "fetch");
        message_.reset(std::exchange(list.Msgs[0], nullptr));
        natsMsgList_Destroy(&list);
        return {{{natsMsg_GetData(message_.get()),
                  static_cast<std::size_t>(natsMsg_GetDataLength(message_.get()))},
                 true}};
    }

    void acknowledge() override {
        if (message_)
            check(natsMsg_Ack(message_.get(), nullptr), "acknowledge");
        message_.reset();
    }

private:
    void subscribe() {
        jsSubOptions options;
        check(jsSubOptions_Init(&options), "subscribe");
        options.Config.AckPolicy = js_AckExplicit;
        // What is not acknowledged is sent again behind what was sent since: so one at a time.
        options.Config.MaxAckPending = 1;
        options.Config.AckWait = 1'000'000'000;
        natsSubscription* subscription = nullptr;
        check(js_PullSubscribe(&subscription, context_.get(), subjects, "mirror", nullptr, &options,
                               nullptr),
              "subscribe");
        subscription_.reset(subscription);
    }

    std::atomic<bool> refused_ = false;  // outlives the context, whose threads set it
    Owned<natsConnection> connection_;
    Owned<jsCtx> context_;
    Owned<natsSubscription> subscription_;
    Owned<natsMsg> message_;  // what was read last
};

}  // namespace

std::unique_ptr<Broker> connect_nats(const std::string& url) { return std::make_unique<Nats>(url); }

}  // namespace ship
