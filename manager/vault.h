#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "certs/authority.h"
#include "certs/token.h"
#include "keymgr/key_schedule.h"
#include "keymgr/sealing.h"

namespace warren::manager {

// Seals what the store must not show in clear, and opens it again. Sealed bytes open only for the purpose that they
// were sealed for: a record can't be put in another's place.
//
// Owner: the manager's core. Holds the key-encryption key; while records are being sealed anew, also the one before it,
// under which it still opens but does not seal.
class Vault {
  public:
    explicit Vault(keymgr::KeyEncryptionKey kek) : kek_(std::move(kek)) {}

    // From now on seals under `next`. A no-op when it does already.
    void change_to(keymgr::KeyEncryptionKey next);
    // Whatever was sealed under the former key is gone: forgets it.
    void forget_former() { former_.reset(); }
    [[nodiscard]] bool is_current(std::string_view sealed) const { return keymgr::sealed_under(kek_, sealed); }

    [[nodiscard]] base::Result<std::string> seal_epoch(const base::NetworkId& network, base::Epoch epoch,
                                                       const keymgr::EpochSecret& secret) const;
    [[nodiscard]] base::Result<keymgr::EpochSecret> open_epoch(const base::NetworkId& network, base::Epoch epoch,
                                                               std::string_view sealed) const;
    [[nodiscard]] base::Result<std::string> seal_token(const base::ClusterId& cluster, certs::Role role,
                                                       const certs::TokenSecret& secret) const;
    [[nodiscard]] base::Result<certs::TokenSecret> open_token(const base::ClusterId& cluster, certs::Role role,
                                                              std::string_view sealed) const;
    [[nodiscard]] base::Result<std::string> seal_authority(const base::ClusterId& cluster,
                                                           const certs::PrivateKey& key) const;
    [[nodiscard]] base::Result<certs::PrivateKey> open_authority(const base::ClusterId& cluster,
                                                                 std::string_view sealed) const;

  private:
    keymgr::KeyEncryptionKey kek_;
    std::optional<keymgr::KeyEncryptionKey> former_;

    [[nodiscard]] const keymgr::KeyEncryptionKey& key_of(std::string_view sealed) const;
};

}  // namespace warren::manager
