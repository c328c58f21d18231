#include "certs/handle.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/text.h"

namespace warren::certs {

namespace {

// No chain of ours comes near; OpenSSL's lengths are int.
constexpr std::size_t kMaxPem = 64U << 10U;

}  // namespace

tl::unexpected<base::Error> openssl_failure(std::string_view what) {
    std::string reasons;
    while (const unsigned long code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        reasons += reasons.empty() ? "" : ", ";
        reasons += reason != nullptr ? reason : fmt::format("OpenSSL error {:x}", code);
    }
    return base::fail(base::Code::kInternal, "{}: {}", what, reasons.empty() ? "OpenSSL gives no reason" : reasons);
}

int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) noexcept {
    return -1;
}

base::Result<Bio> memory_bio() {
    Bio bio(BIO_new(BIO_s_mem()));
    if (!bio) {
        return openssl_failure("memory");
    }
    return bio;
}

base::Result<Bio> reading_bio(std::string_view text) {
    if (text.size() > kMaxPem) {
        return base::fail(base::Code::kInvalid, "{} bytes: must be at most {}", text.size(), kMaxPem);
    }
    // OpenSSL takes a null pointer for an error even where the length is 0.
    Bio bio(BIO_new_mem_buf(text.empty() ? "" : text.data(), static_cast<int>(text.size())));
    if (!bio) {
        return openssl_failure("memory");
    }
    return bio;
}

std::span<const std::uint8_t> content(const Bio& bio) {
    const BUF_MEM* memory = nullptr;
    BIO_get_mem_ptr(bio.get(), &memory);
    return {reinterpret_cast<const std::uint8_t*>(memory->data), memory->length};
}

base::Result<std::string> certificates_pem(std::span<const Certificate> certificates) {
    WARREN_TRY_ASSIGN(const Bio bio, memory_bio());
    for (const Certificate& certificate : certificates) {
        if (PEM_write_bio_X509(bio.get(), certificate.get()) != 1) {
            return openssl_failure("encode certificate");
        }
    }
    const auto bytes = content(bio);
    return std::string(bytes.begin(), bytes.end());
}

base::Result<std::vector<Certificate>> find_certificates(std::string_view what, std::string_view pem, std::size_t max) {
    auto bio = reading_bio(pem);
    if (!bio) {
        return base::fail_in(what, std::move(bio));
    }
    std::vector<Certificate> certificates;
    while (Certificate certificate{PEM_read_bio_X509(bio->get(), nullptr, &no_password, nullptr)}) {
        certificates.push_back(std::move(certificate));
        if (certificates.size() > max) {
            return base::fail(base::Code::kInvalid, "{}: more than {} certificates", what, max);
        }
    }
    ERR_clear_error();  // at the end of the text there is always one
    if (certificates.empty()) {
        return base::fail(base::Code::kInvalid, "{}: no certificate in PEM form in it", what);
    }
    return certificates;
}

base::Result<std::vector<Certificate>> read_certificates(std::string_view what, std::string_view pem, std::size_t max) {
    WARREN_TRY_ASSIGN(auto certificates, find_certificates(what, pem, max));
    WARREN_TRY_ASSIGN(const std::string canonical, certificates_pem(certificates));
    if (canonical != pem) {
        return base::fail(base::Code::kInvalid, "{}: must be whole certificates in PEM form and nothing else", what);
    }
    return certificates;
}

bool issued_by(X509* certificate, X509* issuer) {
    const bool issued =
        X509_check_issued(issuer, certificate) == X509_V_OK && X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
    ERR_clear_error();
    return issued;
}

base::Status check_curve(std::string_view what, const EVP_PKEY* key, std::initializer_list<std::string_view> curves) {
    std::array<char, 32> group{};
    std::array<char, 32> encoding{};
    const bool good =
        EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
        std::find(curves.begin(), curves.end(), std::string_view(group.data())) != curves.end() &&
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding.data(), encoding.size(), nullptr) ==
            1 &&
        std::string_view(encoding.data()) == OSSL_PKEY_EC_ENCODING_GROUP;
    if (!good) {
        ERR_clear_error();
        return base::fail(base::Code::kInvalid, "{}: must be an ECDSA key on the named curve {}", what,
                          curves.size() == 1 ? "P-256" : "P-256 or P-384, or RSA");
    }
    return {};
}

base::Status check_p256(std::string_view what, const EVP_PKEY* key) {
    return check_curve(what, key, {SN_X9_62_prime256v1});
}

std::string common_name(const X509_NAME* name) {
    std::array<char, 256> text{};
    return X509_NAME_get_text_by_NID(name, NID_commonName, text.data(), static_cast<int>(text.size())) > 0 ? text.data()
                                                                                                           : "";
}

std::string octets_hex(const ASN1_OCTET_STRING* octets) {
    return octets == nullptr
               ? ""
               : base::to_hex({ASN1_STRING_get0_data(octets), static_cast<std::size_t>(ASN1_STRING_length(octets))});
}

base::Result<base::Time> to_time(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return openssl_failure("certificate time");
    }
    return base::Time(std::chrono::seconds(::timegm(&parts)));
}

base::Status set_time(ASN1_TIME* out, base::Time time) {
    if (ASN1_TIME_set(out, std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count()) == nullptr) {
        return openssl_failure("certificate time");
    }
    return {};
}

}  // namespace warren::certs
