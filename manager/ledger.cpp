#include "manager/ledger.h"

#include <map>
#include <string_view>
#include <utility>

namespace warren::manager {

namespace {

constexpr int kMaxRaces = 16;

// The network that a key belongs to, and the endpoint if it is one's.
struct Touched {
    base::NetworkId network;
    std::optional<base::EndpointId> endpoint;
};

std::optional<Touched> touched_by(std::string_view key) {
    for (const auto prefix : {key::kNetworks, key::kMembers, key::kKeys, key::kEndpoints}) {
        if (!key.starts_with(prefix)) {
            continue;
        }
        const auto rest = key.substr(prefix.size());
        const auto slash = rest.find('/');
        const auto network = base::parse_id<base::NetworkId>("key", rest.substr(0, slash));
        if (!network) {
            return std::nullopt;
        }
        Touched touched{.network = *network, .endpoint = std::nullopt};
        if (slash != std::string_view::npos) {
            touched.endpoint =
                base::parse_id<base::EndpointId>("key", rest.substr(slash + 1)).value_or(base::EndpointId{});
        }
        return touched;
    }
    return std::nullopt;
}

}  // namespace

base::Result<std::unique_ptr<Ledger>> Ledger::open(store::Store& store) {
    std::unique_ptr<Ledger> ledger(new Ledger(store));
    WARREN_TRY_ASSIGN(const auto all, store.range(""));
    for (const auto& item : all.items) {
        WARREN_TRY(ledger->cluster_.put(item.key, item.value, item.mod_revision));
    }
    if (ledger->cluster_.cluster().revision == store::StoreRevision{}) {
        return base::fail(base::Code::kPrecondition, "the store holds no cluster");
    }
    WARREN_TRY_ASSIGN(ledger->watch_, store.watch("", store::StoreRevision{all.revision.value + 1}));
    return ledger;
}

base::Status Ledger::commit(const Build& build) {
    for (int race = 0; race < kMaxRaces; ++race) {
        WARREN_TRY_ASSIGN(const auto transaction, build(cluster_));
        WARREN_TRY_ASSIGN(const auto result, store_->commit(transaction));
        WARREN_TRY(drain());
        if (result.succeeded()) {
            return {};
        }
    }
    return base::fail(base::Code::kAborted, "the cluster's state changed {} times meanwhile; try again", kMaxRaces);
}

base::Status Ledger::drain() {
    while (true) {
        WARREN_TRY_ASSIGN(const auto events, watch_->drain());
        if (events.empty()) {
            return {};
        }
        WARREN_TRY(take(events));
    }
}

base::Status Ledger::take(const std::vector<store::Event>& events) {
    std::map<base::NetworkId, NetworkEvent> changes;
    for (const auto& event : events) {
        const auto touched = touched_by(event.item.key);
        if (!touched) {
            continue;
        }
        auto [entry, is_new] = changes.try_emplace(touched->network);
        if (is_new) {
            entry->second.id = touched->network;
            if (const auto* before = cluster_.network(touched->network)) {
                entry->second.before = NetworkBefore{.members = before->members.record, .keys = before->keys.record};
            }
        }
        if (touched->endpoint) {
            entry->second.endpoints.insert(*touched->endpoint);
        }
    }
    for (const auto& event : events) {
        if (event.kind == store::EventKind::kDelete) {
            cluster_.erase(event.item.key);
        } else {
            WARREN_TRY(cluster_.put(event.item.key, event.item.value, event.item.mod_revision));
        }
    }
    for (auto& [id, change] : changes) {
        change.after = cluster_.network(id);
        if (observer_ && (change.before || change.after != nullptr)) {
            observer_(change);
        }
    }
    return {};
}

}  // namespace warren::manager
