#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "certs/node_identity.h"
#include "proto/session.pb.h"

namespace grpc {
class Channel;
}

namespace warren::agent {

// The way to a manager, with TLS as the node that `self` says.
[[nodiscard]] base::Result<std::shared_ptr<grpc::Channel>> make_channel(const certs::NodeIdentity& self,
                                                                        const std::string& manager);

// What the agent hears of its session, all on its own thread.
struct SessionEvents {
    std::function<void(v1::FromManager)> message;
    std::function<void(base::Error)> ended;  // once, last
};

// One stream to a manager, from its opening to its end. Reconnecting is the agent's affair: a new object.
//
// Owner: the agent. Thread: the loop's; gRPC's threads only decode and post. Destruction cancels the stream, and
// nothing is called any more.
class SessionClient {
  public:
    SessionClient(asio::io_context& loop, const std::shared_ptr<grpc::Channel>& channel, SessionEvents events);
    ~SessionClient();
    SessionClient(const SessionClient&) = delete;
    SessionClient& operator=(const SessionClient&) = delete;

    void send(v1::FromAgent message);

  private:
    class Stream;
    std::shared_ptr<Stream> stream_;
};

}  // namespace warren::agent
