#include "agent/xfrm_stat.h"

#include <algorithm>
#include <array>

#include "base/files.h"
#include "base/text.h"

namespace warren::agent {

namespace {

struct Meaning {
    std::string_view name;
    std::string_view text;
};

// Documentation/networking/xfrm_proc.rst of the kernel, and what it means for us.
constexpr std::array<Meaning, 13> kMeanings{{
    {"XfrmInNoStates",
     "ESP came with an SPI nobody has: a peer sends in an epoch or to a membership that is gone here"},
    {"XfrmInStateProtoError", "ESP failed its integrity check: forged, damaged, or another key"},
    {"XfrmInStateSeqError", "ESP was replayed, or reordered beyond the replay window"},
    {"XfrmInStateExpired", "ESP came for an SA at its limit"},
    {"XfrmInTmplMismatch", "frames came in clear, or through an SA of another network: refused"},
    {"XfrmInNoPols", "packets came that no policy lets in"},
    {"XfrmInPolBlock", "frames came in clear to an encrypted network's port: refused"},
    {"XfrmInStateInvalid", "ESP came for an SA that was being deleted"},
    {"XfrmOutNoStates", "frames had no SA to their peer (yet): dropped, not sent in clear"},
    {"XfrmOutPolBlock", "frames from a wrong source address of an encrypted network: dropped, not sent in clear"},
    {"XfrmOutStateProtoError", "encryption failed"},
    {"XfrmOutStateSeqError", "a sequence number ran out"},
    {"XfrmOutStateExpired", "an SA was used beyond its limit"},
}};

std::string_view meaning_of(std::string_view name) {
    const auto* found = std::find_if(kMeanings.begin(), kMeanings.end(), [&](const auto& m) { return m.name == name; });
    return found == kMeanings.end() ? "see the kernel's Documentation/networking/xfrm_proc.rst" : found->text;
}

}  // namespace

std::vector<XfrmError> parse_xfrm_errors(std::string_view text) {
    std::vector<XfrmError> errors;
    for (const auto line : base::split(text, '\n')) {
        const auto end_of_name = line.find_first_of(" \t");
        const auto begin_of_value = line.find_last_of(" \t");
        if (end_of_name == std::string_view::npos) {
            continue;
        }
        const auto name = line.substr(0, end_of_name);
        const auto value = base::parse_unsigned(line.substr(begin_of_value + 1));
        // An acquire is a packet without an SA while somebody's key exchange listens: the same packet counts as
        // XfrmOutNoStates.
        if (value && *value != 0 && name != "XfrmAcquireError") {
            errors.push_back({.name = std::string(name), .value = *value, .meaning = meaning_of(name)});
        }
    }
    return errors;
}

std::vector<XfrmError> read_xfrm_errors() {
    // Not /proc/net, which is that of the process's first thread.
    const auto text = base::read_file("/proc/thread-self/net/xfrm_stat");
    return text ? parse_xfrm_errors(*text) : std::vector<XfrmError>();
}

}  // namespace warren::agent
