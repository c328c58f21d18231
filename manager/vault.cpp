#include "manager/vault.h"

#include <fmt/format.h>

namespace warren::manager {

namespace {

std::string epoch_context(const base::NetworkId& network, base::Epoch epoch) {
    return fmt::format("epoch secret|{}|{}", network, epoch);
}
std::string token_context(const base::ClusterId& cluster, certs::Role role) {
    return fmt::format("join token|{}|{}", cluster, certs::name(role));
}
std::string authority_context(const base::ClusterId& cluster) {
    return fmt::format("ca key|{}", cluster);
}

}  // namespace

void Vault::change_to(keymgr::KeyEncryptionKey next) {
    if (next.id() != kek_.id()) {
        former_ = std::exchange(kek_, std::move(next));
    }
}

const keymgr::KeyEncryptionKey& Vault::key_of(std::string_view sealed) const {
    return former_ && keymgr::sealed_under(*former_, sealed) ? *former_ : kek_;
}

base::Result<std::string> Vault::seal_epoch(const base::NetworkId& network, base::Epoch epoch,
                                            const keymgr::EpochSecret& secret) const {
    return keymgr::seal(kek_, secret.reveal(), epoch_context(network, epoch));
}

base::Result<keymgr::EpochSecret> Vault::open_epoch(const base::NetworkId& network, base::Epoch epoch,
                                                    std::string_view sealed) const {
    return keymgr::open_secret<keymgr::EpochSecret::size()>(key_of(sealed), sealed, epoch_context(network, epoch));
}

base::Result<std::string> Vault::seal_token(const base::ClusterId& cluster, certs::Role role,
                                            const certs::TokenSecret& secret) const {
    return keymgr::seal(kek_, secret.reveal(), token_context(cluster, role));
}

base::Result<certs::TokenSecret> Vault::open_token(const base::ClusterId& cluster, certs::Role role,
                                                   std::string_view sealed) const {
    return keymgr::open_secret<certs::TokenSecret::size()>(key_of(sealed), sealed, token_context(cluster, role));
}

base::Result<std::string> Vault::seal_authority(const base::ClusterId& cluster, const certs::PrivateKey& key) const {
    WARREN_TRY_ASSIGN(const auto der, key.der());
    return keymgr::seal(kek_, der.reveal(), authority_context(cluster));
}

base::Result<certs::PrivateKey> Vault::open_authority(const base::ClusterId& cluster, std::string_view sealed) const {
    WARREN_TRY_ASSIGN(const auto der, keymgr::open(key_of(sealed), sealed, authority_context(cluster)));
    return certs::PrivateKey::from_der("the cluster's CA key", der.reveal(), certs::KeyRule::kAuthority);
}

}  // namespace warren::manager
