#include <algorithm>
#include <fstream>
#include <iterator>

#include "tests/unit/manager/core_fixture.h"

namespace warren::manager {
namespace {

keymgr::KeyEncryptionKey other_kek(std::uint8_t fill) {  // a test vector
    std::array<std::uint8_t, 32> bytes{};
    bytes.fill(fill);
    return keymgr::KeyEncryptionKey::from(base::Secret<32>(bytes)).value();
}

class Kek : public CoreTest {
  protected:
    // What of the store's values says that it is sealed under this key.
    int sealed_under(const keymgr::KeyEncryptionKey& kek) {
        const std::string name = std::string(1, '\x01') + std::string(kek.id().begin(), kek.id().end());
        int found = 0;
        const auto all = cluster_.store->range("").value();
        for (const auto& item : all.items) {
            for (auto at = item.value.find(name); at != std::string::npos; at = item.value.find(name, at + 1)) {
                ++found;
            }
        }
        return found;
    }
    // Files of the store that have the key's name in them, in whatever page.
    int files_with(const keymgr::KeyEncryptionKey& kek) {
        const std::string name(kek.id().begin(), kek.id().end());
        int found = 0;
        for (const auto& entry : std::filesystem::directory_iterator(cluster_.directory.path() / "state")) {
            std::ifstream in(entry.path(), std::ios::binary);
            const std::string content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
            found += content.find(name) != std::string::npos ? 1 : 0;
        }
        return found;
    }
    // The secret of epoch 1 of the network, as a new member's agent gets it.
    std::string secret_of_network(const std::string& network, const Joined& member, const std::string& netns) {
        EXPECT_EQ(connect(member, network, netns).error(), "");
        const auto* message = member.agent->last(v1::FromManager::kSnapshot);
        return message == nullptr ? "" : message->snapshot().content().epochs(0).secret();
    }
};

TEST_F(Kek, ChangeSealsEverythingAnewAndLeavesNothingOfTheOld) {
    const auto own = own_session();
    for (const auto* name : {"n1", "n2", "n3"}) {
        ASSERT_TRUE(create(name, {"encrypted"}));
    }
    const auto token = shown_worker_token().token();
    EXPECT_EQ(sealed_under(test_kek()), 6);  // the CA's key, two tokens, three epochs
    EXPECT_GT(files_with(test_kek()), 0);

    const auto changed = core_->change_kek(other_kek(1));
    ASSERT_TRUE(changed) << changed.error().message();
    EXPECT_EQ(*changed, 6U);
    EXPECT_EQ(sealed_under(test_kek()), 0);
    EXPECT_EQ(sealed_under(other_kek(1)), 6);
    EXPECT_EQ(files_with(test_kek()), 0);
    EXPECT_EQ(shown_worker_token().token(), token);
}

TEST_F(Kek, ChangeTellsNoMemberAnythingAndLosesNoSecret) {
    const auto own = own_session();
    ASSERT_TRUE(create("n1", {"encrypted"}));
    const auto secret = secret_of_network("n1", own, "web1");
    ASSERT_EQ(secret.size(), 32U);
    const auto told = own.agent->messages.size();
    ASSERT_TRUE(core_->change_kek(other_kek(1)));
    (void)core_->run();
    EXPECT_EQ(own.agent->messages.size(), told);

    const auto worker = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    EXPECT_EQ(secret_of_network("n1", worker, "web2"), secret);
}

// More than a transaction may change: some are under the old key and some under the new one when it is interrupted.
TEST_F(Kek, ChangeOfManyNetworksGoesOnWhereItWasInterrupted) {
    constexpr int kNetworks = 150;
    const auto own = own_session();
    for (int i = 0; i < kNetworks; ++i) {
        ASSERT_TRUE(create("n" + std::to_string(i), {"encrypted"}));
    }
    Vault both(test_kek());
    both.change_to(other_kek(1));
    core_.reset();
    // Another manager's first transaction: the cluster's record alone.
    {
        auto record = cluster_.store->get(key::kCluster).value().value();
        v1::ClusterRecord cluster;
        ASSERT_TRUE(cluster.ParseFromString(record.value));
        const auto ca = both.open_authority(founded_.cluster, cluster.sealed_ca_key()).value();
        cluster.set_sealed_ca_key(both.seal_authority(founded_.cluster, ca).value());
        ASSERT_TRUE(cluster_.store->commit({.puts = {{std::string(key::kCluster), cluster.SerializeAsString()}}}));
    }
    core_ =
        Core::open(*cluster_.store, std::move(both), {.now = [this] { return now_; }, .self = founded_.node}).value();
    EXPECT_NE(shown_worker_token().token(), "") << "what is under the old key opens";
    const auto changed = core_->change_kek(other_kek(1));
    ASSERT_TRUE(changed) << changed.error().message();
    EXPECT_EQ(*changed, kNetworks + 2U);
    EXPECT_EQ(sealed_under(test_kek()), 0);
    EXPECT_EQ(sealed_under(other_kek(1)), kNetworks + 3);
}

}  // namespace
}  // namespace warren::manager
