#include "certs/node_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "base/fault_point.h"
#include "base/files.h"
#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

mode_t mode_of(const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
}

class NodeIdentityTest : public testing::Test {
  protected:
    void write(const fs::path& path, const std::string& text) const { must(base::write_file_atomic(path, text, 0600)); }
    [[nodiscard]] std::string load_error() const { return error_of(load_identity(certs_)); }

    TestDirectory directory_;
    fs::path certs_ = directory_.path() / "certs";
    fs::path node_pem_ = certs_ / "node.pem";
    fs::path roots_pem_ = certs_ / "roots.pem";
    TestCluster cluster_;
    NodeIdentity node_ = cluster_.node(Role::kWorker);
};

TEST_F(NodeIdentityTest, ComesBackFromItsFiles) {
    must(save_identity(certs_, node_));
    const auto loaded = must(load_identity(certs_));
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->leaf(), node_.leaf());
    EXPECT_EQ(loaded->chain_pem(), node_.chain_pem());
    EXPECT_EQ(loaded->roots().hash(), node_.roots().hash());
    EXPECT_EQ(must(make_request(loaded->key())).empty(), false);
}

TEST_F(NodeIdentityTest, TheKeyIsForItsOwnerOnly) {
    const mode_t before = ::umask(0);
    must(save_identity(certs_, node_));
    ::umask(before);
    EXPECT_EQ(mode_of(certs_), 0700U);
    EXPECT_EQ(mode_of(node_pem_), 0600U);
    EXPECT_EQ(mode_of(roots_pem_), 0644U);
}

TEST_F(NodeIdentityTest, NoFilesAreNoIdentity) {
    EXPECT_FALSE(must(load_identity(certs_)));
    must(base::make_directory(certs_, 0700));
    EXPECT_FALSE(must(load_identity(certs_)));
}

TEST_F(NodeIdentityTest, ACrashInTheFirstSaveLeavesNoIdentityAndCanBeRepeated) {
    must(base::make_directory(certs_, 0700));
    write(roots_pem_, TestCluster().authority.root_pem());  // of a join that did not finish, of another cluster
    write(certs_ / "node.pem.tmp", "-----BEGIN PRIV");
    EXPECT_FALSE(must(load_identity(certs_)));
    must(save_identity(certs_, node_));
    EXPECT_TRUE(must(load_identity(certs_)));
}

TEST_F(NodeIdentityTest, RenewalReplacesKeyAndCertificate) {
    must(save_identity(certs_, node_));
    const NodeIdentity renewed = cluster_.node(node_.identity(), kNow + kDay);
    must(save_identity(certs_, renewed));
    EXPECT_EQ(must(load_identity(certs_))->leaf(), renewed.leaf());
}

// Whatever moment a crash comes at, the files must load: the fault points are between the writes.
TEST_F(NodeIdentityTest, ACrashBetweenTheWritesOfAMoveToAnotherRootLeavesAWholeIdentity) {
    const TestCluster next(kNow, cluster_.id);
    const NodeIdentity moved = next.node(node_.identity(), kNow);
    for (const char* fault : {"renewal.roots-written", "renewal.node-written"}) {
        std::filesystem::remove_all(certs_);
        must(save_identity(certs_, node_));
        EXPECT_EXIT(
            {
                (void)base::arm_fault(fault);
                (void)save_identity(certs_, moved);
            },
            testing::KilledBySignal(SIGKILL), "")
            << fault;
        const auto left = load_identity(certs_);
        ASSERT_TRUE(left) << fault << ": " << left.error().message();
        EXPECT_EQ((*left)->identity(), node_.identity());
        must(save_identity(certs_, moved));  // and the next attempt completes it
        EXPECT_EQ(must(load_identity(certs_))->roots().pem(), next.roots.pem());
    }
}

TEST_F(NodeIdentityTest, TrustsNoRootsThatLeaveItWithoutAName) {
    NodeIdentity node = cluster_.node(node_.identity(), kNow);
    const TestCluster next(kNow, cluster_.id);
    EXPECT_FALSE(node.trust(next.roots));
    EXPECT_EQ(node.roots().pem(), cluster_.roots.pem());
    EXPECT_TRUE(node.trust(must(Roots::parse("roots", next.roots.pem() + cluster_.roots.pem()))));
}

TEST_F(NodeIdentityTest, NeverReplacesAnotherIdentity) {
    must(save_identity(certs_, node_));
    const auto refused = save_identity(certs_, cluster_.node(Role::kWorker));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kConflict);
    EXPECT_THAT(refused.error().message(), HasSubstr(node_.identity().text()));
    EXPECT_EQ(must(load_identity(certs_))->leaf(), node_.leaf());
}

TEST_F(NodeIdentityTest, NeverReplacesWhatItCannotRead) {
    must(save_identity(certs_, node_));
    write(node_pem_, "torn");
    EXPECT_FALSE(save_identity(certs_, node_));
    EXPECT_EQ(must(base::read_file(node_pem_)), "torn");
}

