// SPDX-License-Identifier: MIT
#include "broker.hpp"

#include <csignal>
#include <stdexcept>

namespace ship {

std::unique_ptr<Broker> connect(const std::string& url) {
    std::signal(SIGPIPE, SIG_IGN);  // a write(2) to a broken connection then fails
    constexpr const char* redis = "redis://";
    if (url.starts_with("nats://"))
        return connect_nats(url);
    const std::size_t colon = url.rfind(':');
    if (!url.starts_with(redis) || colon < std::string(redis).size())
        throw std::runtime_error(url + ": neither redis://HOST:PORT nor nats://HOST:PORT");
    const std::size_t host = std::string(redis).size();
    return connect_redis(url.substr(host, colon - host), std::stoi(url.substr(colon + 1)));
}

}  // namespace ship
