#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "tests/lab/bad_input.h"
#include "tests/lab/expect.h"

// What concerns networks and endpoints.
namespace warren::lab {
namespace {

TEST_F(BadInput, OfNetworkCommandsIsRefused) {
    const std::string long_name(64, 'x');
    const auto taken = fmt::format("{}", inspect(lab->host(1), "net1").vnis(0));
    lab->host(1).warren_ok(create({"--opt", "vni=7001"}, "former"));
    lab->host(1).warren_ok({"network", "rm", "former"});
    expect_refused({
        {1, {"network", "create"}, 2, "NAME is required; see 'warren network create --help'"},
        {1, create({}, "net1"), 1, "network name 'net1': taken by network …; choose another one"},
        {1, create({}, "a b"), 1, "network name 'a b': " + kNameRule},
        {1, create({}, ""), 1, "network name '': " + kNameRule},
        {1, create({}, long_name), 1, fmt::format("network name '{}': {}", long_name, kNameRule)},
        {1, create({"--driver", "bridge"}), 1, "--driver 'bridge': must be overlay"},
        {1, create({"--label", "=value"}), 1, "--label '=value': must be KEY or KEY=VALUE"},
        {1, create({"--label", "a=1", "--label", "a=2"}), 1,
         "--label 'a=2': the key is given twice; give each KEY once"},
        {1, create({"--subnet", "10.1.0.0/16"}), 1,
         "--subnet 10.1.0.0/16: overlaps 10.1.0.0/24 of network net1; choose another one"},
        {1, create({"--subnet", "10.2.0.1/24"}), 1,
         "--subnet 10.2.0.1/24: has bits set behind the prefix; the subnet is 10.2.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/31"}), 1, "--subnet 10.2.0.0/31: the prefix length must be 8 to 29"},
        {1, create({"--subnet", "fe80::/64"}), 1, "--subnet fe80::/64: must not be in the link-local range fe80::/10"},
        {1, create({"--subnet", "fd01::/64", "--subnet", "fd02::/64"}), 1,
         "--subnet fd02::/64: has no IPv4 subnet to go with: the first one of IPv6 goes with the first one of IPv4, "
         "and "
         "so on; give as many of each"},
        {1, create({"--ipv6", "--opt", "mtu=1200"}), 1, "--opt mtu=1200: must be at least 1280 where there is IPv6"},
        {1, create({"--opt", "vni=0"}), 1,
         "--opt vni=0: must be a number from 1 to 16777215, or several with commas between them"},
        {1, create({"--opt", "vni=16777216"}), 1,
         "--opt vni=16777216: must be a number from 1 to 16777215, or several with commas between them"},
        {1, create({"--opt", "vni=7,7"}), 1, "--opt vni=7,7: 7 is given twice; each subnet needs one of its own"},
        {1, create({"--opt", "vni=" + taken}), 1,
         "--opt vni=" + taken + ": another network has it; choose another one, or none"},
        {1, create({"--opt", "vni=7001"}), 1,
         "--opt vni=7001: was another network's until … ago, and a node that was cut off since may use it still; it "
         "is free in …"},
        {1, create({"--opt", "multicast=on"}), 1, "--opt multicast=on: must be true or false"},
        {1, create({"--internal=maybe"}), 2,
         "--internal 'maybe': must be true or false, or left out; see 'warren network create --help'"},
        {1, create({"--ipv6=maybe"}), 2,
         "--ipv6 'maybe': must be true or false, or left out; see 'warren network create --help'"},
        {1, create({"--subnet", "banana"}), 1, "--subnet 'banana': must be ADDRESS/LENGTH, such as 10.1.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--gateway", "10.3.0.1"}), 1,
         "--gateway 10.3.0.1: must be in the network's subnet 10.2.0.0/24"},
        {1, create({"--ip-range", "10.2.0.0/25"}), 1, "--ip-range: needs the --subnet that it belongs to"},
        {1, create({"--subnet", "10.2.0.0/24", "--ip-range", "10.3.0.0/25"}), 1,
         "--ip-range 10.3.0.0/25: must be a part of the subnet 10.2.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--gateway", "x"}), 1, "--gateway 'x': must be an IPv4 or IPv6 address"},
        {1, create({"--subnet", "10.2.0.0/24", "--gateway", "10.2.0.0"}), 1,
         "--gateway 10.2.0.0: must be a host address of the subnet 10.2.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--gateway", "10.2.0.255"}), 1,
         "--gateway 10.2.0.255: must be a host address of the subnet 10.2.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--ip-range", "x"}), 1,
         "--ip-range 'x': must be ADDRESS/LENGTH, such as 10.1.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--ip-range", "10.2.0.0/32"}), 1,
         "--ip-range 10.2.0.0/32: must have an address to give out, beside the network, broadcast, gateway and "
         "reserved ones; choose a larger one"},
        {1, create({"--subnet", "10.2.0.0/24", "--aux-address", "a=b"}), 1,
         "--aux-address 'b': must be an IPv4 or IPv6 address"},
        {1, create({"--subnet", "10.2.0.0/24", "--aux-address", "10.2.0.9"}), 1,
         "--aux-address '10.2.0.9': must be NAME=IP"},
        {1, create({"--subnet", "10.2.0.0/24", "--aux-address", "router=10.2.0.1"}), 1,
         "--aux-address 10.2.0.1: is the gateway of the subnet 10.2.0.0/24"},
        {1, create({"--subnet", "192.0.2.0/25"}), 1,
         "--subnet 192.0.2.0/25: overlaps 192.0.2.0/24 of the host's route via eth0 of node h…; choose another one"},
        {1, create({"--opt", "foo"}), 1,
         "--opt foo: unknown option; known are encrypted, cipher, encap, replay-window, key-rotation, "
         "rekey-after-packets, rekey-after-bytes, multicast, mtu, vni"},
        {1, create({"--opt", "encrypted=maybe"}), 1, "--opt encrypted=maybe: must be true or false"},
        {1, create({"--opt", "encrypted", "--opt", "encrypted=false"}), 1, "--opt encrypted: given twice"},
        {1, create({"--opt", "encrypted", "--opt", "cipher=des"}), 1,
         "--opt cipher 'des': must be aes-128-gcm, aes-256-gcm or chacha20-poly1305, or auto"},
        {1, create({"--opt", "encrypted", "--opt", "encap=tcp"}), 1,
         "--opt encap=tcp: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        {1, create({"--opt", "encrypted", "--opt", "encap=udp:10001"}), 1,
         "--opt encap=udp:10001: UDP ports 4789, and 10000 to 26383 belong to networks of this cluster; choose another "
         "port"},
        {1, create({"--opt", "cipher=aes-256-gcm"}), 1,
         "--opt cipher: only for encrypted networks; add --opt encrypted"},
        {1, create({"--opt", "encrypted", "--opt", "replay-window=7"}), 1,
         "--opt replay-window=7: must be a number from 32 to 4096"},
        {1, create({"--opt", "mtu=abc"}), 1, "--opt mtu=abc: must be a number from 576 to 65535, or auto"},
        {1, create({"--opt", "mtu=9000"}), 1, "--opt mtu=9000: …1450…"},
        {1, {"network", "inspect", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"network", "rm", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"network", "rm", "net1"}, 1, "network 'net1' is in use by 1 endpoint (web on h1): disconnect it first"},
        {1,
         {"network", "ls", "--filter", "colour=red"},
         2,
         "--filter colour=red: unknown key; known are name, id, driver, label, encrypted, dangling"},
        {1, {"network", "ls", "--filter", "encrypted=yes"}, 2, "--filter encrypted=yes: must be true or false"},
        {1, {"network", "ls", "--filter", "dangling"}, 2, "--filter dangling: must be KEY=VALUE"},
        {1, {"network", "ls", "--filter", "name="}, 2, "--filter name=: must be KEY=VALUE"},
        {1, {"network", "prune", "net1"}, 2, "unexpected argument 'net1'; see 'warren network prune --help'"},
        {2, {"network", "prune", "--force"}, 1, kIsWorker},
        {1, {"endpoint", "inspect", "nope"}, 1, "endpoint 'nope': not found; see warren endpoint ls"},
        {1, {"endpoint", "ls", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"key", "rotate", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"key", "status", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
    });
}

