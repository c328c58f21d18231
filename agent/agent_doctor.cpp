#include <algorithm>
#include <iterator>

#include "agent/agent.h"
#include "base/files.h"
#include "doctor/firewall_check.h"
#include "doctor/host_checks.h"
#include "doctor/kernel_config.h"
#include "doctor/path_check.h"
#include "overlay/underlay.h"
#include "proto/wire.h"
#include "xfrm/checks.h"

// What `warren doctor` asks: the agent gathers, the room doctor/ judges.
namespace warren::agent {

namespace {

using doctor::Finding;
using doctor::Verdict;

void append(std::vector<Finding>& all, std::vector<Finding> more) {
    std::ranges::move(more, std::back_inserter(all));
}

Finding of_status(std::string check, const base::Status& status, std::string fine) {
    return status ? Finding{.check = std::move(check), .verdict = Verdict::kOk, .detail = std::move(fine), .remedy = {}}
                  : Finding{.check = std::move(check),
                            .verdict = Verdict::kWrong,
                            .detail = status.error().message(),
                            .remedy = {}};
}

}  // namespace

struct Agent::DoctorRun {
    Respond<v1::DoctorReply> respond;
    Fabric::KeysOfPeers keys_before;
    std::vector<PeerProbes::Path> paths;
    std::map<std::size_t, doctor::PathSight::Peer> told;  // by the peer of paths[i]
    std::size_t open = 1;                                 // questions to peers, and while they are asked
};

void Agent::doctor(const Respond<v1::DoctorReply>& respond) {
    const auto run = std::make_shared<DoctorRun>();
    run->respond = respond;
    run->keys_before = fabric_->peer_keys();
    probes_.probe([this, run](const std::vector<PeerProbes::Path>& paths) {
        run->paths = paths;
        ask_peers(run);
    });
}

// Who has not answered a single frame is asked whether any came.
void Agent::ask_peers(const std::shared_ptr<DoctorRun>& run) {
    const auto done = [this, run] {
        if (--run->open == 0) {
            end_doctor(*run);
        }
    };
    for (std::size_t i = 0; i < run->paths.size(); ++i) {
        const auto& path = run->paths[i];
        if (path.found.answered > 0) {
            continue;
        }
        ++run->open;
        v1::PeerQuestion question;
        question.set_network_id(proto::raw(path.network));
        question.set_run(path.run);
        question.set_probes(true);
        ask_peer(path.peer, question, [run, i, done](const v1::PeerAnswer& answer) {
            run->told[i] = {.error = answer.error(), .probes = answer.probes()};
            done();
        });
    }
    done();
}

void Agent::end_doctor(DoctorRun& run) {
    const bool answered = std::ranges::any_of(run.paths, [](const auto& path) { return path.found.answered > 0; });
    auto findings = examine_host(answered);
    append(findings, examine_paths(run));
    v1::DoctorReply reply;
    for (auto& finding : findings) {
        auto& shown = *reply.add_findings();
        shown.set_check(std::move(finding.check));
        shown.set_verdict(std::string(doctor::name(finding.verdict)));
        shown.set_detail(std::move(finding.detail));
        shown.set_remedy(std::move(finding.remedy));
    }
    run.respond(std::move(reply));
}

std::vector<Finding> Agent::examine_host(bool answered) {
    std::vector<Finding> findings;
    const auto underlay = membership_ ? self().vtep : base::IpAddress{};
    append(findings, doctor::check_kernel(doctor::read_kernel_config(), underlay.family));
    findings.push_back(facts_.esp_problem.empty()
                           ? Finding{.check = "encryption",
                                     .verdict = Verdict::kOk,
                                     .detail = "all ciphers were tried and work",
                                     .remedy = {}}
                           : Finding{.check = "encryption",
                                     .verdict = facts_.ciphers.empty() ? Verdict::kWrong : Verdict::kWarning,
                                     .detail = facts_.esp_problem,
                                     .remedy = "load the modules (modprobe esp4 esp6), or use a kernel that has them"});
    findings.push_back(of_status("second barrier", fabric_->check_firewall(), "nftables can do what it needs"));
    findings.push_back(
        {.check = "segmentation",
         .verdict = facts_.segmentation == HostFacts::Segmentation::kFine ? Verdict::kOk : Verdict::kWarning,
         .detail = facts_.segmentation_note,
         .remedy = {}});
    findings.push_back(of_status("source ports", xfrm::check_unprivileged_ports(),
                                 "512 to 1023 are out of reach of unprivileged programs"));
    findings.push_back(doctor::check_clock({.ahead = clock_ahead_, .synchronised = doctor::clock_synchronised()}));
    if (!membership_) {
        findings.push_back({.check = "cluster",
                            .verdict = awaited_entry_ ? Verdict::kWrong : Verdict::kWarning,
                            .detail = awaited_entry_ ? awaited_entry_->problem : "this host is in none",
                            .remedy = awaited_entry_ ? "" : "warren cluster init, or warren cluster join"});
        return findings;
    }
    findings.push_back(of_status("policies on " + underlay_.device.ifname, xfrm::check_device(underlay_.device.ifname),
                                 "no sysctl switches them off"));
    const auto found = overlay::find_underlay("data address", underlay);
    std::vector<doctor::NeededPort> needed;
    doctor::NeededPorts encrypted;
    for (const auto& [id, state] : networks_) {
        needed.push_back({.port = state.view.port.value, .owner = "network " + state.view.name});
        if (state.view.encrypted) {
            encrypted.decrypted.push_back(state.view.port);
            for (const auto& [number, epoch] : state.view.epochs) {
                encrypted.carriers.insert(epoch.held.parameters.encap);
            }
            for (const auto port : encap_ports(state.view)) {
                needed.push_back({.port = port.value, .owner = "ESP in UDP of network " + state.view.name});
            }
        }
    }
    findings.push_back(doctor::check_underlay({.device = underlay_.device.ifname,
                                               .mtu = found ? std::optional(found->mtu) : std::nullopt,
                                               .address = underlay}));
    append(findings, examine_mtus());
    findings.push_back(doctor::check_local_ports(doctor::read_local_ports(), needed));
    if (!encrypted.decrypted.empty()) {
        append(findings, doctor::check_firewall(fabric_->firewall_rules(), underlay_.device.ifname, underlay.family,
                                                encrypted, answered));
    }
    if (const auto uplink = overlay::default_underlay(); uplink && way_out_.in_use()) {
        append(findings, doctor::check_forwarding(fabric_->firewall_rules(), uplink->ifname, way_out_.publishes_any()));
    }
    append(findings,
           doctor::check_legacy_tables(base::read_file("/proc/thread-self/net/ip_tables_names").value_or("")));
    findings.push_back(of_status("manager " + membership_->config.managers(0),
                                 welcomed_ ? base::Status{}
                                           : base::fail(base::Code::kUnavailable, "no session{}{}",
                                                        session_error_.empty() ? "" : ": ", session_error_),
                                 "has a session with this node"));
    for (const auto& problem : problems()) {
        findings.push_back({.check = "status", .verdict = Verdict::kWrong, .detail = problem, .remedy = {}});
    }
    for (const auto& error : error_counters()) {
        const auto lately = recent_errors_.lately(error);
        if (lately > 0) {
            findings.push_back({.check = "counter " + error.name,
                                .verdict = error.remedy.empty() ? Verdict::kOk : Verdict::kWarning,
                                .detail = fmt::format("{} in the last minute: {}", lately, error.meaning),
                                .remedy = std::string(error.remedy)});
        }
    }
    return findings;
}

std::vector<Finding> Agent::examine_paths(DoctorRun& run) {
    std::vector<Finding> findings;
    auto keys = fabric_->peer_keys();
    for (std::size_t i = 0; i < run.paths.size(); ++i) {
        const auto& path = run.paths[i];
        const auto network = networks_.find(path.network);
        if (network == networks_.end()) {
            continue;  // left meanwhile
        }
        const auto& view = network->second.view;
        const auto peer = view.members.find(path.peer);
        if (peer == view.members.end()) {
            continue;
        }
        const auto& known = keys[view.index][peer->second.vtep];
        const auto before = run.keys_before[view.index][peer->second.vtep].decrypted;
        const auto told = run.told.find(i);
        append(findings,
               doctor::check_path({.network = view.name,
                                   .peer = fmt::format("{}", peer->second.vtep),
                                   .vtep = peer->second.vtep,
                                   .mtu = view.mtu,
                                   .encap = active_encap(view),
                                   .found = path.found,
                                   .keys_out = known.out,
                                   .keys_in = known.in,
                                   .decrypted = known.decrypted > before ? known.decrypted - before : 0,
                                   .told = told == run.told.end() ? std::nullopt : std::optional(told->second)}));
    }
    return findings;
}

}  // namespace warren::agent
