// Lets the openssl command judge what we make: a check that shares no code with the room but the library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "base/files.h"
#include "base/text.h"
#include "tests/shell.h"
#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

using testing::HasSubstr;
using testing::Not;

class OpensslCommand : public testing::Test {
  protected:
    OpensslCommand() { must(save_identity(certs_, cluster_.node(manager_, kNow))); }
    [[nodiscard]] std::string text(const char* file) const {
        return run_shell("openssl x509 -noout -text -in " + (certs_ / file).native());
    }
    [[nodiscard]] std::string verify(base::Time at, const std::string& options) const {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
        return run_shell(fmt::format("openssl verify -x509_strict -CAfile {} -attime {} {} {}",
                                     (certs_ / "roots.pem").native(), seconds, options,
                                     (certs_ / "node.pem").native()));
    }

    TestDirectory directory_;
    std::filesystem::path certs_ = directory_.path() / "certs";
    TestCluster cluster_;
    Identity manager_ = cluster_.identity(Role::kManager);
};

TEST_F(OpensslCommand, VerifiesALeafForBothPurposes) {
    for (const char* purpose : {"sslserver", "sslclient"}) {
        EXPECT_THAT(verify(kNow, fmt::format("-purpose {}", purpose)), HasSubstr("node.pem: OK"));
    }
    EXPECT_THAT(verify(kNow, "-verify_hostname " + manager_dns_name(cluster_.id)), HasSubstr("node.pem: OK"));
    EXPECT_THAT(verify(kNow, "-verify_hostname manager." + std::string(32, '0')), HasSubstr("hostname mismatch"));
    EXPECT_THAT(verify(kNow - 2h, ""), HasSubstr("not yet valid"));
    EXPECT_THAT(verify(kNow + 91 * kDay, ""), HasSubstr("has expired"));
}

TEST_F(OpensslCommand, DescribesTheRoot) {
    const std::string root = text("roots.pem");
    EXPECT_THAT(root, HasSubstr("Issuer: O = " + cluster_.id.text() + ", CN = harbour\n"));
    EXPECT_THAT(root, HasSubstr("Subject: O = " + cluster_.id.text() + ", CN = harbour\n"));
    EXPECT_THAT(root, HasSubstr("Not Before: Mar  1 11:00:00 2026 GMT"));
    EXPECT_THAT(root, HasSubstr("Not After : Mar  1 12:00:00 2046 GMT"));
    EXPECT_THAT(root, HasSubstr("NIST CURVE: P-256"));
    EXPECT_THAT(root, HasSubstr("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:1"));
    EXPECT_THAT(root, HasSubstr("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign"));
    EXPECT_THAT(root, HasSubstr("X509v3 Subject Key Identifier"));
    EXPECT_THAT(root, HasSubstr("Signature Algorithm: ecdsa-with-SHA256"));
}

TEST_F(OpensslCommand, DescribesALeaf) {
    const std::string leaf = text("node.pem");
    EXPECT_THAT(leaf, HasSubstr("Subject: O = " + cluster_.id.text() + ", OU = manager, CN = " + manager_.node.text()));
    EXPECT_THAT(leaf, HasSubstr("Not After : May 30 12:00:00 2026 GMT"));
    EXPECT_THAT(leaf, HasSubstr("X509v3 Basic Constraints: critical\n                CA:FALSE"));
    EXPECT_THAT(leaf, HasSubstr("X509v3 Key Usage: critical\n                Digital Signature\n"));
    EXPECT_THAT(leaf, HasSubstr("TLS Web Server Authentication, TLS Web Client Authentication"));
    EXPECT_THAT(leaf, HasSubstr("URI:spiffe://" + cluster_.id.text() + "/node/" + manager_.node.text() +
                                ", DNS:manager." + cluster_.id.text() + "\n"));
    EXPECT_THAT(leaf, HasSubstr("X509v3 Authority Key Identifier"));
    EXPECT_THAT(leaf, Not(HasSubstr("CA:TRUE")));
}

// A leaf of the next authority: who trusts the old root follows by the cross-signed certificate, who trusts the new one
// does not need it.
TEST_F(OpensslCommand, VerifiesAMoveToAnotherAuthority) {
    const Authority next = must(Authority::make(cluster_.id, "harbour-2", kNow));
    const std::string cross = must(cluster_.authority.cross_sign(next.root_pem(), kNow));
    const auto leaf = must(next.issue(must(make_request(must(PrivateKey::generate()))), manager_, 90 * kDay, kNow));
    for (const auto& [file, pem] : {std::pair{"cross.pem", cross}, {"leaf.pem", leaf}, {"next.pem", next.root_pem()}}) {
        must(base::write_file_atomic(certs_ / file, pem, 0644));
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kNow.time_since_epoch()).count();
    const auto verify_leaf = [&](const std::string& root, const std::string& options) {
        return run_shell(fmt::format("cd {} && openssl verify -x509_strict -attime {} -CAfile {} {} leaf.pem",
                                     certs_.native(), seconds, root, options));
    };
    EXPECT_THAT(verify_leaf("roots.pem", "-untrusted cross.pem"), HasSubstr("leaf.pem: OK"));
    EXPECT_THAT(verify_leaf("next.pem", ""), HasSubstr("leaf.pem: OK"));
    EXPECT_THAT(verify_leaf("next.pem", "-untrusted cross.pem"), HasSubstr("leaf.pem: OK"));
    EXPECT_THAT(verify_leaf("roots.pem", ""), HasSubstr("unable to get local issuer"));

    const std::string described = text("cross.pem");
    EXPECT_THAT(described, HasSubstr("Issuer: O = " + cluster_.id.text() + ", CN = harbour\n"));
    EXPECT_THAT(described, HasSubstr("Subject: O = " + cluster_.id.text() + ", CN = harbour-2\n"));
    EXPECT_THAT(described, HasSubstr("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0"));
    EXPECT_THAT(described, HasSubstr("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign"));
}

TEST_F(OpensslCommand, SeesTheFingerprintThatWeShow) {
    std::string shown = run_shell("openssl x509 -noout -fingerprint -sha256 -in " + (certs_ / "roots.pem").native());
    shown = std::regex_replace(shown.substr(shown.find('=') + 1), std::regex("[:\n]"), "");
    const auto fingerprint = base::from_hex(shown);
    ASSERT_TRUE(fingerprint) << shown;
    EXPECT_THAT(*fingerprint, testing::ElementsAreArray(cluster_.roots.certificates().front().fingerprint));
}

TEST_F(OpensslCommand, ReadsTheKeyFromTheSameFile) {
    EXPECT_THAT(run_shell("openssl pkey -noout -text -in " + (certs_ / "node.pem").native()),
                HasSubstr("NIST CURVE: P-256"));
}

}  // namespace
}  // namespace warren::certs
