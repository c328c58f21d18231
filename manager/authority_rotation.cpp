#include "manager/authority_rotation.h"

#include <algorithm>
#include <utility>

#include "base/fault_point.h"
#include "base/log.h"
#include "base/text.h"
#include "certs/authority.h"
#include "certs/external_authority.h"
#include "certs/roots.h"
#include "manager/events.h"
#include "manager/records.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"manager"};
// A node that has a session has asked for a certificate several times by then.
constexpr base::Duration kLeastForConnected = std::chrono::minutes(1);

std::string raw_hash(const certs::Roots& roots) {
    const auto hash = roots.hash();
    return {hash.begin(), hash.end()};
}

std::string key_id(const std::string& certificate_pem) {
    const auto parsed = certs::Roots::parse("CA certificate", certificate_pem);
    return parsed ? parsed->certificates().front().key_id : "";
}

// The next CA: the operator's, or a new one, whose name tells it from those before.
base::Result<certs::ExternalAuthority> next_authority(const v1::ClusterRecord& record, const std::string& external_pem,
                                                      base::Time now) {
    if (!external_pem.empty()) {
        return certs::parse_external_authority("--external-root", external_pem, now);
    }
    constexpr std::size_t kRoomForNumber = 48;
    const auto name = fmt::format("{}-{}", record.name().substr(0, kRoomForNumber), record.ca_generation() + 1);
    WARREN_TRY_ASSIGN(auto made, certs::Authority::make(id_of<base::ClusterId>(record.id()), name, now));
    WARREN_TRY_ASSIGN(const auto der, made.key().der());
    WARREN_TRY_ASSIGN(auto key, certs::PrivateKey::from_der("the new CA's key", der.reveal()));
    return certs::ExternalAuthority{
        .certificate_pem = made.root_pem(), .roots_pem = made.root_pem(), .key = std::move(key)};
}

// The record with the next CA issuing and both trusted.
base::Result<v1::ClusterRecord> begin(const v1::ClusterRecord& before, const certs::ExternalAuthority& next,
                                      const Vault& vault, base::Time now) {
    const auto id = id_of<base::ClusterId>(before.id());
    WARREN_TRY_ASSIGN(auto key, vault.open_authority(id, before.sealed_ca_key()));
    WARREN_TRY_ASSIGN(const auto old, certs::Authority::load(before.ca_certificate_pem(), std::move(key)));
    if (key_id(next.certificate_pem) == issuing_key(before)) {
        return fail(Code::kInvalid, "--external-root: its key is the one that the present CA has");
    }
    v1::ClusterRecord record = before;
    WARREN_TRY_ASSIGN(*record.mutable_chain_pem(), old.cross_sign(next.certificate_pem, now));
    WARREN_TRY_ASSIGN(*record.mutable_sealed_ca_key(), vault.seal_authority(id, next.key));
    record.set_ca_certificate_pem(next.certificate_pem);
    record.set_ca_roots_pem(next.roots_pem);
    record.set_roots_pem(before.ca_roots_pem() + next.roots_pem);
    record.set_ca_generation(before.ca_generation() + 1);
    record.mutable_ca_rotation()->set_started(unix_ms(now));
    record.mutable_ca_rotation()->set_from(issuing_key(before));
    WARREN_TRY(certs::Roots::parse("--external-root", record.roots_pem()));
    return record;
}

store::Transaction put(const Cluster& state, const v1::ClusterRecord& record) {
    store::Transaction change;
    const std::string key(key::kCluster);
    change.compares.emplace_back(store::ModifiedAt{key, state.cluster().revision});
    change.puts.push_back({.key = key, .value = record.SerializeAsString()});
    return change;
}

base::Duration away_limit(const v1::ClusterRecord& record) {
    return base::Duration(record.settings().readmission_limit_ms());
}

// The record without the CA that all have left. What nobody can come back with any more goes, too.
v1::ClusterRecord end(const v1::ClusterRecord& before, base::Time now) {
    v1::ClusterRecord record = before;
    record.clear_ca_rotation();
    record.set_roots_pem(before.ca_roots_pem());
    auto& former = *record.mutable_former_roots();
    auto& last = *former.Add();
    last.set_pem(before.roots_pem().substr(0, before.roots_pem().size() - before.ca_roots_pem().size()));
    last.set_dropped(unix_ms(now));
    constexpr int kFormerKept = 2;
    while (former.size() > kFormerKept ||
           (!former.empty() && time_of(former[0].dropped()) + away_limit(before) < now)) {
        former.DeleteSubrange(0, 1);
    }
    return record;
}

