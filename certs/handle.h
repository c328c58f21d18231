#pragma once

// OpenSSL's types, owned. For the sources of this room only: no public header includes this one.

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/free.h"
#include "base/result.h"
#include "base/time.h"
#include "certs/key.h"

namespace warren::certs {

using PKey = base::Handle<EVP_PKEY, &EVP_PKEY_free>;
using Certificate = base::Handle<X509, &X509_free>;
using Request = base::Handle<X509_REQ, &X509_REQ_free>;
using Extension = base::Handle<X509_EXTENSION, &X509_EXTENSION_free>;
using GeneralNames = base::Handle<GENERAL_NAMES, &GENERAL_NAMES_free>;
using Store = base::Handle<X509_STORE, &X509_STORE_free>;
using StoreContext = base::Handle<X509_STORE_CTX, &X509_STORE_CTX_free>;
using Bio = base::Handle<BIO, &BIO_free_all>;
using BigNumber = base::Handle<BIGNUM, &BN_free>;

struct PrivateKey::Impl {
    PKey key;
};

// kInternal, "<what>: <the reasons on OpenSSL's queue>"; empties the queue of this thread.
[[nodiscard]] tl::unexpected<base::Error> openssl_failure(std::string_view what);

// A password callback that never asks: nobody sits at a daemon's terminal, and our files are not encrypted.
int no_password(char* buffer, int size, int writing, void* user) noexcept;

[[nodiscard]] base::Result<Bio> memory_bio();
// Reads `text` in place; the text must outlive the BIO.
[[nodiscard]] base::Result<Bio> reading_bio(std::string_view text);
[[nodiscard]] std::span<const std::uint8_t> content(const Bio& bio);

// 1 to `max` certificates, encoded exactly as certificates_pem() does it, so that a set of certificates has one text
// and nothing can hide between them. `what` names the text in the error.
[[nodiscard]] base::Result<std::vector<Certificate>> read_certificates(std::string_view what, std::string_view pem,
                                                                       std::size_t max);
// The same without regard to what is between them: for a file that people made with other tools.
[[nodiscard]] base::Result<std::vector<Certificate>> find_certificates(std::string_view what, std::string_view pem,
                                                                       std::size_t max);
[[nodiscard]] base::Result<std::string> certificates_pem(std::span<const Certificate> certificates);

// The issuer's name and key id are those that the certificate says, and its key made the signature.
[[nodiscard]] bool issued_by(X509* certificate, X509* issuer);

// The public key of a certificate request whose signature proves that the sender holds the private one.
[[nodiscard]] base::Result<PKey> requested_key(std::string_view request_pem);

// Fails for every key but ECDSA on one of these curves, given by name.
[[nodiscard]] base::Status check_curve(std::string_view what, const EVP_PKEY* key,
                                       std::initializer_list<std::string_view> curves);
// Fails for every key but ECDSA P-256 with the curve given by name.
[[nodiscard]] base::Status check_p256(std::string_view what, const EVP_PKEY* key);

// The first common name in it, or nothing.
[[nodiscard]] std::string common_name(const X509_NAME* name);
// In lower-case hex; nothing for null. Key ids are written so.
[[nodiscard]] std::string octets_hex(const ASN1_OCTET_STRING* octets);

[[nodiscard]] base::Result<base::Time> to_time(const ASN1_TIME* time);
[[nodiscard]] base::Status set_time(ASN1_TIME* out, base::Time time);

}  // namespace warren::certs
