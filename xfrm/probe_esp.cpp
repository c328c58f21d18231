#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <utility>

#include "base/files.h"
#include "base/text.h"
#include "netlink/namespace.h"
#include "xfrm/kernel_port.h"
#include "xfrm/probe.h"

namespace warren::xfrm {
namespace {

constexpr std::array kCiphers{keymgr::Cipher::kAes128Gcm, keymgr::Cipher::kAes256Gcm,
                              keymgr::Cipher::kChaCha20Poly1305};

std::string_view cipher_option(keymgr::Cipher cipher) {
    switch (cipher) {
        case keymgr::Cipher::kAes128Gcm:
        case keymgr::Cipher::kAes256Gcm:
            return "CONFIG_CRYPTO_GCM, CONFIG_CRYPTO_AES or CONFIG_CRYPTO_SEQIV (modules gcm, aes_generic, seqiv)";
        case keymgr::Cipher::kChaCha20Poly1305:
            return "CONFIG_CRYPTO_CHACHA20POLY1305 or CONFIG_CRYPTO_SEQIV (modules chacha20poly1305, seqiv)";
    }
    return "a cipher";
}

AddSa throw_away_sa(keymgr::Cipher cipher, base::Family family) {
    base::IpAddress source{.family = family};
    base::IpAddress destination{.family = family};
    source.bytes.front() = destination.bytes.front() = 10;
    source.bytes[3] = 1;
    destination.bytes[3] = 2;
    const keymgr::EpochSecret random = keymgr::random_epoch_secret();
    AddSa add{.location = {.destination = destination, .spi = Spi{0x40004001}, .source = source},
              .reqid = make_reqid(base::NetworkIndex{1}),
              .cipher = cipher,
              .replay_window = 1024};
    add.key.length = aead(cipher).key_bits / 8;
    const auto bytes = random.reveal();
    std::copy(bytes.begin(), bytes.end(), add.key.bytes.reveal_mutable().begin());
    return add;
}

}  // namespace

// net/xfrm/xfrm_user.c: attach_aead fails first, then the type, then the type's own set-up.
std::string lacking(keymgr::Cipher cipher, base::Family family, const base::Error& error) {
    switch (error.sys_errno()) {
        case EPROTONOSUPPORT:
            return family == base::Family::kIpv4 ? "the kernel lacks CONFIG_INET_ESP (module esp4)"
                                                 : "the kernel lacks CONFIG_INET6_ESP (module esp6)";
        case ENOSYS:
        case ENOENT:
        case EINVAL:
            return fmt::format("the kernel lacks {}", cipher_option(cipher));
        default:
            return error.message();
    }
}

// The kernel's names of drivers without instructions for AES: crypto/aes_generic.c, aes_ti.c, lib/crypto (since 6.19),
// and arm's NEON, which is four times slower than its crypto extensions.
bool has_fast_aes(std::string_view crypto) {
    constexpr std::array<std::string_view, 4> kPlainCode{"generic", "fixed-time", "-lib", "neon"};
    std::istringstream lines{std::string(crypto)};
    std::string line;
    std::string name;
    std::string driver;
    std::int64_t best = -1;
    bool fast = false;
    while (std::getline(lines, line)) {
        const auto colon = line.find(": ");
        const auto key = line.substr(0, line.find(' '));
        const auto value = colon == std::string::npos ? std::string() : line.substr(colon + 2);
        if (key == "name") {
            name = value;
        } else if (key == "driver") {
            driver = value;
        } else if (key == "priority" && name == aead(keymgr::Cipher::kAes128Gcm).kernel) {
            const auto priority = static_cast<std::int64_t>(base::parse_unsigned(value, INT32_MAX).value_or(0));
            if (priority > best) {
                best = priority;
                fast = std::ranges::none_of(kPlainCode, [&](auto part) { return driver.find(part) != driver.npos; });
            }
        }
    }
    return fast;
}

base::Result<EspProbe> probe_esp(base::Family family) {
    auto scratch = netlink::Namespace::create_anonymous();
    if (!scratch) {
        return base::fail_in("probe ESP: make a namespace", std::move(scratch));
    }
    auto port = netlink::run_in(*scratch, [] { return make_netlink_port(); });
    if (!port) {
        return base::fail_in("probe ESP", std::move(port));
    }
    EspProbe probe;
    for (const keymgr::Cipher cipher : kCiphers) {
        AddSa add = throw_away_sa(cipher, family);
        const DeleteSa removal{add.location};
        std::vector<Operation> operations;
        operations.emplace_back(std::move(add));
        operations.emplace_back(removal);
        const Answer answer = (*port)->apply(operations).front();
        if (answer.done()) {
            probe.working.push_back(cipher);
        } else {
            probe.missing.push_back({.cipher = cipher, .reason = lacking(cipher, family, *answer.error)});
        }
    }
    probe.fast_aes = has_fast_aes(base::read_file("/proc/crypto").value_or(""));
    return probe;
}

}  // namespace warren::xfrm
