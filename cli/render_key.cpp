#include <fmt/format.h>

#include <algorithm>

#include "cli/parts.h"
#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

// Epoch 0 is none.
std::string epoch_text(std::uint32_t epoch) {
    return epoch == 0 ? "" : fmt::format("{}", epoch);
}

Tone phase_tone(std::string_view phase) {
    return phase == "idle" || phase == "active" ? Tone::kGood : Tone::kCaution;
}

// "in 3h 2m", "never", and before it what was asked for and waits.
std::string next_rotation(const v1::KeyNetwork& network, const View& view) {
    const auto in = [&](std::int64_t unix_ms) {
        const base::Duration wait = base::Time(base::Duration(unix_ms)) - view.now;
        return "in " + base::format_age(std::max(wait, base::Duration::zero()));
    };
    if (network.waiting_size() > 0) {
        const std::int64_t until = network.waiting_until_unix_ms();
        return joined(network.waiting()) + (until == 0 ? ": as soon as it can" : ": " + in(until));
    }
    return network.next_rotation_unix_ms() == 0 ? "never" : in(network.next_rotation_unix_ms());
}

double most_used(const v1::KeyNetwork& network) {
    double most = 0;
    for (const v1::KeyMember& member : network.members()) {
        most = std::max(most, member.limit_used_percent());
    }
    return most;
}

// How long a step took; empty when it has not come.
std::string took(std::int64_t from_unix_ms, std::int64_t to_unix_ms) {
    return from_unix_ms == 0 || to_unix_ms == 0 ? "" : base::format_age(base::Duration(to_unix_ms - from_unix_ms));
}

// "command (uid 0), limit (host2)"
std::string causes(const v1::Rotation& rotation) {
    std::vector<std::string> parts;
    for (const v1::RotationCause& cause : rotation.causes()) {
        parts.push_back(cause.reason() + (cause.by().empty() ? "" : " (" + cause.by() + ")"));
    }
    return joined(parts);
}

std::string left_out(const v1::Rotation& rotation) {
    std::vector<std::string> parts(rotation.stragglers().begin(), rotation.stragglers().end());
    for (const std::string& node : rotation.cut_off()) {
        parts.push_back(node + " (cut off)");
    }
    return joined(parts);
}

Tone result_tone(std::string_view result) {
    return result == "done"                                                           ? Tone::kGood
           : result == "installing" || result == "activating" || result == "retiring" ? Tone::kCaution
                                                                                      : Tone::kBad;
}

// A member and for how long it has been as it is.
std::string late_member(const v1::LateMember& late, base::Time now) {
    const auto since = base::format_age(now - base::Time(base::Duration(late.since_unix_ms())));
    return late.node() + (late.reachable() ? " (does not confirm)" : " (unreachable " + since + ")");
}

std::vector<std::string> stragglers(const v1::RotationProgress& progress, base::Time now) {
    std::vector<std::string> parts;
    for (const v1::LateMember& late : progress.late()) {
        if (!late.waited_for()) {
            parts.push_back(late_member(late, now));
        }
    }
    return parts;
}

// "installing 2/3" while it lasts, "installed 3/3" afterwards.
std::string step(std::string_view doing, std::string_view done, bool current, std::uint32_t have,
                 std::uint32_t members) {
    return fmt::format("  {} {}/{}", current ? doing : done, have, members);
}

}  // namespace

std::string render_keys(const v1::KeyListReply& reply, const View& view) {
    Table table({"NETWORK", "EPOCH", "STATE", "CIPHER", "SLOT", "AGE", "REASON", "KEPT FOR"});
    for (const v1::EpochInfo& epoch : reply.epochs()) {
        table.row({epoch.network(), epoch.epoch(), Cell(epoch.state(), phase_tone(epoch.state())), epoch.cipher(),
                   epoch.slot(), age(epoch.created_unix_ms(), view), epoch.reason(), joined(epoch.kept_for())});
    }
    return table.text(view);
}

std::string render_key_status(const v1::KeyStatusReply& reply, const View& view) {
    Table networks({"NETWORK", "EPOCH", "PHASE", "SINCE", "CIPHER", "MEMBERS", "NEXT ROTATION", "LIMIT USED"});
    Table members({"NETWORK", "NODE", "INSTALLED", "SENDING", "LIMIT USED", "STATE", "SINCE"});
    for (const v1::KeyNetwork& network : reply.networks()) {
        networks.row({network.network(), epoch_text(network.active_epoch()),
                      Cell(network.phase(), phase_tone(network.phase())), age(network.phase_since_unix_ms(), view),
                      network.cipher(), network.members_size(), next_rotation(network, view),
                      limit_used(most_used(network))});
        for (const v1::KeyMember& member : network.members()) {
            const bool behind = network.phase() == "idle" && member.sending_epoch() < network.active_epoch();
            members.row({network.network(), member.node(), epoch_text(member.installed_epoch()),
                         Cell(epoch_text(member.sending_epoch()), behind ? Tone::kCaution : Tone::kPlain),
                         limit_used(member.limit_used_percent()),
                         member.reachable() ? Cell("ready", Tone::kGood) : Cell("unreachable", Tone::kBad),
                         age(member.since_unix_ms(), view)});
        }
    }
    return networks.text(view) + "\n" + members.text(view);
}

