#include <fmt/format.h>

#include "cli/parts.h"
#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

Tone tone_of(const std::string& verdict) {
    if (verdict == "ok") {
        return Tone::kGood;
    }
    return verdict == "wrong" ? Tone::kBad : Tone::kCaution;
}

std::string summary(std::size_t wrong, std::size_t warnings, std::size_t unknown, const View& view) {
    const auto warned = count_of(warnings, "warning", "warnings");
    if (wrong > 0) {
        return paint(fmt::format("{} wrong", wrong), Tone::kBad, view.colour) +
               (warnings > 0 ? fmt::format(", {}.\n", warned) : ".\n");
    }
    if (warnings + unknown > 0) {
        return fmt::format("Nothing is known to be wrong; {}, {} could not be looked at.\n", warned, unknown);
    }
    return paint("Healthy", Tone::kGood, view.colour) + ": nothing is wrong.\n";
}

}  // namespace

std::string render_doctor(const v1::DoctorReply& reply, const View& view) {
    Table table({"CHECK", "VERDICT", "WHAT WAS SEEN"});
    std::string remedies;
    std::size_t wrong = 0;
    std::size_t warnings = 0;
    std::size_t unknown = 0;
    for (const v1::Finding& finding : reply.findings()) {
        table.row({finding.check(), {finding.verdict(), tone_of(finding.verdict())}, finding.detail()});
        wrong += finding.verdict() == "wrong" ? 1U : 0U;
        warnings += finding.verdict() == "warning" ? 1U : 0U;
        unknown += finding.verdict() == "unknown" ? 1U : 0U;
        if (!finding.remedy().empty()) {
            remedies += fmt::format("  * {}: {}\n", printable(finding.check()), printable(finding.remedy()));
        }
    }
    return table.text(view) + (remedies.empty() ? "" : "\nWhat to do:\n" + remedies) + "\n" +
           summary(wrong, warnings, unknown, view);
}

}  // namespace warren::cli
