#include "cli/connection.h"

#include <fcntl.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/unique_fd.h"
#include "certs/grpc_credentials.h"
#include "certs/node_identity.h"
#include "proto/bootstrap.grpc.pb.h"
#include "proto/status.h"

namespace warren::cli {

namespace {

// What to do about a socket that can't be connected to.
std::string remedy(const std::string& socket, int error) {
    switch (error) {
        case ENOENT:
        case ECONNREFUSED:
            return fmt::format("; is it running? Start it with: warrend --run-dir {}",
                               std::filesystem::path(socket).parent_path().string());
        case EACCES:
        case EPERM:
            return "; be root or in the group warren (usermod -aG warren USER, then log in again)";
        default:
            return "";
    }
}

tl::unexpected<base::Error> unreachable(const std::string& socket, int error) {
    const base::Error reason = base::Error::from_errno("cannot reach warrend at " + socket, error);
    return tl::unexpected(
        base::Error(base::Code::kUnavailable, reason.message() + remedy(socket, error), reason.sys_errno()));
}

base::Result<base::UniqueFd> dial(const std::string& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.size() >= sizeof address.sun_path) {
        return unreachable(socket, ENAMETOOLONG);
    }
    std::memcpy(address.sun_path, socket.data(), socket.size());
    base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // A daemon that accepts nobody would hold us in connect() for ever once its backlog is full.
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) {
        return unreachable(socket, errno);
    }
    return fd;
}

// Whose certificate it is and until when it is valid is checked here, because a failed handshake does not say.
base::Result<std::shared_ptr<grpc::Channel>> remote_channel(const Destination& destination, base::Time now) {
    auto identity = certs::load_identity(destination.certificates);
    if (!identity) {
        return base::fail_in("--cert", std::move(identity));
    }
    if (!*identity) {
        return base::fail(base::Code::kInvalid,
                          "--cert {}: there is no certificate in it; have one made on a manager: warren cert issue "
                          "--role operator NAME --out DIR",
                          destination.certificates);
    }
    if (now > (*identity)->leaf().not_after) {
        return base::fail(
            base::Code::kPrecondition,
            "--cert {}: the certificate was valid until {}; have a new one made on a manager: warren cert "
            "issue --role operator NAME --out DIR",
            destination.certificates, base::format_utc((*identity)->leaf().not_after));
    }
    WARREN_TRY_ASSIGN(auto credentials, certs::member_credentials(**identity));
    return grpc::CreateChannel(destination.manager, credentials);
}

// Whether a manager answers this question at all, with an error or without.
bool is_answered(const Destination& destination, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    constexpr std::chrono::seconds kPatience{5};
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::GetRootsReply reply;
    const auto status =
        v1::Bootstrap::NewStub(grpc::CreateChannel(destination.manager, credentials))->GetRoots(&context, {}, &reply);
    return status.error_code() != grpc::StatusCode::UNAVAILABLE &&
           status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED;
}

// Whether a manager of the certificate's own cluster answers who shows no certificate, and not who shows this one. No
// handshake says so, and a connection can be lost for other reasons.
bool is_certificate_refused(const Destination& destination) {
    const auto identity = certs::load_identity(destination.certificates);
    if (!identity || !*identity) {
        return false;
    }
    const auto without = certs::joiner_credentials((*identity)->roots(), (*identity)->identity().cluster);
    const auto with = certs::member_credentials(**identity);
    return without && with && is_answered(destination, *without) && !is_answered(destination, *with);
}

base::Error no_manager(const Destination& destination, const std::string& message) {
    if (is_certificate_refused(destination)) {
        return {
            base::Code::kPrecondition,
            fmt::format("the manager at {} does not take the certificate in {}: the cluster has moved to another CA "
                        "since, or the clocks differ; have a new one made on a manager: warren cert issue --role "
                        "operator NAME --out DIR",
                        destination.manager, destination.certificates)};
    }
    return {base::Code::kUnavailable,
            fmt::format("cannot reach a manager at {}: {}; does one run there, and is {} of its cluster?",
                        destination.manager, proto::plain_reason(message), destination.certificates)};
}

}  // namespace

Connection::Connection(const Destination& destination, const std::shared_ptr<grpc::Channel>& channel)
    : destination_(destination), local_(v1::Local::NewStub(channel)), control_(v1::Control::NewStub(channel)) {}

base::Status Connection::check_local() const {
    if (destination_.socket.empty()) {
        return base::fail(base::Code::kPrecondition,
                          "this command is about one host: run it there, without --host tcp://...");
    }
    return {};
}

base::Result<Connection> Connection::open(const Destination& destination, base::Time now) {
    if (destination.socket.empty()) {
        WARREN_TRY_ASSIGN(const auto channel, remote_channel(destination, now));
        return Connection(destination, channel);
    }
    WARREN_TRY_ASSIGN(base::UniqueFd fd, dial(destination.socket));
    // The channel lives as long as this one connection: no resolver, no reconnecting, and whatever it calls unavailable
    // is the loss of it.
    return Connection(destination, grpc::CreateInsecureChannelFromFd("localhost", fd.release()));
}

base::Error Connection::failure(const grpc::Status& status) const {
    const std::string& message = status.error_message();
    switch (status.error_code()) {
        case grpc::StatusCode::UNAVAILABLE:
            if (destination_.socket.empty()) {
                return no_manager(destination_, message);
            }
            return {base::Code::kUnavailable,
                    fmt::format("lost the connection to warrend at {} ({}); see its log (journalctl -u warrend)",
                                destination_.socket, message)};
        case grpc::StatusCode::DEADLINE_EXCEEDED:
            return {base::Code::kAborted,
                    "no answer from warrend in time; it may still be at it: look with 'warren status' before trying "
                    "again"};
        case grpc::StatusCode::UNIMPLEMENTED:
            return {base::Code::kPrecondition, "this warrend cannot do that; is it older than this warren?"};
        case grpc::StatusCode::OK:
        case grpc::StatusCode::CANCELLED:
        case grpc::StatusCode::UNKNOWN:
        case grpc::StatusCode::INVALID_ARGUMENT:
        case grpc::StatusCode::NOT_FOUND:
        case grpc::StatusCode::ALREADY_EXISTS:
        case grpc::StatusCode::PERMISSION_DENIED:
        case grpc::StatusCode::UNAUTHENTICATED:
        case grpc::StatusCode::RESOURCE_EXHAUSTED:
        case grpc::StatusCode::FAILED_PRECONDITION:
        case grpc::StatusCode::ABORTED:
        case grpc::StatusCode::OUT_OF_RANGE:
        case grpc::StatusCode::INTERNAL:
        case grpc::StatusCode::DATA_LOSS:
        case grpc::StatusCode::DO_NOT_USE:
            break;
    }
    return {base::Code::kInternal, message.empty() ? fmt::format("warrend gave no reason (gRPC status {})",
                                                                 static_cast<int>(status.error_code()))
                                                   : message};
}

}  // namespace warren::cli
