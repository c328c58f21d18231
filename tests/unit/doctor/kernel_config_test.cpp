#include "doctor/kernel_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::doctor {
namespace {

using testing::HasSubstr;

constexpr std::string_view kWhole =
    "#\n# Automatically generated file\n#\n"
    "CONFIG_NET_NS=y\nCONFIG_VXLAN=m\nCONFIG_BRIDGE=m\nCONFIG_VETH=m\nCONFIG_XFRM_USER=m\nCONFIG_INET_ESP=m\n"
    "CONFIG_CRYPTO_GCM=y\nCONFIG_CRYPTO_CHACHA20POLY1305=m\nCONFIG_NF_TABLES=m\nCONFIG_NF_TABLES_INET=y\n"
    "CONFIG_NFT_XFRM=m\nCONFIG_XFRM_STATISTICS=y\n# CONFIG_INET6_ESP is not set\nCONFIG_LOCALVERSION=\"\"\n";

TEST(KernelConfig, WhatIsNeededIsThere) {
    const auto findings = check_kernel(parse_kernel_config(kWhole), base::Family::kIpv4);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kOk);
    EXPECT_EQ(findings[0].detail, "all 12 that are needed are there");
}

TEST(KernelConfig, WhatIsMissingIsNamedWithItsPurpose) {
    const auto findings = check_kernel(parse_kernel_config(kWhole), base::Family::kIpv6);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
    EXPECT_EQ(findings[0].detail, "CONFIG_INET6_ESP is not set: it encrypts");
    EXPECT_FALSE(findings[0].remedy.empty());
}

TEST(KernelConfig, WhatOnlyTellsIsAWarning) {
    auto config = parse_kernel_config(kWhole);
    config.erase("CONFIG_XFRM_STATISTICS");
    config["CONFIG_NFT_XFRM"] = "n";
    const auto findings = check_kernel(config, base::Family::kIpv4);
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_THAT(findings[0].detail, HasSubstr("CONFIG_NFT_XFRM"));
    EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
    EXPECT_EQ(findings[1].verdict, Verdict::kWarning);
}

TEST(KernelConfig, WithoutOneNothingIsClaimed) {
    const auto findings = check_kernel(std::nullopt, base::Family::kIpv4);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kUnknown);
}

}  // namespace
}  // namespace warren::doctor
