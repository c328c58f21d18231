#include "certs/external_authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/files.h"
#include "certs/authority.h"
#include "tests/unit/certs/test_cluster.h"

// Files as operators have them, made by the openssl command.
namespace warren::certs {
namespace {

using testing::HasSubstr;

class ExternalAuthorityTest : public testing::Test {
  protected:
    void shell(const std::string& command) const {
        ASSERT_EQ(std::system(("cd " + directory_.path().native() + " && (" + command + ") >log 2>&1").c_str()), 0)
            << must(base::read_file(directory_.path() / "log"));
    }
    [[nodiscard]] std::string file(const std::string& name) const {
        return must(base::read_file(directory_.path() / name));
    }
    void root(const std::string& name, const std::string& key_options, const std::string& more = "") const {
        shell("openssl req -x509 -nodes -days 3650 -subj /CN=" + name + " -newkey " + key_options + " -keyout " + name +
              ".key -out " + name + ".crt " + more);
    }
    [[nodiscard]] static std::string refusal(const std::string& pem, base::Time now = base::system_now()) {
        return error_of(parse_external_authority("--external-root", pem, now));
    }

    TestDirectory directory_;
};

TEST_F(ExternalAuthorityTest, TakesRootsOfTheKindsThatItNames) {
    root("p256", "ec -pkeyopt ec_paramgen_curve:P-256");
    root("p384", "ec -pkeyopt ec_paramgen_curve:P-384");
    root("rsa", "rsa:3072");
    for (const std::string name : {"p256", "p384", "rsa"}) {
        const auto taken =
            must(parse_external_authority("f", file(name + ".key") + file(name + ".crt"), base::system_now()));
        EXPECT_EQ(taken.certificate_pem, file(name + ".crt"));
        EXPECT_EQ(taken.roots_pem, file(name + ".crt"));
    }
}

TEST_F(ExternalAuthorityTest, ARootThatWasAlteredIsRefused) {
    root("p256", "ec -pkeyopt ec_paramgen_curve:P-256");
    shell("openssl x509 -in p256.crt -outform DER | sed s/p256/q256/g | openssl x509 -inform DER -out altered.crt");
    EXPECT_THAT(refusal(file("p256.key") + file("altered.crt")),
                HasSubstr("certificate 'q256': its signature is wrong"));
}

// The order and what other tools write between do not matter; leaves of it are verified by who trusts its root.
TEST_F(ExternalAuthorityTest, TakesAnIntermediateWithWhatLeadsToItsRoot) {
    root("top", "rsa:3072");
    shell(
        "openssl req -nodes -subj /CN=mid -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout mid.key -out mid.csr && "
        "printf "
        "'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n'"
        " > ext && openssl x509 -req -days 3000 -in mid.csr -CA top.crt -CAkey top.key -CAcreateserial -extfile ext"
        " -out mid.crt && openssl x509 -text -in mid.crt > mid.text");
    auto taken = must(parse_external_authority(
        "f", file("top.crt") + "some words\n" + file("mid.text") + file("mid.key"), base::system_now()));
    EXPECT_EQ(taken.certificate_pem, file("mid.crt"));
    EXPECT_EQ(taken.roots_pem, file("mid.crt") + file("top.crt"));

    const base::Time now = base::system_now();
    const TestCluster old(now);
    const auto next = must(Authority::load(taken.certificate_pem, std::move(taken.key)));
    const Identity who = old.identity(Role::kWorker);
    const auto key = must(PrivateKey::generate());
    const std::string leaf = must(next.issue(must(make_request(key)), who, kDefaultLeafLifetime, now)) +
                             must(old.authority.cross_sign(taken.certificate_pem, now));
    EXPECT_TRUE(must(Roots::parse("roots", taken.roots_pem)).verify("leaf", leaf, now));
    EXPECT_TRUE(old.roots.verify("leaf", leaf, now)) << "who trusts the old root only follows";
    const Roots both = must(Roots::parse("roots", old.roots.pem() + taken.roots_pem));
    EXPECT_TRUE(both.verify("leaf", leaf, now));
    // What a token pins is the root, and the intermediate comes with it.
    EXPECT_EQ(must(both.pinned(must(Roots::parse("roots", taken.roots_pem)).pin())).pem(), taken.roots_pem);

    EXPECT_THAT(refusal(file("mid.crt") + file("mid.key")), HasSubstr("what leads from it to its root"));
}

TEST_F(ExternalAuthorityTest, SaysWhatIsWrongWithAFile) {
    root("good", "ec -pkeyopt ec_paramgen_curve:P-256");
    root("other", "ec -pkeyopt ec_paramgen_curve:P-256");
    root("weak", "rsa:2048");
    root("curve", "ec -pkeyopt ec_paramgen_curve:secp256k1");
    root("leaf", "ec -pkeyopt ec_paramgen_curve:P-256", "-addext basicConstraints=critical,CA:FALSE");
    EXPECT_THAT(refusal(file("good.crt") + file("other.key")), HasSubstr("none of its certificates is for its"));
    EXPECT_THAT(refusal(file("weak.crt") + file("weak.key")), HasSubstr("RSA of 2048 bits: must be 3072 or more"));
    EXPECT_THAT(refusal(file("curve.crt") + file("curve.key")), HasSubstr("P-256 or P-384, or RSA"));
    EXPECT_THAT(refusal(file("leaf.crt") + file("leaf.key")), HasSubstr("must be one of an authority"));
    EXPECT_THAT(refusal(file("good.crt") + file("good.key"), base::system_now() + 3651 * kDay),
                HasSubstr("valid from"));
    EXPECT_THAT(refusal(file("good.crt")), HasSubstr("private key"));
    EXPECT_THAT(refusal(file("good.key")), HasSubstr("no certificate"));
    EXPECT_THAT(refusal(""), HasSubstr("no certificate"));
    EXPECT_EQ(refusal(file("good.crt") + file("good.key")), "");
}

}  // namespace
}  // namespace warren::certs
