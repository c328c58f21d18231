#include "manager/refusals.h"

#include "base/log.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
constexpr base::Rate kLines{.burst = 10, .refill = std::chrono::seconds(1)};

struct Words {
    std::string_view name;
    std::string_view meaning;
};
constexpr std::array<Words, kRefusals> kWords{{
    {"refused no-certificate", "calls that need a client certificate and came without"},
    {"refused cluster", "calls with a certificate of another cluster"},
    {"refused role", "calls that the certificate's role may not make"},
    {"refused stranger", "calls with a certificate of a removed node, a revoked operator, or nobody known"},
    {"refused other-node", "requests of a node about what is another node's"},
    {"refused join", "joins with a wrong or worn-out token, or with a bad request"},
    {"refused rate", "calls without a certificate beyond what an address may make"},
    {"refused connection", "connections beyond what an address may open"},
}};

}  // namespace

void Refusals::note(Refusal kind, std::string_view who, std::string_view why, base::Time now) {
    const auto index = static_cast<std::size_t>(kind);
    const std::lock_guard guard(mutex_);
    auto& state = kinds_.at(index);
    ++state.count;
    if (const auto unsaid = state.lines.pass(kLines, now)) {
        kLog.warn("{}: {}: {}{}", kWords.at(index).name, who, why,
                  *unsaid == 0 ? "" : fmt::format(" (and {} more like it)", *unsaid));
    }
}

std::vector<RefusalCount> Refusals::counts() const {
    std::vector<RefusalCount> counts;
    const std::lock_guard guard(mutex_);
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
        counts.push_back({.name = kWords.at(i).name, .meaning = kWords.at(i).meaning, .value = kinds_.at(i).count});
    }
    return counts;
}

}  // namespace warren::manager
