#include "xfrm/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace warren::xfrm {
namespace {

using keymgr::Cipher;
using testing::HasSubstr;

std::string said(Cipher cipher, base::Family family, int error) {
    return lacking(cipher, family, base::fail_errno("add SA", error).value());
}

TEST(Probe, ARefusedSaNamesTheOptionThatTheKernelLacks) {
    EXPECT_THAT(said(Cipher::kAes128Gcm, base::Family::kIpv4, EPROTONOSUPPORT), HasSubstr("CONFIG_INET_ESP "));
    EXPECT_THAT(said(Cipher::kAes128Gcm, base::Family::kIpv6, EPROTONOSUPPORT), HasSubstr("CONFIG_INET6_ESP "));
    for (const int error : {ENOSYS, ENOENT, EINVAL}) {
        EXPECT_THAT(said(Cipher::kAes256Gcm, base::Family::kIpv4, error), HasSubstr("CONFIG_CRYPTO_GCM"));
        EXPECT_THAT(said(Cipher::kChaCha20Poly1305, base::Family::kIpv4, error),
                    HasSubstr("CONFIG_CRYPTO_CHACHA20POLY1305"));
    }
    EXPECT_THAT(said(Cipher::kAes128Gcm, base::Family::kIpv4, ENOBUFS), HasSubstr("No buffer space")) << "no guess";
}

// As /proc/crypto has them: Linux 6.1 on a processor with AES-NI, arm64 with the crypto extensions, User-Mode Linux.
std::string crypto(const std::string& driver, int priority, const std::string& name = "rfc4106(gcm(aes))") {
    return fmt::format(
        "name         : {}\ndriver       : {}\nmodule       : kernel\npriority     : {}\nrefcnt       : 1\n"
        "selftest     : passed\ninternal     : no\ntype         : aead\n\n",
        name, driver, priority);
}

TEST(Probe, FastAesIsWhatTheBestDriverDoesByInstructions) {
    const auto plain = crypto("rfc4106(gcm_base(ctr(aes-generic),ghash-generic))", 100);
    EXPECT_FALSE(has_fast_aes(plain));
    EXPECT_FALSE(has_fast_aes("")) << "no driver";
    EXPECT_FALSE(has_fast_aes(plain + crypto("generic-gcm-aesni", 400, "gcm(aes)"))) << "that is another algorithm";
    EXPECT_TRUE(has_fast_aes(crypto("rfc4106-gcm-aesni", 400) + plain));
    EXPECT_TRUE(has_fast_aes(plain + crypto("rfc4106-gcm-aes-ce", 300)));
    EXPECT_FALSE(has_fast_aes(crypto("rfc4106(gcm_base(ctr(aes-fixed-time),ghash-generic))", 100)));
    EXPECT_FALSE(has_fast_aes(crypto("rfc4106(gcm_base(ctr-aes-neonbs,ghash-neon))", 250)));
}

// Whatever kernel this is: many have no ESP.
TEST(Probe, TriesEachCipherAndSaysWhatIsMissing) {
    const auto probe = probe_esp();
    if (!probe) {
        EXPECT_THAT(probe.error().code(), testing::AnyOf(base::Code::kPrecondition, base::Code::kDenied))
            << probe.error().message();
        return;
    }
    EXPECT_EQ(probe->working.size() + probe->missing.size(), 3U);
    for (const auto& missing : probe->missing) {
        EXPECT_THAT(missing.reason, HasSubstr("the kernel lacks CONFIG_"));
    }
}

}  // namespace
}  // namespace warren::xfrm
