#include "agent/run_watch.h"

#include <algorithm>

#include "agent/peer_probes.h"
#include "base/log.h"
#include "overlay/mtu.h"
#include "xfrm/model.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr base::UdpPort kForgedSource{600};  // one of those that VXLAN devices of encrypted networks use

// Behind UDP's header: an SPI of the network's own.
bool is_esp_of(base::NetworkIndex network, std::span<const std::uint8_t> payload) {
    if (payload.size() < sizeof(std::uint32_t)) {
        return false;
    }
    std::uint32_t spi = 0;
    for (const auto byte : payload.first(sizeof spi)) {
        spi = spi << 8U | byte;
    }
    const auto parts = xfrm::split_spi(xfrm::Spi{spi});
    return parts && parts->network == network;
}

}  // namespace

base::Result<std::unique_ptr<RunWatch>> RunWatch::open(asio::io_context& loop, const std::string& device,
                                                       const Run& run, const std::vector<ErrorCounter>& counters) {
    const auto esp_size = overlay::outer_size(run.size, run.self.family, overlay::Protection::kEsp);
    WARREN_TRY_ASSIGN(auto tap,
                      probe::UnderlayTap::open(device, {.port = run.port, .esp_size = esp_size, .encap = run.encap}));
    return std::unique_ptr<RunWatch>(new RunWatch(loop, std::move(tap), run, counters));
}

RunWatch::RunWatch(asio::io_context& loop, probe::UnderlayTap tap, const Run& run,
                   const std::vector<ErrorCounter>& counters)
    : tap_(std::move(tap)), readable_(loop, tap_.fd()), run_(run) {
    since_.note(base::steady_now(), counters);
    listen();
}

void RunWatch::listen() {
    readable_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& error) {
        if (error) {
            return;
        }
        const auto frames = tap_.receive();
        if (!frames) {
            kLog.warn("{}", frames.error().message());
            return;
        }
        std::ranges::for_each(*frames, [this](const auto& frame) { take(frame); });
        listen();
    });
}

void RunWatch::take(const probe::UnderlayTap::Frame& frame) {
    const auto packet = probe::parse_underlay(frame.bytes);
    if (!packet || !run_.peers.contains(frame.out ? packet->destination : packet->source)) {
        return;
    }
    auto& seen = seen_[frame.out ? packet->destination : packet->source];
    if (packet->esp || (run_.encap.contains(packet->port) && is_esp_of(run_.index, packet->payload))) {
        ++(frame.out ? seen.esp_out : seen.esp_in);
        if (frame.out) {
            seen.way = packet->link;
        }
        return;
    }
    const auto probe = probe::decode_datagram(packet->payload);
    if (!probe || probe->probe.run != run_.number) {
        return;
    }
    const bool forged = probe->probe.number == PeerProbes::kForged;
    seen.clear += frame.out && !forged ? 1 : 0;
    seen.forged += !frame.out && forged ? 1 : 0;
}

std::map<std::string, std::uint64_t> RunWatch::growth(const std::vector<ErrorCounter>& counters) const {
    std::map<std::string, std::uint64_t> growth;
    for (const auto& counter : counters) {
        if (const auto by = since_.lately(counter); by > 0) {
            growth.emplace(counter.name, by);
        }
    }
    return growth;
}

base::Status RunWatch::forge(const base::IpAddress& peer, const std::vector<std::uint8_t>& payload) {
    const auto& way = seen_[peer].way;
    if (!way) {
        return base::fail(base::Code::kPrecondition, "no ESP was seen to leave for {}", peer);
    }
    return tap_.send(probe::make_datagram(
        {.link = *way, .source = run_.self, .destination = peer, .source_port = kForgedSource, .port = run_.port},
        payload));
}

}  // namespace warren::agent
