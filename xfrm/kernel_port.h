#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/result.h"
#include "keymgr/key_schedule.h"
#include "xfrm/model.h"

namespace warren::xfrm {

// ---- Operations ----

// Fails with EEXIST where any SA has the same destination and SPI. A key is in here: never logged, gone with the
// operation.
struct AddSa {
    SaLocation location;
    Reqid reqid;
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::uint32_t replay_window = 0;
    base::UdpPort encap{};  // 0: plain ESP
    SoftLimits limits;
    keymgr::SaKey key;
};
struct DeleteSa {
    SaLocation location;

    auto operator<=>(const DeleteSa&) const = default;
};
// Fails with EEXIST where any policy has the same direction and selector.
struct AddPolicy {
    Policy policy;

    bool operator==(const AddPolicy&) const = default;
};
// Replaces, without a hole, the policy of ours that has the same direction and selector.
struct UpdatePolicy {
    Policy policy;

    bool operator==(const UpdatePolicy&) const = default;
};
// By the kernel's number, so that a foreign policy with the same selector cannot be hit.
struct DeletePolicy {
    Direction direction = Direction::kIn;
    std::uint32_t index = 0;
    base::Family family = base::Family::kIpv4;

    auto operator<=>(const DeletePolicy&) const = default;
};
using Operation = std::variant<AddSa, DeleteSa, AddPolicy, UpdatePolicy, DeletePolicy>;

// What became of one operation.
struct Answer {
    enum class Kind : std::uint8_t {
        kDone,
        kRefused,  // the kernel said no: nothing changed
        kUnknown,  // the answer was lost: done or not
    };
    Kind kind = Kind::kDone;
    std::optional<base::Error> error;  // unless done

    [[nodiscard]] bool done() const { return kind == Kind::kDone; }
};

// ---- Events ----

struct SaChanged {
    Sa sa;
};
struct SaGone {
    SaLocation location;  // the source is unspecified where the kernel does not tell it
    Reqid reqid;
    SaCounters counters;  // packets and bytes, where the kernel tells them
};
struct SaExpired {
    SaLocation location;
    Reqid reqid;
    bool hard = false;  // hard: the SA is gone, and no SaGone follows
};
struct SasFlushed {
    std::uint8_t protocol = 0;
};
struct PoliciesChanged {};  // any change of any policy
using Event = std::variant<SaChanged, SaGone, SaExpired, SasFlushed, PoliciesChanged>;

struct Told {
    Event event;
    std::uint32_t by = 0;  // the netlink port of whoever asked for it; 0: the kernel itself, or nobody knows
};
struct EventBatch {
    std::vector<Told> events;     // other processes' changes only, never those of our own apply()
    std::vector<SaGone> deleted;  // by our own apply(): what the SAs had counted
    bool lost = false;            // the kernel dropped some: dump
};

// The IPsec of one network namespace. Implementations: make_netlink_port(), and FakeKernel for tests and the
// simulation. One thread; not safe for several.
class KernelPort {
  public:
    KernelPort() = default;
    KernelPort(const KernelPort&) = delete;
    KernelPort& operator=(const KernelPort&) = delete;
    virtual ~KernelPort() = default;

    // All SAs and policies, foreign ones too. A dump that a change interrupted is repeated inside; kAborted when it
    // never comes out whole.
    [[nodiscard]] virtual base::Result<std::vector<Sa>> dump_sas() = 0;
    [[nodiscard]] virtual base::Result<std::vector<Policy>> dump_policies() = 0;

    // Does all operations in order, each whether or not one before it failed; one answer for each.
    [[nodiscard]] virtual std::vector<Answer> apply(std::span<const Operation> operations) = 0;

    // Readable when read_events() has something. -1: no events, sweep instead.
    [[nodiscard]] virtual int event_fd() const = 0;
    // All events that are waiting; empty when there are none.
    [[nodiscard]] virtual base::Result<EventBatch> read_events() = 0;
};

// The port of the namespace that the calling thread is in. kDenied without CAP_NET_ADMIN, kPrecondition when the kernel
// lacks CONFIG_XFRM_USER.
[[nodiscard]] base::Result<std::unique_ptr<KernelPort>> make_netlink_port();

}  // namespace warren::xfrm
