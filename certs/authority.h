#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "certs/identity.h"
#include "certs/key.h"
#include "certs/roots.h"

namespace warren::certs {

inline constexpr base::Duration kRootLifetime = std::chrono::hours(24) * 7305;  // 20 years
inline constexpr base::Duration kDefaultLeafLifetime = std::chrono::hours(24) * 90;
inline constexpr base::Duration kShortestLeafLifetime = std::chrono::hours(1);
inline constexpr base::Duration kLongestLeafLifetime = std::chrono::hours(24) * 3650;
// Certificates begin this long before they are made, so that a host whose clock is a little behind takes them.
inline constexpr base::Duration kBackdate = std::chrono::hours(1);

// The rule for the cluster setting. `what` names the field in the error. Only tests have another `shortest`.
[[nodiscard]] base::Status check_leaf_lifetime(std::string_view what, base::Duration lifetime,
                                               base::Duration shortest = kShortestLeafLifetime);

// The cluster's certificate authority: a root certificate and its key. Only managers have one. Values, no I/O: the
// caller seals and stores root_pem() and key().der().
class Authority {
  public:
    // A new self-signed root: subject O = cluster id, CN = cluster name; it may sign leaves and one level of other
    // authorities (a cross-signed successor).
    [[nodiscard]] static base::Result<Authority> make(const base::ClusterId& cluster, std::string_view cluster_name,
                                                      base::Time now);
    // From the store or from an operator; fails unless the certificate is one CA certificate and the key is its key.
    [[nodiscard]] static base::Result<Authority> load(std::string_view root_pem, PrivateKey key);

    [[nodiscard]] const std::string& root_pem() const { return root_pem_; }
    [[nodiscard]] const PrivateKey& key() const { return key_; }

    // A leaf certificate (PEM) for the public key of a certificate request; nothing else of the request counts, and one
    // whose signature does not prove possession is refused (kDenied). It is valid from an hour before `now` to
    // `lifetime` after, but never longer than the root.
    [[nodiscard]] base::Result<std::string> issue(std::string_view request_pem, const Identity& identity,
                                                  base::Duration lifetime, base::Time now,
                                                  base::Duration shortest = kShortestLeafLifetime) const;

    // A certificate for the key of another authority, signed by this one, so that who trusts only this one follows. It
    // may sign leaves and nothing else, and is valid for as long as both are.
    [[nodiscard]] base::Result<std::string> cross_sign(std::string_view successor_pem, base::Time now) const;

  private:
    Authority(std::string root_pem, PrivateKey key) : root_pem_(std::move(root_pem)), key_(std::move(key)) {}

    std::string root_pem_;
    PrivateKey key_;
};

}  // namespace warren::certs
