#include "certs/renewal.h"

#include <algorithm>
#include <charconv>

#include "certs/authority.h"

namespace warren::certs {

namespace {

constexpr std::int64_t kPermille = 1000;
constexpr std::int64_t kEarliest = 500;
constexpr std::uint32_t kSpread = 301;  // up to 800
constexpr std::size_t kDiceDigits = 8;
constexpr base::Duration kAttention = std::chrono::hours(24);
constexpr base::Duration kFirstBackoff = std::chrono::seconds(4);
constexpr base::Duration kShortestBackoff = std::chrono::seconds(1);
constexpr base::Duration kLongestBackoff = std::chrono::hours(1);
constexpr int kMostDoublings = 10;
constexpr int kTriesLeft = 8;

std::uint32_t dice_of(const Leaf& leaf) {
    const auto digits = leaf.serial.substr(0, kDiceDigits);
    std::uint32_t dice = 0;
    (void)std::from_chars(digits.data(), digits.data() + digits.size(), dice, 16);
    return dice;
}

}  // namespace

base::Time issue_time(const Leaf& leaf) {
    return leaf.not_before + kBackdate;
}

base::Time renewal_time(const Leaf& leaf) {
    const base::Duration life = leaf.not_after - issue_time(leaf);
    return issue_time(leaf) + life * (kEarliest + dice_of(leaf) % kSpread) / kPermille;
}

base::Time renewal_overdue(const Leaf& leaf) {
    const base::Time due = renewal_time(leaf);
    return due + std::min(kAttention, (leaf.not_after - due) / 2);
}

base::Duration renewal_backoff(int failures, const Leaf& leaf, base::Time now, std::uint64_t dice) {
    const base::Duration left = (leaf.not_after - now) / kTriesLeft;
    base::Duration full = std::min(kLongestBackoff, kFirstBackoff * (1 << std::min(failures - 1, kMostDoublings)));
    if (left > base::Duration::zero()) {
        full = std::min(full, left);
    }
    full = std::max(full, kShortestBackoff);
    return full / 2 + base::Duration(static_cast<std::int64_t>(dice % kPermille) * full.count() / (2 * kPermille));
}

}  // namespace warren::certs
