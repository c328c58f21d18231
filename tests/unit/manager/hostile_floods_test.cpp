#include <sys/resource.h>

#include <algorithm>
#include <atomic>

#include "tests/unit/manager/hostile_fixture.h"

// Those who come too often.
namespace warren::manager {
namespace {

using grpc::StatusCode;

// A member's heartbeats, one after the other on a thread of its own, until it is stopped.
class Heart {
  public:
    explicit Heart(MemberSession& member)
        : thread_([this, &member] {
              while (!stopping_) {
                  const auto took = member.beat();
                  if (!took) {
                      return;
                  }
                  slowest_ = std::max(slowest_, *took);
                  ++beats_;
              }
              alive_ = true;
          }) {}
    ~Heart() { stop(); }
    Heart(const Heart&) = delete;
    Heart& operator=(const Heart&) = delete;

    void stop() {
        stopping_ = true;
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    // Waits for so many more.
    [[nodiscard]] bool goes_on(int beats) const {
        const int enough = beats_ + beats;
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        while (beats_ < enough && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(1ms);
        }
        return beats_ >= enough;
    }
    // Once it was stopped.
    [[nodiscard]] bool alive() const { return alive_; }
    [[nodiscard]] base::Duration slowest() const { return slowest_; }

  private:
    std::atomic<bool> stopping_ = false;
    std::atomic<int> beats_ = 0;
    bool alive_ = false;
    base::Duration slowest_{};
    std::thread thread_;
};

// The lab has ten thousand.
TEST_F(Hostile, FloodsDoNotDisturbTheSessionsOfMembers) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    constexpr std::size_t kSources = 4;
    constexpr std::size_t kEach = 250;
    ASSERT_GT(files.rlim_cur, 4 * kSources * kEach);

    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    Heart heart(member);
    ASSERT_TRUE(heart.goes_on(10));
    std::atomic<int> limited = 0;
    std::thread joins([&] {
        const auto joiner = channel(certs::joiner_credentials(*roots_).value());
        const auto key = certs::PrivateKey::generate().value();
        auto request = request_for(key, "w9", "192.0.2.9");
        for (int i = 0; i < 500; ++i) {
            request.set_token_secret(std::string(16, static_cast<char>(i % 100)));
            v1::IssueCertificateReply reply;
            limited += issue(joiner, request, reply).error_code() == StatusCode::RESOURCE_EXHAUSTED ? 1 : 0;
        }
    });
    std::vector<base::UniqueFd> open;
    for (std::uint32_t source = 0; source < kSources; ++source) {
        for (std::size_t i = 0; i < kEach; ++i) {
            open.push_back(connected_socket(port_, INADDR_LOOPBACK + 256 + source));
        }
        EXPECT_TRUE(heart.goes_on(1));
    }
    const auto garbage = connected_socket(port_, INADDR_LOOPBACK + 1);
    const std::string chunk(64U << 10U, 'g');
    for (int sent = 0; sent < 256; ++sent) {  // 16 MiB, or until it hangs up
        if (::send(garbage.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    EXPECT_TRUE(heart.goes_on(1));
    joins.join();
    EXPECT_TRUE(heart.goes_on(10)) << "and when it is over";
    heart.stop();
    EXPECT_TRUE(heart.alive());
    EXPECT_LT(heart.slowest(), 1s);
    EXPECT_GT(limited, 300) << "one address may not guess as fast as it likes";
    expect_counted(kHandshakes, 1);  // the garbage
    EXPECT_TRUE(list_nodes(channel(*manager_)).ok());
    EXPECT_TRUE(std::all_of(open.begin(), open.end(), [](const auto& fd) { return is_hung_up(fd, 20s); }))
        << "who says nothing is not kept";
    expect_counted("refused silent", kSources * kEach);
    EXPECT_EQ(counters()["refused connection"], 0U);
}

TEST_F(Hostile, OneAddressHasOnlySoManyConnections) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    std::vector<base::UniqueFd> open;
    open.reserve(1000);
    for (int i = 0; i < 1000; ++i) {
        open.push_back(connected_socket(port_, INADDR_LOOPBACK + 7));
    }
    expect_counted("refused connection", 300);
    EXPECT_TRUE(list_nodes(channel(*manager_)).ok()) << "who comes from elsewhere gets in";
    EXPECT_TRUE(member.beat());
}

}  // namespace
}  // namespace warren::manager
