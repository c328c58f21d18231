#include "xfrm/install_record.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "base/files.h"
#include "tests/unit/xfrm/world.h"
#include "xfrm/desired.h"

namespace warren::xfrm {
namespace {

class InstallRecordTest : public ::testing::Test {
  protected:
    [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "sa-record"; }
    [[nodiscard]] InstallRecord open() const { return must(InstallRecord::open(path())); }
    [[nodiscard]] std::string content() const { return must(base::read_file(path())); }
    void append(std::string_view text) const { std::ofstream(path(), std::ios::app) << text; }

    static std::vector<Installed> sas(const std::vector<std::uint32_t>& epochs, std::uint16_t network = 7,
                                      std::uint64_t self_membership = 0) {
        Network view = test_network_of_three(epochs, network);
        if (self_membership != 0) {
            view.self.membership = base::MembershipId{self_membership};
        }
        std::vector<Installed> list;
        for (const WantedSa& sa : desired_states(view)) {
            list.push_back({.direction = sa.direction, .identity = sa.identity, .location = sa.location});
        }
        return list;
    }
    static bool spent(const InstallRecord& record, const Installed& it) {
        return record.history().spent(it.direction, it.identity);
    }

  private:
    ScratchDirectory directory_;
};

TEST_F(InstallRecordTest, RemembersAcrossARestart) {
    const auto list = sas({4});
    EXPECT_FALSE(spent(open(), list[0]));
    must(open().add(list));
    const InstallRecord again = open();
    for (const Installed& it : list) {
        EXPECT_TRUE(spent(again, it));
        EXPECT_EQ(again.history().at(it.location), it);
    }
    EXPECT_FALSE(spent(again, sas({5})[0]));
}

TEST_F(InstallRecordTest, IsForNobodyElseToRead) {
    must(open().add(sas({4})));
    struct stat info {};
    ASSERT_EQ(::stat(path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST_F(InstallRecordTest, AnIncompleteLastLineIsDroppedAndLaterOnesAreNotGluedToIt) {
    const auto list = sas({4});
    {
        InstallRecord record = open();
        must(record.add(std::span(list).first(1)));
    }
    const std::string whole = content();
    for (std::size_t cut = whole.find('\n') + 1; cut < whole.size(); cut += 7) {
        ASSERT_TRUE(base::write_file_atomic(path(), whole.substr(0, cut), 0600));
        InstallRecord torn = open();
        EXPECT_FALSE(spent(torn, list[0]));
        must(torn.add(std::span(list).subspan(1, 1)));
        EXPECT_TRUE(spent(open(), list[1]));
    }
}

TEST_F(InstallRecordTest, ADamagedLineIsAnErrorThatNamesIt) {
    must(open().add(sas({4})));
    const std::string good = content();
    for (const char* bad : {"I out nonsense\n", "X\n", "F 1 2 3\n", "A 1\n", "\n"}) {
        ASSERT_TRUE(base::write_file_atomic(path(), good + bad + "F\n", 0600));
        const auto opened = InstallRecord::open(path());
        ASSERT_FALSE(opened) << bad;
        EXPECT_NE(opened.error().message().find("line 6 is damaged"), std::string::npos) << opened.error().message();
    }
    ASSERT_TRUE(base::write_file_atomic(path(), "somebody else's file\n", 0600));
    EXPECT_FALSE(InstallRecord::open(path()).has_value());
    EXPECT_EQ(content(), "somebody else's file\n");
}

TEST_F(InstallRecordTest, RefusedInstallsAreNotSpent) {
    const auto list = sas({4});
    {
        InstallRecord record = open();
        must(record.add(list));
        must(record.revoke(std::span(list).first(1)));
    }
    EXPECT_FALSE(spent(open(), list[0]));
    EXPECT_TRUE(spent(open(), list[1]));
    EXPECT_EQ(open().history().at(list[0].location), std::nullopt);
}

TEST_F(InstallRecordTest, AnInboundSaIsUnheardOfUntilItIsAcknowledged) {
    const auto list = sas({4});
    const Installed in = *std::ranges::find(list, Direction::kIn, &Installed::direction);
    const Installed out = *std::ranges::find(list, Direction::kOut, &Installed::direction);
    must(open().add(list));
    InstallRecord record = open();
    EXPECT_TRUE(record.history().unheard_of(in.identity));
    EXPECT_FALSE(record.history().unheard_of(out.identity)) << "who knows whether it was used";
    const auto self = in.self_membership();
    must(record.acknowledge(in.identity.network, base::MembershipId{self.value + 1}));
    EXPECT_TRUE(record.history().unheard_of(in.identity)) << "another membership was acknowledged";
    must(record.acknowledge(in.identity.network, self));
    must(record.add(sas({5})));
    for (int rewritten = 0; rewritten < 2; ++rewritten) {  // open() writes the file anew
        const InstallRecord again = open();
        EXPECT_FALSE(again.history().unheard_of(in.identity));
        EXPECT_TRUE(spent(again, in));
        for (const Installed& it : sas({5})) {
            EXPECT_EQ(again.history().unheard_of(it.identity), it.direction == Direction::kIn);
        }
    }
}

TEST_F(InstallRecordTest, WhatOnlyCountsAsSpentIsNeverUnheardOf) {
    Installed in = sas({4})[0];
    in.direction = Direction::kIn;
    in.placed = false;
    InstallRecord record = open();
    must(record.add(std::span(&in, 1)));
    EXPECT_FALSE(record.history().unheard_of(in.identity));
}

TEST_F(InstallRecordTest, AnAcknowledgementIsWrittenOnce) {
    InstallRecord record = open();
    must(record.add(sas({4})));
    const Network view = test_network();
    must(record.acknowledge(view.id, view.self.membership));
    const auto size = content().size();
    must(record.acknowledge(view.id, view.self.membership));
    EXPECT_EQ(content().size(), size);
}

TEST_F(InstallRecordTest, ALocationShowsWhatWasLastPutThereAndNotWhatOnlyCountsAsSpent) {
    InstallRecord record = open();
    const Installed old = sas({4})[0];
    Installed now = sas({4}, 7, 0xbeef)[0];
    ASSERT_EQ(old.location, now.location);
    must(record.add(std::span(&old, 1)));
    must(record.add(std::span(&now, 1)));
    EXPECT_EQ(record.history().at(old.location), now);
    must(record.revoke(std::span(&now, 1)));
    EXPECT_EQ(record.history().at(old.location), old);
    now.placed = false;
    must(record.add(std::span(&now, 1)));
    EXPECT_EQ(open().history().at(old.location), old);
    EXPECT_TRUE(spent(open(), now));
}

TEST_F(InstallRecordTest, WhatAFloorCoversStaysSpent) {
    const auto old = sas({4});
    const auto young = sas({5});
    const Network view = test_network();
    InstallRecord record = open();
    must(record.add(old));
    must(record.add(young));
    const auto floor = record.history().prunable(view.id, view.self.membership, base::Epoch{5});
    ASSERT_TRUE(floor);
    must(record.raise(std::span(&*floor, 1)));
    EXPECT_EQ(record.history().size(), young.size() + 1);
    EXPECT_EQ(record.history().prunable(view.id, view.self.membership, base::Epoch{5}), std::nullopt);
    const InstallRecord again = open();
    EXPECT_TRUE(spent(again, old[0]));
    EXPECT_TRUE(spent(again, young[0]));
    EXPECT_FALSE(spent(again, sas({6})[0]));
}

TEST_F(InstallRecordTest, LeavingANetworkKeepsItsKeysSpentUntilTheMembershipIsAnother) {
    const auto list = sas({4, 5});
    InstallRecord record = open();
    must(record.add(list));
    must(record.add(sas({4}, 8)));
    must(record.raise(record.history().leaving(base::NetworkIndex{7})));
    const InstallRecord again = open();
    EXPECT_EQ(again.history().size(), sas({4}, 8).size() + 1);
    EXPECT_TRUE(spent(again, list[0]));
    EXPECT_FALSE(spent(again, sas({6})[0]));             // same membership, later epoch
    EXPECT_FALSE(spent(again, sas({4}, 7, 0xbeef)[0]));  // came back
}

TEST_F(InstallRecordTest, IsRewrittenWhenMostOfItIsOfNoUse) {
    InstallRecord record = open();
    std::size_t largest = 0;
    for (std::uint32_t epoch = 1; epoch <= 1000; ++epoch) {
        must(record.add(sas({epoch})));
        const Network view = test_network();
        if (const auto floor = record.history().prunable(view.id, view.self.membership, base::Epoch{epoch})) {
            must(record.raise(std::span(&*floor, 1)));
        }
        largest = std::max<std::size_t>(largest, std::filesystem::file_size(path()));
    }
    EXPECT_LT(largest, 400'000U);
    const InstallRecord again = open();
    EXPECT_LT(std::filesystem::file_size(path()), 2000U);
    EXPECT_TRUE(spent(again, sas({1})[0]));
    EXPECT_TRUE(spent(again, sas({1000})[0]));
}

TEST_F(InstallRecordTest, ADirectoryThatIsNotThereIsAnError) {
    EXPECT_FALSE(InstallRecord::open(path() / "deeper").has_value());
}

}  // namespace
}  // namespace warren::xfrm
