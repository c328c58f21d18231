#include "agent/view.h"

#include <algorithm>

#include "agent/decode.h"

namespace warren::agent {

namespace {

using base::Code;
using base::fail;

constexpr std::uint32_t kMaxIndex = 0x3fff;
constexpr std::uint32_t kMaxVni = 0xffffff;

template <typename IdType>
base::Result<IdType> decode_id(std::string_view what, const std::string& raw) {
    IdType id;
    if (raw.size() != id.bytes.size()) {
        return fail(Code::kInvalid, "{}: {} bytes instead of 16", what, raw.size());
    }
    std::copy(raw.begin(), raw.end(), id.bytes.begin());
    return id;
}

template <typename Number>
base::Result<Number> decode_number(std::string_view what, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
    if (value < min || value > max) {
        return fail(Code::kInvalid, "{} {}: outside {} to {}", what, value, min, max);
    }
    return Number{static_cast<typename Number::Value>(value)};
}

base::Result<base::Mtu> decode_mtu(std::uint32_t mtu) {
    return decode_number<base::Mtu>("MTU", mtu, 68, UINT16_MAX);
}

base::Result<std::pair<base::NodeId, MemberView>> decode_member(const v1::Member& message) {
    MemberView member;
    WARREN_TRY_ASSIGN(const auto node, decode_id<base::NodeId>("member", message.node_id()));
    WARREN_TRY_ASSIGN(member.index, decode_number<base::NodeIndex>("node index", message.node_index(), 1, kMaxIndex));
    WARREN_TRY_ASSIGN(member.vtep, decode_ip("member's address", message.vtep()));
    member.membership = base::MembershipId{message.membership_id()};
    member.since = base::Revision{message.since()};
    return std::pair(node, member);
}

base::Result<std::pair<base::EndpointId, EndpointView>> decode_endpoint(const v1::EndpointRecord& message) {
    EndpointView endpoint{.name = message.name(), .ips = {}, .mac = {}, .node = {}};
    WARREN_TRY_ASSIGN(const auto id, decode_id<base::EndpointId>("endpoint", message.id()));
    for (const auto& raw : message.ips()) {
        WARREN_TRY_ASSIGN(const auto ip, decode_ip("endpoint's address", raw));
        endpoint.ips.push_back(ip);
    }
    if (endpoint.ips.empty()) {
        return fail(Code::kInvalid, "endpoint {}: has no address", endpoint.name);
    }
    WARREN_TRY_ASSIGN(endpoint.node, decode_id<base::NodeId>("endpoint's node", message.node_id()));
    if (message.mac().size() != endpoint.mac.bytes.size()) {
        return fail(Code::kInvalid, "endpoint's MAC: {} bytes instead of 6", message.mac().size());
    }
    std::copy(message.mac().begin(), message.mac().end(), endpoint.mac.bytes.begin());
    endpoint.aliases.assign(message.aliases().begin(), message.aliases().end());
    for (const auto& text : message.services()) {
        WARREN_TRY_ASSIGN(const auto service, overlay::parse_service("endpoint's service", text));
        endpoint.services.push_back(service);
    }
    return std::pair(id, endpoint);
}

// `known` is the epoch as the view has it, whose secret goes on; one that is new must come with its secret.
base::Result<EpochView> decode_epoch(const v1::EpochKey& message, const EpochView* known) {
    EpochView epoch;
    auto& held = epoch.held;
    WARREN_TRY_ASSIGN(held.number, decode_number<base::Epoch>("epoch", message.epoch(), 1, UINT32_MAX));
    WARREN_TRY_ASSIGN(held.slot, decode_number<base::EpochSlot>("epoch slot", message.slot(), 0, keymgr::kSlots - 1));
    if (message.cipher() < 1 || message.cipher() > 3) {
        return fail(Code::kInvalid, "epoch {}: unknown cipher {}; this node needs a newer version", held.number,
                    message.cipher());
    }
    if (message.encap_port() > UINT16_MAX) {
        return fail(Code::kInvalid, "epoch {}: encapsulation port {}", held.number, message.encap_port());
    }
    held.parameters = {.cipher = static_cast<keymgr::Cipher>(message.cipher()),
                       .replay_window = message.replay_window(),
                       .encap = base::UdpPort{static_cast<std::uint16_t>(message.encap_port())}};
    held.since = base::Revision{message.since()};
    held.superseded = base::Revision{message.superseded()};
    held.kept = message.kept();
    for (const auto member : message.kept_for()) {
        held.kept_for.push_back(base::MembershipId{member});
    }
    if (message.secret().size() == keymgr::EpochSecret::size()) {
        std::copy(message.secret().begin(), message.secret().end(), epoch.secret.reveal_mutable().begin());
    } else if (known != nullptr) {
        epoch.secret = known->secret.clone();
    } else {
        return fail(Code::kInvalid, "epoch {}: came without its secret", held.number);
    }
    return epoch;
}

base::Result<NarrowestView> decode_narrowest(const v1::Narrowest& message) {
    NarrowestView narrowest{
        .id = {}, .node = message.node(), .underlay = base::Mtu{message.underlay_mtu()}, .peer = {}};
    WARREN_TRY_ASSIGN(narrowest.id, decode_id<base::NodeId>("narrowest member", message.node_id()));
    if (!message.peer().empty()) {
        WARREN_TRY_ASSIGN(narrowest.peer, decode_ip("narrowest member's peer", message.peer()));
    }
    return narrowest;
}

// A delta with every field checked, ready to be merged.
struct Checked {
    std::vector<std::pair<base::NodeId, MemberView>> members;
    std::vector<base::NodeId> members_gone;
    std::vector<std::pair<base::EndpointId, EndpointView>> endpoints;
    std::vector<base::EndpointId> endpoints_gone;
    std::vector<std::pair<base::EndpointId, AttachmentView>> attachments;
    std::vector<EpochView> epochs;
    std::optional<base::Mtu> mtu;
    std::optional<NarrowestView> narrowest;
};

template <typename Messages, typename Decode, typename Out>
base::Status decode_all(const Messages& messages, Decode decode, Out& out) {
    for (const auto& message : messages) {
        auto decoded = decode(message);
        if (!decoded) {
            return base::fail_with(std::move(decoded));
        }
        out.push_back(*std::move(decoded));
    }
    return {};
}

base::Result<Checked> check(const NetworkView& view, const v1::NetworkDelta& delta) {
    Checked checked;
    WARREN_TRY(decode_all(delta.members(), decode_member, checked.members));
    WARREN_TRY(decode_all(
        delta.members_gone(), [](const auto& raw) { return decode_id<base::NodeId>("member gone", raw); },
        checked.members_gone));
    WARREN_TRY(decode_all(delta.endpoints(), decode_endpoint, checked.endpoints));
    WARREN_TRY(decode_all(
        delta.endpoints_gone(), [](const auto& raw) { return decode_id<base::EndpointId>("endpoint gone", raw); },
        checked.endpoints_gone));
    for (const auto& message : delta.attachments()) {
        WARREN_TRY_ASSIGN(const auto id, decode_id<base::EndpointId>("attachment", message.endpoint_id()));
        AttachmentView attachment{.netns = message.netns(), .ifname = message.ifname(), .inode = message.netns_inode()};
        for (const auto& text : message.publish()) {
            WARREN_TRY_ASSIGN(const auto published, overlay::parse_publication("attachment", text));
            attachment.published.push_back(published);
        }
        checked.attachments.emplace_back(id, std::move(attachment));
    }
    for (const auto& message : delta.epochs()) {
        const auto known = view.epochs.find(base::Epoch{message.epoch()});
        WARREN_TRY_ASSIGN(auto epoch, decode_epoch(message, known == view.epochs.end() ? nullptr : &known->second));
        checked.epochs.push_back(std::move(epoch));
    }
    if (delta.mtu() != 0) {
        WARREN_TRY_ASSIGN(checked.mtu, decode_mtu(delta.mtu()));
    }
    if (delta.has_narrowest()) {
        WARREN_TRY_ASSIGN(checked.narrowest, decode_narrowest(delta.narrowest()));
    }
    return checked;
}

void merge(NetworkView& view, Checked&& checked) {
    for (const auto& node : checked.members_gone) {
        view.members.erase(node);
    }
    for (const auto& [node, member] : checked.members) {
        view.members.insert_or_assign(node, member);
    }
    for (const auto& id : checked.endpoints_gone) {
        view.endpoints.erase(id);
        view.attachments.erase(id);
    }
    for (const auto& [id, endpoint] : checked.endpoints) {
        view.endpoints.insert_or_assign(id, endpoint);
    }
    for (const auto& [id, attachment] : checked.attachments) {
        view.attachments.insert_or_assign(id, attachment);
    }
    for (auto& epoch : checked.epochs) {
        const auto number = epoch.held.number;
        view.epochs.insert_or_assign(number, std::move(epoch));
    }
    view.mtu = checked.mtu.value_or(view.mtu);
    view.narrowest = std::move(checked.narrowest);
}

keymgr::AckUpdate decode_acks(const v1::PeerAcks& message) {
    keymgr::AckUpdate update{.floor = base::Revision{message.floor()}, .acks = {}};
    for (const auto& ack : message.acks()) {
        update.acks.push_back(
            {.member = base::MembershipId{ack.membership_id()}, .acked = base::Revision{ack.acked()}});
    }
    return update;
}

void retain_members(NetworkView& view) {
    std::vector<base::MembershipId> members;
    for (const auto& [node, member] : view.members) {
        members.push_back(member.membership);
    }
    view.acks.retain(members);
}

base::Result<overlay::Subnet> decode_subnet(const v1::SubnetSpec& message) {
    overlay::Subnet subnet;
    WARREN_TRY_ASSIGN(subnet.prefix, decode_prefix("subnet", message.subnet(), message.length()));
    WARREN_TRY_ASSIGN(subnet.gateway, decode_ip("gateway", message.gateway()));
    WARREN_TRY_ASSIGN(subnet.vni, decode_number<base::Vni>("VNI", message.vni(), 1, kMaxVni));
    return subnet;
}

base::Result<NetworkView> decode_spec(const v1::NetworkSpec& spec) {
    NetworkView view;
    WARREN_TRY_ASSIGN(view.id, decode_id<base::NetworkId>("network", spec.id()));
    view.name = spec.name();
    WARREN_TRY(decode_all(spec.subnets(), decode_subnet, view.subnets));
    if (view.subnets.empty()) {
        return fail(Code::kInvalid, "network {}: has no subnet", view.name);
    }
    WARREN_TRY_ASSIGN(view.port, decode_number<base::UdpPort>("UDP port", spec.udp_port(), 1, UINT16_MAX));
    WARREN_TRY_ASSIGN(view.mtu, decode_mtu(spec.mtu()));
    view.encrypted = spec.encrypted();
    view.internal = spec.internal();
    view.multicast = spec.multicast();
    if (view.encrypted) {
        WARREN_TRY_ASSIGN(view.index,
                          decode_number<base::NetworkIndex>("network index", spec.network_index(), 1, kMaxIndex));
    }
    return view;
}

}  // namespace

const overlay::Subnet* subnet_with(const NetworkView& view, const base::IpAddress& ip) {
    const auto found = std::find_if(view.subnets.begin(), view.subnets.end(),
                                    [&](const overlay::Subnet& subnet) { return subnet.prefix.contains(ip); });
    return found == view.subnets.end() ? nullptr : &*found;
}

base::Prefix with_length(const NetworkView& view, const base::IpAddress& ip) {
    const auto* subnet = subnet_with(view, ip);
    return {.address = ip, .length = subnet == nullptr ? static_cast<std::uint8_t>(ip.bits()) : subnet->prefix.length};
}

base::Result<NetworkView> take_snapshot(const v1::NetworkSnapshot& snapshot) {
    WARREN_TRY_ASSIGN(auto view, decode_spec(snapshot.network()));
    WARREN_TRY(take_delta(view, snapshot.content()));
    return view;
}

base::Status take_delta(NetworkView& view, const v1::NetworkDelta& delta) {
    const base::Revision revision{delta.revision()};
    if (revision <= view.revision) {
        return fail(Code::kInvalid, "network {}: revision {} after {}", view.name, revision, view.revision);
    }
    WARREN_TRY_ASSIGN(auto checked, check(view, delta));
    merge(view, std::move(checked));
    for (const auto epoch : delta.epochs_gone()) {
        view.epochs.erase(base::Epoch{epoch});
    }
    view.active = base::Epoch{delta.active_epoch()};
    view.multicast = delta.has_multicast() ? delta.multicast() : view.multicast;
    if (delta.rekey_after_packets() != 0 && delta.rekey_after_bytes() != 0) {
        view.rekey_after_packets = delta.rekey_after_packets();
        view.rekey_after_bytes = delta.rekey_after_bytes();
    }
    view.acks.apply(decode_acks(delta.acks()));
    retain_members(view);
    view.revision = revision;
    return {};
}

void take_acks(NetworkView& view, const v1::PeerAcks& acks) {
    view.acks.apply(decode_acks(acks));
}

}  // namespace warren::agent
