#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "certs/leaf.h"

namespace warren::certs {

using Sha256 = std::array<std::uint8_t, 32>;

// What one root certificate says of itself.
struct RootInfo {
    std::string name;    // CN: the cluster's name
    std::string key_id;  // subject key identifier, hex: what a leaf names as its issuer
    Sha256 fingerprint;  // of the certificate in DER, as `openssl x509 -fingerprint -sha256` shows it
    base::Time not_before;
    base::Time not_after;
    std::string pem;

    auto operator<=>(const RootInfo&) const = default;
};

// The root certificates that a cluster trusts: 1, or while the CA is rotated 2; the format allows 8. Immutable; copies
// share what they read; any thread.
class Roots {
  public:
    // `what` names the text in the error. The text must be exactly the certificates in PEM form, each a CA.
    [[nodiscard]] static base::Result<Roots> parse(std::string_view what, std::string_view pem);

    [[nodiscard]] const std::string& pem() const;
    [[nodiscard]] Sha256 hash() const;  // of pem()
    [[nodiscard]] const std::vector<RootInfo>& certificates() const;

    // What a join token pins: SHA-256 of the last certificate in PEM form, which is the root itself where an
    // intermediate goes before it.
    [[nodiscard]] Sha256 pin() const;
    // The root with that pin, and those that it vouches for; the others are left out, for whoever sent them may be
    // anybody. kNotFound: it is not there.
    [[nodiscard]] base::Result<Roots> pinned(const Sha256& pin) const;

    // kPrecondition when no root is valid at `now`; the error says the times and what to do.
    [[nodiscard]] base::Status check_validity(base::Time now) const;

    // The leaf, when it chains to one of the roots at `now`, may serve and call (extended key usage), and is as
    // parse_leaf() wants it. kDenied otherwise, kInvalid when it is not a leaf of ours at all.
    [[nodiscard]] base::Result<Leaf> verify(std::string_view what, std::string_view chain_pem, base::Time now) const;
    // The same without looking at the time of any certificate: does this belong here, be it expired?
    [[nodiscard]] base::Result<Leaf> verify_at_any_time(std::string_view what, std::string_view chain_pem) const;

  private:
    struct Impl;
    explicit Roots(std::shared_ptr<const Impl> impl);

    std::shared_ptr<const Impl> impl_;
};

}  // namespace warren::certs
