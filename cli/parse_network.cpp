#include <filesystem>

#include "cli/grammar.h"

// network and endpoint.
namespace warren::cli {

namespace {

constexpr const char* kNetworkHelp = "name, id, or the beginning of an id";
constexpr std::uint32_t kMaxPid = 1U << 22U;  // PID_MAX_LIMIT, include/linux/threads.h

void declare_create(Syntax& syntax, NetworkCreate& value) {
    v1::NetworkCreateRequest& request = value.request;
    syntax.text("--driver", "NAME", *request.mutable_driver(), "overlay, the only one");
    syntax.texts("--opt", "K[=V]", *request.mutable_options(),
                 "encrypted, cipher=aes-256-gcm, multicast, ...; repeatable");
    syntax.texts("--subnet", "CIDR", *request.mutable_subnets(),
                 "of the network (the next free one of the pool); repeatable");
    syntax.flag(
        "--ipv6", [&] { request.set_ipv6(true); }, "each IPv4 subnet has one of IPv6 with it");
    syntax.texts("--gateway", "IP", *request.mutable_gateways(), "of a subnet (its first address); repeatable");
    syntax.texts("--ip-range", "CIDR", *request.mutable_ip_ranges(),
                 "part of a subnet that addresses come out of; repeatable");
    syntax.texts("--aux-address", "NAME=IP", *request.mutable_aux_addresses(),
                 "an address that no endpoint gets; repeatable");
    syntax.texts("--label", "K=V", *request.mutable_labels(), "for your own use; repeatable");
    syntax.flag(
        "--internal", [&] { request.set_internal(true); }, "no way out of the network");
    syntax.argument("NAME", *request.mutable_name(), "of the new network");
}

// What is not a name below /run/netns is a path, which means the same file to the daemon only when it is absolute.
std::string absolute_netns(const std::string& given, const std::string& working_directory) {
    if (given.find('/') == std::string::npos || given.starts_with('/')) {
        return given;
    }
    return (std::filesystem::path(working_directory) / given).lexically_normal().string();
}

void declare_connect(Syntax& syntax, NetworkConnect& value, const Environment& environment) {
    v1::NetworkConnectRequest& request = value.request;
    CLI::Option* netns = syntax.text("--netns", "NAME|PATH", *request.mutable_netns(),
                                     "the container: a name below /run/netns, or a path");
    syntax.number(
        "--pid", "PID", kMaxPid, [&](std::uint32_t n) { request.set_pid(n); }, "or a process in the container");
    syntax.text("--name", "NAME", *request.mutable_name(), "of the endpoint (the namespace's name)");
    syntax.texts("--alias", "NAME", *request.mutable_aliases(), "another name of the endpoint; repeatable");
    syntax.texts("--ip", "IP", *request.mutable_ips(), "address (the next free one); one of each family");
    syntax.text("--mac", "MAC", *request.mutable_mac(), "hardware address (random)");
    syntax.text("--ifname", "NAME", *request.mutable_ifname(), "interface in the container (the first free ethN)");
    syntax.texts("--publish", "[IP:]PORT:PORT[/udp]", *request.mutable_publish(),
                 "a port of the host for one of the container; repeatable");
    syntax.texts("--service", "NAME:PORT[/udp]", *request.mutable_services(),
                 "what it offers, for SRV questions, such as http:80; repeatable");
    syntax.flag(
        "--take-over", [&] { request.set_take_over(true); }, "be the endpoint of this name that is elsewhere");
    syntax.argument("NETWORK", *request.mutable_network(), kNetworkHelp);
    syntax.check([&request, netns]() -> std::string {
        const bool by_path = netns->count() > 0;
        if (by_path == (request.pid() != 0)) {
            return by_path ? "--netns and --pid both name the container: give one of them"
                           : "which container? give --netns NAME|PATH or --pid PID";
        }
        return "";
    });
    syntax.finally([&request, directory = environment.working_directory] {
        request.set_netns(absolute_netns(request.netns(), directory));
    });
}

void add_container_commands(CLI::App& group, Command& chosen, const Environment& environment) {
    add_command<NetworkConnect>(
        group, chosen,
        {"connect", "Give a container of this host an interface in a network",
         "warren network connect net1 --netns web"},
        [&environment](Syntax& syntax, NetworkConnect& value) { declare_connect(syntax, value, environment); });
    add_command<NetworkDisconnect>(
        group, chosen,
        {"disconnect", "Take a container of this host out of a network", "warren network disconnect net1 web"},
        [](Syntax& syntax, NetworkDisconnect& value) {
            v1::NetworkDisconnectRequest& request = value.request;
            syntax.argument("NETWORK", *request.mutable_network(), kNetworkHelp);
            syntax.argument("ENDPOINT", *request.mutable_endpoint(), kNetworkHelp);
        });
}

}  // namespace

void add_network_commands(CLI::App& root, Command& chosen, const Environment& environment) {
    CLI::App& group = add_group(
        root, {"network", "Make networks and connect containers", "warren network create --opt encrypted net1"});
    add_command<NetworkCreate>(group, chosen,
                               {"create", "Make a network and print its id",
                                "warren network create --opt encrypted --subnet 10.9.0.0/24 net1"},
                               declare_create);
    add_command<NetworkList>(group, chosen, {"ls", "List the networks", "warren network ls"},
                             [](Syntax& syntax, NetworkList& value) {
                                 syntax.texts("--filter", "K=V", value.filters,
                                              "name, id, driver, label, encrypted or dangling; repeatable");
                                 syntax.flag(
                                     "-q,--quiet", [&] { value.quiet = true; }, "ids alone");
                             });
    add_command<NetworkInspect>(group, chosen,
                                {"inspect", "Show a network, its nodes and endpoints", "warren network inspect net1"},
                                [](Syntax& syntax, NetworkInspect& value) {
                                    syntax.flag(
                                        "-v,--verbose", [&] { value.verbose = true; },
                                        "also MTU and epochs of its nodes, and whom names lead to");
                                    syntax.argument("NETWORK", *value.request.mutable_network(), kNetworkHelp);
                                });
    add_command<NetworkUpdate>(
        group, chosen,
        {"update", "Change options of a network in use", "warren network update net1 --opt key-rotation=6h"},
        [](Syntax& syntax, NetworkUpdate& value) {
            v1::NetworkUpdateRequest& request = value.request;
            syntax.texts("--opt", "K=V", *request.mutable_options(),
                         "cipher, encap, mtu, replay-window, key-rotation, ...; repeatable");
            syntax.argument("NETWORK", *request.mutable_network(), kNetworkHelp);
        });
    add_command<NetworkVerify>(
        group, chosen,
        {"verify", "Prove that an encrypted network of this host is encrypted", "warren network verify net1"},
        [](Syntax& syntax, NetworkVerify& value) {
            syntax.argument("NETWORK", *value.request.mutable_network(), kNetworkHelp);
        });
    add_command<NetworkRemove>(
        group, chosen, {"rm", "Remove networks that nobody is connected to", "warren network rm net1 net2"},
        [](Syntax& syntax, NetworkRemove& value) { syntax.arguments("NETWORK", value.networks, kNetworkHelp); });
    add_command<NetworkPrune>(
        group, chosen, {"prune", "Remove all networks that nobody is connected to", "warren network prune -f"},
        [](Syntax& syntax, NetworkPrune& value) {
            syntax.flag(
                "-f,--force", [&] { value.force = true; }, "do it; without it only say which they are");
        });
    add_container_commands(group, chosen, environment);
}

void add_endpoint_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"endpoint", "See what is connected", "warren endpoint ls net1"});
    add_command<EndpointList>(group, chosen,
                              {"ls", "List the endpoints of a network, or of all", "warren endpoint ls net1"},
                              [](Syntax& syntax, EndpointList& value) {
                                  syntax.optional_argument("NETWORK", *value.request.mutable_network(), kNetworkHelp);
                              });
    add_command<EndpointInspect>(
        group, chosen,
        {"inspect", "Show an endpoint, and whom its container asks for names", "warren endpoint inspect web"},
        [](Syntax& syntax, EndpointInspect& value) { syntax.argument("ENDPOINT", value.endpoint, kNetworkHelp); });
}

}  // namespace warren::cli
