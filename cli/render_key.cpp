#include <fmt/format.h>

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

// "installing 2/3" while it lasts, "installed 3/3" afterwards.
std::string step(std::string_view doing, std::string_view done, bool current, std::uint32_t have,
                 std::uint32_t members) {
    return fmt::format("  {} {}/{}", current ? doing : done, have, members);
}

}  // namespace

std::string render_keys(const v1::KeyListReply& reply, const View& view) {
    Table table({"NETWORK", "EPOCH", "STATE", "CIPHER", "SLOT", "AGE", "REASON"});
    for (const v1::EpochInfo& epoch : reply.epochs()) {
        table.row({epoch.network(), epoch.epoch(), Cell(epoch.state(), phase_tone(epoch.state())), epoch.cipher(),
                   epoch.slot(), age(epoch.created_unix_ms(), view), epoch.reason()});
    }
    return table.text(view);
}

std::string render_key_status(const v1::KeyStatusReply& reply, const View& view) {
    Table networks({"NETWORK", "EPOCH", "PHASE", "SINCE", "CIPHER", "MEMBERS"});
    Table members({"NETWORK", "NODE", "INSTALLED", "SENDING", "STATE", "SINCE"});
    for (const v1::KeyNetwork& network : reply.networks()) {
        networks.row({network.network(), epoch_text(network.active_epoch()),
                      Cell(network.phase(), phase_tone(network.phase())), age(network.phase_since_unix_ms(), view),
                      network.cipher(), network.members_size()});
        for (const v1::KeyMember& member : network.members()) {
            const bool behind = network.phase() == "idle" && member.sending_epoch() < network.active_epoch();
            members.row({network.network(), member.node(), epoch_text(member.installed_epoch()),
                         Cell(epoch_text(member.sending_epoch()), behind ? Tone::kCaution : Tone::kPlain),
                         member.reachable() ? Cell("ready", Tone::kGood) : Cell("unreachable", Tone::kBad),
                         age(member.since_unix_ms(), view)});
        }
    }
    return networks.text(view) + "\n" + members.text(view);
}

std::string rotation_line(const v1::RotationProgress& progress) {
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
    if (progress.stragglers_size() > 0) {
        line += "  without " + printable(joined(progress.stragglers()));
    }
    return line;
}

}  // namespace warren::cli