void add_roots(v1::CaShowReply& reply, const std::string& pem, const std::string& state, std::int64_t dropped = 0) {
    const auto roots = certs::Roots::parse("roots", pem);
    if (!roots) {
        return;
    }
    for (const auto& root : roots->certificates()) {
        auto& shown = *reply.add_roots();
        shown.set_name(root.name);
        shown.set_fingerprint(base::to_hex(root.fingerprint));
        shown.set_key_id(root.key_id);
        shown.set_not_before_unix_ms(unix_ms(root.not_before));
        shown.set_not_after_unix_ms(unix_ms(root.not_after));
        shown.set_state(state);
        shown.set_dropped_unix_ms(dropped);
    }
}

}  // namespace

AuthorityState state_of_authority(const v1::ClusterRecord& cluster, const std::string& key_id) {
    if (key_id == issuing_key(cluster)) {
        return AuthorityState::kIssuing;
    }
    return cluster.has_ca_rotation() && key_id == cluster.ca_rotation().from() ? AuthorityState::kTrusted
                                                                               : AuthorityState::kDropped;
}

std::string_view name(AuthorityState state) {
    switch (state) {
        case AuthorityState::kIssuing:
            return "issuing";
        case AuthorityState::kTrusted:
            return "trusted";
        case AuthorityState::kDropped:
            return "dropped";
    }
    return "dropped";
}

std::string issuing_key(const v1::ClusterRecord& cluster) {
    return key_id(cluster.ca_certificate_pem());
}

v1::Trust trust_of(const v1::ClusterRecord& cluster) {
    v1::Trust trust;
    trust.set_roots_pem(cluster.roots_pem());
    trust.set_issuer(issuing_key(cluster));
    return trust;
}

std::string roots_for_return(const v1::ClusterRecord& cluster, base::Time now) {
    std::string pem = cluster.roots_pem();
    for (const auto& former : cluster.former_roots()) {
        if (time_of(former.dropped()) + away_limit(cluster) >= now) {
            pem.insert(0, former.pem());
        }
    }
    return pem;
}

Standing standing(const Cluster& cluster, const std::function<Presence(const base::NodeId&)>& presence,
                  base::Time now) {
    const auto& record = cluster.cluster().record;
    const auto issuer = issuing_key(record);
    const auto roots = certs::Roots::parse("roots", record.roots_pem());
    const auto hash = roots ? raw_hash(*roots) : "";
    const bool moving = record.has_ca_rotation();
    const auto lasted = now - time_of(record.ca_rotation().started());
    const base::Duration away(record.settings().straggler_limit_ms());
    const base::Duration connected = away + std::max<base::Duration>(away, kLeastForConnected);
    Standing standing{.nodes = cluster.nodes().size(), .moved = 0, .waiting = {}, .left = {}};
    const auto is_waited_for = [&](Presence presence_of_node) {
        switch (presence_of_node) {
            case Presence::kAway:
                return moving && lasted < away;
            case Presence::kConnected:
                return !moving || lasted < connected;
            case Presence::kOwn:
                return true;
        }
        return true;
    };
    for (const auto& [id, node] : cluster.nodes()) {
        if (node.record.certificate_issuer() == issuer && node.record.roots_hash() == hash) {
            ++standing.moved;
        } else if (is_waited_for(presence(id))) {
            standing.waiting.push_back(id);
        } else {
            standing.left.push_back(id);
        }
    }
    return standing;
}

AuthorityRotation::AuthorityRotation(Ledger& ledger, SessionHub& hub, const Vault& vault, base::NodeId self)
    : ledger_(&ledger), hub_(&hub), vault_(&vault), self_(self), trust_(trust_of(ledger.cluster().cluster().record)) {}

// The node that this manager runs on is never left behind: who would readmit it?
Presence AuthorityRotation::presence(const base::NodeId& node) const {
    return node == self_ ? Presence::kOwn : hub_->reachable(node) ? Presence::kConnected : Presence::kAway;
}

Standing AuthorityRotation::standing_now(const Cluster& state, base::Time now) const {
    return standing(
        state, [this](const base::NodeId& node) { return presence(node); }, now);
}

