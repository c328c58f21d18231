#include "cli/grammar.h"

// cluster, token, node, status: what concerns hosts.
namespace warren::cli {

namespace {

constexpr std::uint32_t kMaxPrefix = 32;
constexpr std::uint32_t kMaxPort = 65535;
constexpr std::uint32_t kMaxUses = 1'000'000;

void declare_init(Syntax& syntax, ClusterInit& value) {
    v1::ClusterInitRequest& request = value.request;
    syntax.text("--name", "NAME", *request.mutable_name(), "of the cluster (warren)");
    syntax.text("--node-name", "NAME", *request.mutable_node_name(), "of this node (the host's name)");
    syntax.text("--listen", "IP:PORT", *request.mutable_listen(), "where the manager listens (0.0.0.0:7443)");
    syntax.text("--advertise-addr", "IP", *request.mutable_advertise_addr(),
                "where the other nodes reach this one (the data address)");
    syntax.text("--data-addr", "IP|IFACE", *request.mutable_data_addr(),
                "where VXLAN and ESP go (the default route's source)");
    syntax.text("--subnet-pool", "CIDR", *request.mutable_subnet_pool(),
                "where networks get subnets from (10.128.0.0/9)");
    syntax.number(
        "--subnet-size", "LENGTH", kMaxPrefix, [&](std::uint32_t n) { request.set_subnet_size(n); },
        "prefix length of these subnets (24)");
    syntax.number(
        "--plain-port", "PORT", kMaxPort, [&](std::uint32_t n) { request.set_plain_port(n); },
        "UDP port of plain networks (4789)");
    syntax.number(
        "--port-base", "PORT", kMaxPort, [&](std::uint32_t n) { request.set_port_base(n); },
        "UDP ports of encrypted networks begin above it (10000)");
    syntax.text("--rotation-grace", "DURATION", *request.mutable_rotation_grace(),
                "how long an old key is kept after a rotation (5s)");
    syntax.text("--straggler-limit", "DURATION", *request.mutable_straggler_limit(),
                "how long for a node that is cut off (1h); at most key-rotation");
    syntax.text("--leaf-lifetime", "DURATION", *request.mutable_leaf_lifetime(),
                "how long a node's certificate is valid (90d)");
    syntax.text("--readmission-limit", "DURATION", *request.mutable_readmission_limit(),
                "how long after that an absent node gets back in (30d)");
}

void declare_join(Syntax& syntax, ClusterJoin& value) {
    v1::ClusterJoinRequest& request = value.request;
    syntax.text("--token", "TOKEN", *request.mutable_token(), "from 'warren token show' on a manager")->required();
    syntax.text("--node-name", "NAME", *request.mutable_node_name(), "of this node (the host's name)");
    syntax.text("--advertise-addr", "IP", *request.mutable_advertise_addr(),
                "where the other nodes reach this one (the data address)");
    syntax.text("--data-addr", "IP|IFACE", *request.mutable_data_addr(),
                "where VXLAN and ESP go (the source of the route to the manager)");
    syntax.argument("MANAGER[:PORT]", *request.mutable_manager(), "address of a manager (port 7443)");
}

// What showing and rotating a token have in common.
template <typename Value>
void declare_token(Syntax& syntax, Value& value) {
    syntax.flag(
        "-q,--quiet", [&] { value.quiet = true; }, "the token alone");
    syntax.argument("worker|manager", *value.request.mutable_role(), "what the host is to be")
        ->check([](const std::string& role) {
            return role == "worker" || role == "manager" ? std::string() : "'" + role + "': must be worker or manager";
        });
}

void add_lock_commands(CLI::App& group, Command& chosen) {
    add_command<ClusterLock>(
        group, chosen,
        {"lock", "Seal this manager's keys on its disk under a key that is shown now", "warren cluster lock"},
        [](Syntax& syntax, ClusterLock& value) {
            syntax.flag(
                "-q,--quiet", [&] { value.quiet = true; }, "the key alone");
        });
    add_command<ClusterUnlock>(group, chosen,
                               {"unlock", "Let this manager work, after it has started locked",
                                "warren cluster unlock --unlock-key-file /run/credentials/warren"},
                               [](Syntax& syntax, ClusterUnlock& value) {
                                   syntax.text("--unlock-key-file", "FILE", value.key_file,
                                               "with the key (asked for, or read from standard input)");
                                   syntax.flag(
                                       "--permanently", [&] { value.permanently = true; },
                                       "and remove the lock: the keys are on the disk in clear again");
                               });
    CLI::App& kek = add_group(
        group, {"kek", "The key that seals this manager's secrets in its store", "warren cluster kek rotate"});
    add_command<KekRotate>(kek, chosen,
                           {"rotate", "Replace it, and seal every secret anew", "warren cluster kek rotate"},
                           [](Syntax& /*syntax*/, KekRotate& /*value*/) {});
}

}  // namespace

void add_cluster_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"cluster", "Make, join or leave a cluster", "warren cluster init"});
    add_command<ClusterInit>(group, chosen,
                             {"init", "Make a new cluster, with this node as its manager",
                              "warren cluster init --name lab --data-addr eth1"},
                             declare_init);
    add_command<ClusterJoin>(
        group, chosen,
        {"join", "Make this node a part of a cluster", "warren cluster join --token WRN1-... 192.0.2.1:7443"},
        declare_join);
    add_command<ClusterInfo>(group, chosen, {"info", "Show the cluster as this node knows it", "warren cluster info"},
                             [](Syntax& /*syntax*/, ClusterInfo& /*value*/) {});
    add_command<ClusterLeave>(
        group, chosen, {"leave", "Take this node out of its cluster and delete its keys", "warren cluster leave"},
        [](Syntax& syntax, ClusterLeave& value) {
            syntax.flag(
                "--force", [&] { value.request.set_force(true); },
                "with endpoints on it, without a manager that can be reached, or as the last manager");
        });
    add_lock_commands(group, chosen);
}

