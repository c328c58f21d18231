#include "agent/membership_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/files.h"
#include "certs/authority.h"
#include "tests/test_directory.h"

namespace warren::agent {
namespace {

using testing::HasSubstr;

class MembershipFilesTest : public testing::Test {
  protected:
    static Membership membership() {
        const auto now = base::system_now();
        const auto cluster = base::random_id<base::ClusterId>();
        const auto node = base::random_id<base::NodeId>();
        auto authority = certs::Authority::make(cluster, "test", now).value();
        auto key = certs::PrivateKey::generate().value();
        const auto leaf = authority
                              .issue(certs::make_request(key).value(),
                                     {.cluster = cluster, .node = node, .role = certs::Role::kWorker},
                                     certs::kDefaultLeafLifetime, now)
                              .value();
        auto roots = certs::Roots::parse("roots", authority.root_pem()).value();
        Membership made{.identity = certs::NodeIdentity::assemble(std::move(key), leaf, std::move(roots)).value(),
                        .config = {}};
        made.config.set_cluster_id(cluster.text());
        made.config.set_node_id(node.text());
        made.config.set_node_name("n1");
        made.config.add_managers("192.0.2.1:7443");
        made.config.set_data_address("192.0.2.2");
        return made;
    }

    TestDirectory directory_;
    std::filesystem::path state_ = directory_.path();
    MembershipFiles files_{state_};
};

TEST_F(MembershipFilesTest, WhatIsCommittedIsLoaded) {
    EXPECT_FALSE(*files_.load()) << "no cluster yet";
    const auto made = membership();
    ASSERT_TRUE(files_.prepare());
    EXPECT_FALSE(*files_.load()) << "prepared is not entered";
    ASSERT_TRUE(files_.commit(made));
    const auto loaded = files_.load();
    ASSERT_TRUE(loaded) << loaded.error().message();
    ASSERT_TRUE(*loaded);
    EXPECT_EQ((*loaded)->identity.identity(), made.identity.identity());
    EXPECT_EQ((*loaded)->config.node_name(), "n1");
    EXPECT_FALSE(std::filesystem::exists(files_.staging()));
}

TEST_F(MembershipFilesTest, ASecondClusterIsRefused) {
    ASSERT_TRUE(files_.prepare());
    ASSERT_TRUE(files_.commit(membership()));
    const auto refused = files_.prepare();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kConflict);
    EXPECT_THAT(refused.error().message(), HasSubstr("in a cluster already"));
}

TEST_F(MembershipFilesTest, WhatAnInterruptedEntryLeftGoes) {
    ASSERT_TRUE(files_.prepare());
    std::ofstream(files_.staging() / "half") << "x";
    ASSERT_TRUE(files_.prepare());
    EXPECT_FALSE(std::filesystem::exists(files_.staging() / "half"));
}

TEST_F(MembershipFilesTest, DamageIsNamedAndNeverANewIdentity) {
    ASSERT_TRUE(files_.prepare());
    ASSERT_TRUE(files_.commit(membership()));
    std::ofstream(files_.directory() / "node.json") << "{";
    auto loaded = files_.load();
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message(), HasSubstr("node.json"));
    std::filesystem::remove(files_.directory() / "certs" / "node.pem");
    loaded = files_.load();
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message(), HasSubstr("has no certificate"));
}

TEST_F(MembershipFilesTest, FilesOfTwoNodesAreToldApart) {
    ASSERT_TRUE(files_.prepare());
    auto made = membership();
    made.config.set_node_id(base::random_id<base::NodeId>().text());
    ASSERT_TRUE(files_.commit(made));
    const auto loaded = files_.load();
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message(), HasSubstr("of different nodes"));
}

TEST_F(MembershipFilesTest, AMembershipCanBeWiped) {
    ASSERT_TRUE(files_.prepare());
    ASSERT_TRUE(files_.commit(membership()));
    // A second name for the file shows what became of its bytes.
    const auto other_name = files_.directory().parent_path() / "kept";
    std::filesystem::create_hard_link(files_.directory() / "certs" / "node.pem", other_name);
    ASSERT_TRUE(files_.wipe());
    EXPECT_FALSE(*files_.load());
    EXPECT_EQ(std::filesystem::exists(files_.directory()), false);
    EXPECT_EQ(std::filesystem::exists(files_.staging()), false);
    const auto bytes = base::read_file(other_name).value();
    EXPECT_GT(bytes.size(), 100U);
    EXPECT_EQ(bytes.find_first_not_of('\0'), std::string::npos) << "the key was left on the disk";
    EXPECT_TRUE(files_.prepare());
}

}  // namespace
}  // namespace warren::agent
