#pragma once

#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "xfrm/model.h"

// What would void the barriers of an encrypted network. Each error (kPrecondition, kConflict, kInvalid) names the
// setting or owner and what to do; an encrypted network is refused while there is one.
namespace warren::xfrm {

// The calling thread's namespace as /proc/sys shows it; another root is for tests.
inline constexpr std::string_view kSysctlRoot = "/proc/sys";

// Source ports 512-1023 must be out of reach of unprivileged processes: net.ipv4.ip_unprivileged_port_start (which
// governs both families) at 1024 or more.
[[nodiscard]] base::Status check_unprivileged_ports(const std::filesystem::path& sysctl_root = kSysctlRoot);

// disable_xfrm and disable_policy, of the underlay device or of all devices, switch the policies off.
[[nodiscard]] base::Status check_device(std::string_view ifname,
                                        const std::filesystem::path& sysctl_root = kSysctlRoot);

// IPv6 link-local addresses are not unique beyond a link and need a scope that SAs do not have.
[[nodiscard]] base::Status check_vtep(const base::IpAddress& vtep);

// A policy that is not the network's own and that the kernel would prefer for packets of the network's port: an
// allowing one up to the priority of the block policies, any up to that of the allow policies (of two equals the kernel
// takes the newer). `policies`: all of the namespace, as Engine::policies() has them.
[[nodiscard]] base::Status check_foreign_policies(const Network& network, std::span<const Policy> policies);

}  // namespace warren::xfrm
