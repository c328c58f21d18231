#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

TEST(EncryptedNetwork, AllPairsTalkInEspOnly) {
    const auto lab = cluster_of(3);
    lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const auto containers = containers_on_all(*lab, "net1");
    EXPECT_EQ(unreachable_pairs(containers), "");
    capture.stop();
    for (const auto& from : lab->hosts()) {
        for (const auto& to : lab->hosts()) {
            if (from != to) {
                EXPECT_GT(capture.count(fmt::format("esp and src {} and dst {}", from->address(), to->address())), 0U);
            }
        }
    }
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
}

// The lab's kernel has no AES instructions; a machine's own that has ESP may have them.
TEST(EncryptedNetwork, AnAutomaticCipherIsTheOneThatTheKernelsAreGoodAt) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "--opt", "cipher=auto", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const auto crypto = file_content("/proc/crypto");
    const bool instructions = crypto.find("rfc4106-gcm-") != std::string::npos;
    const auto shown = inspect(manager, "net1");
    EXPECT_EQ(shown.cipher(), instructions ? "aes-128-gcm" : "chacha20-poly1305") << crypto;
    const std::string why =
        instructions ? "every node has AES instructions" : "2 nodes have no AES instructions, such as";
    EXPECT_NE(shown.cipher_choice().find(why), std::string::npos) << shown.cipher_choice();
    EXPECT_NE(manager.must({"ip", "xfrm", "state", "list", "nokeys"})
                  .find(instructions ? "rfc4106(gcm(aes))" : "rfc7539esp(chacha20,poly1305)"),
              std::string::npos);
    // An explicit choice wins, by a rotation.
    manager.warren_ok({"network", "update", "net1", "--opt", "cipher=aes-256-gcm"});
    EXPECT_TRUE(eventually(std::chrono::seconds(20), [&] { return inspect(manager, "net1").active_epoch() == 2; }));
    EXPECT_EQ(inspect(manager, "net1").cipher_choice(), "");
    EXPECT_EQ(unreachable_pairs(containers), "");
}

}  // namespace
}  // namespace warren::lab
