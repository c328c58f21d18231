#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "doctor/finding.h"

namespace warren::doctor {

// The options of a kernel's configuration that are set: "y" (built in), "m" (a module) or a value.
using KernelConfig = std::map<std::string, std::string, std::less<>>;

// The text of a kernel's .config.
[[nodiscard]] KernelConfig parse_kernel_config(std::string_view text);
// Of the running kernel, from /proc/config.gz or /boot/config-RELEASE; nullopt: neither is there.
[[nodiscard]] std::optional<KernelConfig> read_kernel_config();

// One line when all is there that VTEPs of this family need, else one for each option that is missing.
[[nodiscard]] std::vector<Finding> check_kernel(const std::optional<KernelConfig>& config, base::Family underlay);

}  // namespace warren::doctor
