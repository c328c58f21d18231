#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/parts.h"
#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

// A daemon's fault comes first; what only concerns one network says which.
std::vector<std::string> problems_of(const v1::StatusReply& reply) {
    std::vector<std::string> problems(reply.problems().begin(), reply.problems().end());
    for (const v1::NetworkStatus& network : reply.networks()) {
        for (const std::string& problem : network.problems()) {
            // The daemon may have named it among its own already.
            const bool known = std::any_of(problems.begin(), problems.end(), [&](const std::string& other) {
                return other.find(problem) != std::string::npos;
            });
            if (!known) {
                problems.push_back(network.name() + ": " + problem);
            }
        }
    }
    return problems;
}

Cell manager_cell(const v1::StatusReply& reply, const View& view) {
    if (reply.manager_connected()) {
        return {fmt::format("{}, connected for {}", reply.manager(), age(reply.manager_since_unix_ms(), view)),
                Tone::kGood};
    }
    const std::string since = age(reply.manager_since_unix_ms(), view);
    return {fmt::format("{}, not connected{}", reply.manager().empty() ? "none" : reply.manager(),
                        since.empty() ? "" : " for " + since),
            Tone::kBad};
}

Cell underlay_cell(const v1::StatusReply& reply) {
    const std::string& address = reply.cluster().data_address();
    if (reply.underlay_device().empty()) {
        return {fmt::format("no interface with address {}", address), Tone::kBad};
    }
    return fmt::format("{}, address {}, MTU {}", reply.underlay_device(), address, reply.underlay_mtu());
}

std::string node_block(const v1::StatusReply& reply, const View& view) {
    const v1::ClusterInfoReply& cluster = reply.cluster();
    const bool member = reply.state() != "no-cluster";
    Block block;
    if (member) {
        block.line("Node",
                   fmt::format("{} ({}), {}", cluster.node_name(), short_id(cluster.node_id()), cluster.role()));
        block.line("Cluster", fmt::format("{} ({})", cluster.cluster_name(), short_id(cluster.cluster_id())));
    } else {
        block.line("Cluster", "none");
    }
    block.line("Daemon", fmt::format("warrend {}, up {}", reply.version(), age(reply.started_unix_ms(), view)));
    if (member) {
        block.line("Manager", manager_cell(reply, view));
        add_certificate(block, cluster.certificate_expires_unix_ms(), view);
        block.line("Underlay", underlay_cell(reply));
    }
    if (!reply.lock().empty() && reply.lock() != "off") {
        block.line("Lock", reply.lock() == "locked" ? Cell("locked", Tone::kBad)
                                                    : Cell("unlocked; the disk has this manager's keys only sealed"));
    }
    add_ciphers(block, "Encryption", reply.ciphers(), reply.esp_problem());
    block.line("Segmentation", reply.segmentation());
    return block.text(view);
}

Cell network_state(const v1::NetworkStatus& network) {
    if (network.problems_size() > 0) {
        return {count_of(static_cast<std::size_t>(network.problems_size()), "problem", "problems"), Tone::kBad};
    }
    if (network.applied_revision() < network.revision()) {
        return {fmt::format("applying {} (has {})", network.revision(), network.applied_revision()), Tone::kCaution};
    }
    return {"ok", Tone::kGood};
}

std::string networks_table(const v1::StatusReply& reply, const View& view) {
    Table table({"NETWORK", "ENCRYPTED", "PORT", "MTU", "LOCAL", "REMOTE", "PEERS", "EPOCH", "SAS", "ESP OUT", "ESP IN",
                 "STATE"});
    for (const v1::NetworkStatus& network : reply.networks()) {
        // What a plain network does not have is "-", not 0.
        const auto encrypted = [&](std::uint64_t value) { return network.encrypted() ? Cell(value) : Cell(""); };
        table.row({network.name(), network.encrypted() ? "yes" : "no", network.udp_port(), network.mtu(),
                   network.local_endpoints(), network.remote_endpoints(), network.peers(),
                   encrypted(network.active_epoch()), encrypted(network.sas()), encrypted(network.esp_out_packets()),
                   encrypted(network.esp_in_packets()), network_state(network)});
    }
    return table.text(view);
}

// Hexadecimal as `ip xfrm state` has it.
std::string sas_text(const v1::StatusReply& reply, const View& view) {
    Table table({"NETWORK", "PEER", "DIRECTION", "EPOCH", "SPI", "CIPHER", "ENCAP", "PACKETS", "BYTES", "SEQUENCE",
                 "LIMIT USED", "REPLAYED", "LATE", "FORGED"});
    const auto errors = [](std::uint64_t count) {
        return Cell(std::to_string(count), count > 0 ? Tone::kCaution : Tone::kPlain);
    };
    for (const v1::NetworkStatus& network : reply.networks()) {
        for (const v1::SaStatus& sa : network.sa_list()) {
            table.row({network.name(), sa.peer(), sa.direction(), sa.epoch() == 0 ? Cell("") : Cell(sa.epoch()),
                       fmt::format("{:#x}", sa.spi()), sa.cipher(), sa.encap(), sa.packets(), sa.bytes(), sa.sequence(),
                       limit_used(sa.limit_used_percent()), errors(sa.replayed()), errors(sa.outside_window()),
                       errors(sa.integrity_failed())});
        }
    }
    return table.empty() ? "" : "\n" + table.text(view);
}

std::string counters_text(const v1::StatusReply& reply, const View& view) {
    Table table({"COUNTER", "PACKETS", "LAST MINUTE", "MEANING"});
    std::string remedies;
    for (const v1::Counter& counter : reply.counters()) {
        const Tone tone = counter.lately() > 0 ? Tone::kCaution : Tone::kPlain;
        table.row({counter.name(), counter.value(), Cell(std::to_string(counter.lately()), tone), counter.meaning()});
        if (counter.lately() > 0 && !counter.remedy().empty()) {
            remedies += fmt::format("  * {}: {}\n", printable(counter.name()), printable(counter.remedy()));
        }
    }
    if (table.empty()) {
        return "";
    }
    return "\n" + table.text(view) + (remedies.empty() ? "" : "\nTo do about what goes on:\n" + remedies);
}

std::string verdict(const v1::StatusReply& reply, std::size_t problems, const View& view) {
    if (reply.state() == "no-cluster") {
        return paint("Not in a cluster", Tone::kCaution, view.colour) +
               ": make one with 'warren cluster init', or join one with the command that 'warren token show worker' "
               "prints on a manager.\n";
    }
    if (reply.state() == "ok") {
        return paint("OK", Tone::kGood, view.colour) +
               fmt::format(": everything works, {} here.\n",
                           count_of(static_cast<std::size_t>(reply.networks_size()), "network", "networks"));
    }
    return paint("Degraded", Tone::kBad, view.colour) +
           fmt::format(": {}, see above.\n", count_of(problems, "problem", "problems"));
}

}  // namespace

std::string render_status(const v1::StatusReply& reply, const View& view) {
    std::string out = node_block(reply, view);
    if (reply.state() != "no-cluster") {
        out += "\n" + networks_table(reply, view) + sas_text(reply, view) + counters_text(reply, view);
    }
    const std::vector<std::string> problems = problems_of(reply);
    if (!problems.empty()) {
        out += "\nProblems:\n";
        for (const std::string& problem : problems) {
            out += "  * " + printable(problem) + "\n";
        }
    }
    return out + "\n" + verdict(reply, problems.size(), view);
}

}  // namespace warren::cli
