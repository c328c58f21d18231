#include "agent/encap_sockets.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/own_network.h"

namespace warren::agent {
namespace {

using base::UdpPort;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What is put outlives the daemon, that is, an EncapSockets.
struct Shelf {
    std::map<std::string, base::UniqueFd> kept;
    bool full = false;
};
class FakeStore final : public fdstore::FdStore {
  public:
    explicit FakeStore(Shelf& shelf) : shelf_(&shelf) {}
    std::vector<fdstore::StoredFd> take() override {
        std::vector<fdstore::StoredFd> stored;
        for (const auto& [name, fd] : shelf_->kept) {
            stored.push_back({.name = name, .fd = base::UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0))});
        }
        return stored;
    }
    base::Status put(const std::string& name, int fd) override {
        if (shelf_->full) {
            return base::fail(base::Code::kExhausted, "full");
        }
        shelf_->kept.insert_or_assign(name, base::UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
        return {};
    }
    bool holds(const std::string& name) override { return shelf_->kept.contains(name); }
    void drop(const std::string& name) override { shelf_->kept.erase(name); }

  private:
    Shelf* shelf_;
};

base::NetworkId network(std::uint8_t number) {
    base::NetworkId id;
    id.bytes[0] = number;
    return id;
}

class EncapSocketsTest : public testing::Test {
  protected:
    void SetUp() override { enter_own_network(); }

    [[nodiscard]] std::vector<std::string> kept() const {
        std::vector<std::string> names;
        for (const auto& [name, fd] : shelf_.kept) {
            names.push_back(name);
        }
        return names;
    }
    [[nodiscard]] EncapSockets daemon() { return EncapSockets(std::make_unique<FakeStore>(shelf_)); }
    [[nodiscard]] std::set<xfrm::EncapPort> at(const std::vector<std::uint16_t>& ports) const {
        std::set<xfrm::EncapPort> here;
        for (const auto port : ports) {
            here.insert({.address = vtep_, .port = UdpPort{port}});
        }
        return here;
    }
    [[nodiscard]] bool taken(std::uint16_t port) const {
        return !xfrm::open_encap_socket({.address = vtep_, .port = UdpPort{port}});
    }

    base::IpAddress vtep_ = base::parse_ip("address", "127.0.0.1").value();
    Shelf shelf_;
};

TEST_F(EncapSocketsTest, NetworksShareASocketUntilTheLastHasGone) {
    auto sockets = daemon();
    ASSERT_THAT(sockets.want(network(1), at({17443})), IsEmpty());
    ASSERT_THAT(sockets.want(network(2), at({17443, 17444})), IsEmpty());
    EXPECT_THAT(kept(), ElementsAre("esp-in-udp-17443-7f000001", "esp-in-udp-17444-7f000001"));
    sockets.forget(network(2));
    EXPECT_THAT(kept(), ElementsAre("esp-in-udp-17443-7f000001"));
    EXPECT_TRUE(taken(17443));
    EXPECT_FALSE(taken(17444));
    ASSERT_THAT(sockets.want(network(1), at({})), IsEmpty());
    EXPECT_THAT(kept(), IsEmpty());
    EXPECT_FALSE(taken(17443));
}

TEST_F(EncapSocketsTest, ANewDaemonClosesNothingBeforeAllHaveTold) {
    ASSERT_THAT(daemon().want(network(1), at({17443, 17444})), IsEmpty());
    EXPECT_TRUE(taken(17443)) << "the store has it";
    auto sockets = daemon();
    ASSERT_THAT(sockets.want(network(2), at({17444})), IsEmpty());
    EXPECT_TRUE(taken(17443));
    sockets.keep_only({{network(2), at({17444})}});
    EXPECT_THAT(kept(), ElementsAre("esp-in-udp-17444-7f000001"));
    EXPECT_FALSE(taken(17443));
    EXPECT_TRUE(taken(17444));
}

// The agent knows all its networks before it has applied the first.
TEST_F(EncapSocketsTest, WhatIsNeededStaysOpenUntilItIsWanted) {
    ASSERT_THAT(daemon().want(network(1), at({17443})), IsEmpty());
    auto sockets = daemon();
    sockets.keep_only({{network(1), at({17443})}});
    EXPECT_TRUE(taken(17443));
    EXPECT_THAT(kept(), ElementsAre("esp-in-udp-17443-7f000001"));
}

TEST_F(EncapSocketsTest, WhatIsNoSocketOfOursIsDropped) {
    shelf_.kept.emplace("esp-in-udp-17443-7f000001", base::UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    auto sockets = daemon();
    EXPECT_THAT(kept(), IsEmpty());
    EXPECT_THAT(sockets.want(network(1), at({17443})), IsEmpty());
}

TEST_F(EncapSocketsTest, APortThatIsTakenNamesItsOwnerAndTheOptionToChange) {
    const auto other = xfrm::open_encap_socket({.address = vtep_, .port = UdpPort{17443}}).value();
    auto sockets = daemon();
    const auto failures = sockets.want(network(1), at({17443, 17444}));
    ASSERT_EQ(failures.size(), 1U);
    EXPECT_EQ(failures[0].port.port, UdpPort{17443});
    EXPECT_FALSE(failures[0].open);
    EXPECT_THAT(failures[0].error.message(), HasSubstr("UDP port 17443 for ESP in UDP is taken by process"));
    EXPECT_THAT(failures[0].error.message(), HasSubstr("--opt encap=udp:PORT"));
    EXPECT_TRUE(taken(17444)) << "the others are open all the same";
    EXPECT_THAT(kept(), ElementsAre("esp-in-udp-17444-7f000001"));
}

TEST_F(EncapSocketsTest, AStoreThatLosesItGetsItAgainAndOneThatIsFullStopsNothing) {
    auto sockets = daemon();
    ASSERT_THAT(sockets.want(network(1), at({17443})), IsEmpty());
    shelf_.kept.clear();
    ASSERT_THAT(sockets.want(network(1), at({17443})), IsEmpty());
    EXPECT_THAT(kept(), ElementsAre("esp-in-udp-17443-7f000001"));
    shelf_.full = true;
    const auto failures = sockets.want(network(1), at({17443, 17444}));
    ASSERT_EQ(failures.size(), 1U);
    EXPECT_TRUE(failures[0].open);
    EXPECT_THAT(failures[0].error.message(), HasSubstr("a restart of warrend will lose packets"));
    EXPECT_TRUE(taken(17444));
}

}  // namespace
}  // namespace warren::agent
