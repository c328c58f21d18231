#include "certs/possession.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <array>
#include <span>
#include <vector>

#include "base/random.h"
#include "certs/handle.h"

namespace warren::certs {

namespace {

using base::Code;
using base::fail;
using DigestContext = base::Handle<EVP_MD_CTX, &EVP_MD_CTX_free>;

constexpr std::string_view kLabel("warren readmission 1\0", 21);
constexpr std::size_t kMaxChain = 4;
constexpr std::size_t kLongestSignature = 80;  // DER of two 256-bit numbers takes 72
constexpr base::Duration kChallengeLife = std::chrono::minutes(1);
constexpr std::size_t kTimeSize = 8;

void append_hash(std::string_view text, std::vector<std::uint8_t>& out) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash{};
    ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
    out.insert(out.end(), hash.begin(), hash.end());
}

std::vector<std::uint8_t> signed_bytes(const PossessionClaim& claim) {
    std::vector<std::uint8_t> bytes(kLabel.begin(), kLabel.end());
    bytes.insert(bytes.end(), claim.cluster.bytes.begin(), claim.cluster.bytes.end());
    bytes.insert(bytes.end(), claim.manager.bytes.begin(), claim.manager.bytes.end());
    append_hash(claim.challenge, bytes);
    append_hash(claim.request_pem, bytes);
    return bytes;
}

std::string challenge_text(const base::Secret<32>& key, std::uint64_t time) {
    std::array<std::uint8_t, kTimeSize> stamp{};
    for (std::size_t i = 0; i < kTimeSize; ++i) {
        stamp[i] = static_cast<std::uint8_t>(time >> (8 * (kTimeSize - 1 - i)));
    }
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> mac{};
    unsigned int length = 0;
    ::HMAC(EVP_sha256(), key.reveal().data(), static_cast<int>(key.size()), stamp.data(), stamp.size(), mac.data(),
           &length);
    std::string text(stamp.begin(), stamp.end());
    text.append(mac.begin(), mac.end());
    return text;
}

}  // namespace

base::Result<std::string> prove_possession(const PrivateKey& key, const PossessionClaim& claim) {
    const auto bytes = signed_bytes(claim);
    const DigestContext context(EVP_MD_CTX_new());
    std::string signature(kLongestSignature, '\0');
    std::size_t length = signature.size();
    if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.impl().key.get()) != 1 ||
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, bytes.data(),
                       bytes.size()) != 1) {
        return openssl_failure("sign a challenge");
    }
    signature.resize(length);
    return signature;
}

base::Status check_possession(std::string_view chain_pem, const PossessionClaim& claim, std::string_view signature) {
    WARREN_TRY_ASSIGN(const auto chain, read_certificates("certificate", chain_pem, kMaxChain));
    const auto bytes = signed_bytes(claim);
    const DigestContext context(EVP_MD_CTX_new());
    const bool good = context && signature.size() <= kLongestSignature &&
                      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr,
                                           X509_get0_pubkey(chain.front().get())) == 1 &&
                      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                                       signature.size(), bytes.data(), bytes.size()) == 1;
    ERR_clear_error();
    if (!good) {
        return fail(Code::kDenied, "the signature is not of the certificate's key, or of something else");
    }
    return {};
}

Challenges::Challenges() {
    base::random_bytes(key_.reveal_mutable());
}

std::string Challenges::make(base::Time now) const {
    return challenge_text(key_, static_cast<std::uint64_t>(now.time_since_epoch().count()));
}

base::Status Challenges::check(std::string_view challenge, base::Time now) const {
    std::uint64_t time = 0;
    for (std::size_t i = 0; i < std::min(kTimeSize, challenge.size()); ++i) {
        time = time << 8U | static_cast<std::uint8_t>(challenge[i]);
    }
    const auto genuine = challenge_text(key_, time);
    if (challenge.size() != genuine.size() || CRYPTO_memcmp(challenge.data(), genuine.data(), genuine.size()) != 0) {
        return fail(Code::kDenied,
                    "the challenge is not of this manager, or of one that has restarted since: ask anew");
    }
    const base::Time made{base::Duration(static_cast<std::int64_t>(time))};
    if (now < made || now - made > kChallengeLife) {
        return fail(Code::kDenied, "the challenge is too old: ask anew");
    }
    return {};
}

}  // namespace warren::certs
