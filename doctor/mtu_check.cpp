#include "doctor/mtu_check.h"

#include <fmt/format.h>

namespace warren::doctor {

namespace {

base::Mtu needed(const MtuSight& sight) {
    return overlay::outer_size(sight.mtu, sight.family, sight.protection);
}

std::string leave_it_so(const MtuSight& sight, base::Mtu mtu) {
    return fmt::format("or say that it is to be so: warren network update {} --opt mtu={}, on a manager", sight.network,
                       mtu);
}

Finding about_culprit(const MtuSight& sight, std::string check) {
    const auto& culprit = *sight.culprit;
    Finding finding{.check = std::move(check), .verdict = Verdict::kWarning, .detail = {}, .remedy = {}};
    if (culprit.here) {
        finding.detail =
            fmt::format("MTU {}: this host makes it so small: {} has MTU {}", sight.mtu, sight.by, culprit.underlay);
        finding.remedy = fmt::format("raise it; {}", leave_it_so(sight, sight.mtu));
    } else {
        finding.detail =
            fmt::format("MTU {}: node '{}' makes it so small: its underlay carries packets of {}{}", sight.mtu,
                        culprit.node, culprit.underlay, culprit.peer ? fmt::format(" to {}", *culprit.peer) : "");
        finding.remedy = fmt::format("see what it is there: warren doctor, on node '{}'; {}", culprit.node,
                                     leave_it_so(sight, sight.mtu));
    }
    return finding;
}

Finding about_learned(const MtuSight& sight, const overlay::LearnedMtu& learned, std::string check) {
    const auto fits = overlay::inner_mtu(learned.mtu, sight.family, sight.protection);
    return {.check = std::move(check),
            .verdict = Verdict::kWarning,
            .detail = fmt::format("the kernel was told that the way to {} carries packets of {}, and full ones need "
                                  "{}: it cuts them, or tells containers so",
                                  learned.to, learned.mtu, needed(sight)),
            .remedy = fmt::format("find what is so narrow: tracepath -n {}; {}", learned.to,
                                  fits ? leave_it_so(sight, *fits) : "no network fits through it")};
}

}  // namespace

std::optional<std::string> mtu_problem(const MtuSight& sight) {
    if (needed(sight) <= sight.underlay) {
        return std::nullopt;
    }
    const auto misfit = fmt::format("packets of its MTU, {}, become {}, but {} has MTU {}: they are sent in pieces",
                                    sight.mtu, needed(sight), sight.by, sight.underlay);
    const auto fits = overlay::inner_mtu(sight.underlay, sight.family, sight.protection);
    return fits ? misfit : fmt::format("{}. {}", misfit, fits.error().message());
}

std::vector<Finding> check_mtu(const MtuSight& sight) {
    const auto check = fmt::format("network {}: MTU", sight.network);
    std::vector<Finding> findings;
    if (const auto problem = mtu_problem(sight)) {
        const bool hopeless = !overlay::inner_mtu(sight.underlay, sight.family, sight.protection);
        findings.push_back(
            {.check = check,
             .verdict = hopeless ? Verdict::kWrong : Verdict::kWarning,
             .detail = *problem,
             .remedy = fmt::format("raise it to {}{}", needed(sight),
                                   hopeless ? "" : "; a manager that hears of it makes the network fit by itself")});
    }
    if (sight.culprit) {
        findings.push_back(about_culprit(sight, check));
    }
    for (const auto& learned : sight.learned) {
        if (learned.mtu < needed(sight)) {
            findings.push_back(about_learned(sight, learned, check));
        }
    }
    if (findings.empty()) {
        findings.push_back({.check = check,
                            .verdict = Verdict::kOk,
                            .detail = fmt::format("{}: full packets, {} on the underlay, fit {} (MTU {})", sight.mtu,
                                                  needed(sight), sight.by, sight.underlay),
                            .remedy = {}});
    }
    return findings;
}

}  // namespace warren::doctor
