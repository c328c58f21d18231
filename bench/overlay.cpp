// What a network with 20,000 endpoints on other nodes costs a host: making all entries, seeing that all is right, and
// one endpoint more; beside bridge -batch and ip -batch, which make the same entries in a network like it. Then 1,000
// containers of this host, beside the same two and an ip -batch in each container. On the kernel, in namespaces of its
// own.

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <deque>

#include "bench/measure.h"
#include "netlink/namespace.h"
#include "overlay/builder.h"
#include "overlay/desired.h"
#include "tests/test_directory.h"

namespace warren::bench {
namespace {

constexpr std::uint32_t kRemote = 20'000;
constexpr std::uint32_t kLocal = 1'000;
constexpr std::uint32_t kFirst = 0x0a010002;  // 10.1.0.2

overlay::Network empty_network(std::uint32_t vni) {
    return {.cluster = base::random_id<base::ClusterId>(),
            .id = base::random_id<base::NetworkId>(),
            .name = "net1",
            .subnets = {{.prefix = must(base::parse_prefix("", "10.1.0.0/16")),
                         .gateway = base::IpAddress::v4(kFirst - 1),
                         .vni = base::Vni{vni}}},
            .port = base::UdpPort{4789},
            .mtu = base::Mtu{1450},
            .vtep = base::IpAddress::v4(0xc0000201),
            .local = {},
            .remote = {}};
}
overlay::RemoteEndpoint remote(std::uint32_t number) {
    const auto ip = base::IpAddress::v4(kFirst + number);
    return {.id = base::random_id<base::EndpointId>(),
            .ips = {ip},
            .mac = base::mac_for(ip),
            .vtep = base::IpAddress::v4(0xc0000202 + number % 200)};
}

void apply(overlay::Builder& builder, const overlay::Network& network) {
    const auto outcome = builder.apply(network);
    if (!outcome.complete()) {
        give_up(outcome.errors.empty() ? outcome.endpoint_errors.begin()->second.message()
                                       : outcome.errors.front().message());
    }
}

// The same entries as commands, for the network's own namespace.
struct Scripts {
    std::string forwarding;
    std::string neighbours;
};
Scripts scripts_of(const overlay::Network& network) {
    Scripts scripts;
    for (const auto& it : network.remote) {
        scripts.forwarding += fmt::format("fdb replace {} dev vx0 dst {} self permanent\n", it.mac, it.vtep);
        scripts.neighbours += fmt::format("neigh replace {} lladdr {} dev vx0 nud permanent\n", it.ips.front(), it.mac);
    }
    return scripts;
}

void compare_remote(overlay::Builder& builder) {
    std::vector<Milliseconds> ours, theirs, right, one_more;
    for (std::uint32_t turn = 0; turn < 5; ++turn) {
        auto network = empty_network(0x570000 + turn);
        auto other = empty_network(0x580000 + turn);
        apply(builder, network);
        apply(builder, other);
        for (std::uint32_t i = 0; i < kRemote; ++i) {
            network.remote.push_back(remote(i));
        }
        const auto scripts = scripts_of(network);
        const ScratchFile forwarding(scripts.forwarding);
        const ScratchFile neighbours(scripts.neighbours);
        const auto space = must(builder.home(other.id));
        const auto enter = fmt::format("--net=/proc/{}/fd/{}", ::getpid(), space.fd());
        ours.push_back(timed([&] { apply(builder, network); }));
        theirs.push_back(timed([&] {
            run_program({"nsenter", enter, "bridge", "-batch", forwarding.path()});
            run_program({"nsenter", enter, "ip", "-batch", neighbours.path()});
        }));
        right.push_back(timed([&] { apply(builder, network); }));
        network.remote.push_back(remote(kRemote));
        one_more.push_back(timed([&] { apply(builder, network); }));
        must(builder.remove(network.id));
        must(builder.remove(other.id));
    }
    print_comparison("20,000 remote endpoints, looked at twice", summarise(ours), "bridge -batch and ip -batch",
                     summarise(theirs));
    print_comparison("  seeing that all is right", summarise(right), "making it", summarise(ours));
    print_comparison("  one endpoint more", summarise(one_more), "making it", summarise(ours));
}

// With containers of its own: in a namespace nothing has to be beside what another left.
std::vector<netlink::Namespace> add_containers(overlay::Network& network) {
    std::vector<netlink::Namespace> containers;
    for (std::uint32_t i = 0; i < kLocal; ++i) {
        containers.push_back(must(netlink::Namespace::create_anonymous()));
        const auto ip = base::IpAddress::v4(kFirst + i);
        network.local.push_back({.id = base::random_id<base::EndpointId>(),
                                 .name = fmt::format("c{}", i),
                                 .ips = {ip},
                                 .mac = base::mac_for(ip),
                                 .netns = fmt::format("/proc/{}/fd/{}", ::getpid(), containers.back().fd()),
                                 .ifname = {}});
    }
    return containers;
}

// In the network's namespace, and in each container's.
struct LocalScripts {
    std::string links;
    std::string ports;
    std::vector<std::string> containers;
};
LocalScripts local_scripts_of(const overlay::Network& network) {
    LocalScripts scripts;
    const auto& gateway = network.subnets.front().gateway;
    for (const auto& it : network.local) {
        const auto port = overlay::pair_name(it.id);
        scripts.links += fmt::format(
            "link add {0} mtu 1450 type veth peer name eth0 mtu 1450 address {1} netns {2}\n"
            "link set {0} master br0 alias warren:{3}\nlink set {0} up\n",
            port, it.mac, it.netns, it.id);
        scripts.ports += fmt::format(
            "link set dev {0} learning off flood off mcast_flood off\n"
            "fdb replace {1} dev {0} master static\n",
            port, it.mac);
        scripts.containers.push_back(fmt::format(
            "addr add {}/16 dev eth0\nlink set eth0 alias warren:{} up\nroute replace 10.99.0.0/16 via {}\n",
            it.ips.front(), it.id, gateway));
    }
    return scripts;
}

void compare_local(overlay::Builder& builder) {
    std::vector<Milliseconds> ours, theirs, right, one_more;
    for (std::uint32_t turn = 0; turn < 3; ++turn) {
        auto network = empty_network(0x590000 + turn);
        auto other = empty_network(0x5a0000 + turn);
        apply(builder, network);
        apply(builder, other);
        const auto space = must(builder.home(other.id));
        const auto containers = add_containers(network);
        ours.push_back(timed([&] { apply(builder, network); }));
        right.push_back(timed([&] { apply(builder, network); }));
        auto last = network.local.back();
        network.local.pop_back();
        apply(builder, network);
        network.local.push_back(std::move(last));
        one_more.push_back(timed([&] { apply(builder, network); }));
        must(builder.remove(network.id));

        const auto others = add_containers(other);
        const auto scripts = local_scripts_of(other);
        const ScratchFile links(scripts.links);
        const ScratchFile ports(scripts.ports);
        std::deque<ScratchFile> in_containers;
        for (const auto& script : scripts.containers) {
            in_containers.emplace_back(script);
        }
        const auto enter = fmt::format("--net=/proc/{}/fd/{}", ::getpid(), space.fd());
        theirs.push_back(timed([&] {
            run_program({"nsenter", enter, "ip", "-batch", links.path()});
            run_program({"nsenter", enter, "bridge", "-batch", ports.path()});
            for (std::uint32_t i = 0; i < kLocal; ++i) {
                run_program({"nsenter", "--net=" + other.local[i].netns, "ip", "-batch", in_containers[i].path()});
            }
        }));
        must(builder.remove(other.id));
    }
    print_comparison("1,000 containers of this host", summarise(ours), "ip and bridge -batch, and ip -batch in each",
                     summarise(theirs));
    print_comparison("  seeing that all is right", summarise(right), "making it", summarise(ours));
    print_comparison("  one container more", summarise(one_more), "making it", summarise(ours));
}

}  // namespace
}  // namespace warren::bench

int main() {
    using namespace warren;
    using namespace warren::bench;
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
        give_up("needs root");
    }
    run_program({"mount", "--make-rprivate", "/"});
    run_program({"ip", "link", "set", "lo", "up"});
    run_program({"ip", "address", "add", "192.0.2.1/24", "dev", "lo"});
    const TestDirectory directory;
    auto builder = must(overlay::Builder::open(directory.path()));
    compare_remote(builder);
    compare_local(builder);
    return 0;
}
