#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/encap_sockets.h"
#include "agent/network_names.h"
#include "agent/wanted.h"
#include "dns/ports.h"
#include "overlay/builder.h"
#include "overlay/firewall.h"
#include "probe/probe_port.h"
#include "xfrm/engine.h"

namespace warren::agent {

// A rotation that the kernel's state makes necessary.
struct RotationNeed {
    base::Epoch epoch;   // of the SA in question
    bool limit = false;  // it reached a soft limit; else it is lost

    auto operator<=>(const RotationNeed&) const = default;
};

// What one apply() came to.
struct Applied {
    bool keys_complete = false;  // the kernel has the keys and the remote endpoints: the revision may be acknowledged
    std::vector<std::string> problems;                        // of the network as a whole, for people
    std::map<base::EndpointId, base::Error> endpoint_errors;  // of single local endpoints
    std::map<base::EndpointId, std::string> ifnames;          // of the local endpoints that are in place
    std::set<RotationNeed> rotations;
    bool retry = false;  // something failed that may go by itself
    // What comes as ESP in UDP can be taken; without it the revision must not be acknowledged either. Apart from the
    // above, since it says nothing about barriers and links.
    bool incoming_open = true;
    std::vector<std::string> incoming_problems;
    std::size_t policies = 0;  // how many were added, changed or deleted
    std::size_t links = 0;     // how many changes links, addresses, forwarding entries and so on took
};

// For people.
[[nodiscard]] std::vector<std::string> all_problems(const Applied& applied);

// This host's kernel, as far as it is ours: both barriers, SAs, and links, in the order that never lets a frame out in
// clear. A network is built behind its barriers and taken down before them.
//
// Owner: the agent. Thread: the loop's. Lifetime: what it has built stays when it goes.
class Fabric {
  public:
    // Reads what a former daemon left and changes nothing. `run_dir` is absolute; `store` is for sockets.
    [[nodiscard]] static base::Result<std::unique_ptr<Fabric>> open(const std::filesystem::path& run_dir,
                                                                    std::unique_ptr<fdstore::FdStore> store);

    // Held back, an encrypted network gets its barriers and keys, and its VXLAN device joins no bridge.
    enum class Links : std::uint8_t { kWanted, kHeldBack };
    [[nodiscard]] Applied apply(const NetworkView& view, const Self& self, Links links = Links::kWanted);
    // For as long as the kernel's objects of an encrypted network are not put right: stops its VXLAN device unless at
    // least one of the two barriers stands. The next apply() starts it again, behind both.
    [[nodiscard]] base::Status guard(const NetworkView& view, const Self& self);
    [[nodiscard]] base::Status remove(const base::NetworkId& network);
    // Takes down whatever of ours is not among `known`: what was left by networks that this node is in no more.
    [[nodiscard]] base::Status remove_unknown(const std::map<base::NetworkId, const NetworkView*>& known,
                                              const base::IpAddress& vtep);

    // Readable when a watched part of the kernel has changed.
    [[nodiscard]] int key_events() const { return engine_->event_fd(); }
    [[nodiscard]] int firewall_events() const { return firewall_ ? firewall_->event_fd() : -1; }
    [[nodiscard]] int link_events() const { return builder_.event_fd(); }
    // Networks to apply again, soft limits that were reached, and what was sent under SAs that are no more.
    struct Changes {
        std::set<base::NetworkIndex> dirty;
        std::map<base::NetworkIndex, std::set<RotationNeed>> rotations;
        std::vector<xfrm::SentUnder> closed;
        std::vector<std::string> notes;
        std::string by;       // the process that made networks dirty; empty: several, or nobody knows
        bool unread = false;  // the kernel could not be read: sweep soon
    };
    [[nodiscard]] Changes handle_key_events();
    [[nodiscard]] Changes sweep();  // the same from a look at everything; now and then, since events can be lost
    // Networks to apply again.
    [[nodiscard]] std::set<base::NetworkId> handle_link_events() { return builder_.handle_events(); }
    void put_off_firewall_events() { firewall_->put_off_events(); }
    // Restored: the table had been changed, and has been put back.
    [[nodiscard]] base::Result<std::optional<overlay::Firewall::Restored>> handle_firewall_events() {
        return firewall_->handle_events();
    }

    struct KeyTraffic {
        std::size_t sas = 0;
        std::uint64_t packets_out = 0;
        std::uint64_t packets_in = 0;
    };
    [[nodiscard]] std::map<base::NetworkIndex, KeyTraffic> traffic();
    struct PeerKeys {
        unsigned out = 0;  // SAs to the peer
        unsigned in = 0;
        std::uint64_t decrypted = 0;  // packets, by the SAs that are there
    };
    using KeysOfPeers = std::map<base::NetworkIndex, std::map<base::IpAddress, PeerKeys>>;  // by VTEP
    [[nodiscard]] KeysOfPeers peer_keys();
    // Of one encrypted network, with the counters of now.
    [[nodiscard]] std::vector<xfrm::SaStatus> sas(base::NetworkIndex network);
    // What was sent under the SAs that are there, as of the last sweep.
    [[nodiscard]] std::vector<xfrm::SentUnder> sent() const { return engine_->sent(); }
    [[nodiscard]] std::optional<overlay::DropCounters> drops();
    // All nftables rules of this host, as JSON.
    [[nodiscard]] base::Result<std::string> firewall_rules();
    // Whether the second barrier can be had here.
    [[nodiscard]] base::Status check_firewall();

    // The network's namespace; nullopt: it has none (any more).
    [[nodiscard]] std::optional<netlink::NamespaceIdentity> home(const base::NetworkId& network) const;
    // In the namespace of a network that was applied, by this daemon or a former one.
    [[nodiscard]] base::Result<std::vector<dns::Ports>> open_name_ports(const NetworkNames& names) const;
    [[nodiscard]] base::Result<probe::ProbePort> open_probe_port(const NetworkView& view, const Self& self) const;

  private:
    Fabric(std::unique_ptr<xfrm::KernelPort> port, std::unique_ptr<xfrm::Engine> engine, overlay::Builder builder,
           base::Result<overlay::Firewall> firewall, std::unique_ptr<fdstore::FdStore> store);

    std::unique_ptr<xfrm::KernelPort> port_;
    std::unique_ptr<xfrm::Engine> engine_;
    overlay::Builder builder_;
    std::optional<overlay::Firewall> firewall_;
    EncapSockets encap_sockets_;
    std::string firewall_problem_;
    overlay::ProtectedPorts ports_;                          // behind the second barrier
    std::map<base::NetworkId, base::NetworkIndex> indexes_;  // of the encrypted networks that were applied

    // Why this host cannot take an encrypted network; the error names what to change.
    [[nodiscard]] base::Status check_encryption(const xfrm::Network& keys);
    [[nodiscard]] base::Status raise_barriers(const NetworkView& view, const xfrm::Network& keys, Applied& applied);
    [[nodiscard]] base::Status lower_barriers(base::NetworkIndex index);
    void apply_keys(const xfrm::Network& keys, Applied& applied);
    void open_incoming(const NetworkView& view, const Self& self, Applied& applied);
    [[nodiscard]] Changes changes_of(base::Result<xfrm::Findings> findings) const;
};

}  // namespace warren::agent
