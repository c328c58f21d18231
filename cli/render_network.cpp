#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

std::string subnets_text(const v1::Network& network) {
    std::vector<std::string> subnets;
    for (const v1::Subnet& subnet : network.subnets()) {
        subnets.push_back(subnet.subnet());
    }
    return joined(subnets);
}

std::string gateways_text(const v1::Network& network) {
    std::vector<std::string> gateways;
    for (const v1::Subnet& subnet : network.subnets()) {
        gateways.push_back(subnet.gateway());
    }
    return joined(gateways);
}

std::string vnis_text(const v1::Network& network) {
    std::vector<std::string> vnis;
    for (const std::uint32_t vni : network.vnis()) {
        vnis.push_back(fmt::format("{} ({:#x})", vni, vni));
    }
    return joined(vnis);
}

template <typename Message>
std::string addresses_text(const Message& of) {
    return of.ipv6().empty() ? of.ip() : fmt::format("{}, {}", of.ip(), of.ipv6());
}

// A map has no order of its own; people and diffs want one.
template <typename Map>
std::string pairs_text(const Map& map) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : map) {
        pairs.push_back(fmt::format("{}={}", key, value));
    }
    std::sort(pairs.begin(), pairs.end());
    return joined(pairs);
}

std::string facts(const v1::Network& network, const View& view) {
    Block block;
    block.line("ID", network.id());
    block.line("Name", network.name());
    block.line("Driver", network.driver());
    if (network.encrypted()) {
        const bool in_udp = !network.encap().empty() && network.encap() != "none";
        block.line("Encrypted", fmt::format("yes, {}, replay window {}{}", network.cipher(), network.replay_window(),
                                            in_udp ? ", ESP in " + network.encap() : ""));
        if (!network.cipher_choice().empty()) {
            block.line("Cipher", fmt::format("auto: {}", network.cipher_choice()));
        }
        block.line("Active epoch", network.active_epoch() == 0 ? Cell("none yet") : Cell(network.active_epoch()));
        block.line("Key rotation", network.key_rotation_ms() == 0
                                       ? std::string("on command and on need")
                                       : "every " + base::format_age(base::Duration(network.key_rotation_ms())));
        block.line("Rekey after",
                   fmt::format("{} packets, {} bytes", network.rekey_after_packets(), network.rekey_after_bytes()));
    } else {
        block.line("Encrypted", "no");
    }
    block.line("Subnet", subnets_text(network));
    block.line("Gateway", gateways_text(network));
    for (const v1::Subnet& subnet : network.subnets()) {
        if (!subnet.ip_range().empty()) {
            block.line("Range", fmt::format("{} of {}", subnet.ip_range(), subnet.subnet()));
        }
        if (!subnet.aux_addresses().empty()) {
            block.line("Reserved", pairs_text(subnet.aux_addresses()));
        }
    }
    block.line("Internal", network.internal() ? "yes" : "no");
    block.line("Multicast", network.multicast() ? "to all members" : "stays on the host");
    block.line("VNI", vnis_text(network));
    block.line("UDP port", network.udp_port());
    block.line("MTU", network.mtu_choice().empty() ? fmt::format("{}", network.mtu())
                                                   : fmt::format("{} ({})", network.mtu(), network.mtu_choice()));
    block.line("Labels", pairs_text(network.labels()));
    block.line("Created", moment(network.created_unix_ms(), view));
    block.line("Revision", network.revision());
    return block.text(view);
}

Table endpoint_table(const google::protobuf::RepeatedPtrField<v1::Endpoint>& endpoints, const View& view) {
    Table table({"ENDPOINT ID", "NAME", "NETWORK", "IP", "MAC", "NODE", "NETNS", "IFNAME", "AGE"});
    for (const v1::Endpoint& endpoint : endpoints) {
        table.row({short_id(endpoint.id()), endpoint.name(), endpoint.network(), addresses_text(endpoint),
                   endpoint.mac(), endpoint.node(), endpoint.netns(), endpoint.ifname(),
                   age(endpoint.created_unix_ms(), view)});
    }
    return table;
}

Cell epoch(std::uint32_t number) {
    return number == 0 ? Cell("none") : Cell(number);
}

