#include "agent/encap_sockets.h"

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "overlay/port_owner.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};

std::string name_of(const xfrm::EncapPort& port) {
    return fmt::format("esp-in-udp-{}-{:02x}", port.port, fmt::join(port.address.raw(), ""));
}

}  // namespace

EncapSockets::EncapSockets(std::unique_ptr<fdstore::FdStore> store) : store_(std::move(store)) {
    for (auto& stored : store_->take()) {
        const auto port = xfrm::encap_port_of(stored.fd.get());
        if (!port || name_of(*port) != stored.name) {
            kLog.warn("{} in the store is no socket for ESP in UDP: dropped", stored.name);
            store_->drop(stored.name);
            continue;
        }
        left_.insert(*port);
        open_.insert_or_assign(*port, std::move(stored.fd));
    }
}

std::vector<EncapSockets::Failure> EncapSockets::want(const base::NetworkId& network, std::set<xfrm::EncapPort> ports) {
    const auto& wanted = wanted_.insert_or_assign(network, std::move(ports)).first->second;
    close_others();
    std::vector<Failure> failures;
    for (const auto& port : wanted) {
        if (!open_.contains(port)) {
            auto fd = open(port);
            if (!fd) {
                failures.push_back({.port = port, .open = false, .error = std::move(fd).error()});
                continue;
            }
            open_.insert_or_assign(port, *std::move(fd));
        }
        if (!store_->holds(name_of(port))) {
            if (auto kept = keep(port, open_.at(port).get()); !kept) {
                failures.push_back({.port = port, .open = true, .error = std::move(kept).error()});
            }
        }
    }
    return failures;
}

void EncapSockets::forget(const base::NetworkId& network) {
    wanted_.erase(network);
    close_others();
}

void EncapSockets::keep_only(Needs needs) {
    wanted_ = std::move(needs);
    left_.clear();
    close_others();
}

base::Result<base::UniqueFd> EncapSockets::open(const xfrm::EncapPort& port) {
    auto socket = xfrm::open_encap_socket(port);
    if (!socket && socket.error().sys_errno() == EADDRINUSE) {
        return base::fail(
            base::Code::kConflict,
            "UDP port {} for ESP in UDP is taken by {}: stop it, or give the network another port with "
            "--opt encap=udp:PORT",
            port.port,
            overlay::port_owner(overlay::Transport::kUdp, port.port.value, port.address).value_or("another socket"));
    }
    return socket;
}

base::Status EncapSockets::keep(const xfrm::EncapPort& port, int fd) {
    if (auto kept = store_->put(name_of(port), fd); !kept) {
        return base::fail_in("a restart of warrend will lose packets of ESP in UDP", std::move(kept));
    }
    return {};
}

bool EncapSockets::is_wanted(const xfrm::EncapPort& port) const {
    return left_.contains(port) ||
           std::ranges::any_of(wanted_, [&](const auto& network) { return network.second.contains(port); });
}

void EncapSockets::close_others() {
    std::erase_if(open_, [this](const auto& entry) {
        if (is_wanted(entry.first)) {
            return false;
        }
        store_->drop(name_of(entry.first));
        return true;
    });
}

}  // namespace warren::agent
