#include <algorithm>

#include "base/fault_point.h"
#include "base/text.h"
#include "manager/changes.h"
#include "manager/cipher_choice.h"
#include "manager/core.h"
#include "manager/present.h"
#include "manager/tokens.h"

// The bootstrap and control services of manager::Core.
namespace warren::manager {

namespace {

using base::Code;
using base::fail;

}  // namespace

base::Result<v1::GetRootsReply> Core::roots(const v1::GetRootsRequest& /*request*/) {
    v1::GetRootsReply reply;
    reply.set_roots_pem(roots_for_return(cluster().cluster().record, options_.now()));
    return reply;
}

base::Result<v1::IssueCertificateReply> Core::issue_certificate(const v1::IssueCertificateRequest& request) {
    const auto now = options_.now();
    WARREN_TRY_ASSIGN(const auto role, role_of_token(cluster(), request.token_secret(), now));
    const auto data_address = ip_of(request.data_address());
    const auto advertise_address = ip_of(request.advertise_address());
    if (!data_address || !advertise_address) {
        return fail(Code::kInvalid, "join request: malformed address");
    }
    const auto id = base::random_id<base::NodeId>();
    WARREN_TRY_ASSIGN(auto issued, certificates_.issue(request.csr_pem(),
                                                       {.cluster = cluster().id(), .node = id, .role = role}, now));
    const NewNode node{.id = id,
                       .name = request.node_name(),
                       .role = std::string(certs::name(role)),
                       .data_address = *data_address,
                       .advertise_address = *advertise_address,
                       .certificate = issued.leaf};
    // What holds of the token is asked again of the state that the node is let into.
    const auto admit = [&](const Cluster& state) -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(const auto granted, role_of_token(state, request.token_secret(), now));
        WARREN_TRY_ASSIGN(auto change, admit_node(state, node, now));
        spend_token(state, granted, change);
        return change;
    };
    WARREN_TRY(ledger_->commit(admit));
    base::fault_point(base::FaultPoint::kJoinAdmitted);
    v1::IssueCertificateReply reply;
    reply.set_certificate_pem(std::move(issued.chain_pem));
    reply.set_node_id(raw(node.id));
    reply.set_cluster_id(cluster().cluster().record.id());
    reply.set_cluster_name(cluster().cluster().record.name());
    return reply;
}

base::Result<v1::GetChallengeReply> Core::get_challenge(const v1::GetChallengeRequest& /*request*/) {
    return certificates_.challenge(options_.now());
}

base::Result<v1::ReadmitReply> Core::readmit(const v1::ReadmitRequest& request) {
    return certificates_.readmit(request, options_.now());
}

base::Result<v1::ReadmitReply> Core::renew_own(const std::string& request_pem) {
    return certificates_.renew_own(request_pem, options_.now());
}

base::Result<v1::NodeListReply> Core::node_list(const v1::NodeListRequest& /*request*/) {
    v1::NodeListReply reply;
    for (const auto& [id, node] : cluster().nodes()) {
        *reply.add_nodes() = shown_node(id);
    }
    std::sort(reply.mutable_nodes()->begin(), reply.mutable_nodes()->end(),
              [](const auto& a, const auto& b) { return a.index() < b.index(); });
    return reply;
}

base::Result<v1::Node> Core::node_inspect(const v1::NodeInspectRequest& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_node(request.node()));
    return shown_node(id);
}

v1::Node Core::shown_node(const base::NodeId& id) const {
    auto node = present_node(cluster(), hub_, id);
    node.set_self(id == options_.self);
    return node;
}

base::Result<v1::Network> Core::network_create(const v1::NetworkCreateRequest& request) {
    const std::vector<std::string> given(request.options().begin(), request.options().end());
    WARREN_TRY_ASSIGN(auto options, parse_network_options(given));
    options = with_choice(cluster(), options);
    const auto now = options_.now();
    NewNetwork network{
        .id = base::random_id<base::NetworkId>(), .request = request, .options = options, .keys = {}, .by = caller_};
    if (options.encrypted) {
        WARREN_TRY_ASSIGN(network.keys, rotations_.first_keys(network.id, options, now));
    }
    WARREN_TRY(ledger_->commit([&](const Cluster& state) { return create_network(state, network, now); }));
    return present_network(cluster(), *cluster().network(network.id));
}

base::Result<v1::NetworkListReply> Core::network_list(const v1::NetworkListRequest& /*request*/) {
    v1::NetworkListReply reply;
    for (const auto& [id, network] : cluster().networks()) {
        *reply.add_networks() = present_network(cluster(), network);
    }
    std::sort(reply.mutable_networks()->begin(), reply.mutable_networks()->end(),
              [](const auto& a, const auto& b) { return a.name() < b.name(); });
    return reply;
}

base::Result<v1::Network> Core::network_inspect(const v1::NetworkInspectRequest& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_network(request.network()));
    return present_network_whole(cluster(), hub_, *cluster().network(id), options_.now());
}

base::Result<v1::NetworkRemoveReply> Core::network_remove(const v1::NetworkRemoveRequest& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_network(request.network()));
    v1::NetworkRemoveReply reply;
    reply.set_id(id.text());
    reply.set_name(cluster().network(id)->record().name());
    WARREN_TRY(
        ledger_->commit([&](const Cluster& state) { return remove_network(state, id, caller_, options_.now()); }));
    rotations_.forget(id);
    return reply;
}

base::Result<v1::EndpointListReply> Core::endpoint_list(const v1::EndpointListRequest& request) {
    std::optional<base::NetworkId> only;
    if (!request.network().empty()) {
        WARREN_TRY_ASSIGN(only, cluster().find_network(request.network()));
    }
    v1::EndpointListReply reply;
    for (const auto& [id, network] : cluster().networks()) {
        if (only && *only != id) {
            continue;
        }
        for (const auto& [endpoint_id, endpoint] : network.endpoints) {
            *reply.add_endpoints() = present_endpoint(cluster(), network, endpoint);
        }
    }
    std::sort(reply.mutable_endpoints()->begin(), reply.mutable_endpoints()->end(), [](const auto& a, const auto& b) {
        return std::pair(a.network(), a.name()) < std::pair(b.network(), b.name());
    });
    return reply;
}

std::set<base::IpAddress> Core::node_addresses() const {
    std::set<base::IpAddress> addresses;
    for (const auto& [id, node] : cluster().nodes()) {
        for (const auto& address : {ip_of(node.record.data_address()), ip_of(node.record.advertise_address())}) {
            if (address) {
                addresses.insert(*address);
            }
        }
    }
    return addresses;
}

base::Result<v1::CaShowReply> Core::ca_show(const v1::CaShowRequest& /*request*/) {
    auto reply = authority_.show(options_.now());
    add_operators(reply);
    return reply;
}

base::Result<v1::CaShowReply> Core::ca_rotate(const v1::CaRotateRequest& request) {
    WARREN_TRY_ASSIGN(auto reply, authority_.rotate(request, options_.now()));
    add_operators(reply);
    return reply;
}

}  // namespace warren::manager
