#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "keymgr/key_schedule.h"
#include "keymgr/limits.h"
#include "keymgr/readiness.h"
#include "overlay/model.h"
#include "overlay/publication.h"
#include "overlay/service.h"
#include "proto/session.pb.h"

// What a manager has told this node of a network that it is a member of. Values, without I/O; every message is checked
// before it changes anything, since a snapshot that is half taken would be half a network.
namespace warren::agent {

struct MemberView {
    base::NodeIndex index;
    base::IpAddress vtep;
    base::MembershipId membership;
    base::Revision since;

    bool operator==(const MemberView&) const = default;
};

struct EndpointView {
    std::string name;
    std::vector<base::IpAddress> ips;  // IPv4 first
    base::MacAddress mac;
    base::NodeId node;
    std::vector<std::string> aliases{};
    std::vector<overlay::Service> services{};

    bool operator==(const EndpointView&) const = default;
};

// Where one of this node's own endpoints goes.
struct AttachmentView {
    std::string netns;
    std::string ifname;  // empty: the first free one
    std::vector<overlay::Publication> published{};
    std::uint64_t inode = 0;  // of the namespace that is meant; 0: whichever is at that path
    bool replaced = false;    // this node has seen another one there: nothing of the endpoint may go into that

    bool operator==(const AttachmentView&) const = default;
};

// The member whose underlay makes the MTU so small.
struct NarrowestView {
    base::NodeId id;
    std::string node;  // name
    base::Mtu underlay;
    std::optional<base::IpAddress> peer;  // that its route to is so narrow; nullopt: its device is

    bool operator==(const NarrowestView&) const = default;
};

struct EpochView {
    keymgr::HeldEpoch held;
    keymgr::EpochSecret secret;
};

struct NetworkView {
    base::NetworkId id;
    std::string name;
    std::vector<overlay::Subnet> subnets;
    base::UdpPort port;
    base::Mtu mtu;
    bool encrypted = false;
    bool internal = false;  // its containers get no way out by it
    bool multicast = false;
    base::NetworkIndex index;

    base::Revision revision;
    std::map<base::NodeId, MemberView> members;  // this node too
    std::map<base::EndpointId, EndpointView> endpoints;
    std::map<base::EndpointId, AttachmentView> attachments;
    std::map<base::Epoch, EpochView> epochs;
    base::Epoch active;
    std::uint64_t rekey_after_packets = keymgr::kMostPackets;
    std::uint64_t rekey_after_bytes = keymgr::kMostBytes;
    keymgr::AckView acks;
    std::optional<NarrowestView> narrowest;  // nullopt: nobody narrows it
};

// The subnet that an address of the network is in; null: none.
[[nodiscard]] const overlay::Subnet* subnet_with(const NetworkView& view, const base::IpAddress& ip);
// An endpoint's address with its subnet's length.
[[nodiscard]] base::Prefix with_length(const NetworkView& view, const base::IpAddress& ip);

[[nodiscard]] base::Result<NetworkView> take_snapshot(const v1::NetworkSnapshot& snapshot);
// kInvalid, and nothing is changed, when the delta is malformed or older than the view: then the session starts over.
[[nodiscard]] base::Status take_delta(NetworkView& view, const v1::NetworkDelta& delta);
void take_acks(NetworkView& view, const v1::PeerAcks& acks);

}  // namespace warren::agent
