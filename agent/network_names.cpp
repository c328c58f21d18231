#include "agent/network_names.h"

#include <fmt/format.h>

#include "agent/decode.h"
#include "proto/state.pb.h"
#include "proto/wire.h"

namespace warren::agent {

namespace {

using base::Code;
using base::fail;
using proto::raw;

base::Result<NetworkNames::Subnet> decode(const v1::NetworkNames::Subnet& message) {
    NetworkNames::Subnet subnet;
    WARREN_TRY_ASSIGN(subnet.prefix, decode_prefix("subnet", message.address(), message.length()));
    WARREN_TRY_ASSIGN(subnet.gateway, decode_ip("gateway", message.gateway()));
    return subnet;
}

base::Result<dns::Host> decode(const v1::NetworkNames::Host& message) {
    dns::Host host{.name = message.name(),
                   .aliases = {message.aliases().begin(), message.aliases().end()},
                   .ips = {},
                   .services = {}};
    for (const auto& bytes : message.ips()) {
        WARREN_TRY_ASSIGN(const auto ip, decode_ip("endpoint's address", bytes));
        host.ips.push_back(ip);
    }
    for (const auto& service : message.services()) {
        if (service.port() > UINT16_MAX) {
            return fail(Code::kInvalid, "service {}: port {}", service.name(), service.port());
        }
        host.services.push_back({.name = service.name(), .port = static_cast<std::uint16_t>(service.port())});
    }
    return host;
}

}  // namespace

NetworkNames names_of(const NetworkView& view, const base::NodeId& self) {
    NetworkNames names{
        .id = view.id, .network = view.name, .internal = view.internal, .subnets = {}, .hosts = {}, .local = {}};
    for (const auto& subnet : view.subnets) {
        names.subnets.push_back({.prefix = subnet.prefix, .gateway = subnet.gateway});
    }
    for (const auto& [id, endpoint] : view.endpoints) {
        const auto attachment = view.attachments.find(id);
        if (endpoint.node == self && attachment != view.attachments.end() && !attachment->second.replaced) {
            names.local.emplace(names.hosts.size(), NetworkNames::Container{.netns = attachment->second.netns,
                                                                            .inode = attachment->second.inode});
        }
        auto& host = names.hosts.emplace_back(
            dns::Host{.name = endpoint.name, .aliases = endpoint.aliases, .ips = endpoint.ips, .services = {}});
        for (const auto& it : endpoint.services) {
            host.services.push_back({.name = fmt::format("_{}._{}", it.name, name_of(it.transport)), .port = it.port});
        }
    }
    return names;
}

std::string encode(const NetworkNames& names) {
    v1::NetworkNames message;
    message.set_network_id(raw(names.id));
    message.set_network(names.network);
    message.set_internal(names.internal);
    for (const auto& subnet : names.subnets) {
        auto& out = *message.add_subnets();
        out.set_address(raw(subnet.prefix.address));
        out.set_length(subnet.prefix.length);
        out.set_gateway(raw(subnet.gateway));
    }
    for (const auto& host : names.hosts) {
        auto& out = *message.add_hosts();
        out.set_name(host.name);
        out.mutable_aliases()->Assign(host.aliases.begin(), host.aliases.end());
        for (const auto& ip : host.ips) {
            out.add_ips(raw(ip));
        }
        for (const auto& service : host.services) {
            auto& offered = *out.add_services();
            offered.set_name(service.name);
            offered.set_port(service.port);
        }
    }
    for (const auto& [at, container] : names.local) {
        auto& host = *message.mutable_hosts(static_cast<int>(at));
        host.set_netns(container.netns);
        host.set_netns_inode(container.inode);
    }
    return message.SerializeAsString();
}

base::Result<NetworkNames> decode_names(std::string_view bytes) {
    v1::NetworkNames message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
        message.network_id().size() != base::NetworkId{}.bytes.size()) {
        return fail(Code::kInvalid, "damaged, or not of this program");
    }
    NetworkNames names{.id = proto::id_of<base::NetworkId>(message.network_id()),
                       .network = message.network(),
                       .internal = message.internal(),
                       .subnets = {},
                       .hosts = {},
                       .local = {}};
    for (const auto& subnet : message.subnets()) {
        WARREN_TRY_ASSIGN(auto decoded, decode(subnet));
        names.subnets.push_back(decoded);
    }
    for (const auto& host : message.hosts()) {
        if (!host.netns().empty()) {
            names.local.emplace(names.hosts.size(),
                                NetworkNames::Container{.netns = host.netns(), .inode = host.netns_inode()});
        }
        WARREN_TRY_ASSIGN(auto decoded, decode(host));
        names.hosts.push_back(std::move(decoded));
    }
    return names;
}

}  // namespace warren::agent
