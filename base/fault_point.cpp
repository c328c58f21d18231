#include "base/fault_point.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <string>

namespace warren::base {

namespace {

std::atomic<std::uint32_t> passes_left{1};

std::string all_names() {
    std::string names;
    for (const auto& known : kFaultPoints) {
        names += names.empty() ? "" : ", ";
        names += known.name;
    }
    return names;
}

}  // namespace

Status arm_fault(const char* setting) {
    if (setting == nullptr) {
        return {};
    }
    const std::string_view text(setting);
    const auto colon = text.find(':');
    const auto name = text.substr(0, colon);
    const auto* const found = std::find_if(kFaultPoints.begin(), kFaultPoints.end(),
                                           [name](const FaultPointName& known) { return known.name == name; });
    if (found == kFaultPoints.end()) {
        return fail(Code::kInvalid, "{} '{}': there is no such point; must be one of {}", kFaultVariable, text,
                    all_names());
    }
    std::uint32_t passes = 1;
    if (colon != std::string_view::npos) {
        const auto count = text.substr(colon + 1);
        const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), passes);
        if (error != std::errc{} || end != count.data() + count.size() || passes == 0) {
            return fail(Code::kInvalid, "{} '{}': must be NAME or NAME:N with N from 1", kFaultVariable, text);
        }
    }
    passes_left = passes;
    detail::armed_fault = static_cast<int>(found->point);
    return {};
}

void detail::pass_armed_fault() noexcept {
    if (--passes_left == 0) {
        ::kill(::getpid(), SIGKILL);
        ::pause();  // the signal comes before this returns
    }
}

}  // namespace warren::base
