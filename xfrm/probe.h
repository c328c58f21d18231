#pragma once

#include <string>
#include <vector>

#include "keymgr/key_schedule.h"

namespace warren::xfrm {

// Which ciphers this kernel takes an ESP SA of, found out by adding one of each in a network namespace that is gone
// afterwards. What one kernel option switches off for all of them leaves `works` empty; `problem` names the option.
struct EspProbe {
    std::vector<keymgr::Cipher> works;
    std::string problem;  // empty: all of them work

    bool operator==(const EspProbe&) const = default;
};
[[nodiscard]] EspProbe probe_esp();

}  // namespace warren::xfrm
