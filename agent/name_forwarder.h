#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/time.h"
#include "dns/message.h"

namespace warren::agent {

// Hands questions on to the resolvers of this host (resolv.conf), from the host's own network namespace, and brings
// the answers back. Each goes under a number and from a port of its own that nobody can guess. A resolver that says
// nothing within 1.5 s, or that fails, is left for the next one, and asked last for half a minute. What came by TCP
// goes by TCP.
//
// Owner: NameServer. Thread: the loop's. Bounds: 1,000 questions on their way, 250 of one network; what is more is not
// asked, so one network's flood leaves the others their share.
class NameForwarder {
  public:
    NameForwarder(asio::io_context& loop, std::filesystem::path resolv_conf)
        : loop_(&loop), resolv_conf_(std::move(resolv_conf)) {}
    NameForwarder(const NameForwarder&) = delete;
    NameForwarder& operator=(const NameForwarder&) = delete;
    ~NameForwarder() { forget_all(); }

    // Called once with the answer, under the query's own number; empty: nobody answered, or too much is on its way.
    using Done = std::function<void(std::vector<std::uint8_t> reply)>;
    // `bytes` is a query that dns::is_to_be_forwarded().
    void ask(const base::NetworkId& network, const dns::Query& query, std::span<const std::uint8_t> bytes, bool tcp,
             Done done);
    // Nobody waits for the network's answers any more: its questions end, and nobody is called.
    void forget(const base::NetworkId& network);
    void forget_all();

  private:
    struct Asked;
    using AskedPtr = std::shared_ptr<Asked>;

    asio::io_context* loop_;
    std::filesystem::path resolv_conf_;
    std::vector<base::IpAddress> servers_;
    std::filesystem::file_time_type read_at_{};  // of the file as it was read
    base::Moment look_again_;
    std::map<base::IpAddress, base::Moment> silent_until_;
    std::map<base::NetworkId, std::set<AskedPtr>> asked_;
    std::size_t count_ = 0;

    void read_servers();
    [[nodiscard]] std::vector<base::IpAddress> order();
    void ask_next(const AskedPtr& asked);
    void ask_udp(const AskedPtr& asked);
    void hear_udp(const AskedPtr& asked);
    void ask_tcp(const AskedPtr& asked);
    void hear_tcp(const AskedPtr& asked);
    void take(const AskedPtr& asked, std::span<const std::uint8_t> reply);
    void failed(const AskedPtr& asked);
    void end(const AskedPtr& asked, std::vector<std::uint8_t> reply);
};

}  // namespace warren::agent
