#include "manager/feed.h"

#include <algorithm>

#include "base/secret.h"

namespace warren::manager {

namespace {

v1::NetworkSpec spec_of(const v1::NetworkRecord& record) {
    v1::NetworkSpec spec;
    spec.set_id(record.id());
    spec.set_name(record.name());
    spec.set_subnet(record.subnet());
    spec.set_subnet_length(record.subnet_length());
    spec.set_gateway(record.gateway());
    spec.set_vni(record.vni());
    spec.set_udp_port(record.udp_port());
    spec.set_mtu(record.mtu());
    spec.set_encrypted(record.encrypted());
    spec.set_network_index(record.network_index());
    return spec;
}

void add_member(v1::NetworkDelta& delta, const v1::MemberRecord& record) {
    auto& member = *delta.add_members();
    member.set_node_id(record.node_id());
    member.set_node_index(record.node_index());
    member.set_vtep(record.vtep());
    member.set_membership_id(record.membership_id());
    member.set_since(record.since());
}

void add_endpoint(v1::NetworkDelta& delta, const v1::StoredEndpoint& stored) {
    auto& endpoint = *delta.add_endpoints();
    endpoint.set_id(stored.id());
    endpoint.set_name(stored.name());
    endpoint.set_ip(stored.ip());
    endpoint.set_mac(stored.mac());
    endpoint.set_node_id(stored.node_id());
}

void add_epoch(v1::NetworkDelta& delta, const NetworkState& network, const v1::StoredEpoch& stored,
               const SecretOf& secret_of) {
    auto& epoch = *delta.add_epochs();
    epoch.set_epoch(stored.epoch());
    epoch.set_slot(stored.slot());
    epoch.set_cipher(stored.cipher());
    epoch.set_replay_window(stored.replay_window());
    epoch.set_since(stored.since());
    if (auto secret = secret_of(id_of<base::NetworkId>(network.record().id()), base::Epoch{stored.epoch()})) {
        epoch.set_secret(std::move(*secret));
    }
}

const v1::StoredEpoch* find_epoch(const v1::KeyStateRecord& keys, std::uint32_t number) {
    const auto& epochs = keys.epochs();
    const auto found = std::find_if(epochs.begin(), epochs.end(), [&](const auto& e) { return e.epoch() == number; });
    return found == epochs.end() ? nullptr : &*found;
}

v1::NetworkDelta empty_delta(const NetworkState& network) {
    v1::NetworkDelta delta;
    delta.set_network_id(network.record().id());
    delta.set_revision(network.revision().value);
    delta.set_active_epoch(network.keys.record.active_epoch());
    return delta;
}

void describe_members(const NetworkBefore& before, const NetworkState& after, NetworkChange& change) {
    for (const auto& member : after.members.record.members()) {
        const auto node = id_of<base::NodeId>(member.node_id());
        const auto* old = find_member(before.members, node);
        if (old == nullptr || old->membership_id() != member.membership_id()) {
            add_member(change.delta, member);
            change.joined.push_back(node);
        }
    }
    for (const auto& member : before.members.members()) {
        const auto node = id_of<base::NodeId>(member.node_id());
        if (find_member(after.members.record, node) == nullptr) {
            change.delta.add_members_gone(member.node_id());
            change.left.push_back(node);
        }
    }
}

}  // namespace

NetworkChange describe_change(const NetworkBefore& before, const NetworkState& after,
                              const std::set<base::EndpointId>& touched, const SecretOf& secret_of) {
    NetworkChange change{.delta = empty_delta(after), .joined = {}, .left = {}};
    describe_members(before, after, change);
    for (const auto& id : touched) {
        const auto found = after.endpoints.find(id);
        if (found == after.endpoints.end()) {
            change.delta.add_endpoints_gone(raw(id));
        } else {
            add_endpoint(change.delta, found->second);
        }
    }
    for (const auto& epoch : after.keys.record.epochs()) {
        if (find_epoch(before.keys, epoch.epoch()) == nullptr) {
            add_epoch(change.delta, after, epoch, secret_of);
        }
    }
    for (const auto& epoch : before.keys.epochs()) {
        if (find_epoch(after.keys.record, epoch.epoch()) == nullptr) {
            change.delta.add_epochs_gone(epoch.epoch());
        }
    }
    return change;
}

v1::NetworkSnapshot make_snapshot(const NetworkState& network, const SecretOf& secret_of) {
    v1::NetworkSnapshot snapshot;
    *snapshot.mutable_network() = spec_of(network.record());
    auto& content = *snapshot.mutable_content();
    content = empty_delta(network);
    for (const auto& member : network.members.record.members()) {
        add_member(content, member);
    }
    for (const auto& [id, endpoint] : network.endpoints) {
        add_endpoint(content, endpoint);
    }
    for (const auto& epoch : network.keys.record.epochs()) {
        add_epoch(content, network, epoch, secret_of);
    }
    return snapshot;
}

v1::NetworkDelta for_member(v1::NetworkDelta delta, const NetworkState& network, const base::NodeId& node) {
    for (const auto& endpoint : delta.endpoints()) {
        if (id_of<base::NodeId>(endpoint.node_id()) != node) {
            continue;
        }
        const auto stored = network.endpoints.find(id_of<base::EndpointId>(endpoint.id()));
        if (stored != network.endpoints.end()) {
            auto& attachment = *delta.add_attachments();
            attachment.set_endpoint_id(endpoint.id());
            attachment.set_netns(stored->second.netns());
            attachment.set_ifname(stored->second.ifname());
        }
    }
    return delta;
}

void wipe_secrets(v1::NetworkDelta& delta) {
    for (auto& epoch : *delta.mutable_epochs()) {
        auto& secret = *epoch.mutable_secret();
        base::wipe({reinterpret_cast<std::uint8_t*>(secret.data()), secret.size()});
        secret.clear();
    }
}

}  // namespace warren::manager
