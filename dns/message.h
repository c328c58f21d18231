#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ip.h"

// DNS messages as a server sees them (RFC 1035 section 4, RFC 6891): queries in, answers out. Pure; takes bytes from
// anybody.
namespace warren::dns {

enum class Type : std::uint16_t { kA = 1, kPtr = 12, kAaaa = 28, kSrv = 33, kOpt = 41, kAny = 255 };
enum class Rcode : std::uint8_t {
    kNoError = 0,
    kFormatError = 1,
    kServerFailure = 2,
    kNameError = 3,
    kNotImplemented = 4,
    kRefused = 5,
    kBadVersion = 16
};

struct Question {
    // In lower case, labels separated by dots, without one at the end; "" is the root. A dot or a backslash that is
    // part of a label has a backslash before it, so it is never taken for what separates two.
    std::string name;
    Type type = Type::kA;
    bool internet = true;            // of class IN
    std::vector<std::uint8_t> wire;  // as it came, to be sent back with the letters that the asker used

    bool operator==(const Question&) const = default;
};

struct Query {
    std::uint16_t id = 0;
    std::uint8_t opcode = 0;  // 0: a standard query
    bool recursion_desired = false;
    std::optional<Question> question;  // the first and only one
    struct Edns {
        std::uint16_t size = 512;  // of the largest answer by UDP that the asker takes
        std::uint8_t version = 0;

        bool operator==(const Edns&) const = default;
    };
    std::optional<Edns> edns;
    bool malformed = false;  // behind the header; answered with a format error

    bool operator==(const Query&) const = default;
};
// nullopt: nothing that anybody could be answered to: no header, or no query.
[[nodiscard]] std::optional<Query> parse_query(std::span<const std::uint8_t> bytes);

// Where a service is (RFC 2782). All are as good as each other: priority and weight are 0.
struct ServiceLocation {
    std::uint16_t port = 0;
    std::string target;  // a name, as in Question

    bool operator==(const ServiceLocation&) const = default;
};

struct Record {
    std::string name;  // as in Question
    std::chrono::seconds ttl{};
    // An address (A or AAAA), a name (PTR) or where a service is (SRV).
    std::variant<base::IpAddress, std::string, ServiceLocation> data;

    bool operator==(const Record&) const = default;
};

struct Answer {
    Rcode rcode = Rcode::kNoError;
    bool authoritative = false;
    std::vector<Record> records;
    std::vector<Record> additional{};  // what the asker is going to ask for next
    bool recursive = false;            // the server asks others, too
    bool cut = false;                  // there is more than `records`

    bool operator==(const Answer&) const = default;
};

// The answer with as many of its records as fit `limit` bytes, and if that is not all of them the bit that says so
// (TC): the asker comes again by TCP. Additional ones that do not fit are left out. The header, the question and OPT
// fit always (limit is at least 512).
[[nodiscard]] std::vector<std::uint8_t> encode(const Query& query, const Answer& answer, std::size_t limit);

// A message as it goes by TCP: behind its length in kLength bytes (RFC 1035 section 4.2.2).
inline constexpr std::size_t kLength = 2;
[[nodiscard]] std::vector<std::uint8_t> with_length(std::span<const std::uint8_t> message);
// From the first kLength bytes of what comes.
[[nodiscard]] std::size_t read_length(std::span<const std::uint8_t> bytes);

// How much a UDP answer to it may have: what the asker takes, from 512 to 1232 bytes, which no underlay cuts
// (DNS flag day 2020).
[[nodiscard]] std::size_t udp_limit(const Query& query);

}  // namespace warren::dns
