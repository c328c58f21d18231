#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "netlink/kernel_socket.h"
#include "overlay/bring.h"
#include "overlay/gateway.h"
#include "overlay/link_watch.h"
#include "overlay/nft_table.h"

namespace warren::overlay {

// A container of this node that is to have a way out.
struct WantedContainer {
    std::string netns;  // path of its network namespace
    std::string name;   // of an endpoint of it, for errors
    std::vector<Publication> published;

    bool operator==(const WantedContainer&) const = default;
};

// Brings the gateway bridge, its rules and its containers' second interfaces (gw0) to what the caller wants; with no
// container there is none of it. What is in the kernel is all that is remembered: a successor finds subnet and
// addresses there and changes nothing that is right.
//
// Which subnet: a /20 of 172.16.0.0/12, then of 192.168.0.0/16, that overlaps no route of the host, no network of the
// caller's and no address that the host needs. IPv4 only.
//
// It turns on what the host needs to forward (net.ipv4.ip_forward) and leaves it on.
//
// Owner: the agent; not moved after the first apply(). Thread: the agent's. The bridge is in the namespace of the
// thread that calls open(). Failure: the rules come first, so without them nothing is built; what failed is in the
// report, and calling again repeats just that.
class GatewayBridge {
  public:
    [[nodiscard]] static base::Result<GatewayBridge> open();

    struct Wanted {
        base::ClusterId cluster;
        std::vector<WantedContainer> containers;
        std::set<base::Prefix> networks;  // that containers have routes to
        std::set<base::IpAddress>
            needed;                // by the host itself, whatever routes lead there: members, managers, resolvers
        base::UdpPort plain_port;  // of the cluster's plain networks

        bool operator==(const Wanted&) const = default;
    };
    struct Report {
        std::size_t changes = 0;            // that the kernel took, of links and rules
        std::size_t of_containers = 0;      // of these: of their links, which what is in a container can undo
        std::string changed_by;             // who had changed rules before; empty: nobody knows
        std::vector<std::string> problems;  // of all of it
        std::map<std::string, base::Error> container_errors;  // by path of the namespace
        std::map<std::string, base::IpAddress> addresses;     // of the containers that have one, by the same

        [[nodiscard]] bool good() const { return problems.empty() && container_errors.empty(); }
    };
    // In a container where all was right it sees only what shows outside, until doubt() was called
    // (overlay/familiar.h).
    [[nodiscard]] Report apply(const Wanted& wanted);
    // The next apply() looks into all containers.
    void doubt() { familiar_.forget(); }
    // Takes all of it away, a former process's too.
    [[nodiscard]] base::Status remove();

    // Readable when something changed on the host that may be about the bridge or its rules; then call handle_events().
    // True: apply again. Our own changes are among the events.
    [[nodiscard]] std::array<int, 2> event_fds() const { return {watch_.fd(), table_.event_fd()}; }
    [[nodiscard]] bool handle_events();

  private:
    GatewayBridge(OpenNamespace home, LinkWatch watch, NftTable table)
        : home_(std::move(home)), watch_(std::move(watch)), table_(std::move(table)) {}

    // Which of the host's links are of it.
    [[nodiscard]] base::Status look(const std::vector<netlink::Link>& links);
    [[nodiscard]] base::Status choose_subnet(const Wanted& wanted);
    void place(const Wanted& wanted, Report& report);
    [[nodiscard]] std::vector<PairOwner> strangers() const;
    [[nodiscard]] base::Result<base::IpAddress> free_address();
    [[nodiscard]] base::Status write_rules(const Gateway& gateway, Report& report);
    [[nodiscard]] bool concerns(const netlink::Received& event) const;

    OpenNamespace home_;
    Familiar familiar_;
    LinkWatch watch_;
    NftTable table_;
    base::ClusterId cluster_;
    std::optional<base::Prefix> subnet_;
    std::optional<base::IpAddress> last_;      // that was given to a container
    std::map<std::string, PairOwner> places_;  // by path of the container's namespace
    std::map<std::string, PairOwner> found_;   // by alias: the pairs that are there
    std::set<base::IfIndex> links_;            // the bridge and its ports
    std::string ruleset_;                      // as last written
    std::string rules_changed_by_;             // since
    bool there_ = true;                        // as far as is known: a former process may have left something
};

}  // namespace warren::overlay