TEST_F(BadInput, OfNetworkUpdateIsRefused) {
    lab->host(1).warren_ok(create({"--subnet", "10.2.0.0/24", "--subnet", "10.3.0.0/24"}, "two"));
    const std::string known =
        "cipher, encap, replay-window, key-rotation, rekey-after-packets, rekey-after-bytes, multicast, mtu";
    expect_refused({
        {1, update({"mtu=1300"}, "nope"), 1, "network 'nope': not found; see: warren network ls"},
        {2, update({"mtu=1300"}), 1, kIsWorker},
        {1, {"network", "update", "--opt", "mtu=1300"}, 2, "NETWORK is required; see 'warren network update --help'"},
        {1, update({}), 1, "network 'net1': nothing to change: give --opt KEY=VALUE with one of " + known},
        {1, update({"colour=red"}), 1, "network 'net1': --opt colour: unknown option; known are " + known},
        {1, update({"multicast=maybe"}), 1, "network 'net1': --opt multicast=maybe: must be true or false"},
        {1, update({"vni=7"}), 1,
         "network 'net1': --opt vni: can't be changed: its VXLAN devices have the old one; make another network"},
        {1, update({"encrypted=false"}), 1,
         "network 'net1': --opt encrypted: can't be changed: a network is encrypted or plain from its beginning; make "
         "another network"},
        {1, update({"multicast"}, "two"), 1,
         "network 'two': --opt multicast: is for networks of one IPv4 subnet; this one has 2"},
        {1, update({"key-rotation=1h"}, "two"), 1, "network 'two': --opt key-rotation: only for encrypted networks"},
        // What is right beside it is not done either.
        {1, update({"mtu=1300", "key-rotation=1h", "multicast", "replay-window=7"}), 1,
         "network 'net1': --opt replay-window=7: must be a number from 32 to 4096"},
        {1, update({"mtu=1300", "multicast"}, "two"), 1,
         "network 'two': --opt multicast: is for networks of one IPv4 subnet; this one has 2"},
        {1, update({"multicast", "mtu=9000"}), 1,
         "network 'net1': --opt mtu=9000: the underlay of node 'h…' carries at most …"},
    });
}

