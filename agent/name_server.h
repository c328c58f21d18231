#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/name_forwarder.h"
#include "agent/network_names.h"
#include "dns/ports.h"
#include "dns/zone.h"
#include "netlink/namespace.h"

namespace warren::agent {

// Answers the containers of this node about the names of the networks that they are in, at the gateway address of each.
// Who asks is told from its address: it is one of the network's local endpoints, and the networks that its namespace is
// in besides are searched, too. Whoever else asks in the network's subnet hears of this network alone; others hear
// nothing. What is about none of their names is asked of the host's own resolvers, unless the network that is asked
// through is internal: then it is refused.
//
// Owner: the agent. Thread: the loop's. Failure: a network whose ports can't be opened is tried again by the next
// keep().
class NameServer {
  public:
    // Asks the servers in this resolv.conf(5) what it does not know itself.
    NameServer(asio::io_context& loop, std::filesystem::path resolv_conf)
        : loop_(&loop), forwarder_(loop, std::move(resolv_conf)) {}
    NameServer(const NameServer&) = delete;
    NameServer& operator=(const NameServer&) = delete;

    // From now on this network's names are these, of this revision; `open` is asked for ports in its namespace if there
    // are none.
    void keep(const NetworkNames& names, base::Revision revision, const netlink::NamespaceIdentity& home,
              const std::function<base::Result<std::vector<dns::Ports>>()>& open);
    // It has the names of this revision, and nothing has to be looked up for them any more.
    [[nodiscard]] bool has(const base::NetworkId& network, base::Revision revision) const;
    void forget(const base::NetworkId& network);
    void forget_all();
    // The networks whose names it has.
    [[nodiscard]] std::vector<base::NetworkId> networks() const;
    // The namespace in which it listens; nullopt: in none.
    [[nodiscard]] std::optional<netlink::NamespaceIdentity> home(const base::NetworkId& network) const;

  private:
    // A TCP connection: one question after the other.
    struct Connection {
        Connection(asio::io_context& loop, dns::Accepted accepted)
            : source(accepted.source), stream(loop, accepted.fd.release()), idle(loop) {}

        base::IpAddress source;
        asio::posix::stream_descriptor stream;
        asio::steady_timer idle;
        std::vector<std::uint8_t> buffer;
    };
    // One gateway address.
    struct Door {
        Door(asio::io_context& loop, dns::Ports opened)
            : ports(std::move(opened)),
              udp(loop, ports.udp.get()),
              tcp(loop, ports.tcp.get()),
              udp_pause(loop),
              tcp_pause(loop) {}
        Door(const Door&) = delete;
        Door& operator=(const Door&) = delete;
        ~Door();

        dns::Ports ports;
        asio::posix::stream_descriptor udp;  // of `ports`, which close them
        asio::posix::stream_descriptor tcp;
        asio::steady_timer udp_pause;
        asio::steady_timer tcp_pause;
    };
    // What waits on the loop holds it weakly: forgotten, it is gone at once, and so is everything that would keep its
    // namespace.
    struct Kept {
        explicit Kept(const netlink::NamespaceIdentity& where) : home(where) {}
        Kept(const Kept&) = delete;
        Kept& operator=(const Kept&) = delete;
        ~Kept();

        netlink::NamespaceIdentity home;
        std::vector<std::unique_ptr<Door>> doors;  // the same as long as this
        base::NetworkId id;
        bool internal = false;    // nobody else is asked for its containers
        base::Revision revision;  // of the names that the following is of
        bool waits = false;       // for a container whose namespace is not there
        std::optional<dns::Zone> zone;
        std::map<base::IpAddress, std::string> containers;  // by the address of a local endpoint
        std::set<std::string> present;                      // the same containers
        std::set<std::shared_ptr<Connection>> connections;
    };
    using KeptPtr = std::shared_ptr<Kept>;

    asio::io_context* loop_;
    std::map<base::NetworkId, KeptPtr> networks_;
    NameForwarder forwarder_;

    static void close(Connection& connection);
    static void end(Kept& kept, const std::shared_ptr<Connection>& connection);
    // A door is one of `kept`, and lives as long.
    void listen_udp(const KeptPtr& kept, Door* door);
    void answer_datagrams(const KeptPtr& kept, Door* door);
    void listen_tcp(const KeptPtr& kept, Door* door);
    void take_connection(const KeptPtr& kept, Door* door);
    void read(const KeptPtr& kept, const std::shared_ptr<Connection>& connection);
    void read_query(const std::weak_ptr<Kept>& kept, const std::shared_ptr<Connection>& connection,
                    const asio::error_code& error);
    void reply(const KeptPtr& kept, const std::shared_ptr<Connection>& connection);
    // Calls `reply` with what to say to a query, now or when others have been asked; empty: nothing.
    using Reply = std::function<void(std::vector<std::uint8_t> said)>;
    void answer(const Kept& asked, const base::IpAddress& source, std::span<const std::uint8_t> bytes, bool tcp,
                const Reply& reply);
    void forward(const Kept& asked, const dns::Query& query, std::span<const std::uint8_t> bytes, bool tcp,
                 const Reply& reply);
    // The networks that the asker is in, the one it asks through first.
    [[nodiscard]] std::vector<const dns::Zone*> zones_of(const Kept& asked, const base::IpAddress& source) const;
    void write(const KeptPtr& kept, const std::shared_ptr<Connection>& connection,
               const std::vector<std::uint8_t>& said);
};

// What a container is told by: its namespace itself, whichever of its paths it was connected by.
[[nodiscard]] std::string container_of(const std::string& netns);

}  // namespace warren::agent