std::string members_text(const v1::Network& network, bool verbose, const View& view) {
    std::vector<std::string> header{"NODE", "DATA ADDRESS", "STATE", "REVISION"};
    if (verbose) {
        header.emplace_back("UNDERLAY MTU");
        if (network.encrypted()) {
            header.insert(header.end(), {"INSTALLED", "SENDING"});
        }
    }
    Table table(header);
    for (const v1::NetworkMember& member : network.member_nodes()) {
        const bool behind = member.acked_revision() < network.revision();
        std::vector<Cell> row{member.node(), member.data_address(),
                              member.reachable() ? Cell("ready", Tone::kGood) : Cell("unreachable", Tone::kBad),
                              Cell(fmt::format("{}{}", member.acked_revision(), behind ? " (behind)" : ""),
                                   behind ? Tone::kCaution : Tone::kPlain)};
        if (verbose) {
            row.emplace_back(member.underlay_mtu());
            if (network.encrypted()) {
                row.insert(row.end(), {epoch(member.installed_epoch()), epoch(member.sending_epoch())});
            }
        }
        table.row(std::move(row));
    }
    return table.text(view);
}

// Where each is, and what names lead to it.
std::string places_text(const v1::Network& network, const View& view) {
    std::map<std::string, std::string> vteps;
    for (const v1::NetworkMember& member : network.member_nodes()) {
        vteps.emplace(member.node(), member.data_address());
    }
    Table table({"NAME", "NODE", "VTEP", "ALIASES", "SERVICES", "PUBLISHED"});
    for (const v1::Endpoint& endpoint : network.endpoints()) {
        table.row({endpoint.name(), endpoint.node(), vteps[endpoint.node()], joined(endpoint.aliases()),
                   joined(endpoint.services()), joined(endpoint.published())});
    }
    return table.text(view);
}

}  // namespace

std::string render_networks(const v1::NetworkListReply& reply, bool quiet, const View& view) {
    if (quiet) {
        std::string ids;
        for (const v1::Network& network : reply.networks()) {
            ids += network.id() + "\n";
        }
        return ids;
    }
    Table table({"NETWORK ID", "NAME", "DRIVER", "ENCRYPTED", "SUBNET", "PORT", "MTU", "NODES", "ENDPOINTS", "AGE"});
    for (const v1::Network& network : reply.networks()) {
        table.row({short_id(network.id()), network.name(), network.driver(),
                   network.encrypted() ? network.cipher() : std::string("no"), subnets_text(network),
                   network.udp_port(), network.mtu(), network.members(), network.endpoint_count(),
                   age(network.created_unix_ms(), view)});
    }
    return table.text(view);
}

std::string render_network(const v1::Network& network, bool verbose, const View& view) {
    return facts(network, view) + "\nNodes:\n" + members_text(network, verbose, view) + "\nEndpoints:\n" +
           endpoint_table(network.endpoints(), view).text(view) +
           (verbose ? "\nWhere they are:\n" + places_text(network, view) : "");
}

std::string render_connected(const v1::NetworkConnectReply& reply) {
    return printable(fmt::format("{} is connected to {}: {} {}, MAC {}, MTU {}{}{}", reply.name(), reply.network(),
                                 reply.ifname(), addresses_text(reply), reply.mac(), reply.mtu(),
                                 reply.published().empty() ? "" : ", published " + joined(reply.published()),
                                 reply.services().empty() ? "" : ", offers " + joined(reply.services()))) +
           "\n";
}

std::string render_endpoints(const v1::EndpointListReply& reply, const View& view) {
    return endpoint_table(reply.endpoints(), view).text(view);
}

std::string render_endpoint(const v1::Endpoint& endpoint, const std::vector<std::string>& gateways, const View& view) {
    Block block;
    block.line("ID", endpoint.id());
    block.line("Name", endpoint.name());
    block.line("Aliases", joined(endpoint.aliases()));
    block.line("Network", endpoint.network());
    block.line("IP", addresses_text(endpoint));
    block.line("MAC", endpoint.mac());
    block.line("Node", endpoint.node());
    block.line("Namespace", endpoint.netns());
    block.line("Interface", endpoint.ifname().empty() ? "the first free ethN" : endpoint.ifname());
    block.line("Published", joined(endpoint.published()));
    block.line("Services", joined(endpoint.services()));
    block.line("Created", fmt::format("{} ago", age(endpoint.created_unix_ms(), view)));
    std::string text = block.text(view) + "\nresolv.conf of its container:\n";
    for (const auto& gateway : gateways) {
        text += fmt::format("  nameserver {}\n", printable(gateway));
    }
    return text + "  options ndots:0\n";
}

}  // namespace warren::cli
