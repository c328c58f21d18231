#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "keymgr/key_schedule.h"

namespace warren::agent {

// What this host's kernel can do, found out by trying it.
struct HostFacts {
    base::BootId boot;
    std::vector<keymgr::Cipher> ciphers;  // that it takes an SA of
    bool fast_aes = false;                // AES-GCM by instructions of the processor
    std::string esp_problem;              // why not all of them; empty: all
    enum class Segmentation : std::uint8_t { kUnknown, kFine, kBroken };
    Segmentation segmentation = Segmentation::kUnknown;
    std::string segmentation_note = "being tested";  // one line for people

    bool operator==(const HostFacts&) const = default;
};

// Reads the boot id and tries each cipher in a scratch namespace; some milliseconds.
[[nodiscard]] base::Result<HostFacts> probe_host();
// Whether segmentation offload survives VXLAN in ESP: up to some seconds, so not on the loop's thread.
void probe_segmentation(HostFacts& facts);

// Whom this host asks about names, in another place than itself. Where that is a stub of systemd-resolved's, whom that
// asks: `behind_stub` (systemd-resolved.service(8), "/etc/resolv.conf").
[[nodiscard]] std::vector<base::IpAddress> host_resolvers(
    const std::filesystem::path& resolv_conf,
    const std::filesystem::path& behind_stub = "/run/systemd/resolve/resolv.conf");

// What this host has routes to, and its resolvers, as a manager is told of them: networks must not have these
// addresses. Our own gateway bridge is left out, which makes way; of routes there are 200 at most.
[[nodiscard]] std::vector<std::string> host_networks(const std::vector<base::IpAddress>& resolvers);

}  // namespace warren::agent
