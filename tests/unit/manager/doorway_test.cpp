#include "manager/doorway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/unit/manager/founded_cluster.h"
#include "tests/unit/manager/loopback.h"

namespace warren::manager {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::uint32_t kNode = INADDR_LOOPBACK + 0x10000;  // 127.1.0.1

class DoorwayTest : public testing::Test {
  public:
    // Nothing is refilled while the test runs.
    DoorwayTest() {
        const auto listening = doorway_.listen({.ip = ip("127.0.0.1"), .port = port_});
        EXPECT_TRUE(listening) << listening.error().message();
        doorway_.know({ip("127.1.0.1")});
        doorway_.open(
            [this](base::UniqueFd connection) {
                const std::lock_guard guard(mutex_);
                entered_.push_back(std::move(connection));
            },
            [this](const std::string& peer, const base::Error& why) {
                const std::lock_guard guard(mutex_);
                refused_.push_back(peer + ": " + why.message());
            });
    }
    ~DoorwayTest() override { doorway_.close(); }
    DoorwayTest(const DoorwayTest&) = delete;
    DoorwayTest& operator=(const DoorwayTest&) = delete;

  protected:
    struct Arrived {
        std::size_t entered = 0;
        std::vector<std::string> refused;
    };
    // What becomes of a connection from each of these addresses.
    Arrived arrive(const std::vector<std::uint32_t>& sources) {
        std::vector<base::UniqueFd> open;
        open.reserve(sources.size());
        for (const auto source : sources) {
            open.push_back(connected_socket(port_, source));
        }
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        const auto all_there = [&] {
            const std::lock_guard guard(mutex_);
            return entered_.size() + refused_.size() >= sources.size();
        };
        while (!all_there() && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(1ms);
        }
        EXPECT_TRUE(all_there());
        const std::lock_guard guard(mutex_);
        const auto hung_up =
            std::count_if(open.begin(), open.end(), [](const auto& fd) { return is_hung_up(fd, 0ms); });
        EXPECT_EQ(static_cast<std::size_t>(hung_up), refused_.size());
        Arrived arrived{.entered = std::exchange(entered_, {}).size(), .refused = std::exchange(refused_, {})};
        return arrived;
    }
    static std::vector<std::uint32_t> many(std::uint32_t first, std::uint32_t count) {
        std::vector<std::uint32_t> sources(count);
        std::generate(sources.begin(), sources.end(), [&first] { return first++; });
        return sources;
    }

    std::uint16_t port_ = free_port();
    std::mutex mutex_;
    std::vector<base::UniqueFd> entered_;
    std::vector<std::string> refused_;
    Doorway doorway_{{.each = {.burst = 4, .refill = 1h}, .strangers = {.burst = 16, .refill = 1h}}};
};

TEST_F(DoorwayTest, AFloodFromManyAddressesIsBoundedAndKeepsNoNodeOut) {
    auto arrived = arrive(std::vector(10, INADDR_LOOPBACK + 1));
    EXPECT_EQ(arrived.entered, 4U);
    EXPECT_THAT(arrived.refused, AllOf(SizeIs(6), Each(HasSubstr("too many connections from 127.0.0.2: "))));
    arrived = arrive(many(INADDR_LOOPBACK + 0x100, 30));
    EXPECT_EQ(arrived.entered, 12U) << "what one address was refused is at the cost of nobody else";
    EXPECT_THAT(arrived.refused,
                AllOf(SizeIs(18), Each(HasSubstr("127.0.1.")), Each(HasSubstr("too many connections from strangers"))));
    arrived = arrive(std::vector(6, kNode));
    EXPECT_EQ(arrived.entered, 4U) << "a node has its allowance still, and no more than that";
    EXPECT_THAT(arrived.refused, AllOf(SizeIs(2), Each(HasSubstr("too many connections from 127.1.0.1: "))));
}

}  // namespace
}  // namespace warren::manager
