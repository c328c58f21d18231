#pragma once

#include <map>
#include <optional>
#include <string>
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
// Owner: the manager's core. Holds the key-encryption key and, once opened, the epoch secrets of live epochs.
class Vault {
  public:
    explicit Vault(keymgr::KeyEncryptionKey kek) : kek_(std::move(kek)) {}

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
};

}  // namespace warren::manager
