#include "agent/local_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "base/files.h"
#include "base/log.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr mode_t kSocketMode = 0660;
constexpr std::chrono::milliseconds kStopPatience{500};

std::string user_name(uid_t uid) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
        return "unknown";
    }
    return entry.pw_name;
}

gid_t group_warren() {
    std::array<char, 4096> buffer{};
    group entry{};
    group* found = nullptr;
    return ::getgrnam_r("warren", &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr ? entry.gr_gid
                                                                                                         : 0;
}

}  // namespace

std::string PeerCredentials::text() const {
    return fmt::format("{} (uid {}), pid {}", user_name(uid), uid, pid);
}

LocalSocket::LocalSocket(asio::io_context& loop, std::filesystem::path path, base::UniqueFd lock)
    : path_(std::move(path)), lock_(std::move(lock)), acceptor_(loop) {}

base::Result<std::unique_ptr<LocalSocket>> LocalSocket::open(asio::io_context& loop, const std::filesystem::path& path,
                                                             const std::vector<grpc::Service*>& services) {
    // unix(7): with the zero at its end.
    constexpr std::size_t kMostBytes = sizeof(sockaddr_un::sun_path) - 1;
    if (path.native().size() > kMostBytes) {
        return base::fail(
            base::Code::kInvalid,
            "--run-dir {}: the path of its socket, {}, has {} bytes, and a socket's must have at most {}; "
            "choose a shorter one",
            path.parent_path().native(), path.native(), path.native().size(), kMostBytes);
    }
    // The lock, not the socket, says whether a daemon runs: it goes with the process, however that ends.
    auto lock = base::lock_file(std::filesystem::path(path) += ".lock");
    if (!lock) {
        return base::fail(base::Code::kConflict, "another warrend runs with {}: {}", path.parent_path().native(),
                          lock.error().message());
    }
    std::unique_ptr<LocalSocket> socket(new LocalSocket(loop, path, *std::move(lock)));
    grpc::ServerBuilder builder;
    for (auto* service : services) {
        builder.RegisterService(service);
    }
    socket->server_ = builder.BuildAndStart();
    if (!socket->server_) {
        return base::fail(base::Code::kInternal, "{}: the API server does not start", path.native());
    }
    if (auto listening = socket->listen(); !listening) {
        return base::fail_in(path.native(), std::move(listening));
    }
    socket->accept();
    return socket;
}

base::Status LocalSocket::listen() {
    asio::error_code error;
    ::unlink(path_.c_str());
    acceptor_.open(asio::local::stream_protocol(), error);
    if (!error) {
        // Nobody can connect to a socket that is bound but does not listen, so its mode is right before it is of use.
        acceptor_.bind(asio::local::stream_protocol::endpoint(path_.native()), error);
    }
    if (!error && (::chown(path_.c_str(), 0, group_warren()) != 0 || ::chmod(path_.c_str(), kSocketMode) != 0)) {
        return base::fail_errno("set owner and mode", errno);
    }
    if (!error) {
        acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
        return base::fail_errno("listen", error.value());
    }
    return {};
}

void LocalSocket::accept() {
    acceptor_.async_accept([this](const asio::error_code& error, asio::local::stream_protocol::socket connection) {
        if (error == asio::error::operation_aborted) {
            return;
        }
        if (error) {
            kLog.warn("accept on {}: {}", path_.native(), error.message());
        } else {
            asio::error_code ignored;
            serve(base::UniqueFd(connection.release(ignored)));
        }
        accept();
    });
}

void LocalSocket::serve(base::UniqueFd connection) {
    ucred raw{};
    socklen_t length = sizeof raw;
    if (!connection || ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &raw, &length) != 0 ||
        ::fcntl(connection.get(), F_SETFL, O_NONBLOCK) != 0) {
        kLog.warn("a connection on {} has no peer: {}", path_.native(), errno);
        return;
    }
    {
        // gRPC names a connection made from a descriptor "fd:N"; a later one with the same number replaces this entry.
        const std::lock_guard guard(mutex_);
        peers_.insert_or_assign(fmt::format("fd:{}", connection.get()),
                                PeerCredentials{.pid = raw.pid, .uid = raw.uid, .gid = raw.gid});
    }
    grpc::AddInsecureChannelFromFd(server_.get(), connection.release());
}

std::optional<PeerCredentials> LocalSocket::credentials_of(std::string_view peer) const {
    const std::lock_guard guard(mutex_);
    const auto found = peers_.find(peer);
    return found == peers_.end() ? std::nullopt : std::optional(found->second);
}

void LocalSocket::stop() {
    asio::error_code ignored;
    acceptor_.close(ignored);
    if (server_) {
        server_->Shutdown(std::chrono::system_clock::now() + kStopPatience);
    }
}

LocalSocket::~LocalSocket() {
    stop();
    ::unlink(path_.c_str());
}

}  // namespace warren::agent
