#include "manager/feed.h"

#include <algorithm>

#include "manager/key_record.h"

namespace warren::manager {

namespace {

v1::NetworkSpec spec_of(const v1::NetworkRecord& record) {
    v1::NetworkSpec spec;
    spec.set_id(record.id());
    spec.set_name(record.name());
    for (const auto& subnet : record.subnets()) {
        auto& told = *spec.add_subnets();
        told.set_subnet(subnet.subnet());
        told.set_length(subnet.length());
        told.set_gateway(subnet.gateway());
        told.set_vni(subnet.vni());
    }
    spec.set_udp_port(record.udp_port());
    spec.set_mtu(record.mtu());
    spec.set_encrypted(record.encrypted());
    spec.set_network_index(record.network_index());
    spec.set_internal(record.internal());
    spec.set_multicast(record.multicast());
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
    *endpoint.mutable_ips() = stored.ips();
    endpoint.set_mac(stored.mac());
    endpoint.set_node_id(stored.node_id());
    *endpoint.mutable_aliases() = stored.aliases();
    *endpoint.mutable_services() = stored.services();
}

v1::EpochKey write_epoch(const keymgr::HeldEpoch& held) {
    v1::EpochKey epoch;
    epoch.set_epoch(held.number.value);
    epoch.set_slot(held.slot.value);
    epoch.set_cipher(static_cast<std::uint32_t>(held.parameters.cipher));
    epoch.set_replay_window(held.parameters.replay_window);
    epoch.set_encap_port(held.parameters.encap.value);
    epoch.set_since(held.since.value);
    epoch.set_superseded(held.superseded.value);
    epoch.set_kept(held.kept);
    for (const auto member : held.kept_for) {
        epoch.add_kept_for(member.value);
    }
    return epoch;
}

// What `held` has that `before` has not, or otherwise; the secret goes only with an epoch that is new to the member.
void add_epochs(v1::NetworkDelta& delta, const std::vector<keymgr::HeldEpoch>& before,
                const std::vector<keymgr::HeldEpoch>& held, const NetworkState& network, const SecretOf& secret_of) {
    const auto find = [](const std::vector<keymgr::HeldEpoch>& epochs, base::Epoch number) {
        return std::find_if(epochs.begin(), epochs.end(), [&](const auto& epoch) { return epoch.number == number; });
    };
    for (const auto& epoch : held) {
        const auto old = find(before, epoch.number);
        if (old != before.end() && *old == epoch) {
            continue;
        }
        auto& message = *delta.add_epochs();
        message = write_epoch(epoch);
        if (old == before.end()) {
            message.set_secret(secret_of(network, epoch.number).value_or(""));
        }
    }
    for (const auto& epoch : before) {
        if (find(held, epoch.number) == held.end()) {
            delta.add_epochs_gone(epoch.number.value);
        }
    }
}

void add_attachments(v1::NetworkDelta& delta, const NetworkState& network, const base::NodeId& node) {
    for (const auto& endpoint : delta.endpoints()) {
        if (id_of<base::NodeId>(endpoint.node_id()) != node) {
            continue;
        }
        const auto stored = network.endpoints.find(id_of<base::EndpointId>(endpoint.id()));
        if (stored != network.endpoints.end()) {
            auto& attachment = *delta.add_attachments();
            attachment.set_endpoint_id(endpoint.id());
            attachment.set_netns(stored->second.netns());
            attachment.set_netns_inode(stored->second.netns_inode());
            attachment.set_ifname(stored->second.ifname());
            *attachment.mutable_publish() = stored->second.publish();
        }
    }
}

v1::NetworkDelta empty_delta(const NetworkState& network) {
    v1::NetworkDelta delta;
    delta.set_network_id(network.record().id());
    delta.set_revision(network.revision().value);
    delta.set_active_epoch(network.keys.record.active());
    delta.set_rekey_after_packets(network.record().rekey_after_packets());
    delta.set_rekey_after_bytes(network.record().rekey_after_bytes());
    delta.set_mtu(network.record().mtu());
    delta.set_multicast(network.record().multicast());
    return delta;
}

void describe_members(const NetworkBefore& before, const NetworkState& after, NetworkChange& change) {
    const auto known = MemberIndex::of(before.members);
    for (const auto& member : after.members.record.members()) {
        if (!known.by_membership.contains(base::MembershipId{member.membership_id()})) {
            add_member(change.delta, member);
            change.joined.push_back(id_of<base::NodeId>(member.node_id()));
        }
    }
    for (const auto& member : before.members.members()) {
        const auto node = id_of<base::NodeId>(member.node_id());
        if (after.member(node) == nullptr) {
            change.delta.add_members_gone(member.node_id());
            change.left.push_back(node);
        }
    }
}

}  // namespace

NetworkChange describe_change(const NetworkBefore& before, const NetworkState& after,
                              const std::set<base::EndpointId>& touched) {
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
    if (after.record().encrypted()) {
        write_acks(id_of<base::NetworkId>(after.record().id()), keymgr::announced_acks(read_keys(after.keys.record)),
                   *change.delta.mutable_acks());
    }
    return change;
}

v1::NetworkDelta for_member(v1::NetworkDelta delta, const NetworkBefore& before, const NetworkState& after,
                            const keymgr::Member& member, const SecretOf& secret_of) {
    add_attachments(delta, after, member.node);
    if (after.record().encrypted()) {
        add_epochs(delta, keymgr::held_epochs(read_keys(before.keys), member),
                   keymgr::held_epochs(read_keys(after.keys.record), member), after, secret_of);
    }
    return delta;
}

v1::NetworkSnapshot make_snapshot(const NetworkState& network, const keymgr::Member& member,
                                  const std::vector<keymgr::Member>& members, const SecretOf& secret_of) {
    v1::NetworkSnapshot snapshot;
    *snapshot.mutable_network() = spec_of(network.record());
    auto& content = *snapshot.mutable_content();
    content = empty_delta(network);
    for (const auto& record : network.members.record.members()) {
        add_member(content, record);
    }
    for (const auto& [id, endpoint] : network.endpoints) {
        add_endpoint(content, endpoint);
    }
    add_attachments(content, network, member.node);
    if (network.record().encrypted()) {
        const auto keys = read_keys(network.keys.record);
        add_epochs(content, {}, keymgr::held_epochs(keys, member), network, secret_of);
        write_acks(id_of<base::NetworkId>(network.record().id()), keymgr::snapshot_acks(keys, member, members),
                   *content.mutable_acks());
    }
    return snapshot;
}

void write_acks(const base::NetworkId& network, const keymgr::AckUpdate& acks, v1::PeerAcks& message) {
    message.set_network_id(raw(network));
    message.set_floor(acks.floor.value);
    for (const auto& ack : acks.acks) {
        auto& written = *message.add_acks();
        written.set_membership_id(ack.member.value);
        written.set_acked(ack.acked.value);
    }
}

}  // namespace warren::manager
