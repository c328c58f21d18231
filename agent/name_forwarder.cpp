#include "agent/name_forwarder.h"

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <optional>
#include <utility>

#include "base/files.h"
#include "base/random.h"
#include "dns/resolvers.h"

namespace warren::agent {

namespace {

constexpr std::chrono::milliseconds kPatience{1500};  // with one resolver; the C library has 5 s for all
constexpr base::Duration kSilence = std::chrono::seconds(30);
constexpr base::Duration kLookAgain = std::chrono::seconds(1);
constexpr std::size_t kMost = 1000;
constexpr std::size_t kMostOfOne = 250;
constexpr std::uint16_t kPort = 53;
constexpr std::size_t kLongestDatagram = 4096;
constexpr unsigned kRcodeMask = 0x0f;

asio::ip::address address_of(const base::IpAddress& ip) {
    if (ip.family == base::Family::kIpv4) {
        return asio::ip::address_v4(ip.as_v4());
    }
    asio::ip::address_v6::bytes_type bytes{};
    std::copy(ip.bytes.begin(), ip.bytes.end(), bytes.begin());
    return asio::ip::address_v6(bytes);
}

}  // namespace

// A question on its way. What waits on the loop holds it; `done` empty: it has ended.
struct NameForwarder::Asked {
    Asked(asio::io_context& loop, const base::NetworkId& of) : network(of), udp(loop), tcp(loop), timer(loop) {}

    base::NetworkId network;
    dns::Query query;
    std::vector<std::uint8_t> bytes;  // as they came
    bool by_tcp = false;
    Done done;
    std::vector<base::IpAddress> servers;  // still to be asked, the next one last
    base::IpAddress server;                // that is asked
    std::uint16_t id = 0;
    asio::ip::udp::socket udp;
    asio::ip::tcp::socket tcp;
    asio::steady_timer timer;
    unsigned round = 0;  // tells what belongs to a resolver that was left
    std::vector<std::uint8_t> buffer;

