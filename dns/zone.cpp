#include "dns/zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>

#include "base/text.h"

namespace warren::dns {

namespace {

// Short, so that who caches answers soon hears of changes.
constexpr std::chrono::seconds kTtl{5};
constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kLongestName = 253;
constexpr std::string_view kReverse4 = ".in-addr.arpa";
constexpr std::string_view kReverse6 = ".ip6.arpa";

bool is_domain(std::string_view name) {
    return name.size() <= kLongestName && std::ranges::all_of(base::split(name, '.'), [](std::string_view label) {
               return !label.empty() && label.size() <= kLongestLabel;
           });
}

// RFC 1035 section 3.5: four numbers, the last one first.
std::optional<base::IpAddress> reverse4(std::string_view name) {
    const auto parts = base::split(name, '.');
    std::vector<std::uint8_t> bytes;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        const auto number = base::parse_unsigned(*part, UINT8_MAX);
        if (!number || (part->size() > 1 && part->front() == '0')) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<std::uint8_t>(*number));
    }
    return bytes.size() == 4 ? base::IpAddress::from_bytes(bytes) : std::nullopt;
}

// RFC 3596 section 2.5: thirty-two hexadecimal digits, the last one first.
std::optional<base::IpAddress> reverse6(std::string_view name) {
    std::string digits;
    for (const auto part : base::split(name, '.')) {
        if (part.size() != 1) {
            return std::nullopt;
        }
        digits.insert(digits.begin(), part.front());
    }
    const auto bytes = base::from_hex(digits);
    return bytes && bytes->size() == 16 ? base::IpAddress::from_bytes(*bytes) : std::nullopt;
}

// Of a question for the name of an address.
std::optional<base::IpAddress> reversed(std::string_view name) {
    if (name.ends_with(kReverse4)) {
        return reverse4(name.substr(0, name.size() - kReverse4.size()));
    }
    return name.ends_with(kReverse6) ? reverse6(name.substr(0, name.size() - kReverse6.size())) : std::nullopt;
}

// What is behind the labels that begin with an underscore, of which no name of ours has one: _http._tcp.web asks about
// web.
std::string_view asked_about(std::string_view name) {
    while (name.starts_with('_')) {
        const auto dot = name.find('.');
        name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
    }
    return name;
}

Answer no_such_name() {
    return {.rcode = Rcode::kNameError, .authoritative = true, .records = {}};
}

Answer refused() {
    return {.rcode = Rcode::kRefused, .authoritative = false, .records = {}};
}

Type type_of(const base::IpAddress& ip) {
    return ip.family == base::Family::kIpv4 ? Type::kA : Type::kAaaa;
}

// Those of the type that was asked for, beginning with another one each time.
Answer with_addresses(const Question& question, std::span<const base::IpAddress> addresses, std::uint64_t dice) {
    Answer answer{.authoritative = true};
    for (std::size_t i = 0; i < addresses.size() && answer.records.size() < kMostAddresses; ++i) {
        const auto& ip = addresses[(dice + i) % addresses.size()];
        if (question.type == type_of(ip) || question.type == Type::kAny) {
            answer.records.push_back({.name = question.name, .ttl = kTtl, .data = ip});
        }
    }
    return answer;
}

// Those who offer a service, beginning with another one each time, and the addresses of each.
Answer with_offers(const Question& question, const std::vector<Zone::Offer>& offers, std::uint64_t dice) {
    Answer answer{.authoritative = true, .records = {}};
    if (question.type != Type::kSrv && question.type != Type::kAny) {
        return answer;
    }
    std::set<std::string_view> targets;
    for (std::size_t i = 0; i < std::min(offers.size(), kMostAddresses); ++i) {
        const auto& offer = offers[(dice + i) % offers.size()];
        answer.records.push_back({.name = question.name, .ttl = kTtl, .data = offer.where});
        if (!targets.insert(offer.where.target).second) {
            continue;
        }
        for (const auto& ip : offer.ips) {
            answer.additional.push_back({.name = offer.where.target, .ttl = kTtl, .data = ip});
        }
    }
    return answer;
}

// What this zone has at a name, which is without the network; nullopt: nothing.
std::optional<Answer> found_in(const Zone& zone, const Question& question, const std::string& name,
                               std::uint64_t dice) {
    if (const auto addresses = zone.addresses(name); !addresses.empty()) {
        return with_addresses(question, addresses, dice);
    }
    const auto* offers = zone.offers(name);
    return offers == nullptr ? std::nullopt : std::optional(with_offers(question, *offers, dice));
}

