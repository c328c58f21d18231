#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace warren::doctor {

enum class Verdict : unsigned char {
    kOk,
    kWarning,  // works, but not as well as it should, or not for long
    kWrong,
    kUnknown,  // could not be looked at
};

[[nodiscard]] constexpr std::string_view name(Verdict verdict) {
    switch (verdict) {
        case Verdict::kOk:
            return "ok";
        case Verdict::kWarning:
            return "warning";
        case Verdict::kWrong:
            return "wrong";
        case Verdict::kUnknown:
            break;
    }
    return "unknown";
}

// One line of what the doctor says.
struct Finding {
    std::string check;  // what was looked at
    Verdict verdict = Verdict::kUnknown;
    std::string detail;  // what was seen
    std::string remedy;  // what to do; empty: nothing

    bool operator==(const Finding&) const = default;
};

}  // namespace warren::doctor
