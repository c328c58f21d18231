#pragma once

#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace warren::agent {

// Who is at the other end of a local connection, as the kernel says (SO_PEERCRED).
struct PeerCredentials {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;

    [[nodiscard]] std::string text() const;  // "root (uid 0), pid 4711"
};

// The daemon's API socket: a gRPC server whose connections are accepted here, because gRPC's own listener neither sets
// the socket's mode before somebody can connect nor tells who connected.
//
// Owner: main. Thread: the loop's, but for credentials_of(), which any thread may call. The socket file is removed at
// the end.
class LocalSocket {
  public:
    // The socket is 0660, root:warren (root:root where the group does not exist). A file at `path` is replaced only
    // when it is a socket that nobody answers on; kConflict: another daemon does.
    [[nodiscard]] static base::Result<std::unique_ptr<LocalSocket>> open(asio::io_context& loop,
                                                                         const std::filesystem::path& path,
                                                                         const std::vector<grpc::Service*>& services);
    ~LocalSocket();
    LocalSocket(const LocalSocket&) = delete;
    LocalSocket& operator=(const LocalSocket&) = delete;

    // `peer` is what grpc::ServerContextBase::peer() says in a call on this server.
    [[nodiscard]] std::optional<PeerCredentials> credentials_of(std::string_view peer) const;

    // No more connections; calls in progress get a moment to end.
    void stop();

  private:
    LocalSocket(asio::io_context& loop, std::filesystem::path path, base::UniqueFd lock);

    std::filesystem::path path_;
    base::UniqueFd lock_;
    asio::local::stream_protocol::acceptor acceptor_;
    std::unique_ptr<grpc::Server> server_;
    mutable std::mutex mutex_;
    std::map<std::string, PeerCredentials, std::less<>> peers_;

    [[nodiscard]] base::Status listen();
    void accept();
    void serve(base::UniqueFd connection);
};

}  // namespace warren::agent
