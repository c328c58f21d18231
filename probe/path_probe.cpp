#include "probe/path_probe.h"

#include <algorithm>

namespace warren::probe {

namespace {

using std::chrono::milliseconds;

constexpr unsigned kSmallOnes = 5;
constexpr unsigned kTries = 3;
constexpr milliseconds kPace{50};
// After the last try. The ways that are meant take a few milliseconds, at most some hundred.
constexpr milliseconds kPatience{1000};
constexpr milliseconds kSearchPatience{400};

}  // namespace

PathProbe::PathProbe(std::uint64_t run, base::NodeIndex self, base::NodeIndex peer, base::Mtu largest, ProbeTime now)
    : run_(run), self_(self), peer_(peer), largest_(largest) {
    trials_.push_back({.what = What::kSmall, .size = kSmallestProbe, .left = kSmallOnes, .next = now});
}

PathProbe::Question PathProbe::question(const Trial& trial) {
    const bool back = trial.what == What::kLargeBack || trial.what == What::kUncutBack;
    return {.probe = {.answer = false,
                      .whole = trial.what == What::kUncutThere || trial.what == What::kUncutBack,
                      .number = next_number_++,
                      .run = run_,
                      .from = self_,
                      .to = peer_,
                      .answer_size = back ? trial.size : kSmallestProbe},
            .size = back ? kSmallestProbe : trial.size};
}

std::vector<PathProbe::Question> PathProbe::due(ProbeTime now) {
    std::vector<Question> questions;
    for (std::size_t i = 0; i < trials_.size();) {
        Trial& trial = trials_[i];
        if (now < trial.next) {
            ++i;
        } else if (trial.left > 0) {
            questions.push_back(question(trial));
            sent_[questions.back().probe.number] = {.what = trial.what, .size = trial.size, .at = now};
            found_.asked += trial.what == What::kSmall ? 1 : 0;
            const bool search = trial.bad != base::Mtu{};
            trial.next = now + (--trial.left > 0 ? kPace : search ? kSearchPatience : kPatience);
            ++i;
        } else {
            const Trial over = trial;
            trials_.erase(trials_.begin() + static_cast<std::ptrdiff_t>(i));
            ended(over, false, now);
        }
    }
    return questions;
}

void PathProbe::take(const ReceivedProbe& answer, ProbeTime now) {
    const auto question = sent_.find(answer.probe.number);
    if (!answer.probe.answer || answer.probe.run != run_ || answer.probe.from != peer_ || question == sent_.end()) {
        return;
    }
    const Sent sent = question->second;
    sent_.erase(question);
    const auto trial =
        std::ranges::find_if(trials_, [&](const Trial& t) { return t.what == sent.what && t.size == sent.size; });
    if (trial == trials_.end()) {
        return;  // too late
    }
    if (sent.what == What::kSmall) {
        ++found_.answered;
        found_.round_trip = std::min(found_.round_trip.value_or(ProbeSpan::max()), now - sent.at);
    }
    // All small ones are waited for: some of them may be lost.
    if (sent.what != What::kSmall || found_.answered == kSmallOnes) {
        const Trial over = *trial;
        trials_.erase(trial);
        ended(over, true, now);
    }
}

void PathProbe::ended(const Trial& trial, bool answered, ProbeTime now) {
    switch (trial.what) {
        case What::kSmall:
            if (found_.answered > 0) {
                try_large(now);
            }
            break;
        case What::kLargeThere:
            found_.large_there = answered;
            break;
        case What::kLargeBack:
            found_.large_back = answered;
            break;
        case What::kUncutThere:
        case What::kUncutBack:
            search(trial.what, answered ? trial.size : trial.good, answered ? trial.bad : trial.size, now);
            break;
    }
}

void PathProbe::try_large(ProbeTime now) {
    for (const auto what : {What::kLargeThere, What::kLargeBack, What::kUncutThere, What::kUncutBack}) {
        const bool uncut = what == What::kUncutThere || what == What::kUncutBack;
        trials_.push_back({.what = what,
                           .size = largest_,
                           .left = kTries,
                           .next = now,
                           .good = kSmallestProbe,
                           .bad = uncut ? base::Mtu{largest_.value + 1} : base::Mtu{}});
    }
}

void PathProbe::search(What what, base::Mtu good, base::Mtu bad, ProbeTime now) {
    if (bad.value - good.value <= 1) {
        (what == What::kUncutThere ? found_.uncut_there : found_.uncut_back) = good;
        return;
    }
    trials_.push_back({.what = what,
                       .size = base::Mtu{good.value + (bad.value - good.value) / 2},
                       .left = kTries,
                       .next = now,
                       .good = good,
                       .bad = bad});
}

}  // namespace warren::probe
