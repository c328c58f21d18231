#include "xfrm/probe.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>

#include "netlink/namespace.h"
#include "xfrm/kernel_port.h"

namespace warren::xfrm {

namespace {

constexpr std::array kCiphers{keymgr::Cipher::kAes128Gcm, keymgr::Cipher::kAes256Gcm,
                              keymgr::Cipher::kChaCha20Poly1305};

// What the kernel must be built with (or be able to load) for a cipher.
std::string_view options(keymgr::Cipher cipher) {
    switch (cipher) {
        case keymgr::Cipher::kAes128Gcm:
        case keymgr::Cipher::kAes256Gcm:
            return "CONFIG_CRYPTO_GCM, CONFIG_CRYPTO_AES and CONFIG_CRYPTO_SEQIV";
        case keymgr::Cipher::kChaCha20Poly1305:
            return "CONFIG_CRYPTO_CHACHA20POLY1305 and CONFIG_CRYPTO_SEQIV";
    }
    return "";
}

base::Result<AddSa> throw_away_sa(keymgr::Cipher cipher) {
    const keymgr::SaIdentity identity{.network = base::random_id<base::NetworkId>(),
                                      .epoch = base::Epoch{1},
                                      .sender = base::random_id<base::NodeId>(),
                                      .receiver = base::random_id<base::NodeId>()};
    WARREN_TRY_ASSIGN(auto key, keymgr::derive_sa_key(keymgr::random_epoch_secret(), base::random_id<base::ClusterId>(),
                                                      cipher, identity));
    return AddSa{
        .location = {.destination = base::IpAddress::v4(0x7f000001),
                     .spi = make_spi({.slot = {}, .sender = base::NodeIndex{1}, .network = base::NetworkIndex{1}}),
                     .source = base::IpAddress::v4(0x7f000002)},
        .reqid = make_reqid(base::NetworkIndex{1}),
        .cipher = cipher,
        .replay_window = 1024,
        .limits = {},
        .key = std::move(key)};
}

// In the scratch namespace: every SA under the same location, so each goes before the next comes.
base::Result<EspProbe> try_all() {
    EspProbe probe;
    WARREN_TRY_ASSIGN(auto port, make_netlink_port());
    for (const auto cipher : kCiphers) {
        WARREN_TRY_ASSIGN(auto sa, throw_away_sa(cipher));
        const DeleteSa removal{.location = sa.location};
        std::vector<Operation> operations;
        operations.emplace_back(std::move(sa));
        operations.emplace_back(removal);
        const auto answer = port->apply(operations).front();
        if (answer.done()) {
            probe.works.push_back(cipher);
        } else if (answer.error->sys_errno() == EPROTONOSUPPORT) {
            probe.works.clear();
            probe.problem = "the kernel has no ESP: CONFIG_INET_ESP (module esp4) is missing";
            return probe;
        } else {
            probe.problem += fmt::format("{}the kernel refuses {} ({}): it needs {}", probe.problem.empty() ? "" : "; ",
                                         keymgr::name(cipher), answer.error->message(), options(cipher));
        }
    }
    return probe;
}

}  // namespace

EspProbe probe_esp() {
    const auto scratch = netlink::Namespace::create_anonymous();
    if (!scratch) {
        return {.works = {}, .problem = fmt::format("ESP can't be tried: {}", scratch.error().message())};
    }
    auto probe = netlink::run_in(*scratch, [] { return try_all(); });
    return probe ? *probe
                 : EspProbe{.works = {}, .problem = fmt::format("ESP can't be tried: {}", probe.error().message())};
}

}  // namespace warren::xfrm
