#include <fmt/format.h>

#include "cli/parts.h"
#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

Tone node_tone(const v1::Node& node) {
    return node.state() == "ready" ? Tone::kGood : Tone::kBad;
}

// How long it is valid still.
Cell certificate_cell(const v1::Node& node, const View& view) {
    const base::Duration left = base::Time(base::Duration(node.certificate_expires_unix_ms())) - view.now;
    if (node.certificate_expires_unix_ms() == 0) {
        return {""};
    }
    return left > base::Duration::zero() ? Cell(base::format_age(left)) : Cell("expired", Tone::kBad);
}

}  // namespace

std::string render_initialised(const v1::ClusterInfoReply& reply, std::string_view join_command) {
    return printable(fmt::format("Cluster {} is there; this node, {}, is its manager at {}.", reply.cluster_name(),
                                 reply.node_name(), joined(reply.managers()))) +
           "\n\nTo add a worker, run on its host:\n\n    " +
           printable(join_command.empty() ? "(the command that 'warren token show worker' prints)" : join_command) +
           "\n\nTo make an encrypted network:\n\n    warren network create --opt encrypted net1\n";
}

std::string render_joined(const v1::ClusterInfoReply& reply) {
    return printable(fmt::format("This node, {}, is now a {} of cluster {}; data address {}.", reply.node_name(),
                                 reply.role(), reply.cluster_name(), reply.data_address())) +
           "\n";
}

std::string render_left(const v1::ClusterLeaveReply& reply) {
    std::string text = fmt::format("This node, {}, has left cluster {}; its keys and certificate are deleted.",
                                   reply.node_name(), reply.cluster_name());
    text = printable(text) + "\n";
    for (const std::string& remaining : reply.remaining()) {
        text += "To be done: " + printable(remaining) + "\n";
    }
    return text;
}

std::string render_unlock_key(const v1::ClusterLockReply& offer) {
    return "After each start this manager waits for its key. It is not on the disk, and it is shown only now:\n\n    " +
           printable(offer.unlock_key()) +
           "\n\nKeep it where you keep such things: without it the cluster can't be managed any more. To unlock:\n\n"
           "    warren cluster unlock\n\n";
}

std::string render_locked() {
    return "Locked: from now on the keys of this manager are on its disk only sealed. It goes on working until it "
           "stops.\n";
}

std::string render_unlocked(const v1::ClusterUnlockReply& reply, bool permanently) {
    if (permanently) {
        return "The lock is removed: the keys of this manager are on its disk in clear.\n";
    }
    return reply.was_locked() ? "Unlocked: this manager is at work.\n"
                              : "This is the key; the manager was unlocked already.\n";
}

std::string render_kek_rotated(const v1::KekRotateReply& reply) {
    return fmt::format("A new key-encryption key is in use: {} sealed anew, the old key is deleted.\n",
                       count_of(reply.records(), "secret is", "secrets are"));
}

std::string render_cluster(const v1::ClusterInfoReply& reply, const View& view) {
    Block block;
    block.line("Cluster", reply.cluster_name());
    block.line("Cluster ID", reply.cluster_id());
    block.line("Node", reply.node_name());
    block.line("Node ID", reply.node_id());
    block.line("Role", reply.role());
    block.line("Managers", joined(reply.managers()));
    block.line("Data address", reply.data_address());
    block.line("Advertised", reply.advertise_address());
    block.line("Root CA", "sha256 " + reply.root_fingerprint());
    block.line("Root expires", expiry(reply.root_expires_unix_ms(), view));
    add_certificate(block, reply.certificate_expires_unix_ms(), view);
    return block.text(view);
}

// A token without limits needs no words about them.
std::string render_token(const v1::TokenShowReply& reply, bool quiet, const View& view) {
    if (quiet) {
        return printable(reply.token()) + "\n";
    }
    std::string text = fmt::format("To add a {} to this cluster, run on its host:\n\n    {}\n", printable(reply.role()),
                                   printable(reply.join_command()));
    if (reply.expires_unix_ms() != 0) {
        text += "\nExpires: " + expiry(reply.expires_unix_ms(), view) + "\n";
    }
    if (reply.uses() != 0) {
        text += fmt::format("{}Uses left: {} of {}\n", reply.expires_unix_ms() == 0 ? "\n" : "", reply.uses_left(),
                            reply.uses());
    }
    return text;
}

std::string render_nodes(const v1::NodeListReply& reply, bool quiet, const View& view) {
    if (quiet) {
        std::string ids;
        for (const v1::Node& node : reply.nodes()) {
            ids += node.id() + "\n";
        }
        return ids;
    }
    Table table({"ID", "NAME", "ROLE", "STATE", "DATA ADDRESS", "ENCRYPTION", "NETWORKS", "ENDPOINTS", "CERTIFICATE",
                 "LAST SEEN"});
    for (const v1::Node& node : reply.nodes()) {
        table.row({short_id(node.id()) + (node.self() ? " *" : ""), node.name(), node.role(),
                   Cell(node.state(), node_tone(node)), node.data_address(),
                   node.esp_problem().empty() ? Cell("yes") : Cell("no", Tone::kCaution), node.networks_size(),
                   node.endpoints(), certificate_cell(node, view), age(node.last_seen_unix_ms(), view)});
    }
    return table.text(view);
}

std::string purge_line(const v1::KeyPurge& purge) {
    return printable(fmt::format("{}: keys before epoch {} are deleted on {} of {}{}{}", purge.network(), purge.epoch(),
                                 purge.confirmed(), count_of(purge.members(), "member", "members"),
                                 purge.unconfirmed().empty() ? "" : ", not yet on ", joined(purge.unconfirmed())));
}

std::string render_node(const v1::Node& node, const View& view) {
    Block block;
    block.line("ID", node.id());
    block.line("Name", node.name() + (node.self() ? " (this node)" : ""));
    block.line("Role", node.role());
    block.line("State", Cell(node.state(), node_tone(node)));
    block.line("Last seen", moment(node.last_seen_unix_ms(), view));
    block.line("Joined", moment(node.joined_unix_ms(), view));
    block.line("Data address", node.data_address());
    block.line("Advertised", node.advertise_address());
    block.line("Underlay MTU", node.underlay_mtu());
    add_ciphers(block, "Ciphers", node.ciphers(), node.esp_problem());
    block.line("Index", node.index());
    block.line("Version", node.version());
    add_certificate(block, node.certificate_expires_unix_ms(), view);
    block.line("Networks", joined(node.networks()));
    block.line("Endpoints", node.endpoints());
    return block.text(view);
}

}  // namespace warren::cli
