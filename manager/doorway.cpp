#include "manager/doorway.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <asio/ip/v6_only.hpp>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace warren::manager {

namespace {

using asio::ip::tcp;

constexpr base::Log kLog{"manager"};
// How long a listener without files waits for one to become free.
constexpr std::chrono::milliseconds kPause{100};

// As gRPC names it; see address_of_peer().
std::string peer_name(const tcp::endpoint& peer) {
    return peer.address().is_v4() ? fmt::format("ipv4:{}:{}", peer.address().to_string(), peer.port())
                                  : fmt::format("ipv6:[{}]:{}", peer.address().to_string(), peer.port());
}

asio::error_code bind_to(tcp::acceptor& acceptor, const tcp::endpoint& address) {
    asio::error_code error;
    acceptor.open(address.protocol(), error);
    if (!error && address.protocol() == tcp::v6()) {
        acceptor.set_option(asio::ip::v6_only(false), error);
    }
    if (!error) {
        acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    }
    if (!error) {
        acceptor.set_option(tcp::no_delay(true), error);  // connections inherit it
    }
    if (!error) {
        acceptor.bind(address, error);
    }
    if (!error) {
        acceptor.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
        asio::error_code ignored;
        acceptor.close(ignored);
    }
    return error;
}

bool is_family_missing(const asio::error_code& error) {
    return error == asio::error::address_family_not_supported ||
           error == asio::error_code(EADDRNOTAVAIL, asio::error::get_system_category());
}

}  // namespace

base::Status Doorway::listen(const base::SocketAddress& address) {
    loop_.restart();
    const bool any_v4 = address.ip.family == base::Family::kIpv4 && address.ip.is_unspecified();
    asio::error_code error;
    if (any_v4) {
        error = bind_to(acceptor_, {tcp::v6(), address.port});
    }
    if (!any_v4 || is_family_missing(error)) {  // a host without IPv6
        asio::error_code unreadable;
        const auto ip = asio::ip::make_address(address.ip.text(), unreadable);
        error = unreadable ? unreadable : bind_to(acceptor_, {ip, address.port});
    }
    if (error) {
        return base::fail(base::Code::kConflict,
                          "--listen {}: can't listen: the address is taken or not one of this host ({})", address,
                          error.message());
    }
    return {};
}

void Doorway::open(Enter enter, Refuse refuse) {
    enter_ = std::move(enter);
    refuse_ = std::move(refuse);
    accept();
    thread_ = std::thread([this] { loop_.run(); });
}

void Doorway::close() {
    if (thread_.joinable()) {
        loop_.stop();
        thread_.join();
    }
    pause_.cancel();
    asio::error_code ignored;
    acceptor_.close(ignored);
}

void Doorway::accept() {
    acceptor_.async_accept([this](const asio::error_code& error, tcp::socket connection) {
        if (!error) {
            accepted(std::move(connection));
            accept();
        } else if (error == asio::error::connection_aborted || error == asio::error::interrupted) {
            accept();
        } else if (error != asio::error::operation_aborted) {
            kLog.error("accept: {}; trying again", error.message());
            pause_.expires_after(kPause);
            pause_.async_wait([this](const asio::error_code& cancelled) {
                if (!cancelled) {
                    accept();
                }
            });
        }
    });
}

void Doorway::know(std::set<base::IpAddress> nodes) {
    const std::lock_guard guard(mutex_);
    known_ = std::move(nodes);
}

base::Status Doorway::admit(const std::string& peer) {
    const auto address = address_of_peer(peer);
    const std::lock_guard guard(mutex_);
    const auto now = base::system_now();
    if (address && known_.contains(*address)) {
        return nodes_.take(peer, now);
    }
    WARREN_TRY(strangers_.take(peer, now));
    if (all_strangers_.take(limits_.strangers, now)) {
        return base::fail(base::Code::kExhausted, "too many connections from strangers");
    }
    return {};
}

void Doorway::accepted(tcp::socket connection) {
    asio::error_code error;
    const auto peer = connection.remote_endpoint(error);
    if (error) {
        return;  // gone already
    }
    const auto name = peer_name(peer);
    if (const auto allowed = admit(name); !allowed) {
        connection.set_option(tcp::socket::linger(true, 0), error);  // reset: no TIME_WAIT is left of a flood
        refuse_(name, allowed.error());
        return;
    }
    base::UniqueFd fd(connection.release(error));
    if (!error && ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0 && ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) == 0) {
        enter_(std::move(fd));
    }
}

}  // namespace warren::manager