std::string render_history(const v1::KeyHistoryReply& reply, const View& view) {
    Table table({"EPOCH", "OUTCOME", "ASKED", "BY", "WAITED", "INSTALL", "SWITCH", "RETIRE", "PACKETS", "WITHOUT"});
    for (const v1::Rotation& rotation : reply.rotations()) {
        const std::string aborted = rotation.aborted_by().empty() ? "" : " by " + rotation.aborted_by();
        table.row({rotation.epoch(), Cell(rotation.outcome() + aborted, result_tone(rotation.outcome())),
                   age(rotation.asked_unix_ms(), view) + " ago", causes(rotation),
                   took(rotation.asked_unix_ms(), rotation.made_unix_ms()),
                   took(rotation.made_unix_ms(), rotation.activated_unix_ms()),
                   took(rotation.activated_unix_ms(), rotation.moved_unix_ms()),
                   took(rotation.moved_unix_ms(), rotation.retired_unix_ms()), rotation.packets_sent(),
                   left_out(rotation)});
    }
    return table.text(view);
}

std::string render_rotations(const std::vector<RotationResult>& results, const View& view) {
    Table table({"NETWORK", "EPOCH", "RESULT", "TIME", "WITHOUT"});
    for (const RotationResult& result : results) {
        const bool known = result.epoch != 0;
        table.row({result.network, epoch_text(result.epoch), Cell(result.result, result_tone(result.result)),
                   known ? base::format_age(result.elapsed) : "", result.without});
    }
    return table.text(view);
}

std::string render_aborted(const v1::KeyAbortReply& reply, const View& view) {
    std::string text = printable(reply.network()) + ": ";
    text += reply.epoch() == 0 ? "the request that waited is taken back"
                               : fmt::format("epoch {} is taken back, the one before stays active", reply.epoch());
    if (reply.still_due_size() > 0) {
        const base::Duration wait = base::Time(base::Duration(reply.due_unix_ms())) - view.now;
        text += fmt::format("; another rotation is due for {} in {}", printable(joined(reply.still_due())),
                            base::format_age(std::max(wait, base::Duration::zero())));
    }
    return text + "\n";
}

std::string rotation_line(const v1::RotationProgress& progress, base::Time now) {
    const std::string& phase = progress.phase();
    if (phase == "removed") {
        return "network removed";
    }
    const std::uint32_t members = progress.members();
    std::string line = printable(progress.network()) + ": ";
    if (progress.waiting()) {
        return line + "waiting for the rotation in progress";
    }
    line += fmt::format("epoch {}", progress.epoch());
    if (phase == "aborted") {
        return line + "  aborted";
    }
    if (progress.done() && (phase == "installing" || phase == "activating")) {
        return line + "  done; the next rotation has begun";  // and the counts are that one's
    }
    const bool activated = progress.done() || phase == "activating" || phase == "retiring";
    const bool retiring = progress.done() || phase == "retiring";
    line += step("installing", "installed", phase == "installing", progress.installed(), members);
    if (activated) {
        line += step("activating", "active", phase == "activating", progress.active(), members);
    }
    if (retiring) {
        line += step("retiring", "retired", !progress.done(), progress.retired(), members);
    }
    if (const auto without = stragglers(progress, now); !without.empty()) {
        line += "  without " + printable(joined(without));
    }
    return line;
}

std::vector<std::string> late_lines(const v1::RotationProgress& progress) {
    constexpr std::size_t kNamed = 6;
    std::vector<std::string> names;
    std::size_t more = 0;
    for (const v1::LateMember& late : progress.late()) {
        if (!late.waited_for()) {
            continue;
        }
        if (names.size() < kNamed) {
            names.push_back(late.node() + (late.reachable() ? "" : " (away)"));
        } else {
            ++more;
        }
    }
    if (names.empty() || progress.done()) {
        return {};
    }
    return {"  waiting for " + printable(joined(names)) + (more == 0 ? "" : fmt::format(" and {} more", more))};
}

}  // namespace warren::cli
