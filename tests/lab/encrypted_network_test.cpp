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

}  // namespace
}  // namespace warren::lab
