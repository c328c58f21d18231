#pragma once

#include <openssl/x509v3.h>

#include <string>
#include <utility>
#include <vector>

#include "certs/key.h"
#include "tests/unit/certs/test_cluster.h"

// Certificates and requests that the project's own code would never make.
namespace warren::certs {

using Values = std::vector<std::pair<int, std::string>>;  // OpenSSL's number, text

struct Forgery {
    Values subject;
    Values extensions;
    base::Time not_before = kNow;
    base::Time not_after = kNow + kDay;
};
// A leaf exactly as the authority issues it, to be spoiled in one place.
[[nodiscard]] Forgery like_issued(const Identity& identity);

// Signed by the cluster's authority, for a new key.
[[nodiscard]] std::string forge_leaf(const TestCluster& cluster, const Forgery& forgery);

// A request of `kind` ("P-256", "P-384", "RSA"; "P-256 spelt out": with the curve's parameters in place of its name)
// that asks for a subject and alternative names.
[[nodiscard]] std::string forge_request(const std::string& kind, const Values& subject, const std::string& names);

// A request in which the public key was replaced by another's after signing.
[[nodiscard]] std::string stolen_key_request(const PrivateKey& thief, const PrivateKey& victim);

// The public key of a PEM certificate or private key, in DER.
[[nodiscard]] std::string public_key(const std::string& certificate_pem);
[[nodiscard]] std::string public_key(const PrivateKey& key);
[[nodiscard]] std::string requested_public_key(const std::string& request_pem);

}  // namespace warren::certs
