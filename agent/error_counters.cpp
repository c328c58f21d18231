#include "agent/error_counters.h"

#include <algorithm>
#include <array>

#include "base/files.h"
#include "base/text.h"

namespace warren::agent {

namespace {

struct Meaning {
    std::string_view name;
    std::string_view text;
    std::string_view remedy;
};

// What the kernel counts where: net/xfrm/xfrm_input.c, xfrm_output.c, xfrm_policy.c and
// Documentation/networking/xfrm_proc.rst. A few as a rotation goes by are no error: those have no remedy.
constexpr std::array<Meaning, 22> kMeanings{{
    {"XfrmInError", "packets were dropped for other reasons, likely a lack of memory", "free memory on this host"},
    {"XfrmInBufferError", "packets were dropped for a lack of memory", "free memory on this host"},
    {"XfrmInHdrError", "ESP was too short to have a header: cut on its way, or forged",
     "if it goes on, capture it (tcpdump -ni DEVICE esp) and look at who sends it"},
    {"XfrmInNoStates", "ESP came with an SPI nobody has: a peer sends in an epoch or to a membership that is gone here",
     "if it goes on, compare the epochs of this node and its peers: warren key status, on a manager"},
    {"XfrmInStateProtoError",
     "ESP failed its integrity check: forged, damaged, of another key, or replayed from before the replay window",
     "if it goes on, capture it (tcpdump -ni DEVICE esp) and look at who sends it"},
    {"XfrmInStateModeError", "ESP of another mode than its SA's came", ""},
    {"XfrmInStateSeqError",
     "ESP was replayed or doubled on its way, or so reordered that it was behind the replay window",
     "if traffic suffers, widen the window: warren network update --opt replay-window=4096 NETWORK"},
    {"XfrmInStateExpired", "ESP came for an SA at its limit", "warren key rotate NETWORK, on a manager"},
    {"XfrmInStateMismatch", "ESP came in UDP for an SA without, or the other way round",
     "the encapsulation of the peers differs: warren network inspect NETWORK"},
    {"XfrmInStateInvalid", "ESP came for an SA that was being deleted", ""},
    {"XfrmInTmplMismatch", "frames came in clear, or through an SA of another network: refused",
     "if it goes on, capture it (tcpdump -ni DEVICE udp) and look at who sends it"},
    {"XfrmInNoPols", "packets came that no policy lets in", ""},
    {"XfrmInPolBlock", "frames came in clear to an encrypted network's port: refused",
     "if it goes on, capture it (tcpdump -ni DEVICE udp) and look at who sends it"},
    {"XfrmInPolError", "packets were dropped as their policy could not be looked up", ""},
    {"XfrmOutError", "packets were not sent for other reasons, likely a lack of memory", "free memory on this host"},
    {"XfrmOutBundleGenError", "frames were dropped as their IPsec route could not be made",
     "look at the routes to the peers: ip route get ADDRESS"},
    {"XfrmOutNoStates", "frames had no SA to their peer (yet): dropped, not sent in clear",
     "if it goes on, see which peer lacks keys: warren key status, on a manager"},
    {"XfrmOutStateProtoError", "encryption failed", "see the kernel's log"},
    {"XfrmOutStateSeqError", "a sequence number ran out", "warren key rotate NETWORK, on a manager"},
    {"XfrmOutStateExpired", "an SA was used beyond its limit", "warren key rotate NETWORK, on a manager"},
    {"XfrmOutPolBlock", "frames from a wrong source address of an encrypted network: dropped, not sent in clear",
     "a NAT rule of this host rewrites them: exempt UDP from source ports 512 to 1023 from it"},
    {"XfrmOutStateInvalid", "frames were to go through an SA that was being deleted", ""},
}};

ErrorCounter explained(std::string_view name, std::uint64_t value) {
    const auto* found = std::find_if(kMeanings.begin(), kMeanings.end(), [&](const auto& m) { return m.name == name; });
    ErrorCounter counter{.name = std::string(name), .value = value, .meaning = {}, .remedy = {}};
    if (found == kMeanings.end()) {
        counter.meaning = "see the kernel's Documentation/networking/xfrm_proc.rst";
    } else {
        counter.meaning = found->text;
        counter.remedy = found->remedy;
    }
    return counter;
}

}  // namespace

std::vector<ErrorCounter> parse_xfrm_errors(std::string_view text) {
    std::vector<ErrorCounter> errors;
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
            errors.push_back(explained(name, *value));
        }
    }
    return errors;
}

std::vector<ErrorCounter> read_xfrm_errors() {
    // Not /proc/net, which is that of the process's first thread.
    const auto text = base::read_file("/proc/thread-self/net/xfrm_stat");
    return text ? parse_xfrm_errors(*text) : std::vector<ErrorCounter>();
}

std::vector<ErrorCounter> barrier_errors(const overlay::DropCounters& drops) {
    std::vector<ErrorCounter> errors{
        {.name = "nft sent_clear",
         .value = drops.sent_clear,
         .meaning = "frames of encrypted networks that would have left in clear: dropped",
         .remedy = "find what flushes or overrides IPsec policies here: ip xfrm monitor"},
        {.name = "nft received_clear",
         .value = drops.received_clear,
         .meaning = "frames for encrypted networks that came in clear, or through another network's SA: dropped",
         .remedy = "if it goes on, capture it (tcpdump -ni DEVICE udp) and look at who sends it"},
        {.name = "nft forwarded",
         .value = drops.forwarded,
         .meaning = "packets to encrypted networks' ports that this host was to forward: dropped",
         .remedy = "if it goes on, a container or guest of this host forges them: nft monitor trace"},
    };
    std::erase_if(errors, [](const auto& error) { return error.value == 0; });
    return errors;
}

void RecentErrors::note(base::Moment now, const std::vector<ErrorCounter>& counters) {
    Sample sample{.at = now, .values = {}};
    for (const auto& counter : counters) {
        sample.values.emplace(counter.name, counter.value);
    }
    samples_.push_back(std::move(sample));
    while (samples_.size() > 1 && samples_[1].at + kMinute <= now) {
        samples_.pop_front();
    }
}

std::uint64_t RecentErrors::lately(const ErrorCounter& counter) const {
    if (samples_.empty()) {
        return 0;
    }
    const auto& values = samples_.front().values;
    const auto found = values.find(counter.name);
    const auto before = found == values.end() ? 0 : found->second;
    // One that starts anew has counted all that it has since.
    return counter.value >= before ? counter.value - before : counter.value;
}

}  // namespace warren::agent
