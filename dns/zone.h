#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ip.h"
#include "dns/message.h"

// What Warren itself knows the names of, and the answers to questions about them. Pure.
namespace warren::dns {

// What an endpoint offers: "_http._tcp" at port 80.
struct Service {
    std::string name;
    std::uint16_t port = 0;

    auto operator<=>(const Service&) const = default;
};

// An endpoint as names lead to it.
struct Host {
    std::string name;
    std::vector<std::string> aliases;
    std::vector<base::IpAddress> ips;
    std::vector<Service> services{};

    auto operator<=>(const Host&) const = default;
};

// The names of one network: NAME and ALIAS of its endpoints, alone or with .NETWORK behind them. Several endpoints may
// have one alias, and names that differ in the case of letters alone are one. A name that is none in DNS (with two dots
// in a row, say) has no answer. In front of such a name, or of NETWORK alone, _SERVICE._tcp asks where those who have
// the name, or anybody in the network, offer a service.
class Zone {
  public:
    Zone(const std::string& network, std::vector<base::Prefix> subnets, const std::vector<Host>& hosts);

    // Addresses of a name, without the network; empty: no such name.
    [[nodiscard]] std::span<const base::IpAddress> addresses(const std::string& name) const;
    // One who offers a service.
    struct Offer {
        ServiceLocation where;
        std::vector<base::IpAddress> ips;  // of the target

        bool operator==(const Offer&) const = default;
    };
    // Of _SERVICE._tcp.NAME, or _SERVICE._tcp for all of the network; empty: there are only longer names; null: no such
    // name.
    [[nodiscard]] const std::vector<Offer>* offers(const std::string& name) const;
    // The name of the endpoint with this address, with the network; nullopt: nobody has it.
    [[nodiscard]] std::optional<std::string> name(const base::IpAddress& ip) const;
    // The question is about a name or an address of this network, whether there is such a one or not.
    [[nodiscard]] bool is_about(const Question& question) const;
    [[nodiscard]] bool covers(const base::IpAddress& ip) const;
    [[nodiscard]] const std::string& network() const { return network_; }

  private:
    std::string network_;  // in lower case, as all names here
    std::vector<base::Prefix> subnets_;
    std::map<std::string, std::vector<base::IpAddress>> addresses_;  // each once, in order
    std::map<base::IpAddress, std::string> names_;
    std::map<std::string, std::vector<Offer>> offers_;  // each once, in order

    void add(const std::string& name, const std::vector<base::IpAddress>& ips);
    void add_services(const Host& host, const std::string& target);
};

// The answer to a query, from the networks that the asker is in, the one it asks through first. What is not about their
// names or subnets is refused: nothing is asked of others for it. `dice` is any random number: it turns the order of
// several addresses or places. Of more than kMostAddresses the answer has so many, which turn, too.
inline constexpr std::size_t kMostAddresses = 100;
[[nodiscard]] Answer answer(const Query& query, std::span<const Zone* const> zones, std::uint64_t dice);

}  // namespace warren::dns
