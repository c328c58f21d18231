#include "proto/secrets.h"

#include "base/secret.h"

namespace warren::proto {

void wipe_secrets(v1::NetworkDelta& delta) {
    for (auto& epoch : *delta.mutable_epochs()) {
        auto& secret = *epoch.mutable_secret();
        base::wipe(secret);
        secret.clear();
    }
}

}  // namespace warren::proto