    void close() {
        ++round;
        asio::error_code ignored;
        timer.cancel();
        udp.close(ignored);
        tcp.close(ignored);
    }
};

void NameForwarder::read_servers() {
    const auto now = base::steady_now();
    if (now < look_again_) {
        return;
    }
    look_again_ = now + kLookAgain;
    std::error_code error;
    const auto written = std::filesystem::last_write_time(resolv_conf_, error);
    if (error || written == read_at_) {
        return;
    }
    if (const auto text = base::read_file(resolv_conf_)) {
        read_at_ = written;
        servers_ = dns::parse_resolv_conf(*text);
    }
}

// The next one last; those that said nothing lately come when all others have been asked.
std::vector<base::IpAddress> NameForwarder::order() {
    read_servers();
    const auto now = base::steady_now();
    std::erase_if(silent_until_, [&](const auto& entry) { return entry.second <= now; });
    auto servers = servers_;
    std::stable_partition(servers.begin(), servers.end(),
                          [&](const auto& server) { return !silent_until_.contains(server); });
    std::reverse(servers.begin(), servers.end());
    return servers;
}

void NameForwarder::ask(const base::NetworkId& network, const dns::Query& query, std::span<const std::uint8_t> bytes,
                        bool tcp, Done done) {
    const auto of_network = asked_.find(network);
    if (count_ >= kMost || (of_network != asked_.end() && of_network->second.size() >= kMostOfOne)) {
        done({});
        return;
    }
    const auto asked = std::make_shared<Asked>(*loop_, network);
    asked->query = query;
    asked->bytes.assign(bytes.begin(), bytes.end());
    asked->by_tcp = tcp;
    asked->done = std::move(done);
    asked->servers = order();
    asked_[network].insert(asked);
    ++count_;
    ask_next(asked);
}

void NameForwarder::ask_next(const AskedPtr& asked) {
    asked->close();
    if (asked->servers.empty()) {
        end(asked, {});
        return;
    }
    asked->server = asked->servers.back();
    asked->servers.pop_back();
    asked->id = static_cast<std::uint16_t>(base::random_u64());
    asked->timer.expires_after(kPatience);
    asked->timer.async_wait([this, asked, round = asked->round](const asio::error_code& stopped) {
        if (!stopped && round == asked->round) {
            failed(asked);
        }
    });
    asked->by_tcp ? ask_tcp(asked) : ask_udp(asked);
}

void NameForwarder::ask_udp(const AskedPtr& asked) {
    const asio::ip::udp::endpoint server(address_of(asked->server), kPort);
    asio::error_code error;
    asked->udp.open(server.protocol(), error);
    if (!error) {
        asked->udp.connect(server, error);  // from a port of the kernel's choice, and answers of this server alone
    }
    if (!error) {
        asked->udp.non_blocking(true, error);
        asked->udp.send(asio::buffer(dns::with_id(asked->bytes, asked->id)), 0, error);
    }
    if (error) {
        failed(asked);
        return;
    }
    asked->buffer.resize(kLongestDatagram);
    hear_udp(asked);
}

void NameForwarder::hear_udp(const AskedPtr& asked) {
    asked->udp.async_receive(asio::buffer(asked->buffer),
                             [this, asked, round = asked->round](const asio::error_code& error, std::size_t size) {
                                 if (round != asked->round) {
                                     return;
                                 }
                                 if (error) {
                                     failed(asked);
                                     return;
                                 }
                                 const auto reply = std::span(asked->buffer).first(size);
                                 if (dns::is_reply(reply, asked->query, asked->id)) {
                                     take(asked, reply);
                                 } else {
                                     hear_udp(asked);  // somebody guesses
                                 }
                             });
}

void NameForwarder::ask_tcp(const AskedPtr& asked) {
    const asio::ip::tcp::endpoint server(address_of(asked->server), kPort);
    asked->tcp.async_connect(server, [this, asked, round = asked->round](const asio::error_code& error) {
        if (round != asked->round) {
            return;
        }
        if (error) {
            failed(asked);
            return;
        }
        asked->buffer = dns::with_length(dns::with_id(asked->bytes, asked->id));
        asio::async_write(asked->tcp, asio::buffer(asked->buffer),
                          [this, asked, round](const asio::error_code& failure, std::size_t /*size*/) {
                              if (round == asked->round) {
                                  failure ? failed(asked) : hear_tcp(asked);
                              }
                          });
    });
}

void NameForwarder::hear_tcp(const AskedPtr& asked) {
    asked->buffer.resize(dns::kLength);
    const auto round = asked->round;
    asio::async_read(asked->tcp, asio::buffer(asked->buffer),
                     [this, asked, round](const asio::error_code& error, std::size_t /*size*/) {
                         if (round != asked->round) {
                             return;
                         }
                         if (error) {
                             failed(asked);
                             return;
                         }
                         asked->buffer.resize(dns::read_length(asked->buffer));
                         asio::async_read(asked->tcp, asio::buffer(asked->buffer),
                                          [this, asked, round](const asio::error_code& failure, std::size_t /*size*/) {
                                              if (round != asked->round) {
                                                  return;
                                              }
                                              if (!failure && dns::is_reply(asked->buffer, asked->query, asked->id)) {
                                                  take(asked, asked->buffer);
                                              } else {
                                                  failed(asked);
                                              }
                                          });
                     });
}

void NameForwarder::take(const AskedPtr& asked, std::span<const std::uint8_t> reply) {
    const auto rcode = static_cast<dns::Rcode>(reply[3] & kRcodeMask);
    const bool refuses = rcode == dns::Rcode::kServerFailure || rcode == dns::Rcode::kRefused;
    if (refuses && !asked->servers.empty()) {
        ask_next(asked);
        return;
    }
    silent_until_.erase(asked->server);
    end(asked, dns::with_id(reply, asked->query.id));
}

void NameForwarder::failed(const AskedPtr& asked) {
    silent_until_.insert_or_assign(asked->server, base::steady_now() + kSilence);
    ask_next(asked);
}

void NameForwarder::end(const AskedPtr& asked, std::vector<std::uint8_t> reply) {
    asked->close();
    const auto of_network = asked_.find(asked->network);
    count_ -= of_network->second.erase(asked);
    if (of_network->second.empty()) {
        asked_.erase(of_network);
    }
    std::exchange(asked->done, {})(std::move(reply));
}

void NameForwarder::forget(const base::NetworkId& network) {
    const auto of_network = asked_.extract(network);
    if (of_network.empty()) {
        return;
    }
    for (const auto& asked : of_network.mapped()) {
        asked->done = {};
        asked->close();
    }
    count_ -= of_network.mapped().size();
}

void NameForwarder::forget_all() {
    while (!asked_.empty()) {
        forget(base::NetworkId(asked_.begin()->first));
    }
}

}  // namespace warren::agent