Answer name_of(const Question& question, const base::IpAddress& ip, std::span<const Zone* const> zones) {
    const auto zone = std::ranges::find_if(zones, [&](const Zone* it) { return it->covers(ip); });
    if (zone == zones.end()) {
        return refused();
    }
    const auto name = (*zone)->name(ip);
    if (!name) {
        return no_such_name();
    }
    Answer answer{.authoritative = true};
    if (question.type == Type::kPtr || question.type == Type::kAny) {
        answer.records.push_back({.name = question.name, .ttl = kTtl, .data = *name});
    }
    return answer;
}

Answer answer_question(const Question& question, std::span<const Zone* const> zones, std::uint64_t dice) {
    if (const auto ip = reversed(question.name)) {
        return name_of(question, *ip, zones);
    }
    const std::string about(asked_about(question.name));
    bool ours = about.find('.') == std::string::npos && !question.name.empty();
    for (const auto* zone : zones) {
        const auto suffix = "." + zone->network();
        const bool whole = question.name.ends_with(suffix);
        ours = ours || whole || !zone->addresses(about).empty();
        auto found = found_in(*zone, question, question.name, dice);
        if (!found && whole) {
            found = found_in(*zone, question, question.name.substr(0, question.name.size() - suffix.size()), dice);
        }
        if (found) {
            return *std::move(found);
        }
    }
    return ours ? no_such_name() : refused();
}

}  // namespace

Zone::Zone(const std::string& network, std::vector<base::Prefix> subnets, const std::vector<Host>& hosts)
    : network_(base::to_lower(network)), subnets_(std::move(subnets)) {
    for (const auto& host : hosts) {
        for (const auto& known : host.aliases) {
            if (is_domain(known)) {
                add(known, host.ips);
            }
        }
        if (is_domain(host.name)) {
            add(host.name, host.ips);
        }
        const auto whole = base::to_lower(host.name) + "." + network_;
        if (is_domain(whole)) {
            for (const auto& ip : host.ips) {
                names_.emplace(ip, whole);
            }
            add_services(host, whole);
        }
    }
    for (auto& [name, addresses] : addresses_) {
        std::ranges::sort(addresses);
        addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    }
    for (auto& [name, offers] : offers_) {
        const auto key = [](const Offer& offer) { return std::tie(offer.where.target, offer.where.port); };
        std::ranges::sort(offers, {}, key);
        offers.erase(std::unique(offers.begin(), offers.end()), offers.end());
    }
}

// By the name of the endpoint, by its aliases, and by the network alone. What is behind the first label, as _tcp.web,
// is a name, too, of which there is nothing (RFC 8020).
void Zone::add_services(const Host& host, const std::string& target) {
    std::vector<std::string> owners{""};
    for (const auto& name : host.aliases) {
        owners.push_back("." + base::to_lower(name));
    }
    owners.push_back("." + base::to_lower(host.name));
    for (const auto& service : host.services) {
        for (const auto& owner : owners) {
            const auto name = base::to_lower(service.name) + owner;
            if (is_domain(name)) {
                offers_[name].push_back({.where = {.port = service.port, .target = target}, .ips = host.ips});
                offers_[name.substr(name.find('.') + 1)];
            }
        }
    }
}

const std::vector<Zone::Offer>* Zone::offers(const std::string& name) const {
    const auto found = offers_.find(name);
    return found == offers_.end() ? nullptr : &found->second;
}

void Zone::add(const std::string& name, const std::vector<base::IpAddress>& ips) {
    auto& addresses = addresses_[base::to_lower(name)];
    addresses.insert(addresses.end(), ips.begin(), ips.end());
}

bool Zone::covers(const base::IpAddress& ip) const {
    return std::ranges::any_of(subnets_, [&](const base::Prefix& subnet) { return subnet.contains(ip); });
}

std::span<const base::IpAddress> Zone::addresses(const std::string& name) const {
    const auto found = addresses_.find(name);
    return found == addresses_.end() ? std::span<const base::IpAddress>() : found->second;
}

bool Zone::is_about(const Question& question) const {
    if (const auto ip = reversed(question.name)) {
        return covers(*ip);
    }
    return question.name == network_ || question.name.ends_with("." + network_) ||
           addresses_.contains(std::string(asked_about(question.name)));
}

std::optional<std::string> Zone::name(const base::IpAddress& ip) const {
    const auto found = names_.find(ip);
    return found == names_.end() ? std::nullopt : std::optional(found->second);
}

Answer answer(const Query& query, std::span<const Zone* const> zones, std::uint64_t dice) {
    if (query.opcode != 0) {
        return {.rcode = Rcode::kNotImplemented};
    }
    if (query.malformed || !query.question) {
        return {.rcode = Rcode::kFormatError};
    }
    if (query.edns && query.edns->version != 0) {
        return {.rcode = Rcode::kBadVersion};
    }
    return query.question->internet ? answer_question(*query.question, zones, dice) : refused();
}

}  // namespace warren::dns
