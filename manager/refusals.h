#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/token_bucket.h"

namespace warren::manager {

// Why a manager refused somebody.
enum class Refusal : std::uint8_t {
    kNoCertificate,  // a call that needs one
    kCluster,        // the certificate is of another cluster
    kRole,           // the certificate's role may not
    kStranger,       // a certificate of ours whose node or operator was removed or revoked, or never was there
    kOtherNode,      // a node that speaks of what is another's as its own
    kJoin,           // a wrong or worn-out token, a bad certificate request
    kRate,           // too many calls without a certificate from one address
    kConnection,     // too many connections from one address
};
inline constexpr std::size_t kRefusals = 8;

struct RefusalCount {
    std::string_view name;     // "refused other-node"
    std::string_view meaning;  // a line for people
    std::uint64_t value = 0;
};

// Counts refusals and logs them: each with a line, until there are too many of a kind; then a line a second says how
// many more there were. Any thread.
class Refusals {
  public:
    // `who` is the caller as it is known: its address, or its certificate's name.
    void note(Refusal kind, std::string_view who, std::string_view why, base::Time now);
    [[nodiscard]] std::vector<RefusalCount> counts() const;

  private:
    struct Kind {
        std::uint64_t count = 0;
        base::TellingRate lines;
    };
    mutable std::mutex mutex_;
    std::array<Kind, kRefusals> kinds_;
};

}  // namespace warren::manager
