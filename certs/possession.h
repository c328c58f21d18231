#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "certs/key.h"

// How a node whose certificate TLS does not accept any more shows that it still holds the certificate's key. What it
// signs is fresh (a challenge of the manager that it talks to), good at that manager only, and names the request for
// the new certificate, so that nobody in between can put in a key of his own.
namespace warren::certs {

struct PossessionClaim {
    base::ClusterId cluster;
    base::NodeId manager;  // that made the challenge
    std::string challenge;
    std::string request_pem;
};

// An ECDSA signature with SHA-256 of: "warren readmission 1" and a zero byte, cluster id, manager's node id, SHA-256 of
// the challenge, SHA-256 of the request.
[[nodiscard]] base::Result<std::string> prove_possession(const PrivateKey& key, const PossessionClaim& claim);
// kDenied unless the key of the (first) certificate made the signature over this claim. That the certificate is worth
// anything is Roots' to say.
[[nodiscard]] base::Status check_possession(std::string_view chain_pem, const PossessionClaim& claim,
                                            std::string_view signature);

// Makes challenges and recognises them: a time and a MAC of it, so that a flood of questions leaves nothing behind. A
// challenge may be answered several times while it is fresh, which gets an eavesdropper nothing: the answer names the
// one key that the certificate will be for. Not for several threads at once.
class Challenges {
  public:
    Challenges();

    [[nodiscard]] std::string make(base::Time now) const;
    // kDenied when it is older than a minute, or not of this object.
    [[nodiscard]] base::Status check(std::string_view challenge, base::Time now) const;

  private:
    base::Secret<32> key_;
};

}  // namespace warren::certs
