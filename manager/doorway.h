#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/ip.h"
#include "base/result.h"
#include "base/token_bucket.h"
#include "base/unique_fd.h"
#include "manager/source_limit.h"

namespace warren::manager {

struct DoorwayLimits {
    // A host that has a session and commands under way connects a few times; one with many behind it, more.
    base::Rate each{.burst = 256, .refill = std::chrono::milliseconds(50)};
    // All strangers together. With a handshake's ten seconds: 26,000 at once, some hundred MiB.
    base::Rate strangers{.burst = 16'384, .refill = std::chrono::milliseconds(1)};
};

// A manager's port. Everybody may connect, but one address only so often: what connects and says nothing takes a file
// and the memory of a TLS handshake for ten seconds, and a flood of that must leave room for members. gRPC's own
// listener has no such bound, and gives up for good when there are no more files (its tcp_server_posix.cc).
//
// Nodes have an allowance apart from strangers', and strangers have one together, too: a flood from many addresses
// takes a bounded part of the memory and does not keep nodes out.
//
// Owner: Server. A thread of its own accepts, so a flood costs the manager's loop nothing.
class Doorway {
  public:
    // Takes a connection that was let in; on the doorway's thread.
    using Enter = std::function<void(base::UniqueFd)>;
    // Told of one that was not: from where, and why. On the doorway's thread.
    using Refuse = std::function<void(const std::string& peer, const base::Error& why)>;

    explicit Doorway(DoorwayLimits limits = {}) : limits_(limits) {}
    ~Doorway() { close(); }
    Doorway(const Doorway&) = delete;
    Doorway& operator=(const Doorway&) = delete;

    // kConflict: the address is taken, or not one of this host. 0.0.0.0 means the addresses of both families.
    [[nodiscard]] base::Status listen(const base::SocketAddress& address);
    void open(Enter enter, Refuse refuse);
    void close();
    // Where nodes call from. Any thread.
    void know(std::set<base::IpAddress> nodes);

  private:
    DoorwayLimits limits_;
    asio::io_context loop_{1};
    asio::ip::tcp::acceptor acceptor_{loop_};
    asio::steady_timer pause_{loop_};
    base::TokenBucket all_strangers_;
    SourceLimit strangers_{{.rate = limits_.each, .sources = 512, .of = "connections"}};
    SourceLimit nodes_{{.rate = limits_.each, .sources = 1U << 14U, .of = "connections"}};
    std::mutex mutex_;
    std::set<base::IpAddress> known_;
    Enter enter_;
    Refuse refuse_;
    std::thread thread_;

    void accept();
    void accepted(asio::ip::tcp::socket connection);
    [[nodiscard]] base::Status admit(const std::string& peer);
};

}  // namespace warren::manager
