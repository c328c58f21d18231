#include "agent/published_ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/sockaddr.h"
#include "overlay/port_owner.h"

namespace warren::agent {

namespace {

// With SO_REUSEADDR what is left of former connections (TIME_WAIT) is in nobody's way; that TCP listens keeps others
// off who have it, too. Nobody connects: what comes goes to the container.
base::Result<base::UniqueFd> reserve(const overlay::Publication& wanted) {
    const bool tcp = wanted.transport == overlay::Transport::kTcp;
    base::UniqueFd socket(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        return base::fail_errno(fmt::format("--publish {}: socket", wanted.text()), errno);
    }
    const base::Sockaddr address({.ip = wanted.host_ip.value_or(base::IpAddress::v4(0)), .port = wanted.host_port});
    constexpr int kOn = 1;
    if (tcp) {
        (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
    }
    if (::bind(socket.get(), address.get(), address.size()) == 0 && (!tcp || ::listen(socket.get(), 1) == 0)) {
        return socket;
    }
    if (errno == EADDRNOTAVAIL) {
        return base::fail(base::Code::kInvalid, "--publish {}: this host has no address {}", wanted.text(),
                          *wanted.host_ip);
    }
    if (errno != EADDRINUSE) {
        return base::fail_errno(fmt::format("--publish {}: bind", wanted.text()), errno);
    }
    return base::fail(base::Code::kConflict, "--publish {}: {} port {} of this host is taken by {}; choose another one",
                      wanted.text(), tcp ? "TCP" : "UDP", wanted.host_port,
                      overlay::port_owner(wanted.transport, wanted.host_port, wanted.host_ip).value_or("a socket"));
}

}  // namespace

base::Status PublishedPorts::hold(const overlay::Publication& wanted, base::Moment until) {
    if (const auto held = held_.find(wanted); held != held_.end()) {
        held->second.until = std::max(held->second.until, until);
        return {};
    }
    if (std::ranges::any_of(held_, [&](const auto& entry) { return collide(entry.first, wanted); })) {
        return {};  // another endpoint's, which the manager names
    }
    WARREN_TRY_ASSIGN(auto socket, reserve(wanted));
    held_.emplace(wanted, Held{.socket = std::move(socket), .until = until});
    return {};
}

std::map<overlay::Publication, base::Error> PublishedPorts::keep_only(const std::set<overlay::Publication>& wanted,
                                                                      base::Moment now) {
    std::erase_if(held_, [&](const auto& entry) { return entry.second.until <= now && !wanted.contains(entry.first); });
    std::map<overlay::Publication, base::Error> failed;
    for (const auto& it : wanted) {
        if (const auto held = hold(it, base::Moment{}); !held) {
            failed.emplace(it, held.error());
        }
    }
    return failed;
}

}  // namespace warren::agent
