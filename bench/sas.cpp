// Installing and removing 5,000 SAs through the kernel port, against `ip -batch` with the same 5,000, turn by turn in
// one kernel. What counts on our side is opening the port, making the operations and applying them; on the other side
// the program from its start to its end. Needs root, a kernel with ESP, and a network namespace without SAs.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "bench/measure.h"
#include "xfrm/kernel_port.h"

namespace warren::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPeers = 2500;  // two SAs each
constexpr int kRounds = 9;
constexpr base::NetworkIndex kNetwork{7};
constexpr std::uint32_t kReplayWindow = 1024;
const base::IpAddress kSelf = base::IpAddress::v4(0x0a000001);

using KeyBytes = std::array<std::uint8_t, 20>;  // AES-128 and its salt; of no secrecy

struct PlainSa {
    xfrm::SaLocation location;
    KeyBytes key{};
};

std::vector<PlainSa> all_sas() {
    std::vector<PlainSa> sas;
    for (std::uint32_t i = 0; i < kPeers; ++i) {
        const auto peer = base::IpAddress::v4(0x0a010000 + i);
        const auto spi = [](std::uint32_t sender) {
            return xfrm::make_spi({.slot = base::EpochSlot{1},
                                   .sender = base::NodeIndex{static_cast<std::uint16_t>(sender)},
                                   .network = kNetwork});
        };
        KeyBytes key{};
        key[0] = static_cast<std::uint8_t>(i);
        key[1] = static_cast<std::uint8_t>(i >> 8U);
        sas.push_back({{.destination = kSelf, .spi = spi(i + 2), .source = peer}, key});
        key[2] = 1;
        sas.push_back({{.destination = peer, .spi = spi(1), .source = kSelf}, key});
    }
    return sas;
}

xfrm::AddSa to_add(const PlainSa& sa) {
    xfrm::AddSa add{.location = sa.location,
                    .reqid = xfrm::make_reqid(kNetwork),
                    .cipher = keymgr::Cipher::kAes128Gcm,
                    .replay_window = kReplayWindow,
                    .limits = {},
                    .key = {}};
    std::copy(sa.key.begin(), sa.key.end(), add.key.bytes.reveal_mutable().begin());
    add.key.length = sa.key.size();
    return add;
}

std::string id_for_ip(const PlainSa& sa) {
    return fmt::format("src {} dst {} proto esp spi {:#x}", sa.location.source, sa.location.destination,
                       sa.location.spi.value);
}

std::string install_script(const std::vector<PlainSa>& sas) {
    const xfrm::SoftLimits limits;
    std::string script;
    for (const PlainSa& sa : sas) {
        script += fmt::format(
            "xfrm state add {} reqid {} mode transport replay-window {} flag esn "
            "aead rfc4106(gcm(aes)) 0x{:02x} 128 limit packet-soft {} limit byte-soft {}\n",
            id_for_ip(sa), xfrm::make_reqid(kNetwork).value, kReplayWindow, fmt::join(sa.key, ""), limits.packets,
            limits.bytes);
    }
    return script;
}

std::string removal_script(const std::vector<PlainSa>& sas) {
    std::string script;
    for (const PlainSa& sa : sas) {
        script += fmt::format("xfrm state delete {}\n", id_for_ip(sa));
    }
    return script;
}

template <typename ToOperation>
void apply_all(const std::vector<PlainSa>& sas, ToOperation&& to_operation) {
    const auto port = must(xfrm::make_netlink_port());
    std::vector<xfrm::Operation> operations;
    operations.reserve(sas.size());
    for (const PlainSa& sa : sas) {
        operations.emplace_back(to_operation(sa));
    }
    for (const xfrm::Answer& answer : port->apply(operations)) {
        if (!answer.done()) {
            give_up(answer.error->message());
        }
    }
}

// Sorted, so that the two ways can be compared.
std::vector<xfrm::Sa> in_kernel() {
    auto sas = must(must(xfrm::make_netlink_port())->dump_sas());
    std::sort(sas.begin(), sas.end(), [](const auto& a, const auto& b) { return a.location < b.location; });
    return sas;
}

// The kernel frees removed SAs later, on a worker: not in somebody's measured time.
void settle() {
    std::this_thread::sleep_for(300ms);
}

struct Times {
    std::vector<Milliseconds> install;
    std::vector<Milliseconds> remove;
};

void run() {
    const std::vector<PlainSa> sas = all_sas();
    if (!in_kernel().empty()) {
        give_up("there are SAs already: run it in a network namespace without any");
    }
    const ScratchFile install(install_script(sas));
    const ScratchFile removal(removal_script(sas));
    Times ours;
    Times theirs;
    for (int round = 0; round < kRounds; ++round) {
        settle();
        ours.install.push_back(timed([&] { apply_all(sas, to_add); }));
        const auto by_us = in_kernel();
        ours.remove.push_back(
            timed([&] { apply_all(sas, [](const PlainSa& sa) { return xfrm::DeleteSa{sa.location}; }); }));
        settle();
        theirs.install.push_back(timed([&] { run_program({"ip", "-batch", install.path()}); }));
        const auto by_ip = in_kernel();
        theirs.remove.push_back(timed([&] { run_program({"ip", "-batch", removal.path()}); }));
        if (by_us.size() != sas.size() || by_us != by_ip || !in_kernel().empty()) {
            give_up("the two ways did not leave the same SAs");
        }
    }
    print_comparison("install 5,000 SAs", summarise(ours.install), "ip -batch", summarise(theirs.install));
    print_comparison("remove 5,000 SAs", summarise(ours.remove), "ip -batch", summarise(theirs.remove));
}

}  // namespace
}  // namespace warren::bench

int main() {
    warren::bench::run();
}
