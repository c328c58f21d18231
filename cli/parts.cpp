#include "cli/parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::cli {

void add_ciphers(Block& block, const std::string& key, const google::protobuf::RepeatedPtrField<std::string>& ciphers,
                 const std::string& problem) {
    if (problem.empty()) {
        block.line(key, joined(ciphers));
        return;
    }
    block.line(key, Cell("none", Tone::kBad));
    constexpr std::string_view kBetween = "; ";
    for (std::size_t from = 0; from < problem.size();) {
        const std::size_t end = std::min(problem.find(kBetween, from), problem.size());
        block.line("", problem.substr(from, end - from));
        from = end + kBetween.size();
    }
}

Cell limit_used(double percent) {
    constexpr double kCaution = 90;
    const Tone tone = percent >= 100 ? Tone::kBad : percent >= kCaution ? Tone::kCaution : Tone::kPlain;
    return {fmt::format("{:.{}f} %", percent, percent < 10 ? 1 : 0), tone};
}

void add_certificate(Block& block, std::int64_t expires_unix_ms, const View& view) {
    const bool over = expires_unix_ms != 0 && base::Time(base::Duration(expires_unix_ms)) <= view.now;
    block.line("Certificate", Cell("expires " + expiry(expires_unix_ms, view), over ? Tone::kBad : Tone::kPlain));
}

}  // namespace warren::cli
