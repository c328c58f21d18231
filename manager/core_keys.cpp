#include <algorithm>

#include "manager/changes.h"
#include "manager/core.h"
#include "manager/present.h"

// What manager::Core knows and does about the keys of encrypted networks, for the control service.
namespace warren::manager {

using base::Code;
using base::fail;

base::Result<v1::KeyListReply> Core::key_list(const v1::KeyListRequest& /*request*/) {
    v1::KeyListReply reply;
    for (const auto& [id, network] : cluster().networks()) {
        for (auto& epoch : present_epochs(cluster(), network)) {
            *reply.add_epochs() = std::move(epoch);
        }
    }
    std::sort(reply.mutable_epochs()->begin(), reply.mutable_epochs()->end(), [](const auto& a, const auto& b) {
        return std::pair(a.network(), a.epoch()) < std::pair(b.network(), b.epoch());
    });
    return reply;
}

base::Result<base::NetworkId> Core::find_encrypted(const std::string& reference) const {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_network(reference));
    if (!cluster().network(id)->record().encrypted()) {
        return fail(Code::kInvalid, "network '{}' is not encrypted: it has no keys", reference);
    }
    return id;
}

base::Result<v1::KeyStatusReply> Core::key_status(const v1::KeyStatusRequest& request) {
    std::optional<base::NetworkId> only;
    if (!request.network().empty()) {
        WARREN_TRY_ASSIGN(only, find_encrypted(request.network()));
    }
    v1::KeyStatusReply reply;
    for (const auto& [id, network] : cluster().networks()) {
        if (network.record().encrypted() && (!only || *only == id)) {
            *reply.add_networks() = present_keys({.cluster = cluster(), .hub = hub_, .traffic = rotations_.traffic()},
                                                 network, rotations_.settings(network), options_.now());
        }
    }
    std::sort(reply.mutable_networks()->begin(), reply.mutable_networks()->end(),
              [](const auto& a, const auto& b) { return a.network() < b.network(); });
    return reply;
}

base::Result<RotationWatchId> Core::key_rotate(const v1::KeyRotateRequest& request, Report report) {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_network(request.network()));
    const auto now = look_at_clock();
    WARREN_TRY_ASSIGN(const auto target,
                      rotations_.request(id, {.reason = keymgr::Reason::kCommand, .by = caller_}, now));
    return rotations_.watch(id, target, std::move(report), now);
}

base::Result<v1::KeyAbortReply> Core::key_abort(const v1::KeyAbortRequest& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_network(request.network()));
    WARREN_TRY_ASSIGN(const auto aborted, rotations_.abort(id, caller_, look_at_clock()));
    v1::KeyAbortReply reply;
    reply.set_network(cluster().network(id)->record().name());
    reply.set_epoch(aborted.epoch.value_or(base::Epoch{}).value);
    if (aborted.due) {
        for (const auto reason : aborted.due->reasons) {
            reply.add_still_due(std::string(keymgr::name(reason)));
        }
        reply.set_due_unix_ms(unix_ms(aborted.due->not_before));
    }
    return reply;
}

base::Result<v1::KeyHistoryReply> Core::key_history(const v1::KeyHistoryRequest& request) {
    WARREN_TRY_ASSIGN(const auto id, find_encrypted(request.network()));
    return rotations_.history(id, *cluster().network(id));
}

base::Result<v1::Network> Core::network_update(const v1::NetworkUpdateRequest& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster().find_network(request.network()));
    const std::vector<std::string> options(request.options().begin(), request.options().end());
    const auto now = options_.now();
    WARREN_TRY(ledger_->commit([&](const Cluster& state) { return update_network(state, id, options, caller_, now); }));
    rotations_.mark(id);
    return present_network_whole(cluster(), hub_, *cluster().network(id), now);
}

}  // namespace warren::manager
