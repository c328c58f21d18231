#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "keymgr/key_schedule.h"

// What this kernel can do, found out by doing it in namespaces of the probe's own, which are gone afterwards. Any
// thread; needs CAP_SYS_ADMIN.
namespace warren::xfrm {

struct MissingCipher {
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::string reason;  // names the kernel option: "the kernel lacks CONFIG_INET_ESP (module esp4)"
};

// What a refusal of an SA means, with the option that the kernel lacks where that is the cause.
[[nodiscard]] std::string lacking(keymgr::Cipher cipher, base::Family family, const base::Error& refusal);

struct EspProbe {
    std::vector<keymgr::Cipher> working;
    std::vector<MissingCipher> missing;
    bool fast_aes = false;  // see has_fast_aes()
};

// Whether the kernel does AES-GCM for ESP by instructions of the processor. `crypto` is /proc/crypto after an SA of
// that cipher was added, and it is the driver of the highest priority that an SA gets.
[[nodiscard]] bool has_fast_aes(std::string_view crypto);

// Adds and deletes an SA with each cipher. kPrecondition, with the option to enable, when the kernel has no XFRM at
// all; kDenied without privilege. Some milliseconds; may load the kernel's modules.
[[nodiscard]] base::Result<EspProbe> probe_esp(base::Family family = base::Family::kIpv4);

struct SegmentationProbe {
    enum class Verdict : std::uint8_t {
        kFine,
        kBroken,       // segmentation has to be off on VXLAN devices of encrypted networks
        kNotTestable,  // do as if it were broken: that is only slower
    };
    Verdict verdict = Verdict::kNotTestable;
    std::string why;  // for people, with the figures
};

// The first of the VNIs that Warren gives to networks. Which one it is matters to the probe: Linux 6.12 takes bits of
// the VNI for a length of the inner TCP header, and harms networks whose VNI is below 0x500000 (docs/adr/0016).
inline constexpr base::Vni kFirstVni{0x570000};

// Whether TCP through VXLAN through transport-mode ESP gets through unharmed when the kernel cuts it into segments
// late. Kernels with esp4_offload/esp6_offload can get this wrong: they lose every packet that was to be cut, which
// nobody counts but the underlay device. A burst of half a second at most.
[[nodiscard]] SegmentationProbe probe_segmentation(base::Family family = base::Family::kIpv4,
                                                   base::Vni vni = kFirstVni);

// Is the module there that makes the difference, loaded or, where that can be seen, built in? Cheap: when the answer
// changes it is time to probe again.
[[nodiscard]] bool offload_module_present(base::Family family = base::Family::kIpv4,
                                          const std::filesystem::path& modules = "/sys/module");

}  // namespace warren::xfrm
