#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/result.h"

// Places in the code where the daemon dies when it is told to, so that tests can show that whatever a crash leaves half
// done is completed or undone. A point is passed right after what its name says has been done.
namespace warren::base {

enum class FaultPoint : std::uint8_t {
    kJoinPrepared,
    kJoinAdmitted,
    kJoinIssued,
    kJoinWritten,
    kJoinCommitted,
    kRenewalAsked,
    kRenewalIssued,
    kRenewalReceived,
    kRenewalRootsWritten,
    kRenewalNodeWritten,
    kRenewalConfirmed,
    kReadmissionIssued,
    kReadmissionReceived,
    kCaBegun,
    kCaTold,
    kCaNodeMoved,
    kCaDropped,
    kRotationAsked,
    kRotationMade,
    kRotationAcknowledged,
    kRotationActivated,
    kRotationRetired,
    kLockSealed,
    kLockWiped,
    kUnlockOpened,
    kUnlockWritten,
    kUnlockDropped,
    kKekWritten,
    kKekResealed,
    kKekReplaced,
};

struct FaultPointName {
    FaultPoint point;
    std::string_view name;
};

// All of them; a test takes those that begin with the name of an operation.
inline constexpr std::array kFaultPoints = {
    FaultPointName{FaultPoint::kJoinPrepared, "join.prepared"},        // node: the staging directory is there
    FaultPointName{FaultPoint::kJoinAdmitted, "join.admitted"},        // manager: the node is in the store
    FaultPointName{FaultPoint::kJoinIssued, "join.issued"},            // node: it has the certificate, in memory
    FaultPointName{FaultPoint::kJoinWritten, "join.written"},          // node: the staging directory is whole
    FaultPointName{FaultPoint::kJoinCommitted, "join.committed"},      // node: it is renamed, the caller knows nothing
    FaultPointName{FaultPoint::kRenewalAsked, "renewal.asked"},        // node: the request is sent
    FaultPointName{FaultPoint::kRenewalIssued, "renewal.issued"},      // manager: so it is in the store
    FaultPointName{FaultPoint::kRenewalReceived, "renewal.received"},  // node: it has it in memory
    FaultPointName{FaultPoint::kRenewalRootsWritten, "renewal.roots-written"},  // node: new roots, old certificate
    FaultPointName{FaultPoint::kRenewalNodeWritten, "renewal.node-written"},    // node: both new; the manager knows not
    FaultPointName{FaultPoint::kRenewalConfirmed, "renewal.confirmed"},         // manager: it knows what is in use
    FaultPointName{FaultPoint::kReadmissionIssued, "readmission.issued"},       // manager: so it is in the store
    FaultPointName{FaultPoint::kReadmissionReceived, "readmission.received"},   // node: it has it in memory
    FaultPointName{FaultPoint::kCaBegun, "ca.begun"},                           // manager: the new CA is in the store
    FaultPointName{FaultPoint::kCaTold, "ca.told"},                             // manager: so the nodes are told
    FaultPointName{FaultPoint::kCaNodeMoved, "ca.node-moved"},                  // manager: one of them is there
    FaultPointName{FaultPoint::kCaDropped, "ca.dropped"},          // manager: the old CA is out of the store
    FaultPointName{FaultPoint::kRotationAsked, "rotation.asked"},  // manager: the request is in the store
    FaultPointName{FaultPoint::kRotationMade, "rotation.made"},    // manager: the epoch is, members may have heard
    FaultPointName{FaultPoint::kRotationAcknowledged, "rotation.acknowledged"},  // manager: by one, in memory only
    FaultPointName{FaultPoint::kRotationActivated, "rotation.activated"},        // manager: in the store
    FaultPointName{FaultPoint::kRotationRetired, "rotation.retired"},            // manager: in the store
    FaultPointName{FaultPoint::kLockSealed, "lock.sealed"},        // manager: keys are sealed, and there in clear, too
    FaultPointName{FaultPoint::kLockWiped, "lock.wiped"},          // manager: only sealed
    FaultPointName{FaultPoint::kUnlockOpened, "unlock.opened"},    // manager: its own identity is open, in memory
    FaultPointName{FaultPoint::kUnlockWritten, "unlock.written"},  // manager: for good: keys are there in clear, too
    FaultPointName{FaultPoint::kUnlockDropped, "unlock.dropped"},  // manager: for good: only in clear
    FaultPointName{FaultPoint::kKekWritten, "kek.written"},        // manager: the new key is there beside the old one
    FaultPointName{FaultPoint::kKekResealed, "kek.resealed"},      // manager: a transaction has sealed under it
    FaultPointName{FaultPoint::kKekReplaced, "kek.replaced"},      // manager: the old key is gone
};

// What the daemon's environment says in WARREN_FAULT; null: nothing.
inline constexpr const char* kFaultVariable = "WARREN_FAULT";
// NAME, or NAME:N for the Nth time that the point is passed. kInvalid names the points that there are. Call once in
// main, before there are threads.
[[nodiscard]] Status arm_fault(const char* setting);

namespace detail {
inline constexpr int kUnarmed = -1;
inline std::atomic<int> armed_fault{kUnarmed};
void pass_armed_fault() noexcept;
}  // namespace detail

// Dies here by SIGKILL if this point is armed and its time has come. One load and one comparison if not. Any thread.
inline void fault_point(FaultPoint point) noexcept {
    if (detail::armed_fault.load(std::memory_order_relaxed) == static_cast<int>(point)) {
        detail::pass_armed_fault();
    }
}

}  // namespace warren::base
