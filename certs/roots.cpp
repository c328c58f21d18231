#include "certs/roots.h"

#include <openssl/err.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>

#include "certs/handle.h"

namespace warren::certs {

namespace {

constexpr std::size_t kMaxRoots = 8;
constexpr std::size_t kMaxChain = 4;

base::Result<RootInfo> describe(std::string_view what, X509* certificate) {
    if (X509_check_ca(certificate) != 1) {
        return base::fail(base::Code::kInvalid, "{}: must be certificates of authorities (CA:TRUE) only", what);
    }
    RootInfo info;
    unsigned int length = 0;
    if (X509_digest(certificate, EVP_sha256(), info.fingerprint.data(), &length) != 1) {
        return openssl_failure(what);
    }
    info.name = common_name(X509_get_subject_name(certificate));
    info.key_id = octets_hex(X509_get0_subject_key_id(certificate));
    WARREN_TRY_ASSIGN(info.not_before, to_time(X509_get0_notBefore(certificate)));
    WARREN_TRY_ASSIGN(info.not_after, to_time(X509_get0_notAfter(certificate)));
    return info;
}

Sha256 text_hash(std::string_view text) {
    Sha256 hash{};
    ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
    return hash;
}

base::Result<Store> make_store(const std::vector<Certificate>& roots) {
    Store store(X509_STORE_new());
    if (!store) {
        return openssl_failure("memory");
    }
    for (const Certificate& root : roots) {
        if (X509_STORE_add_cert(store.get(), root.get()) != 1) {
            return openssl_failure("root store");
        }
    }
    return store;
}

// `now` empty: no certificate's time is looked at.
base::Status verify_chain(std::string_view what, const Store& store, const std::vector<Certificate>& chain,
                          std::optional<base::Time> now) {
    struct FreeStack {
        // The certificates in it are owned by the chain.
        void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_free(stack); }
    };
    const std::unique_ptr<STACK_OF(X509), FreeStack> between(sk_X509_new_null());
    const StoreContext context(X509_STORE_CTX_new());
    bool ready = between && context;
    for (std::size_t i = 1; ready && i < chain.size(); ++i) {
        ready = sk_X509_push(between.get(), chain[i].get()) > 0;
    }
    X509* leaf = chain.front().get();
    if (!ready || X509_STORE_CTX_init(context.get(), store.get(), leaf, between.get()) != 1 ||
        X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT) != 1) {
        return openssl_failure(what);
    }
    X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
    if (now) {
        X509_VERIFY_PARAM_set_time(parameters,
                                   std::chrono::floor<std::chrono::seconds>(*now).time_since_epoch().count());
    } else {
        X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
    }
    const bool verified = X509_verify_cert(context.get()) == 1;
    const int reason = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    if (!verified) {
        return base::fail(base::Code::kDenied, "{}: {}", what, X509_verify_cert_error_string(reason));
    }
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        return base::fail(base::Code::kDenied, "{}: must be allowed for servers and clients", what);
    }
    return {};
}

}  // namespace

struct Roots::Impl {
    std::string pem;
    std::vector<RootInfo> infos;
    Store store;

    base::Result<Leaf> verify(std::string_view what, std::string_view chain_pem, std::optional<base::Time> now) const {
        WARREN_TRY_ASSIGN(Leaf leaf, parse_leaf(what, chain_pem));
        WARREN_TRY_ASSIGN(const std::vector<Certificate> chain, read_certificates(what, chain_pem, kMaxChain));
        WARREN_TRY(verify_chain(what, store, chain, now));
        return leaf;
    }
};

Roots::Roots(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

base::Result<Roots> Roots::parse(std::string_view what, std::string_view pem) {
    WARREN_TRY_ASSIGN(const std::vector<Certificate> certificates, read_certificates(what, pem, kMaxRoots));
    auto impl = std::make_shared<Impl>();
    impl->pem = pem;
    for (const Certificate& certificate : certificates) {
        WARREN_TRY_ASSIGN(RootInfo info, describe(what, certificate.get()));
        WARREN_TRY_ASSIGN(info.pem, certificates_pem({&certificate, 1}));
        impl->infos.push_back(std::move(info));
    }
    WARREN_TRY_ASSIGN(impl->store, make_store(certificates));
    return Roots(std::move(impl));
}

const std::string& Roots::pem() const {
    return impl_->pem;
}

Sha256 Roots::hash() const {
    return text_hash(impl_->pem);
}

Sha256 Roots::pin() const {
    return text_hash(impl_->infos.back().pem);
}

base::Result<Roots> Roots::pinned(const Sha256& pin) const {
    WARREN_TRY_ASSIGN(auto certificates, read_certificates("roots", impl_->pem, kMaxRoots));
    // The pinned one and whoever it vouches for come to the front.
    std::size_t kept = 0;
    const auto keep = [&](auto wanted) {
        const auto rest = certificates.begin() + static_cast<std::ptrdiff_t>(kept);
        const auto found = std::find_if(rest, certificates.end(), wanted);
        if (found == certificates.end()) {
            return false;
        }
        std::iter_swap(rest, found);
        ++kept;
        return true;
    };
    if (!keep([&pin](const Certificate& certificate) {
            const auto pem = certificates_pem({&certificate, 1});
            return pem && text_hash(*pem) == pin;
        })) {
        return base::fail(base::Code::kNotFound, "the pinned root is not among the roots");
    }
    while (keep([&](const Certificate& certificate) {
        return std::any_of(certificates.begin(), certificates.begin() + static_cast<std::ptrdiff_t>(kept),
                           [&](const Certificate& issuer) { return issued_by(certificate.get(), issuer.get()); });
    })) {
    }
    certificates.resize(kept);
    std::reverse(certificates.begin(), certificates.end());  // the root comes last, as elsewhere
    WARREN_TRY_ASSIGN(const auto pem, certificates_pem(certificates));
    return parse("roots", pem);
}

const std::vector<RootInfo>& Roots::certificates() const {
    return impl_->infos;
}

base::Status Roots::check_validity(base::Time now) const {
    const auto valid = [now](const RootInfo& root) { return root.not_before <= now && now <= root.not_after; };
    if (std::any_of(impl_->infos.begin(), impl_->infos.end(), valid)) {
        return {};
    }
    const RootInfo& newest = impl_->infos.back();
    return base::fail(base::Code::kPrecondition,
                      "the cluster's root certificate is valid from {} to {}, and this host's clock says {}: set the "
                      "clock",
                      base::format_utc(newest.not_before), base::format_utc(newest.not_after), base::format_utc(now));
}

base::Result<Leaf> Roots::verify(std::string_view what, std::string_view chain_pem, base::Time now) const {
    return impl_->verify(what, chain_pem, now);
}

base::Result<Leaf> Roots::verify_at_any_time(std::string_view what, std::string_view chain_pem) const {
    return impl_->verify(what, chain_pem, std::nullopt);
}

}  // namespace warren::certs