void add_token_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"token", "Let other hosts join", "warren token show worker"});
    add_command<TokenShow>(
        group, chosen, {"show", "Show the command that makes a host a worker or a manager", "warren token show worker"},
        [](Syntax& syntax, TokenShow& value) { declare_token(syntax, value); });
    add_command<TokenRotate>(group, chosen,
                             {"rotate", "Replace a token at once; nodes that joined with it stay",
                              "warren token rotate worker --expires 1h --uses 3"},
                             [](Syntax& syntax, TokenRotate& value) {
                                 v1::TokenRotateRequest& request = value.request;
                                 syntax.text("--expires", "DURATION", *request.mutable_expires(),
                                             "how long the new one is valid (for ever)");
                                 syntax.number(
                                     "--uses", "N", kMaxUses, [&request](std::uint32_t n) { request.set_uses(n); },
                                     "how many nodes it lets in (any number)");
                                 declare_token(syntax, value);
                             });
}

void add_node_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"node", "See and remove the cluster's nodes", "warren node ls"});
    add_command<NodeList>(group, chosen, {"ls", "List the nodes; * is this one", "warren node ls"},
                          [](Syntax& syntax, NodeList& value) {
                              syntax.flag(
                                  "-q,--quiet", [&] { value.quiet = true; }, "ids alone");
                          });
    add_command<NodeInspect>(
        group, chosen, {"inspect", "Show a node", "warren node inspect host1"}, [](Syntax& syntax, NodeInspect& value) {
            syntax.argument("NODE", *value.request.mutable_node(), "name, id, or the beginning of an id");
        });
    add_command<NodeRemove>(
        group, chosen,
        {"rm", "Remove a node for ever, and wait until all keys that it knew are gone", "warren node rm --force host3"},
        [](Syntax& syntax, NodeRemove& value) {
            syntax.flag(
                "--force", [&] { value.request.set_force(true); }, "with endpoints on it, too");
            syntax.argument("NODE", *value.request.mutable_node(), "name, id, or the beginning of an id");
        });
}

void add_status_command(CLI::App& root, Command& chosen) {
    add_command<Doctor>(root, chosen,
                        {"doctor", "Examine this host and the ways to its peers; exits with 4 if ill", "warren doctor"},
                        [](Syntax& /*syntax*/, Doctor& /*value*/) {});
    add_command<Status>(
        root, chosen, {"status", "Show how this node is doing; exits with 4 when something is wrong", "warren status"},
        [](Syntax& syntax, Status& value) {
            syntax.flag(
                "--sas", [&] { value.request.set_sas(true); }, "each security association, with its counters");
        });
}

}  // namespace warren::cli
