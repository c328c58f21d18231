#include "agent/name_server.h"

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include "base/log.h"
#include "base/random.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr std::size_t kAtOnce = 64;  // datagrams, before others have their turn
// After so many without an end: whoever floods its resolver keeps neither this node nor another network waiting.
constexpr std::chrono::milliseconds kPause{2};
constexpr std::size_t kLargestQuery = 4096;
constexpr std::size_t kConnections = 32;  // of a network, at once
constexpr std::chrono::seconds kIdle{5};
constexpr std::size_t kLargestAnswer = 65535;
constexpr std::size_t kLength = 2;  // before each message on TCP

}  // namespace

void NameServer::keep(const NetworkView& view, const base::NodeId& self, const netlink::NamespaceIdentity& home,
                      const std::function<base::Result<dns::Ports>()>& open) {
    auto& kept = networks_[view.id];
    if (!kept) {
        auto ports = open();
        if (!ports) {
            kLog.warn("network {}: {}", view.name, ports.error().message());
            networks_.erase(view.id);
            return;
        }
        kept = std::make_unique<Kept>(*loop_, *std::move(ports), home);
        listen_udp(view.id);
        listen_tcp(view.id);
    }
    std::vector<dns::Host> hosts;
    kept->containers.clear();
    kept->namespaces.clear();
    for (const auto& [id, endpoint] : view.endpoints) {
        hosts.push_back({.name = endpoint.name, .aliases = endpoint.aliases, .ip = endpoint.ip});
        const auto attachment = view.attachments.find(id);
        if (endpoint.node == self && attachment != view.attachments.end()) {
            kept->containers.emplace(endpoint.ip, attachment->second.netns);
            kept->namespaces.insert(attachment->second.netns);
        }
    }
    kept->zone.emplace(view.name, view.subnet, hosts);
}

std::optional<netlink::NamespaceIdentity> NameServer::home(const base::NetworkId& network) const {
    const auto kept = networks_.find(network);
    return kept == networks_.end() ? std::nullopt : std::optional(kept->second->home);
}

NameServer::Kept* NameServer::find(const base::NetworkId& network) {
    const auto kept = networks_.find(network);
    return kept == networks_.end() ? nullptr : kept->second.get();
}

void NameServer::listen_udp(const base::NetworkId& network) {
    auto* kept = find(network);
    kept->udp.async_wait(asio::posix::stream_descriptor::wait_read, [this, network](const asio::error_code& error) {
        auto* still = error ? nullptr : find(network);
        if (still == nullptr) {
            return;
        }
        std::array<std::uint8_t, kLargestQuery> buffer{};
        for (std::size_t i = 0; i < kAtOnce; ++i) {
            const auto datagram = dns::receive(still->ports.udp, buffer);
            if (!datagram) {
                listen_udp(network);
                return;
            }
            const auto reply = answer(*still, datagram->source, std::span(buffer).first(datagram->size), false);
            if (!reply.empty()) {
                dns::send(still->ports.udp, datagram->source, datagram->port, reply);
            }
        }
        still->pause.expires_after(kPause);
        still->pause.async_wait([this, network](const asio::error_code& stopped) {
            if (!stopped && find(network) != nullptr) {
                listen_udp(network);
            }
        });
    });
}

void NameServer::listen_tcp(const base::NetworkId& network) {
    auto* kept = find(network);
    kept->tcp.async_wait(asio::posix::stream_descriptor::wait_read, [this, network](const asio::error_code& error) {
        auto* still = error ? nullptr : find(network);
        if (still == nullptr) {
            return;
        }
        if (auto accepted = dns::accept(still->ports.tcp); accepted && still->connections.size() < kConnections) {
            const auto connection = std::make_shared<Connection>(*loop_, *std::move(accepted));
            still->connections.insert(connection);
            read(network, connection);
        }
        listen_tcp(network);
    });
}

void NameServer::drop(const base::NetworkId& network, const std::shared_ptr<Connection>& connection) {
    if (auto* kept = find(network)) {
        kept->connections.erase(connection);
    }
    asio::error_code ignored;
    connection->idle.cancel();
    connection->stream.close(ignored);
}

void NameServer::read(const base::NetworkId& network, const std::shared_ptr<Connection>& connection) {
    connection->idle.expires_after(kIdle);
    connection->idle.async_wait([this, network, connection](const asio::error_code& stopped) {
        if (!stopped) {
            drop(network, connection);
        }
    });
    connection->buffer.resize(kLength);
    asio::async_read(connection->stream, asio::buffer(connection->buffer),
                     [this, network, connection](const asio::error_code& error, std::size_t /*size*/) {
                         const auto size =
                             static_cast<std::size_t>(connection->buffer[0] << 8U | connection->buffer[1]);
                         if (error || size > kLargestQuery) {
                             drop(network, connection);
                             return;
                         }
                         connection->buffer.resize(size);
                         asio::async_read(connection->stream, asio::buffer(connection->buffer),
                                          [this, network, connection](const asio::error_code& failed, std::size_t) {
                                              reply(network, connection, failed);
                                          });
                     });
}

void NameServer::reply(const base::NetworkId& network, const std::shared_ptr<Connection>& connection,
                       const asio::error_code& error) {
    const auto* kept = error ? nullptr : find(network);
    const auto said =
        kept == nullptr ? std::vector<std::uint8_t>() : answer(*kept, connection->source, connection->buffer, true);
    if (said.empty()) {
        drop(network, connection);
        return;
    }
    connection->buffer = {static_cast<std::uint8_t>(said.size() >> 8U), static_cast<std::uint8_t>(said.size())};
    connection->buffer.insert(connection->buffer.end(), said.begin(), said.end());
    asio::async_write(connection->stream, asio::buffer(connection->buffer),
                      [this, network, connection](const asio::error_code& failed, std::size_t /*size*/) {
                          if (failed || find(network) == nullptr) {
                              drop(network, connection);
                          } else {
                              read(network, connection);
                          }
                      });
}

std::vector<std::uint8_t> NameServer::answer(const Kept& asked, const base::IpAddress& source,
                                             std::span<const std::uint8_t> bytes, bool tcp) const {
    const auto query = dns::parse_query(bytes);
    if (!query || !asked.zone->covers(source)) {
        return {};
    }
    std::vector<const dns::Zone*> zones{&*asked.zone};
    if (const auto container = asked.containers.find(source); container != asked.containers.end()) {
        for (const auto& [id, other] : networks_) {
            if (other.get() != &asked && other->namespaces.contains(container->second)) {
                zones.push_back(&*other->zone);
            }
        }
    }
    const auto said = dns::answer(*query, zones, base::random_u64());
    return dns::encode(*query, said, tcp ? kLargestAnswer : dns::udp_limit(*query));
}

}  // namespace warren::agent
