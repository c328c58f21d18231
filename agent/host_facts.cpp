#include "agent/host_facts.h"

#include <algorithm>

#include "base/files.h"
#include "xfrm/probe.h"

namespace warren::agent {

namespace {

base::Result<base::BootId> read_boot_id() {
    WARREN_TRY_ASSIGN(auto text, base::read_file("/proc/sys/kernel/random/boot_id"));
    std::erase_if(text, [](char c) { return c == '-' || c == '\n'; });
    return base::parse_id<base::BootId>("/proc/sys/kernel/random/boot_id", text);
}

}  // namespace

base::Result<HostFacts> probe_host() {
    HostFacts facts;
    WARREN_TRY_ASSIGN(facts.boot, read_boot_id());
    const auto probed = xfrm::probe_esp();
    facts.ciphers = probed.works;
    facts.esp_problem = probed.problem;
    return facts;
}

void probe_segmentation(HostFacts& facts) {
    facts.segmentation_note = "not tested";
}

}  // namespace warren::agent
