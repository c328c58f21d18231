#include "agent/name_server.h"

#include <array>
#include <asio/buffer.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include "base/log.h"
#include "base/random.h"
#include "dns/resolvers.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
// Of the loop's time at once, before others have their turn: whoever floods its resolver keeps neither this node nor
// another network waiting.
constexpr std::chrono::milliseconds kTurn{2};
constexpr std::chrono::milliseconds kPause{2};
constexpr std::chrono::milliseconds kAcceptAgain{100};  // after a failure, such as no free descriptor
constexpr std::size_t kLargestQuery = 4096;
constexpr std::size_t kConnections = 32;  // of a network, at once
constexpr std::chrono::seconds kIdle{5};
constexpr std::size_t kLargestAnswer = 65535;

std::size_t limit_of(const dns::Query& query, bool tcp) {
    return tcp ? kLargestAnswer : dns::udp_limit(query);
}

}  // namespace

std::string container_of(const std::string& netns) {
    const auto there = netlink::identity_at(netns);
    return there ? fmt::format("{}:{}", there->device, there->inode) : netns;
}

// Its other waits find it so.
void NameServer::close(Connection& connection) {
    asio::error_code ignored;
    connection.idle.cancel();
    connection.stream.close(ignored);
}

void NameServer::end(Kept& kept, const std::shared_ptr<Connection>& connection) {
    kept.connections.erase(connection);
    close(*connection);
}

NameServer::Door::~Door() {
    udp.release();
    tcp.release();
}

NameServer::Kept::~Kept() {
    for (const auto& connection : connections) {
        close(*connection);
    }
}

void NameServer::keep(const NetworkNames& names, base::Revision revision, const netlink::NamespaceIdentity& home,
                      const std::function<base::Result<std::vector<dns::Ports>>()>& open) {
    auto& kept = networks_[names.id];
    if (!kept) {
        auto ports = open();
        if (!ports) {
            kLog.warn("network {}: {}", names.network, ports.error().message());
            networks_.erase(names.id);
            return;
        }
        kept = std::make_shared<Kept>(home);
        kept->id = names.id;
        kept->internal = names.internal;
        for (auto& opened : *ports) {
            auto* const door = kept->doors.emplace_back(std::make_unique<Door>(*loop_, std::move(opened))).get();
            listen_udp(kept, door);
            listen_tcp(kept, door);
        }
    }
    kept->waits = false;
    kept->revision = revision;
    kept->containers.clear();
    kept->present.clear();
    for (const auto& [at, local] : names.local) {
        const auto container = container_of(local.netns);
        for (const auto& ip : names.hosts[at].ips) {
            kept->containers.emplace(ip, container);
        }
        kept->present.insert(container);
        kept->waits = kept->waits || container == local.netns;
    }
    std::vector<base::Prefix> subnets;
    for (const auto& subnet : names.subnets) {
        subnets.push_back(subnet.prefix);
    }
    kept->zone.emplace(names.network, std::move(subnets), names.hosts);
}

bool NameServer::has(const base::NetworkId& network, base::Revision revision) const {
    const auto kept = networks_.find(network);
    return kept != networks_.end() && kept->second->revision == revision && !kept->second->waits;
}

std::vector<base::NetworkId> NameServer::networks() const {
    std::vector<base::NetworkId> ids;
    for (const auto& [id, kept] : networks_) {
        ids.push_back(id);
    }
    return ids;
}

std::optional<netlink::NamespaceIdentity> NameServer::home(const base::NetworkId& network) const {
    const auto kept = networks_.find(network);
    return kept == networks_.end() ? std::nullopt : std::optional(kept->second->home);
}

void NameServer::listen_udp(const KeptPtr& kept, Door* door) {
    door->udp.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this, door, weak = std::weak_ptr(kept)](const asio::error_code& error) {
                             if (const auto still = error ? nullptr : weak.lock()) {
                                 answer_datagrams(still, door);
                             }
                         });
}

void NameServer::answer_datagrams(const KeptPtr& kept, Door* door) {
    std::array<std::uint8_t, kLargestQuery> buffer{};
    const auto until = std::chrono::steady_clock::now() + kTurn;
    do {
        const auto datagram = dns::receive(door->ports.udp, buffer);
        if (!datagram) {
            listen_udp(kept, door);
            return;
        }
        answer(*kept, datagram->source.ip, std::span(buffer).first(datagram->size), false,
               [door, weak = std::weak_ptr(kept), source = datagram->source](const std::vector<std::uint8_t>& said) {
                   if (const auto still = said.empty() ? nullptr : weak.lock()) {
                       dns::send(door->ports.udp, source, said);
                   }
               });
    } while (std::chrono::steady_clock::now() < until);
    door->udp_pause.expires_after(kPause);
    door->udp_pause.async_wait([this, door, weak = std::weak_ptr(kept)](const asio::error_code& stopped) {
        if (const auto still = stopped ? nullptr : weak.lock()) {
            listen_udp(still, door);
        }
    });
}

void NameServer::listen_tcp(const KeptPtr& kept, Door* door) {
    door->tcp.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this, door, weak = std::weak_ptr(kept)](const asio::error_code& error) {
                             if (const auto still = error ? nullptr : weak.lock()) {
                                 take_connection(still, door);
                             }
                         });
}

