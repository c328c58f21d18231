#include "doctor/path_check.h"

#include <fmt/format.h>

#include "overlay/mtu.h"

namespace warren::doctor {

namespace {

std::string round_trip(probe::ProbeSpan span) {
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(span).count();
    return fmt::format("{}.{:03} ms", microseconds / 1000, microseconds % 1000);
}

base::Mtu outer(base::Mtu inner, const PathSight& sight) {
    return overlay::outer_size(inner, sight.vtep.family, overlay::esp_protection(sight.encap));
}

std::string let_through(const PathSight& sight) {
    if (sight.encap == base::UdpPort{}) {
        return fmt::format(
            "let ESP (IP protocol 50) between the hosts through, here, there and on the way; to see where it stays: "
            "tcpdump -ni DEVICE esp and host {}. Where it can't be let through, wrap it in UDP: warren network update "
            "{} --opt encap=udp, on a manager",
            sight.vtep, sight.network);
    }
    return fmt::format(
        "let UDP port {0} between the hosts through, here, there and on the way; to see where it stays: tcpdump -ni "
        "DEVICE udp port {0} and host {1}",
        sight.encap, sight.vtep);
}

Finding closed(const PathSight& sight, std::string check) {
    Finding finding{.check = std::move(check), .verdict = Verdict::kWrong, .detail = {}, .remedy = {}};
    const auto esp = let_through(sight);
    if (sight.keys_out == 0) {
        finding.detail = "frames can't be sent: there is no key for what goes to it";
        finding.remedy = "see what its keys wait for: warren key status, on a manager";
    } else if (!sight.told) {
        finding.detail = fmt::format("none of {} frames was answered", sight.found.asked);
        finding.remedy = esp;
    } else if (!sight.told->error.empty()) {
        finding.detail = fmt::format("none of {} frames was answered, and it can't be asked whether any came: {}",
                                     sight.found.asked, sight.told->error);
        finding.remedy = fmt::format(
            "see whether the host is up and its warrend has a session: warren node ls, on a "
            "manager; then {}",
            esp);
    } else if (sight.told->probes == 0) {
        finding.detail = fmt::format("frames do not get there: none of {} came to it", sight.found.asked);
        finding.remedy = fmt::format("{}; if they come in there, see warren doctor there", esp);
    } else if (sight.keys_in == 0) {
        finding.detail = "its answers can't be decrypted: there is no key for what comes from it";
        finding.remedy = "see what its keys wait for: warren key status, on a manager";
    } else if (sight.decrypted > 0) {
        finding.detail = fmt::format(
            "frames get there ({} of {}), answers do not come back; ESP from it was decrypted "
            "here, so a firewall of this host may drop the VXLAN that was in it",
            sight.told->probes, sight.found.asked);
        finding.remedy = "see the lines about this host's firewall, or: nft list ruleset";
    } else {
        finding.detail = fmt::format(
            "frames get there ({} of {}), answers do not come back: no ESP from it was "
            "decrypted here",
            sight.told->probes, sight.found.asked);
        finding.remedy = esp;
    }
    return finding;
}

}  // namespace

std::vector<Finding> check_path(const PathSight& sight) {
    const auto check = fmt::format("network {}: {}", sight.network, sight.peer);
    const auto& found = sight.found;
    if (found.answered == 0) {
        return {closed(sight, check)};
    }
    std::vector<Finding> findings;
    const auto reached = fmt::format("both ways, round trip {}", round_trip(*found.round_trip));
    if (found.answered < found.asked) {
        findings.push_back(
            {.check = check,
             .verdict = Verdict::kWarning,
             .detail = fmt::format("{} of {} small frames were lost", found.asked - found.answered, found.asked),
             .remedy = "look for a crowded or bad link between the hosts"});
    }
    const auto way = [&](bool large, base::Mtu uncut, std::string_view direction) {
        const auto needs = outer(sight.mtu, sight);
        if (!large) {
            findings.push_back(
                {.check = check,
                 .verdict = Verdict::kWrong,
                 .detail = fmt::format("{}: small frames get through, full ones ({} on the underlay) do not; the "
                                       "largest that does is {}",
                                       direction, needs, outer(uncut, sight)),
                 .remedy = fmt::format("raise the MTU of the way to {}, or: warren network update {} --opt "
                                       "mtu={}, on a manager",
                                       needs, sight.network, uncut)});
        } else if (uncut < sight.mtu) {
            findings.push_back(
                {.check = check,
                 .verdict = Verdict::kWarning,
                 .detail = fmt::format("{}: full frames ({} on the underlay) get through in pieces only: the way's MTU "
                                       "is {}",
                                       direction, needs, outer(uncut, sight)),
                 .remedy = fmt::format("raise it to {}, or: warren network update {} --opt mtu={}, on a manager", needs,
                                       sight.network, uncut)});
        }
    };
    way(found.large_there, found.uncut_there, "to it");
    way(found.large_back, found.uncut_back, "from it");
    if (findings.empty()) {
        findings.push_back({.check = check,
                            .verdict = Verdict::kOk,
                            .detail = fmt::format("{}, full frames uncut", reached),
                            .remedy = {}});
    }
    return findings;
}

}  // namespace warren::doctor
