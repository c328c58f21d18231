#include "manager/present.h"

#include <algorithm>

#include "keymgr/key_schedule.h"
#include "keymgr/shown.h"
#include "manager/cipher_choice.h"
#include "manager/key_record.h"
#include "manager/network_mtu.h"

namespace warren::manager {

namespace {

std::string ip_text(const std::string& raw) {
    const auto ip = ip_of(raw);
    return ip ? ip->text() : "";
}

std::string cipher_name(std::uint32_t number) {
    return std::string(keymgr::name(static_cast<keymgr::Cipher>(number)));
}

v1::Subnet present_subnet(const v1::SubnetRecord& record) {
    const auto pool = pool_of(record);
    v1::Subnet shown;
    shown.set_subnet(pool.subnet.text());
    shown.set_gateway(pool.gateway.text());
    shown.set_ip_range(pool.range ? pool.range->text() : "");
    for (const auto& [ip, name] : pool.reserved) {
        (*shown.mutable_aux_addresses())[name] = ip.text();
    }
    shown.set_vni(record.vni());
    return shown;
}

// The newest epoch that the member knows to be active: it sends in it to everybody who can receive it.
base::Epoch sending_epoch(const keymgr::KeyState& keys, const keymgr::Member& member) {
    base::Epoch sending;
    for (const auto& epoch : keys.epochs) {
        if (epoch.activated != base::Revision{} && member.acked >= std::max(epoch.activated, member.since)) {
            sending = std::max(sending, epoch.number);
        }
    }
    return sending;
}

void add_waiting(v1::KeyNetwork& shown, const keymgr::KeyState& keys, base::Time now) {
    if (!keys.pending) {
        return;
    }
    for (const auto reason : keys.pending->reasons) {
        shown.add_waiting(std::string(keymgr::name(reason)));
    }
    if (keys.pending->not_before > now) {
        shown.set_waiting_until_unix_ms(unix_ms(keys.pending->not_before));
    }
}

}  // namespace

v1::Node present_node(const Cluster& cluster, const SessionHub& hub, const base::NodeId& id) {
    v1::Node shown;
    const auto& node = cluster.node(id)->record;
    shown.set_id(id.text());
    shown.set_name(node.name());
    shown.set_role(node.role());
    shown.set_state(hub.reachable(id) ? "ready" : "unreachable");
    shown.set_index(node.index());
    shown.set_data_address(ip_text(node.data_address()));
    shown.set_advertise_address(ip_text(node.advertise_address()));
    shown.set_version(node.version());
    shown.set_underlay_mtu(node.underlay_mtu());
    for (const auto cipher : node.ciphers()) {
        shown.add_ciphers(cipher_name(cipher));
    }
    shown.set_esp_problem(node.esp_problem());
    shown.set_fast_aes(node.fast_aes());
    shown.set_joined_unix_ms(node.joined());
    shown.set_last_seen_unix_ms(unix_ms(hub.last_seen(id)));
    shown.set_certificate_expires_unix_ms(node.certificate_expires());
    std::size_t endpoints = 0;
    for (const auto& [network_id, network] : cluster.networks()) {
        if (network.member(id) != nullptr) {
            shown.add_networks(network.record().name());
            endpoints += network.endpoints_on(id);
        }
    }
    shown.set_endpoints(static_cast<std::uint32_t>(endpoints));
    return shown;
}

v1::Network present_network(const Cluster& cluster, const NetworkState& network) {
    v1::Network shown;
    const auto& record = network.record();
    shown.set_id(id_of<base::NetworkId>(record.id()).text());
    shown.set_name(record.name());
    shown.set_driver("overlay");
    shown.set_encrypted(record.encrypted());
    shown.set_udp_port(record.udp_port());
    shown.set_mtu(record.mtu());
    for (const auto& subnet : record.subnets()) {
        *shown.add_subnets() = present_subnet(subnet);
    }
    const auto vnis = vnis_of(record);
    shown.mutable_vnis()->Assign(vnis.begin(), vnis.end());
    if (record.encrypted()) {
        shown.set_active_epoch(network.keys.record.active());
        shown.set_cipher(cipher_name(record.cipher()));
        shown.set_cipher_choice(record.cipher_auto() ? choose_cipher(cluster).why : "");
        shown.set_encap(keymgr::encap_text(encryption_of(record).encap));
        shown.set_replay_window(record.replay_window());
        shown.set_key_rotation_ms(record.key_rotation_ms());
        shown.set_rekey_after_packets(record.rekey_after_packets());
        shown.set_rekey_after_bytes(record.rekey_after_bytes());
    }
    shown.set_created_unix_ms(record.created());
    shown.set_members(static_cast<std::uint32_t>(network.members.record.members_size()));
    shown.set_endpoint_count(static_cast<std::uint32_t>(network.endpoints.size()));
    *shown.mutable_labels() = record.labels();
    shown.set_internal(record.internal());
    shown.set_multicast(record.multicast());
    shown.set_revision(network.revision().value);
    return shown;
}

v1::Network present_network_whole(const Cluster& cluster, const SessionHub& hub, const NetworkState& network,
                                  base::Time now) {
    auto shown = present_network(cluster, network);
    if (const auto narrow = narrowed_by(cluster, network)) {
        shown.set_narrowest_node(narrow->name);
    }
    shown.set_mtu_choice(mtu_choice(cluster, network));
    for (const auto& [id, endpoint] : network.endpoints) {
        *shown.add_endpoints() = present_endpoint(cluster, network, endpoint);
    }
    const bool encrypted = network.record().encrypted();
    const auto keys = encrypted ? read_keys(network.keys.record) : keymgr::KeyState{};
    for (const auto& it : hub.members(network, now)) {
        const auto* node = cluster.node(it.node);
        auto& member = *shown.add_member_nodes();
        member.set_node(cluster.node_name(it.node));
        member.set_node_id(it.node.text());
        member.set_data_address(ip_text(network.member(it.node)->vtep()));
        member.set_reachable(it.connected);
        member.set_acked_revision(it.acked.value);
        member.set_underlay_mtu(node == nullptr ? 0 : node->record.underlay_mtu());
        if (encrypted) {
            member.set_installed_epoch(keymgr::installed_epoch(keys, it).value);
            member.set_sending_epoch(sending_epoch(keys, it).value);
        }
    }
    return shown;
}

v1::Endpoint present_endpoint(const Cluster& cluster, const NetworkState& network, const v1::StoredEndpoint& endpoint) {
    v1::Endpoint shown;
    shown.set_id(id_of<base::EndpointId>(endpoint.id()).text());
    shown.set_name(endpoint.name());
    shown.set_network(network.record().name());
    for (const auto& raw_ip : endpoint.ips()) {
        const auto ip = ip_of(raw_ip).value_or(base::IpAddress{});
        const auto* subnet = subnet_with(network.record(), ip);
        const auto text = fmt::format("{}/{}", ip, subnet == nullptr ? ip.bits() : subnet->length());
        ip.family == base::Family::kIpv4 ? shown.set_ip(text) : shown.set_ipv6(text);
    }
    shown.set_mac(mac_of(endpoint.mac()).value_or(base::MacAddress{}).text());
    shown.set_node(cluster.node_name(id_of<base::NodeId>(endpoint.node_id())));
    shown.set_netns(endpoint.netns());
    shown.set_ifname(endpoint.ifname());
    *shown.mutable_aliases() = endpoint.aliases();
    *shown.mutable_published() = endpoint.publish();
    *shown.mutable_services() = endpoint.services();
    shown.set_created_unix_ms(endpoint.created());
    return shown;
}

v1::KeyNetwork present_keys(const KeySources& sources, const NetworkState& network, const keymgr::Settings& settings,
                            base::Time now) {
    v1::KeyNetwork shown;
    const auto& record = network.record();
    const auto keys = read_keys(network.keys.record);
    const auto members = sources.hub.members(network, now);
    const auto progress = keymgr::progress(keys, members, settings, now);
    shown.set_network(record.name());
    shown.set_active_epoch(keys.active.value);
    shown.set_phase(std::string(keymgr::name(progress.phase)));
    shown.set_cipher(cipher_name(record.cipher()));
    for (const auto& epoch : keys.epochs) {
        if (epoch.number == progress.epoch) {
            shown.set_phase_since_unix_ms(unix_ms(epoch.entered));
        }
    }
    shown.set_next_rotation_unix_ms(keys.due ? unix_ms(*keys.due) : 0);
    shown.set_key_rotation_ms(record.key_rotation_ms());
    shown.set_rekey_after_packets(record.rekey_after_packets());
    shown.set_rekey_after_bytes(record.rekey_after_bytes());
    add_waiting(shown, keys, now);
    for (const auto& member : members) {
        auto& row = *shown.add_members();
        const auto sending = sending_epoch(keys, member);
        row.set_node(sources.cluster.node_name(member.node));
        row.set_installed_epoch(keymgr::installed_epoch(keys, member).value);
        row.set_reachable(member.connected);
        row.set_sending_epoch(sending.value);
        row.set_since_unix_ms(unix_ms(sources.hub.since(member.node)));
        const auto sent = sources.traffic.of(id_of<base::NetworkId>(record.id()), sending, member.id);
        row.set_packets_sent(sent.packets);
        row.set_bytes_sent(sent.bytes);
        row.set_limit_used_percent(
            keymgr::limit_used_percent({.packets = sent.most_packets, .bytes = sent.most_bytes},
                                       {.packets = record.rekey_after_packets(), .bytes = record.rekey_after_bytes()}));
    }
    return shown;
}

std::vector<v1::EpochInfo> present_epochs(const Cluster& cluster, const NetworkState& network) {
    std::vector<v1::EpochInfo> shown;
    for (const auto& epoch : read_keys(network.keys.record).epochs) {
        if (epoch.stage == keymgr::Stage::kRetired) {
            continue;
        }
        auto& row = shown.emplace_back();
        row.set_network(network.record().name());
        row.set_epoch(epoch.number.value);
        row.set_slot(epoch.slot.value);
        row.set_state(std::string(keymgr::name(epoch.stage)));
        row.set_cipher(std::string(keymgr::name(epoch.parameters.cipher)));
        row.set_encap(keymgr::encap_text(epoch.parameters.encap));
        row.set_created_unix_ms(unix_ms(epoch.created));
        std::string reasons;
        for (const auto reason : epoch.reasons) {
            reasons += fmt::format("{}{}", reasons.empty() ? "" : ", ", keymgr::name(reason));
        }
        row.set_reason(reasons);
        for (const auto& member : network.members.record.members()) {
            const base::MembershipId id{member.membership_id()};
            if (epoch.stage == keymgr::Stage::kKept &&
                std::find(epoch.kept_for.begin(), epoch.kept_for.end(), id) != epoch.kept_for.end()) {
                row.add_kept_for(cluster.node_name(id_of<base::NodeId>(member.node_id())));
            }
        }
    }
    return shown;
}

}  // namespace warren::manager
