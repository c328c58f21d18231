#include "certs/leaf.h"

#include <openssl/err.h>

#include <optional>
#include <vector>

#include "base/text.h"
#include "certs/handle.h"

namespace warren::certs {

namespace {

constexpr std::size_t kMaxChain = 4;

std::optional<std::string> utf8(const ASN1_STRING* string) {
    unsigned char* bytes = nullptr;
    const int length = ASN1_STRING_to_UTF8(&bytes, string);
    if (length < 0) {
        ERR_clear_error();
        return std::nullopt;
    }
    std::string text(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
    OPENSSL_free(bytes);
    return text;
}

// The attribute's value when the name has it exactly once.
base::Result<std::string> only_attribute(std::string_view what, const X509_NAME* name, int nid) {
    const int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at >= 0 && X509_NAME_get_index_by_NID(name, nid, at) < 0) {
        if (auto text = utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)))) {
            return *std::move(text);
        }
    }
    return base::fail(base::Code::kInvalid, "{}: subject: must have exactly one {}", what, OBJ_nid2sn(nid));
}

base::Result<Identity> subject_identity(std::string_view what, const X509* certificate) {
    const X509_NAME* subject = X509_get_subject_name(certificate);
    WARREN_TRY_ASSIGN(const std::string cluster, only_attribute(what, subject, NID_organizationName));
    WARREN_TRY_ASSIGN(const std::string role, only_attribute(what, subject, NID_organizationalUnitName));
    WARREN_TRY_ASSIGN(const std::string node, only_attribute(what, subject, NID_commonName));
    Identity identity;
    WARREN_TRY_ASSIGN(identity.cluster, base::parse_id<base::ClusterId>(fmt::format("{}: subject O", what), cluster));
    WARREN_TRY_ASSIGN(identity.role, parse_role(fmt::format("{}: subject OU", what), role));
    WARREN_TRY_ASSIGN(identity.node, base::parse_id<base::NodeId>(fmt::format("{}: subject CN", what), node));
    return identity;
}

struct AlternativeNames {
    std::vector<std::string> uris;
    std::vector<std::string> dns;
};

base::Result<AlternativeNames> alternative_names(std::string_view what, const X509* certificate) {
    int critical = -1;
    const GeneralNames names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
    AlternativeNames found;
    const auto bad = [&] {
        ERR_clear_error();
        return base::fail(base::Code::kInvalid, "{}: alternative names: must be one extension of URI and DNS names",
                          what);
    };
    if (!names) {
        return bad();  // none, more than one extension, or not decodable
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
        int type = -1;
        const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
        if (type != GEN_URI && type != GEN_DNS) {
            return bad();
        }
        auto text = utf8(static_cast<const ASN1_STRING*>(value));
        if (!text) {
            return bad();
        }
        (type == GEN_URI ? found.uris : found.dns).push_back(*std::move(text));
    }
    return found;
}

base::Status check_names(std::string_view what, const Identity& identity, const AlternativeNames& names) {
    if (names.uris.size() != 1 || names.uris.front() != spiffe_id(identity)) {
        return base::fail(base::Code::kInvalid, "{}: URI names: must be exactly {}", what, spiffe_id(identity));
    }
    std::vector<std::string> expected;
    if (identity.role == Role::kManager) {
        expected.push_back(manager_dns_name(identity.cluster));
    }
    if (names.dns != expected) {
        return base::fail(base::Code::kInvalid, "{}: DNS names: a {} must have {}", what, name(identity.role),
                          expected.empty() ? "none" : expected.front());
    }
    return {};
}

base::Result<std::string> serial_text(const X509* certificate) {
    const BigNumber number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
    if (!number) {
        return openssl_failure("certificate serial number");
    }
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(BN_num_bytes(number.get())));
    BN_bn2bin(number.get(), bytes.data());
    return base::to_hex(bytes);
}

}  // namespace

base::Result<Leaf> parse_leaf(std::string_view what, std::string_view pem) {
    WARREN_TRY_ASSIGN(const std::vector<Certificate> chain, read_certificates(what, pem, kMaxChain));
    X509* certificate = chain.front().get();
    const std::uint32_t flags = X509_get_extension_flags(certificate);
    if ((flags & EXFLAG_INVALID) != 0) {
        return base::fail(base::Code::kInvalid, "{}: an extension of it is damaged or there twice", what);
    }
    // CA:TRUE without the right to sign is no authority to OpenSSL, but neither is it anything that we issue.
    if ((flags & EXFLAG_CA) != 0 || X509_check_ca(certificate) != 0) {
        return base::fail(base::Code::kInvalid, "{}: must not be the certificate of an authority", what);
    }
    Leaf leaf;
    WARREN_TRY_ASSIGN(leaf.identity, subject_identity(what, certificate));
    WARREN_TRY_ASSIGN(const AlternativeNames names, alternative_names(what, certificate));
    WARREN_TRY(check_names(what, leaf.identity, names));
    WARREN_TRY_ASSIGN(leaf.not_before, to_time(X509_get0_notBefore(certificate)));
    WARREN_TRY_ASSIGN(leaf.not_after, to_time(X509_get0_notAfter(certificate)));
    WARREN_TRY_ASSIGN(leaf.serial, serial_text(certificate));
    leaf.issuer = common_name(X509_get_issuer_name(certificate));
    leaf.issuer_key = octets_hex(X509_get0_authority_key_id(certificate));
    return leaf;
}

base::Status check_validity(const Leaf& leaf, base::Time now) {
    if (now < leaf.not_before) {
        return base::fail(base::Code::kPrecondition,
                          "certificate of {} is not valid before {}, and this host's clock says {}: set the clock",
                          leaf.identity.text(), base::format_utc(leaf.not_before), base::format_utc(now));
    }
    if (now > leaf.not_after) {
        return base::fail(base::Code::kPrecondition,
                          "certificate of {} was valid until {}, and this host's clock says {}: set the clock if it is "
                          "wrong, else join the cluster again",
                          leaf.identity.text(), base::format_utc(leaf.not_after), base::format_utc(now));
    }
    return {};
}

}  // namespace warren::certs
