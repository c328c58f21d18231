#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"

// Who gets which subnet, address and number: decisions only, as pure functions of what is given out already. The caller
// makes them in a transaction that fails when somebody else was faster.
namespace warren::overlay {

// --- subnets ---

// The prefix lengths that a network's subnet may have.
struct SubnetLengths {
    std::uint8_t widest = 0;
    std::uint8_t narrowest = 0;
};
[[nodiscard]] SubnetLengths subnet_lengths(base::Family family);

// A subnet that is in use, and by whom in words that fit into an error: "network blue", "the host's route via eth0".
struct UsedSubnet {
    base::Prefix prefix;
    std::string user;

    auto operator<=>(const UsedSubnet&) const = default;
};

// A user's choice of a network's subnet. `what` names the field in the error ("--subnet"). kInvalid: not a subnet, of a
// size or of a range that is not allowed; kConflict: overlaps one of `used`, which the error names.
[[nodiscard]] base::Status check_subnet(std::string_view what, const base::Prefix& subnet,
                                        std::span<const UsedSubnet> used);

// A pool that subnets of prefix length `size` are cut from: the same rules, and `size` must fit into it.
[[nodiscard]] base::Status check_pool(std::string_view what, const base::Prefix& pool, std::uint8_t size);

// The first piece of the pool that overlaps nothing in `used`. kExhausted: there is none.
[[nodiscard]] base::Result<base::Prefix> allocate_subnet(const base::Prefix& pool, std::uint8_t size,
                                                         std::span<const UsedSubnet> used);

// --- addresses ---

// The first host address of the subnet.
[[nodiscard]] base::IpAddress default_gateway(const base::Prefix& subnet);

// A user's choice of a gateway: a host address of the subnet.
[[nodiscard]] base::Status check_gateway(std::string_view what, const base::Prefix& subnet,
                                         const base::IpAddress& gateway);

// Where the endpoints of one subnet get their addresses from.
struct AddressPool {
    base::Prefix subnet;
    base::IpAddress gateway;
    std::optional<base::Prefix> range{};                // only out of this part, unless somebody asks for another one
    std::map<base::IpAddress, std::string> reserved{};  // for what is not an endpoint, and what for
};
using Taken = std::function<bool(const base::IpAddress&)>;

// A user's choice of the part of a subnet that addresses are given out of. kInvalid: not a part of it.
[[nodiscard]] base::Status check_address_range(std::string_view what, const base::Prefix& subnet,
                                               const base::Prefix& range);
// A user's choice of an address of the subnet for something else. kInvalid: outside of it, or the network, broadcast or
// gateway address.
[[nodiscard]] base::Status check_reserved(std::string_view what, const AddressPool& pool, const base::IpAddress& ip);

// A user's choice of an endpoint's address. kInvalid: outside of the subnet, or the subnet's gateway, network or
// broadcast address; kConflict: taken or reserved.
[[nodiscard]] base::Status check_address(std::string_view what, const AddressPool& pool, const Taken& taken,
                                         const base::IpAddress& ip);

// The first free address after `last` (the one given out last), around the end of the range if need be: an address
// that was freed is used again as late as possible, since others may still have it in their caches. kExhausted: all are
// taken. Cost: one question for each taken address after `last`.
[[nodiscard]] base::Result<base::IpAddress> allocate_address(const AddressPool& pool, const Taken& taken,
                                                             const std::optional<base::IpAddress>& last);

// --- numbers ---

// Both included.
struct NumberRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};
constexpr NumberRange kVnis{.first = 0x570000, .last = 0xffffff};  // Docker takes 4096 upwards on the same UDP port
constexpr NumberRange kNodeIndexes{.first = 1, .last = 0x3fff};    // 14 bits of an SPI
constexpr NumberRange kNetworkIndexes{.first = 1, .last = 0x3fff};

// How long a number rests after it was freed: SPIs, ports, reqids and VNIs derive from it, and somebody may have been
// cut off while it was freed.
constexpr base::Duration kNumberRest = std::chrono::hours(24);

// Numbers that are in use (nullopt) or were freed at some time; one that is not in here was never given out, or so long
// ago that it was forgotten.
using NumberUse = std::map<std::uint32_t, std::optional<base::Time>>;

// The smallest number of the range that is not in use and not at rest. kExhausted: there is none; the error says when
// one will be, if any is at rest. `what` names the kind: "VNI".
[[nodiscard]] base::Result<std::uint32_t> allocate_number(std::string_view what, const NumberRange& range,
                                                          const NumberUse& use, base::Time now);

// The freed numbers that have rested and need not be remembered any more.
[[nodiscard]] std::vector<std::uint32_t> rested_numbers(const NumberUse& use, base::Time now);

}  // namespace warren::overlay