TEST_F(BadInput, ANetworkOfWhatAHostAsksForNamesIsRefused) {
    const auto file = lab->artefacts() / "resolv.conf";
    std::ofstream(file) << "nameserver 198.51.100.53\nnameserver 10.128.7.53\n";
    auto& host = lab->host(1);
    host.stop_daemon();
    host.start_daemon({"--resolv-conf", file.string()});
    ASSERT_TRUE(eventually(std::chrono::seconds(10), [&] { return settled(host) && settled(lab->host(2)); }));
    expect_refused({
        {1, create({"--subnet", "198.51.100.0/24"}), 1,
         "--subnet 198.51.100.0/24: overlaps 198.51.100.53/32 of the resolver of node h1; choose another one"},
        // A part of the pool, by choice: what nobody chooses goes around it.
        {1, create({"--subnet", "10.128.0.0/20"}), 1,
         "--subnet 10.128.0.0/20: overlaps 10.128.7.53/32 of the resolver of node h1; choose another one"},
    });
}

TEST_F(BadInput, OfConnectIsRefused) {
    const auto pid = fmt::format("{}", lab->host(1).daemon_pid());
    must({"ip", "-n", spare.name(), "link", "add", "eth0", "type", "veth", "peer", "name", "its-peer"});
    lab->host(1).warren_ok(create({"--internal"}, "inside"));
    expect_refused({
        {1, {"network", "connect", "nope", "--netns", "spare"}, 1, "network 'nope': not found; see: warren network ls"},
        {1,
         {"network", "connect", "net1"},
         2,
         "which container? give --netns NAME|PATH or --pid PID; see 'warren network connect --help'"},
        {1,
         {"network", "connect", "net1", "--pid", "banana"},
         2,
         "--pid 'banana': must be a number from 0 to 4194304; see 'warren network connect --help'"},
        {1,
         {"network", "connect", "net1", "--pid", "4194303"},
         1,
         "--pid 4194303: network namespace of process 4194303: no such process"},
        {1, {"network", "connect", "net1", "--pid", pid}, 1, "--pid " + pid + ": is the host's own network namespace"},
        {1, connect({}, "nope"), 1,
         "--netns nope: network namespace 'nope': no /run/netns/nope; 'ip netns list' shows what there is"},
        {1, connect({}, "/etc/hostname"), 1, "--netns /etc/hostname: /etc/hostname: is not a network namespace"},
        {1, connect({}, "h1"), 1, "--netns h1: is the host's own network namespace"},
        {1, connect({"--ip", "10.9.9.9"}), 1, "--ip 10.9.9.9: must be in the network's subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.1"}), 1, "--ip 10.1.0.1: is the gateway of the subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.0"}), 1, "--ip 10.1.0.0: is the network address of the subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.255"}), 1, "--ip 10.1.0.255: is the broadcast address of the subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.9"}), 1,
         "--ip 10.1.0.9: is reserved for 'router' (--aux-address); choose another one"},
        {1, connect({"--ip", "10.1.0.20", "--ip", "10.1.0.21"}), 1,
         "--ip 10.1.0.21: a second one of this family after 10.1.0.20: an endpoint has one of each"},
        {1, connect({"--ip", "10.1.0"}), 1, "--ip '10.1.0': must be an IPv4 or IPv6 address"},
        {2, connect({"--ip", "10.1.0.7"}), 1,
         "--ip 10.1.0.7: is taken by another endpoint of the network; choose another one, or none for the next that is "
         "free"},
        {2, connect({"--name", "web"}), 1,
         "--name 'web': taken by endpoint … of network 'net1' on node 'h1'; choose another one, or --take-over if this "
         "is to be it"},
        // Nobody loses an endpoint to one that is wrong.
        {2, connect({"--take-over", "--name", "web", "--ip", "10.9.9.9"}), 1,
         "--ip 10.9.9.9: must be in the network's subnet 10.1.0.0/24"},
        {2, connect({"--take-over", "--name", "web", "--alias", "a/b"}), 1, "--alias 'a/b': " + kNameRule},
        {2, connect({"--take-over", "--name", "web", "--ifname", "lo"}), 1,
         "--ifname lo: the container has an interface of that name already; choose another one"},
        {2, connect({"--take-over=maybe", "--name", "web"}), 2,
         "--take-over 'maybe': must be true or false, or left out; see 'warren network connect --help'"},
        {1, connect({"--alias", "good", "--alias", "a/b"}), 1, "--alias 'a/b': " + kNameRule},
        {1, connect({"--alias", ""}), 1, "--alias '': " + kNameRule},
        {1, connect({"--publish", "http:80"}), 1,
         "--publish 'http:80': a port must be a number from 1 to 65535; it is [IP:]HOSTPORT:PORT[/tcp|udp], such as "
         "8080:80/tcp"},
        {1, connect({"--publish", "80:80/sctp"}), 1,
         "--publish '80:80/sctp': the protocol must be tcp or udp; it is …"},
        {1, connect({"--publish", "7443:80/udp"}), 1,
         "--publish 7443:80/udp: UDP port 7443 is that of ESP in UDP; choose another one"},
        {1, connect({"--publish", "80:80", "--publish", "80:81"}), 1, "--publish 80:81/tcp: given twice"},
        {1, connect({"--service", "80:80"}), 1,
         "--service '80:80': the name must be 1 to 15 letters, digits and single hyphens between them, with a letter "
         "among them (RFC 6335); it is NAME:PORT[/tcp|udp], such as http:80/tcp"},
        {1, connect({"--service", "http:0"}), 1, "--service 'http:0': the port must be a number from 1 to 65535; …"},
        {1, connect({"--service", "http:80", "--service", "HTTP:80/tcp"}), 1,
         "--service http:80/tcp: given twice; once is enough"},
        {1, connect({"--name", "x/y"}), 1, "--name 'x/y': " + kNameRule},
        {1, connect({"--mac", "02:00"}), 1, "--mac '02:00': must be a unicast MAC address such as 02:57:00:00:00:01"},
        {1, connect({"--mac", "03:00:00:00:00:01"}), 1,
         "--mac '03:00:00:00:00:01': must be a unicast MAC address such as 02:57:00:00:00:01"},
        {1, connect({"--mac", "banana"}), 1, "--mac 'banana': must be a unicast MAC address such as 02:57:00:00:00:01"},
        {1, connect({"--mac", web.mac()}), 1, "--mac " + web.mac() + ": taken by endpoint 'web'; choose another one"},
        {1,
         {"network", "connect", "inside", "--netns", "spare", "--publish", "8080:80"},
         1,
         "--publish 8080:80/tcp: network 'inside' is internal: nothing gets in or out"},
        {1, connect({"--ifname", "averyveryverylongname"}), 1,
         "--ifname 'averyveryverylongname': must be an interface name: 1 to 15 bytes, no '/', ':' or white space"},
        {1, connect({}, "web"), 1, "--netns /run/netns/web: is in network 'net1' already, as endpoint 'web'"},
        {1, connect({"--ifname", "lo"}), 1,
         "--ifname lo: the container has an interface of that name already; choose another one"},
        {1, connect({"--ifname", "eth0"}), 1,
         "--ifname eth0: the container has an interface of that name already; choose another one"},
        {2, connect({"--take-over", "--name", "web", "--ifname", "all"}), 1,
         "--ifname 'all': must not be 'all' or 'default', nor have a '%': these mean several interfaces"},
        {1, connect({"--ifname", "eth%d"}), 1,
         "--ifname 'eth%d': must not be 'all' or 'default', nor have a '%': these mean several interfaces"},
        {1, {"network", "disconnect", "nope", "web"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"network", "disconnect", "net1", "nope"}, 1, "endpoint 'nope': not found; see: warren endpoint ls"},
        {2,
         {"network", "disconnect", "net1", "web"},
         1,
         "endpoint 'web' of network 'net1' is on node 'h1': disconnect it there"},
    });
}

// Everything is right but for what shows when it is done.
TEST_F(BadInput, AConnectThatComesToNothingIsTakenBack) {
    lab->host(2).must({"ip", "link", "add", "warren_gw", "type", "veth", "peer", "name", "other"});
    lab->host(2).must({"ip", "link", "set", "warren_gw", "alias", "mine"});
    const auto refused = lab->host(2).warren(connect({"--publish", "8080:80"}));
    EXPECT_EQ(refused.code, 1);
    EXPECT_TRUE(is_like(line_of(refused), "…warren_gw…not ours…")) << refused.err;
    EXPECT_EQ(lab->host(1).warren({"endpoint", "inspect", "spare"}).code, 1) << "it stays";
    EXPECT_TRUE(eventually(std::chrono::seconds(5), [&] {
        return run({"ip", "-netns", "spare", "-brief", "link"}).out.find("eth") == std::string::npos;
    }));
    EXPECT_EQ(lab->host(2).run({"nft", "list", "tables"}).out.find("warren_gw"), std::string::npos);
}

}  // namespace
}  // namespace warren::lab
