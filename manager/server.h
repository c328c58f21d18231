#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "certs/authority.h"
#include "certs/node_identity.h"
#include "manager/network_mtu.h"
#include "manager/vault.h"
#include "proto/bootstrap.pb.h"
#include "proto/local.pb.h"
#include "store/store.h"

namespace grpc {
class Service;
}

namespace warren::manager {

struct ServerOptions {
    base::SocketAddress listen;
    std::filesystem::path certificates;  // the directory of this node's identity, whose files may change meanwhile
    base::Duration shortest_leaf = certs::kShortestLeafLifetime;  // only tests have another
    base::Duration mtu_patience = MtuPace::kPatience;             // the same
    base::Duration heartbeat = std::chrono::seconds(5);
    base::Duration handshake = std::chrono::seconds(10);  // what a connection may take until its handshake is done
};

// A running manager: the core on a thread of its own, the services on a TCP port with TLS, and the control service once
// more for the local socket.
//
// Owner: main. Threads: one loop that owns all state; gRPC's threads decode, authorise and post to it. The services may
// be registered with another server before start() and outlive stop(): until then, and after, they answer that this
// node is no manager.
class Server {
  public:
    Server();
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Serves the cluster in `store`. kConflict: the address is taken.
    [[nodiscard]] base::Status start(std::unique_ptr<store::Store> store, Vault vault,
                                     const certs::NodeIdentity& identity, ServerOptions options);
    // A certificate for this manager's own node. Waits for the manager's thread; not to be called on it.
    [[nodiscard]] base::Result<v1::ReadmitReply> renew_own(const std::string& request_pem);
    // Seals all that the store has sealed under `next`, see Core::change_kek(). Waits as renew_own() does.
    [[nodiscard]] base::Result<std::uint32_t> change_kek(const keymgr::KeyEncryptionKey& next);
    void stop();
    [[nodiscard]] bool running() const;
    // What calls are answered with while no manager runs; empty: that this host has none.
    void set_absence(std::string why);

    // Who was refused so far, as counters that are not zero.
    void add_counters(v1::StatusReply& status) const;

    // The control service for the local socket, where the file's permissions have decided already who may call. Log
    // lines of changes say who called, as `who` tells it from the connection's name.
    [[nodiscard]] grpc::Service& local_control();
    void set_local_caller(std::function<std::string(const std::string& peer)> who);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace warren::manager
