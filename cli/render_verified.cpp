#include <fmt/format.h>

#include "cli/parts.h"
#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

Tone tone_of(const std::string& verdict) {
    if (verdict == "encrypted") {
        return Tone::kGood;
    }
    return verdict == "clear" ? Tone::kBad : Tone::kCaution;
}

std::string summary(const v1::NetworkVerifyReply& reply, const View& view) {
    const auto peers = count_of(static_cast<std::size_t>(reply.peers_size()), "peer", "peers");
    if (reply.verdict() == "encrypted") {
        return paint("Encrypted", Tone::kGood, view.colour) +
               fmt::format(
                   ": to and from {} nothing crossed the underlay but ESP, and forged frames in clear were "
                   "refused.\n",
                   peers);
    }
    if (reply.verdict() == "clear") {
        return paint("NOT ENCRYPTED", Tone::kBad, view.colour) + ": see above.\n";
    }
    return paint("Not proved", Tone::kCaution, view.colour) +
           (reply.peers().empty() ? ": no other host is a member of the network.\n"
                                  : ": nothing was seen in clear, but not all was seen; see above.\n");
}

}  // namespace

std::string render_verified(const v1::NetworkVerifyReply& reply, const View& view) {
    Table table({"PEER", "FRAMES", "ANSWERED", "ESP OUT", "SEEN THERE", "ESP IN", "CLEAR", "FORGED", "LET IN",
                 "REFUSED BY", "VERDICT"});
    std::string details;
    for (const v1::PeerProof& peer : reply.peers()) {
        table.row({peer.peer(),
                   peer.sent(),
                   peer.answered(),
                   peer.esp_sent_here(),
                   peer.esp_seen_there(),
                   peer.esp_seen_here(),
                   peer.clear_here() + peer.clear_there(),
                   peer.forged_seen_there(),
                   peer.forged_delivered(),
                   peer.refused_by(),
                   {peer.verdict(), tone_of(peer.verdict())}});
        if (!peer.detail().empty()) {
            details += fmt::format("  * {}: {}\n", printable(peer.peer()), printable(peer.detail()));
        }
    }
    return table.text(view) + (details.empty() ? "" : "\n" + details) + "\n" + summary(reply, view);
}

}  // namespace warren::cli
