// What decisions cost, without a kernel: the engine over a kernel in memory, in time of the processor.
//   * 10 networks of 1,000 peers, all as it should be: the time that it takes to see that, per network.
//   * one rotation (install, activate, retire) of one network of 100 peers, beside 0, 1, 10 and 100 others of its size:
//     must not grow with their number.

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "bench/measure.h"
#include "tests/test_directory.h"
#include "xfrm/engine.h"
#include "xfrm/fake_kernel.h"

namespace warren::bench {
namespace {

using xfrm::Network;

struct Host {
    TestDirectory directory;
    xfrm::FakeKernel kernel;
    std::unique_ptr<xfrm::Engine> engine = must(xfrm::Engine::open({.run_dir = directory.path()}, kernel));

    void apply(const Network& network) {
        const xfrm::Outcome outcome = engine->apply_states(network);
        if (!outcome.complete()) {
            give_up(outcome.failed.empty() ? "SAs were lost" : outcome.failed.front().message());
        }
    }
};

// One network as a member sees it, and the turns of its rotation.
class View {
  public:
    View(std::uint16_t index, std::uint16_t peers) {
        network_.cluster = base::random_id<base::ClusterId>();
        network_.id = base::random_id<base::NetworkId>();
        network_.index = base::NetworkIndex{index};
        network_.port = base::UdpPort{static_cast<std::uint16_t>(10000 + index)};
        network_.self = member(1);
        for (std::uint16_t i = 0; i < peers; ++i) {
            network_.peers.push_back({.member = member(static_cast<std::uint16_t>(2 + i)), .send = {}, .receive = {}});
        }
        add_epoch();
        send_newest();
    }

    void add_epoch() {
        ++newest_.value;
        network_.epochs.push_back({.number = newest_,
                                   .slot = base::EpochSlot{static_cast<std::uint8_t>(newest_.value % 4)},
                                   .secret = &secret_});
        for (xfrm::Peer& peer : network_.peers) {
            peer.receive.push_back(newest_);
        }
    }
    void send_newest() {
        for (xfrm::Peer& peer : network_.peers) {
            peer.send = newest_;
        }
    }
    void retire_oldest() {
        network_.epochs.erase(network_.epochs.begin());
        for (xfrm::Peer& peer : network_.peers) {
            peer.receive.erase(peer.receive.begin());
        }
    }
    [[nodiscard]] const Network& network() const { return network_; }

  private:
    static xfrm::Member member(std::uint16_t index) {
        return {.node = base::random_id<base::NodeId>(),
                .index = base::NodeIndex{index},
                .vtep = base::IpAddress::v4(0x0a000000U + index),
                .membership = base::MembershipId{0x1000U + index}};
    }

    keymgr::EpochSecret secret_ = keymgr::random_epoch_secret();
    base::Epoch newest_;
    Network network_;
};

using Views = std::vector<std::unique_ptr<View>>;  // a network borrows its view's secret

Views make_networks(Host& host, std::uint16_t count, std::uint16_t peers) {
    Views views;
    for (std::uint16_t index = 1; index <= count; ++index) {
        views.push_back(std::make_unique<View>(index, peers));
        host.apply(views.back()->network());
    }
    return views;
}

void print(std::string_view what, const Summary& times) {
    fmt::print("{:<52} {:.2f} ms ({:.2f}..{:.2f})\n", what, times.median.count(), times.least.count(),
               times.most.count());
    std::fflush(stdout);
}

void compare_large() {
    constexpr int kRounds = 5;
    Host host;
    const Views views = make_networks(host, 10, 1000);
    const std::size_t before = host.kernel.applied();
    std::vector<Milliseconds> times;
    for (int round = 0; round < kRounds; ++round) {
        for (const auto& view : views) {
            times.push_back(computed([&] { host.apply(view->network()); }));
        }
    }
    if (host.kernel.applied() != before) {
        give_up("there was something to do");
    }
    print("10 networks of 1,000 peers, nothing to do: each", summarise(times));
}

struct Bystanders {
    std::uint16_t count = 0;
    Host host{};
    Views others{};
    std::unique_ptr<View> rotating{};
    std::vector<Milliseconds> times{};

    void rotate() {
        times.push_back(computed([this] {
            rotating->add_epoch();
            host.apply(rotating->network());
            rotating->send_newest();
            host.apply(rotating->network());
            rotating->retire_oldest();
            host.apply(rotating->network());
        }));
    }
};

void rotate_among_others() {
    constexpr int kRounds = 31;
    constexpr std::uint16_t kPeers = 100;
    constexpr std::uint16_t kRotating = 1000;
    std::vector<std::unique_ptr<Bystanders>> cases;
    for (const std::uint16_t count : std::initializer_list<std::uint16_t>{0, 1, 10, 100}) {
        auto& it = *cases.emplace_back(std::make_unique<Bystanders>());
        it.count = count;
        it.others = make_networks(it.host, it.count, kPeers);
        it.rotating = std::make_unique<View>(kRotating, kPeers);
        it.host.apply(it.rotating->network());
    }
    for (int round = 0; round < kRounds; ++round) {
        for (const auto& it : cases) {
            it->rotate();
        }
    }
    const Summary alone = summarise(cases.front()->times);
    for (const auto& it : cases) {
        const Summary times = summarise(it->times);
        print(fmt::format("rotate a network of {} peers beside {} others", kPeers, it->count), times);
        fmt::print("{:<52} ratio {:.2f}, of the best {:.2f}\n", "", times.median / alone.median,
                   times.least / alone.least);
    }
}

void run() {
    compare_large();
    rotate_among_others();
}

}  // namespace
}  // namespace warren::bench

int main() {
    warren::bench::run();
}