void NameServer::take_connection(const KeptPtr& kept, Door* door) {
    auto accepted = dns::accept(door->ports.tcp);
    if (!accepted) {
        door->tcp_pause.expires_after(kAcceptAgain);
        door->tcp_pause.async_wait([this, door, weak = std::weak_ptr(kept)](const asio::error_code& stopped) {
            if (const auto still = stopped ? nullptr : weak.lock()) {
                listen_tcp(still, door);
            }
        });
        return;
    }
    if (kept->connections.size() < kConnections) {
        const auto connection = std::make_shared<Connection>(*loop_, *std::move(accepted));
        kept->connections.insert(connection);
        read(kept, connection);
    }
    listen_tcp(kept, door);
}

void NameServer::read(const KeptPtr& kept, const std::shared_ptr<Connection>& connection) {
    const std::weak_ptr weak(kept);
    connection->idle.expires_after(kIdle);
    connection->idle.async_wait([weak, connection](const asio::error_code& stopped) {
        if (const auto still = stopped ? nullptr : weak.lock()) {
            end(*still, connection);
        }
    });
    connection->buffer.resize(dns::kLength);
    asio::async_read(connection->stream, asio::buffer(connection->buffer),
                     [this, weak, connection](const asio::error_code& error, std::size_t /*size*/) {
                         read_query(weak, connection, error);
                     });
}

void NameServer::read_query(const std::weak_ptr<Kept>& weak, const std::shared_ptr<Connection>& connection,
                            const asio::error_code& error) {
    const auto kept = weak.lock();
    if (!kept) {
        return;
    }
    const auto size = dns::read_length(connection->buffer);
    if (error || size > kLargestQuery) {
        end(*kept, connection);
        return;
    }
    connection->buffer.resize(size);
    asio::async_read(connection->stream, asio::buffer(connection->buffer),
                     [this, weak, connection](const asio::error_code& failed, std::size_t /*size*/) {
                         const auto still = weak.lock();
                         if (still && !failed) {
                             reply(still, connection);
                         } else if (still) {
                             end(*still, connection);
                         }
                     });
}

void NameServer::reply(const KeptPtr& kept, const std::shared_ptr<Connection>& connection) {
    answer(*kept, connection->source, connection->buffer, true,
           [this, weak = std::weak_ptr(kept), connection](const std::vector<std::uint8_t>& said) {
               if (const auto still = weak.lock()) {
                   said.empty() ? end(*still, connection) : write(still, connection, said);
               }
           });
}

void NameServer::write(const KeptPtr& kept, const std::shared_ptr<Connection>& connection,
                       const std::vector<std::uint8_t>& said) {
    connection->buffer = dns::with_length(said);
    asio::async_write(connection->stream, asio::buffer(connection->buffer),
                      [this, weak = std::weak_ptr(kept), connection](const asio::error_code& failed, std::size_t) {
                          const auto still = weak.lock();
                          if (still && !failed) {
                              read(still, connection);
                          } else if (still) {
                              end(*still, connection);
                          }
                      });
}

std::vector<const dns::Zone*> NameServer::zones_of(const Kept& asked, const base::IpAddress& source) const {
    std::vector<const dns::Zone*> zones{&*asked.zone};
    if (const auto container = asked.containers.find(source); container != asked.containers.end()) {
        for (const auto& [id, other] : networks_) {
            if (other.get() != &asked && other->present.contains(container->second)) {
                zones.push_back(&*other->zone);
            }
        }
    }
    return zones;
}

void NameServer::answer(const Kept& asked, const base::IpAddress& source, std::span<const std::uint8_t> bytes, bool tcp,
                        const Reply& reply) {
    const auto query = dns::parse_query(bytes);
    if (!query || !asked.zone->covers(source)) {
        reply({});
        return;
    }
    auto said = dns::answer(*query, zones_of(asked, source), base::random_u64());
    if (said.rcode == dns::Rcode::kRefused && !asked.internal && dns::is_to_be_forwarded(*query)) {
        forward(asked, *query, bytes, tcp, reply);
        return;
    }
    said.recursive = !asked.internal;
    reply(dns::encode(*query, said, limit_of(*query, tcp)));
}

void NameServer::forward(const Kept& asked, const dns::Query& query, std::span<const std::uint8_t> bytes, bool tcp,
                         const Reply& reply) {
    for (const auto& [id, other] : networks_) {
        if (other->zone->is_about(*query.question)) {
            // A network that the asker is not in: nobody out there knows it either, and nobody shall hear of it.
            reply(dns::encode(query, {.rcode = dns::Rcode::kRefused, .recursive = true}, limit_of(query, tcp)));
            return;
        }
    }
    forwarder_.ask(asked.id, query, bytes, tcp, [query, tcp, reply](std::vector<std::uint8_t> said) {
        const auto limit = limit_of(query, tcp);
        if (said.empty()) {
            reply(dns::encode(query, {.rcode = dns::Rcode::kServerFailure, .recursive = true}, limit));
        } else if (said.size() > limit) {
            reply(dns::encode(query, {.recursive = true, .cut = true}, limit));
        } else {
            reply(std::move(said));
        }
    });
}

void NameServer::forget(const base::NetworkId& network) {
    forwarder_.forget(network);
    networks_.erase(network);
}

void NameServer::forget_all() {
    forwarder_.forget_all();
    networks_.clear();
}

}  // namespace warren::agent