base::Result<v1::CaShowReply> AuthorityRotation::rotate(const v1::CaRotateRequest& request, base::Time now) {
    const auto& record = cluster().cluster().record;
    if (record.has_ca_rotation()) {
        if (!request.external_pem().empty()) {
            return fail(Code::kConflict,
                        "--external-root: a rotation is under way since {}; when it is done, see warren "
                        "ca show, give it again",
                        base::format_utc(time_of(record.ca_rotation().started())));
        }
        return show(now);
    }
    WARREN_TRY_ASSIGN(const auto next, next_authority(record, request.external_pem(), now));
    WARREN_TRY(ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
        if (state.cluster().record.has_ca_rotation()) {
            return fail(Code::kConflict, "another rotation of the CA has just begun: see warren ca show");
        }
        WARREN_TRY_ASSIGN(const auto begun, begin(state.cluster().record, next, *vault_, now));
        auto change = put(state, begun);
        manager::tell(state, change,
                      {.kind = EventKind::kCaRotating,
                       .text = fmt::format("the cluster moves to the CA with key id {}", key_id(next.certificate_pem))},
                      now);
        return change;
    }));
    base::fault_point(base::FaultPoint::kCaBegun);
    kLog.info("the cluster moves to another CA, key id {}", key_id(next.certificate_pem));
    moved_ = 0;
    run(now);
    return show(now);
}

void AuthorityRotation::tell() {
    const auto& stored = cluster().cluster();
    if (told_ == stored.revision) {
        return;
    }
    told_ = stored.revision;
    auto trust = trust_of(stored.record);
    if (trust.SerializeAsString() == trust_.SerializeAsString()) {
        return;
    }
    trust_ = std::move(trust);
    v1::FromManager message;
    *message.mutable_trust() = trust_;
    hub_->tell_all(message);
    base::fault_point(base::FaultPoint::kCaTold);
}

void AuthorityRotation::run(base::Time now) {
    tell();
    if (!cluster().cluster().record.has_ca_rotation()) {
        return;
    }
    const auto where = standing_now(cluster(), now);
    if (where.moved > moved_) {
        moved_ = where.moved;
        base::fault_point(base::FaultPoint::kCaNodeMoved);
    }
    if (where.waiting.empty()) {
        finish(now);
    }
}

void AuthorityRotation::finish(base::Time now) {
    const auto left = standing_now(cluster(), now).left.size();
    const auto done = ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
        const auto& record = state.cluster().record;
        if (!record.has_ca_rotation() || !standing_now(state, now).waiting.empty()) {
            return store::Transaction{};
        }
        auto change = put(state, end(record, now));
        manager::tell(
            state, change,
            {.kind = EventKind::kCaRotated,
             .text = fmt::format("the old root is dropped; {} of {} nodes have not moved", left, state.nodes().size())},
            now);
        return change;
    });
    if (!done) {
        kLog.error("the old CA can't be dropped: {}", done.error().message());
        return;
    }
    base::fault_point(base::FaultPoint::kCaDropped);
    kLog.info(
        "nodes have moved to the CA with key id {}, but for {} that were waited for long enough: the old one is "
        "dropped",
        issuing_key(cluster().cluster().record), left);
    tell();
}

v1::CaShowReply AuthorityRotation::show(base::Time now) const {
    const auto& record = cluster().cluster().record;
    const bool moving = record.has_ca_rotation();
    v1::CaShowReply reply;
    reply.set_phase(moving ? "moving" : "idle");
    add_roots(reply, record.ca_roots_pem(), "issuing");
    if (moving) {
        reply.set_started_unix_ms(record.ca_rotation().started());
        add_roots(reply, record.roots_pem().substr(0, record.roots_pem().size() - record.ca_roots_pem().size()),
                  "trusted");
    }
    for (const auto& former : record.former_roots()) {
        add_roots(reply, former.pem(), "dropped", former.dropped());
    }
    const auto where = standing_now(cluster(), now);
    reply.set_nodes(static_cast<std::uint32_t>(where.nodes));
    reply.set_moved(static_cast<std::uint32_t>(where.moved));
    const auto add = [this](const std::vector<base::NodeId>& nodes, auto& shown) {
        for (const auto& id : nodes) {
            auto& node = *shown.Add();
            node.set_node(cluster().node_name(id));
            node.set_state(hub_->reachable(id) ? "ready" : "unreachable");
            node.set_last_seen_unix_ms(unix_ms(hub_->last_seen(id)));
        }
    };
    add(where.waiting, *reply.mutable_waiting());
    add(where.left, *reply.mutable_left());
    return reply;
}

}  // namespace warren::manager
