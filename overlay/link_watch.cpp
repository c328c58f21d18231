#include "overlay/link_watch.h"

#include <linux/rtnetlink.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "netlink/neighbour.h"

namespace warren::overlay {

namespace {

using base::Result;
using base::Status;

constexpr std::array<unsigned, 4> kGroups{RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
// A lost event is found out and costs one look at the network.
constexpr std::size_t kBuffer = 256U << 10U;

// Whether it may be about an object of ours. What a bridge learns of its containers' traffic is not.
bool concerns_us(const netlink::Received& event) {
    if (event.type != RTM_NEWNEIGH && event.type != RTM_DELNEIGH) {
        return true;
    }
    if (const auto entry = netlink::decode_fdb(event); entry && *entry) {
        return (*entry)->state != netlink::FdbState::kDynamic;
    }
    const auto neighbour = netlink::decode_neighbour(event);
    // One that is deleted fails first, so that it is not permanent any more when it goes (net/core/neighbour.c,
    // neigh_delete).
    return event.type == RTM_DELNEIGH || (neighbour && *neighbour && (*neighbour)->permanent);
}

}  // namespace

Result<LinkWatch> LinkWatch::open() {
    base::UniqueFd ready(::epoll_create1(EPOLL_CLOEXEC));
    if (!ready) {
        return base::fail_errno("listen to changes of links: epoll_create1", errno);
    }
    return LinkWatch(std::move(ready));
}

Status LinkWatch::watch(const base::NetworkId& network, const netlink::Namespace& where, Concerns concerns) {
    const auto known = watched_.find(network);
    if (known != watched_.end() && known->second.where == where.identity()) {
        return {};
    }
    WARREN_TRY_ASSIGN(auto events, netlink::Subscription::open_in(where, netlink::Protocol::kRoute, kGroups, kBuffer));
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    if (::epoll_ctl(ready_.get(), EPOLL_CTL_ADD, events.fd(), &wanted) != 0) {
        return base::fail_errno("listen to changes of links: epoll_ctl", errno);
    }
    watched_.insert_or_assign(
        network, Watched{.where = where.identity(), .events = std::move(events), .concerns = std::move(concerns)});
    return {};
}

std::set<base::NetworkId> LinkWatch::take() {
    std::set<base::NetworkId> changed;
    for (auto& [network, watched] : watched_) {
        bool ours = false;
        const auto outcome = watched.events.receive([&, &concerns = watched.concerns](const auto& event) -> Status {
            ours = ours || (concerns_us(event) && (!concerns || concerns(event)));
            return {};
        });
        if (ours || !outcome || *outcome == netlink::Subscription::Outcome::kLost) {
            changed.insert(network);
        }
    }
    return changed;
}

}  // namespace warren::overlay
