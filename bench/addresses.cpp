// What it costs a manager to decide about one more endpoint of a network that has 100 or 60,000 already: name, address,
// MAC address and the transaction, in time of the processor, without a store. The address is the next free one of a
// /16: right behind the one that was given out last, or, once in a round through the subnet, behind all that are taken.

#include <fmt/format.h>

#include "bench/measure.h"
#include "manager/changes.h"

namespace warren::bench {
namespace {

using manager::Cluster;
using manager::raw;

constexpr int kDecisions = 2000;

struct Made {
    Cluster cluster;
    base::NodeId node = base::random_id<base::NodeId>();
    base::NetworkId network = base::random_id<base::NetworkId>();
};

// `last`: of the endpoints' addresses, which was given out last.
Made cluster_with(std::uint32_t endpoints, std::uint32_t last) {
    Made made;
    const store::StoreRevision revision{1};
    const auto put = [&](const std::string& key, const auto& record) {
        must(made.cluster.put(key, record.SerializeAsString(), revision));
    };
    const auto vtep = base::IpAddress::v4(0xc0000201);
    v1::NodeRecord node;
    node.set_id(raw(made.node));
    node.set_name("h1");
    node.set_data_address(raw(vtep));
    node.set_underlay_mtu(1500);
    put(manager::key::node(made.node), node);
    v1::NetworkRecord network;
    network.set_id(raw(made.network));
    network.set_name("net1");
    auto& subnet = *network.add_subnets();
    subnet.set_subnet(raw(base::IpAddress::v4(0x0a010000)));
    subnet.set_length(16);
    subnet.set_gateway(raw(base::IpAddress::v4(0x0a010001)));
    network.set_mtu(1450);
    put(manager::key::network(made.network), network);
    v1::MembershipRecord members;
    members.set_revision(1);
    for (std::uint32_t i = 0; i < endpoints; ++i) {
        const auto id = base::random_id<base::EndpointId>();
        const auto ip = base::IpAddress::v4(0x0a010002 + i);
        v1::StoredEndpoint endpoint;
        endpoint.set_id(raw(id));
        endpoint.set_network_id(raw(made.network));
        endpoint.set_name(fmt::format("e{}", i));
        endpoint.add_ips(raw(ip));
        endpoint.set_mac(raw(base::mac_for(ip)));
        endpoint.set_node_id(raw(made.node));
        endpoint.set_netns(fmt::format("/run/netns/e{}", i));
        put(manager::key::endpoint(made.network, id), endpoint);
    }
    members.add_last_ips(raw(base::IpAddress::v4(0x0a010002 + last)));
    put(manager::key::members(made.network), members);
    return made;
}

Milliseconds decide(const Made& made, int decisions = kDecisions) {
    manager::NewEndpoint endpoint{.id = base::random_id<base::EndpointId>(),
                                  .node = made.node,
                                  .membership = base::MembershipId{1},
                                  .request = {}};
    endpoint.request.set_network("net1");
    endpoint.request.set_netns("/run/netns/new");
    const auto now = base::system_now();
    const auto time = computed([&] {
        for (int i = 0; i < decisions; ++i) {
            static_cast<void>(must(manager::connect_endpoint(made.cluster, endpoint, now)));
        }
    });
    return time / decisions;
}

}  // namespace
}  // namespace warren::bench

int main() {
    using namespace warren::bench;
    const auto few = cluster_with(100, 99);
    const auto many = cluster_with(60'000, 59'999);
    const auto round_again = cluster_with(60'000, 0);
    std::vector<Milliseconds> of_few, of_many, of_round_again;
    for (int turn = 0; turn < 5; ++turn) {
        of_few.push_back(decide(few));
        of_many.push_back(decide(many));
        of_round_again.push_back(decide(round_again, 20));
    }
    print_comparison("one more endpoint, of 60,000", summarise(of_many), "of 100", summarise(of_few));
    print_comparison("the same behind all that are taken", summarise(of_round_again), "of 100", summarise(of_few));
    return 0;
}
