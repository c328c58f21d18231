#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace warren::certs {

// Whose key it may be: nodes' are ECDSA on P-256, and so are the CA's that we make; an operator's own CA may have
// another.
enum class KeyRule : std::uint8_t {
    kNode,       // ECDSA on P-256
    kAuthority,  // ECDSA on P-256 or P-384, RSA of 3072 bits or more
};

// A private key, ECDSA on P-256 unless an authority's. Never empty but after a move. Not thread-safe to move, safe to
// read from many threads. OpenSSL wipes its copy when the key goes.
class PrivateKey {
  public:
    [[nodiscard]] static base::Result<PrivateKey> generate();
    // PKCS#8, PEM or DER, not encrypted. `what` names the text in the error; no byte of it is ever shown.
    [[nodiscard]] static base::Result<PrivateKey> from_pem(std::string_view what, std::string_view pem,
                                                           KeyRule rule = KeyRule::kNode);
    [[nodiscard]] static base::Result<PrivateKey> from_der(std::string_view what, std::span<const std::uint8_t> der,
                                                           KeyRule rule = KeyRule::kNode);

    PrivateKey(PrivateKey&&) noexcept;
    PrivateKey& operator=(PrivateKey&&) noexcept;
    ~PrivateKey();

    [[nodiscard]] base::Result<base::SecretBytes> pem() const;
    [[nodiscard]] base::Result<base::SecretBytes> der() const;  // what a manager seals

    struct Impl;
    [[nodiscard]] const Impl& impl() const { return *impl_; }

  private:
    explicit PrivateKey(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

// A certificate request (PKCS#10, PEM) that proves possession of `key`. Its subject is empty: who the certificate is
// for is the issuer's to say.
[[nodiscard]] base::Result<std::string> make_request(const PrivateKey& key);

}  // namespace warren::certs