TEST_F(NodeIdentityTest, FilesOpenToOthersAreRefused) {
    must(save_identity(certs_, node_));
    ::chmod(node_pem_.c_str(), 0640);
    EXPECT_THAT(load_error(), AllOf(HasSubstr(node_pem_.native() + ": mode 0640"), HasSubstr("chmod 0600")));
    ::chmod(node_pem_.c_str(), 0600);
    ::chmod(roots_pem_.c_str(), 0666);
    EXPECT_THAT(load_error(), AllOf(HasSubstr(roots_pem_.native() + ": mode 0666"), HasSubstr("chmod 0644")));
    ::chmod(roots_pem_.c_str(), 0600);
    EXPECT_EQ(load_error(), "");
    ::chmod(certs_.c_str(), 0755);
    EXPECT_THAT(load_error(), AllOf(HasSubstr(certs_.native() + ": mode 0755"), HasSubstr("chmod 0700")));
}

TEST_F(NodeIdentityTest, FilesOfAnotherUserAreRefused) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root can give a file away";
    }
    must(save_identity(certs_, node_));
    ASSERT_EQ(::chown(node_pem_.c_str(), 65534, 65534), 0);
    EXPECT_THAT(load_error(), HasSubstr(node_pem_.native() + ": belongs to user 65534, must belong to user 0"));
}

TEST_F(NodeIdentityTest, LinksAreRefused) {
    must(save_identity(certs_, node_));
    fs::rename(node_pem_, directory_.path() / "elsewhere.pem");
    fs::create_symlink(directory_.path() / "elsewhere.pem", node_pem_);
    EXPECT_THAT(load_error(), HasSubstr(node_pem_.native() + ": must be a file"));
}

TEST_F(NodeIdentityTest, AMissingHalfIsReported) {
    must(save_identity(certs_, node_));
    fs::remove(roots_pem_);
    EXPECT_THAT(load_error(), AllOf(HasSubstr(roots_pem_.native()), HasSubstr("restore " + certs_.native())));
}

TEST_F(NodeIdentityTest, TornFilesNameThemselvesAndTheWayOut) {
    must(save_identity(certs_, node_));
    const std::string whole = must(base::read_file(node_pem_));
    for (std::size_t length = 0; length < whole.size(); length += 23) {
        write(node_pem_, whole.substr(0, length));
        EXPECT_THAT(load_error(), AllOf(HasSubstr(node_pem_.native()), HasSubstr("restore " + certs_.native()),
                                        HasSubstr("join the cluster again")))
            << length;
    }
    write(node_pem_, whole + "x");
    EXPECT_THAT(load_error(), HasSubstr(node_pem_.native()));
    write(node_pem_, "x\n" + whole);
    EXPECT_THAT(load_error(),
                HasSubstr(node_pem_.native() + ": must be a private key and its certificate and nothing else"));
    write(node_pem_, whole);
    const std::string roots = must(base::read_file(roots_pem_));
    write(roots_pem_, roots.substr(0, roots.size() / 2));
    EXPECT_THAT(load_error(), AllOf(HasSubstr(roots_pem_.native()), HasSubstr("restore")));
}

TEST_F(NodeIdentityTest, AForeignKeyOrCertificateIsRefused) {
    must(save_identity(certs_, node_));
    const NodeIdentity other = cluster_.node(Role::kWorker);
    const auto file = [](const PrivateKey& key, const std::string& chain) {
        const base::SecretBytes pem = must(key.pem());
        return std::string(pem.reveal().begin(), pem.reveal().end()) + chain;
    };
    write(node_pem_, file(other.key(), node_.chain_pem()));
    EXPECT_THAT(load_error(), AllOf(HasSubstr(node_pem_.native()), HasSubstr("is not for this private key")));
    const NodeIdentity stranger = TestCluster().node(Role::kWorker);
    write(node_pem_, file(stranger.key(), stranger.chain_pem()));
    EXPECT_THAT(load_error(),
                AllOf(HasSubstr(node_pem_.native()), HasSubstr("unable to get local issuer certificate")));
}

TEST_F(NodeIdentityTest, ErrorsShowNoKey) {
    must(save_identity(certs_, node_));
    const std::string whole = must(base::read_file(node_pem_));
    const std::string key_line = whole.substr(whole.find('\n') + 1, 40);
    write(node_pem_, whole.substr(0, whole.size() - 100));
    EXPECT_EQ(load_error().find(key_line.substr(0, 16)), std::string::npos);
}

TEST_F(NodeIdentityTest, AnExpiredIdentityStillLoads) {
    const NodeIdentity old = cluster_.node(node_.identity(), kNow, 1h);
    must(save_identity(certs_, old));
    const auto loaded = must(load_identity(certs_));
    ASSERT_TRUE(loaded);
    EXPECT_FALSE(check_validity(loaded->leaf(), kNow + kDay));
}

}  // namespace
}  // namespace warren::certs
