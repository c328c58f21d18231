#include "overlay/observe.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>

#include "netlink/address.h"
#include "netlink/segmentation.h"
#include "overlay/sysctl.h"

namespace warren::overlay {

namespace {

base::Status read_links_and_addresses(netlink::Socket& socket, SeenNamespace& out) {
    WARREN_TRY_ASSIGN(out.links, netlink::read_links(socket));
    WARREN_TRY_ASSIGN(const auto addresses, netlink::read_addresses(socket));
    for (const auto& address : addresses) {
        if (!address.prefix.address.is_link_local()) {
            out.addresses[address.link].push_back(address.prefix);
        }
    }
    return {};
}

}  // namespace

base::Result<SeenNamespace> observe_network(const netlink::Namespace& where, netlink::Socket& socket) {
    SeenNamespace out;
    WARREN_TRY(read_links_and_addresses(socket, out));
    // One dump for all devices: a bridge may have a thousand ports.
    WARREN_TRY_ASSIGN(const auto forwarding, netlink::read_fdb(socket, base::IfIndex(0)));
    for (const auto& entry : forwarding) {
        out.forwarding[entry.link].push_back(entry);
    }
    for (const auto& link : out.links) {
        if (link.kind != "vxlan" && link.kind != "bridge") {
            continue;
        }
        WARREN_TRY_ASSIGN(out.neighbours[link.index], netlink::read_neighbours(socket, link.index));
        if (link.kind != "vxlan") {
            continue;
        }
        if (auto segmentation = netlink::segmentation(where, link.name)) {
            out.segmentation[link.index] = *segmentation;
        } else if (segmentation.error().sys_errno() != ENODEV) {  // gone meanwhile
            return base::fail_with(std::move(segmentation));
        }
    }
    return out;
}

base::Status observe_again(netlink::Socket& socket, const Touched& touched, SeenNamespace& network) {
    for (const auto& name : touched.ports) {
        const auto known = std::find_if(network.links.begin(), network.links.end(),
                                        [&](const netlink::Link& link) { return link.name == name; });
        auto port = netlink::read_link(socket, name);
        if (port) {
            WARREN_TRY_ASSIGN(network.forwarding[port->index], netlink::read_fdb(socket, port->index));
            if (known != network.links.end()) {
                *known = *std::move(port);
            } else {
                network.links.push_back(*std::move(port));
            }
        } else if (port.error().sys_errno() != ENODEV) {
            return base::fail_with(std::move(port));
        } else if (known != network.links.end()) {
            network.links.erase(known);
        }
    }
    for (const auto& link : touched.tables) {
        WARREN_TRY_ASSIGN(network.forwarding[link], netlink::read_fdb(socket, link));
        WARREN_TRY_ASSIGN(network.neighbours[link], netlink::read_neighbours(socket, link));
    }
    return {};
}

base::Result<SeenNamespace> observe_container(netlink::Socket& socket) {
    SeenNamespace out;
    WARREN_TRY(read_links_and_addresses(socket, out));
    return out;
}

base::Result<std::vector<netlink::Route>> observe_routes(netlink::Socket& socket,
                                                         const std::vector<WantedRoute>& wanted) {
    std::set<base::Family> families;
    for (const auto& route : wanted) {
        families.insert(route.destination.address.family);
    }
    std::vector<netlink::Route> found;
    for (const auto family : families) {
        WARREN_TRY_ASSIGN(auto routes, netlink::read_routes(socket, family));
        std::copy_if(routes.begin(), routes.end(), std::back_inserter(found), [&](const netlink::Route& route) {
            return route.table == netlink::kMainTable &&
                   std::any_of(wanted.begin(), wanted.end(),
                               [&](const WantedRoute& it) { return it.destination == route.destination; });
        });
    }
    return found;
}

base::Result<bool> observe_forwarding(const netlink::Namespace& where) {
    return netlink::run_in(where, []() -> base::Result<bool> {
        for (const auto* name : kForwarding) {
            WARREN_TRY_ASSIGN(const auto value, read_sysctl(name));
            if (value.value_or("1") != "1") {
                return false;
            }
        }
        return true;
    });
}

}  // namespace warren::overlay
