#include <gtest/gtest.h>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// On a kernel that has no AES-GCM, which scripts/lab-run builds for these. Part of the leak test: by tcpdump's word
// nothing crosses the underlay in clear because a cipher is missing.
namespace warren::lab {
namespace {

TEST(WithoutGcmSoak, ANetworkThatNeedsItIsRefusedAndNothingIsSent) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const Container container("c2");
    const auto refused = lab->host(2).warren({"network", "connect", "net1", "--netns", "c2"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("node 'h2' can't encrypt with aes-128-gcm"), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("lacks CONFIG_CRYPTO_GCM"), std::string::npos) << refused.err;
    EXPECT_EQ(container.run({"ip", "-brief", "link"}).out.find("eth"), std::string::npos) << "half of it was made";
    EXPECT_EQ(manager.ask<v1::EndpointListReply>({"endpoint", "ls"}).endpoints_size(), 0);
    capture.stop();
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
}

TEST(WithoutGcmSoak, AutoTakesTheOtherCipher) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "--opt", "cipher=auto", "net1"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const auto containers = containers_on_all(*lab, "net1");
    EXPECT_EQ(unreachable_pairs(containers), "");
    EXPECT_NE(lab->host(2).must({"ip", "xfrm", "state"}).find("rfc7539esp(chacha20,poly1305)"), std::string::npos);
    const auto shown = manager.warren_ok({"network", "inspect", "net1"});
    EXPECT_NE(shown.find("aes-128-gcm"), std::string::npos) << "it does not say what is missing: " << shown;

    // By name it can't be had, and the network stays as it is.
    const auto refused = manager.warren({"network", "update", "--opt", "cipher=aes-128-gcm", "net1"});
    EXPECT_NE(refused.code, 0);
    EXPECT_NE(refused.err.find("lacks CONFIG_CRYPTO_GCM"), std::string::npos) << refused.err;
    manager.warren_ok({"key", "rotate", "net1"});
    EXPECT_EQ(unreachable_pairs(containers), "");
    capture.stop();
    EXPECT_GT(capture.count("esp"), 0U);
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
}

}  // namespace
}  // namespace warren::lab
