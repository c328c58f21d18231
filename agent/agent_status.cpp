#include <algorithm>
#include <iterator>

#include "agent/agent.h"
#include "keymgr/shown.h"
#include "proto/wire.h"

namespace warren::agent {

namespace {

using proto::unix_ms;

void show_sa(const xfrm::SaStatus& status, const NetworkView& view, v1::SaStatus& shown) {
    const auto& sa = status.sa;
    const bool out = status.direction == xfrm::Direction::kOut;
    shown.set_direction(status.direction ? std::string(name(*status.direction)) : "unknown");
    shown.set_peer((out ? sa.location.destination : sa.location.source).text());
    shown.set_spi(sa.location.spi.value);
    shown.set_cipher(sa.aead);
    if (status.identity) {
        shown.set_epoch(status.identity->epoch.value);
        if (const auto epoch = view.epochs.find(status.identity->epoch); epoch != view.epochs.end()) {
            shown.set_cipher(std::string(keymgr::name(epoch->second.held.parameters.cipher)));
        }
    }
    shown.set_encap(keymgr::encap_text(sa.encap));
    const auto& counters = sa.counters;
    shown.set_packets(counters.packets);
    shown.set_bytes(counters.bytes);
    shown.set_sequence(out ? counters.sequence_out : counters.sequence_in);
    const auto limits = limits_of(view);
    shown.set_limit_used_percent(keymgr::limit_used_percent({.packets = counters.packets, .bytes = counters.bytes},
                                                            {.packets = limits.packets, .bytes = limits.bytes}));
    shown.set_replayed(counters.replayed);
    shown.set_outside_window(counters.outside_window);
    shown.set_integrity_failed(counters.integrity_failed);
}

}  // namespace

std::vector<ErrorCounter> Agent::error_counters() {
    std::vector<ErrorCounter> errors;
    if (const auto drops = fabric_->drops()) {
        errors = barrier_errors(*drops);
    }
    if (repaired_ > 0) {
        errors.push_back(
            {.name = "repaired",
             .value = repaired_,
             .meaning = "times that another program changed what is Warren's in the kernel, and it was put right",
             .remedy = "see what it was: warren events, on a manager"});
    }
    std::ranges::move(read_xfrm_errors(), std::back_inserter(errors));
    return errors;
}

void Agent::status(const v1::StatusRequest& request, v1::StatusReply& reply) {
    reply.set_version(options_.version);
    reply.set_started_unix_ms(unix_ms(started_));
    for (const auto cipher : facts_.ciphers) {
        reply.add_ciphers(std::string(keymgr::name(cipher)));
    }
    reply.set_esp_problem(facts_.esp_problem);
    reply.set_segmentation(facts_.segmentation_note);
    if (awaited_entry_) {
        *reply.mutable_cluster() = awaited_entry_->cluster;
        reply.set_manager(awaited_entry_->cluster.managers(0));
        reply.add_problems(awaited_entry_->problem);
        reply.set_state("degraded");
        return;
    }
    if (!membership_) {
        reply.set_state("no-cluster");
        return;
    }
    *reply.mutable_cluster() = info().value_or(v1::ClusterInfoReply());
    reply.set_manager(membership_->config.managers(0));
    reply.set_manager_connected(welcomed_);
    reply.set_manager_since_unix_ms(unix_ms(session_since_));
    reply.set_underlay_device(underlay_.device.ifname);
    reply.set_underlay_mtu(underlay_.device.mtu.value);
    const auto traffic = fabric_->traffic();
    for (const auto& [id, state] : networks_) {
        const auto& view = state.view;
        auto& network = *reply.add_networks();
        network.set_id(id.text());
        network.set_name(view.name);
        network.set_encrypted(view.encrypted);
        network.set_udp_port(view.port.value);
        network.set_mtu(view.mtu.value);
        const auto local = static_cast<std::uint32_t>(view.attachments.size());
        network.set_local_endpoints(local);
        network.set_remote_endpoints(static_cast<std::uint32_t>(view.endpoints.size()) - local);
        network.set_peers(static_cast<std::uint32_t>(view.members.size()) - 1);
        network.set_active_epoch(view.active.value);
        network.set_revision(view.revision.value);
        network.set_applied_revision(state.applied_revision.value);
        for (const auto& problem : all_problems(state.applied)) {
            network.add_problems(problem);
        }
        if (const auto keys = traffic.find(view.index); view.encrypted && keys != traffic.end()) {
            network.set_sas(static_cast<std::uint32_t>(keys->second.sas));
            network.set_esp_out_packets(keys->second.packets_out);
            network.set_esp_in_packets(keys->second.packets_in);
        }
        if (view.encrypted && request.sas()) {
            for (const auto& sa : fabric_->sas(view.index)) {
                show_sa(sa, view, *network.add_sa_list());
            }
        }
    }
    for (const auto& error : error_counters()) {
        auto& counter = *reply.add_counters();
        counter.set_name(error.name);
        counter.set_value(error.value);
        counter.set_meaning(std::string(error.meaning));
        counter.set_remedy(std::string(error.remedy));
        counter.set_lately(recent_errors_.lately(error));
    }
    for (auto& problem : problems()) {
        reply.add_problems(std::move(problem));
    }
    reply.set_state(reply.problems().empty() ? "ok" : "degraded");
}

}  // namespace warren::agent
