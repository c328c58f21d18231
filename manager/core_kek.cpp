#include "base/fault_point.h"
#include "base/log.h"
#include "manager/core.h"
#include "manager/tokens.h"

// How all that is sealed comes under another key-encryption key.
namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
// Within the limits of one transaction (store.h), which nearly every cluster stays below as a whole.
constexpr std::size_t kMaxRecords = 100;
constexpr std::size_t kMaxBytes = 512U << 10U;

// Collects records that are to be replaced as they are in the cache.
class Batch {
  public:
    [[nodiscard]] bool full() const { return change_.puts.size() >= kMaxRecords || bytes_ >= kMaxBytes; }
    [[nodiscard]] std::uint32_t seals() const { return seals_; }
    void add(std::string key, store::StoreRevision revision, std::string value, std::uint32_t seals) {
        bytes_ += key.size() + value.size();
        seals_ += seals;
        change_.compares.emplace_back(store::ModifiedAt{.key = key, .revision = revision});
        change_.puts.push_back({.key = std::move(key), .value = std::move(value)});
    }
    [[nodiscard]] store::Transaction take() { return std::move(change_); }

  private:
    store::Transaction change_;
    std::size_t bytes_ = 0;
    std::uint32_t seals_ = 0;
};

base::Status reseal_cluster(const Vault& vault, const Stored<v1::ClusterRecord>& cluster, Batch& batch) {
    auto record = cluster.record;
    const auto id = id_of<base::ClusterId>(record.id());
    std::uint32_t seals = 0;
    if (!vault.is_current(record.sealed_ca_key())) {
        WARREN_TRY_ASSIGN(const auto key, vault.open_authority(id, record.sealed_ca_key()));
        WARREN_TRY_ASSIGN(*record.mutable_sealed_ca_key(), vault.seal_authority(id, key));
        ++seals;
    }
    for (const auto role : {certs::Role::kWorker, certs::Role::kManager}) {
        auto& token = token_of(record, role);
        if (!vault.is_current(token.sealed_secret())) {
            WARREN_TRY_ASSIGN(const auto secret, vault.open_token(id, role, token.sealed_secret()));
            WARREN_TRY_ASSIGN(*token.mutable_sealed_secret(), vault.seal_token(id, role, secret));
            ++seals;
        }
    }
    if (seals != 0) {
        batch.add(std::string(key::kCluster), cluster.revision, record.SerializeAsString(), seals);
    }
    return {};
}

base::Status reseal_network(const Vault& vault, const base::NetworkId& id, const Stored<v1::KeyStateRecord>& keys,
                            Batch& batch) {
    auto record = keys.record;
    std::uint32_t seals = 0;
    for (auto& epoch : *record.mutable_epochs()) {
        if (epoch.sealed_secret().empty() || vault.is_current(epoch.sealed_secret())) {
            continue;
        }
        const base::Epoch number{epoch.number()};
        WARREN_TRY_ASSIGN(const auto secret, vault.open_epoch(id, number, epoch.sealed_secret()));
        WARREN_TRY_ASSIGN(*epoch.mutable_sealed_secret(), vault.seal_epoch(id, number, secret));
        ++seals;
    }
    if (seals != 0) {
        batch.add(key::keys(id), keys.revision, record.SerializeAsString(), seals);
    }
    return {};
}

}  // namespace

base::Result<std::uint32_t> Core::change_kek(keymgr::KeyEncryptionKey next) {
    vault_.change_to(std::move(next));
    std::uint32_t total = 0;
    while (true) {
        std::uint32_t seals = 0;
        const auto next_batch = [&](const Cluster& state) -> base::Result<store::Transaction> {
            Batch batch;
            WARREN_TRY(reseal_cluster(vault_, state.cluster(), batch));
            for (const auto& [id, network] : state.networks()) {
                if (!batch.full() && network.record().encrypted()) {
                    WARREN_TRY(reseal_network(vault_, id, network.keys, batch));
                }
            }
            seals = batch.seals();
            return batch.take();
        };
        WARREN_TRY(ledger_->commit(next_batch));
        if (seals == 0) {
            break;
        }
        base::fault_point(base::FaultPoint::kKekResealed);
        total += seals;
    }
    // The history has what was sealed under the former key.
    WARREN_TRY_ASSIGN(const auto revision, store_->revision());
    WARREN_TRY(store_->compact(revision));
    vault_.forget_former();
    kLog.info("{} secrets are sealed under a new key-encryption key", total);
    return total;
}

}  // namespace warren::manager
