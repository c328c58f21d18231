#pragma once

#include <optional>

#include "base/result.h"
#include "netlink/attributes.h"
#include "netlink/message.h"
#include "xfrm/kernel_port.h"
#include "xfrm/model.h"

// NETLINK_XFRM messages (linux/xfrm.h) to values and back: pure functions. Every length is checked; no key leaves a
// decoder.
namespace warren::xfrm {

[[nodiscard]] netlink::Message encode(const AddSa& operation);
[[nodiscard]] netlink::Message encode(const DeleteSa& operation);
[[nodiscard]] netlink::Message encode(const AddPolicy& operation);
[[nodiscard]] netlink::Message encode(const UpdatePolicy& operation);
[[nodiscard]] netlink::Message encode(const DeletePolicy& operation);
[[nodiscard]] netlink::Message dump_sas_request();
[[nodiscard]] netlink::Message dump_policies_request();

// From XFRM_MSG_NEWSA and XFRM_MSG_UPDSA. nullopt: of no IP family.
[[nodiscard]] base::Result<std::optional<Sa>> decode_sa(const netlink::Received& received);
// From XFRM_MSG_NEWPOLICY and XFRM_MSG_UPDPOLICY. nullopt: of no IP family, a forward policy or a socket's own.
[[nodiscard]] base::Result<std::optional<Policy>> decode_policy(const netlink::Received& received);
// From what the groups SA, EXPIRE and POLICY say. nullopt: of no interest.
[[nodiscard]] base::Result<std::optional<Event>> decode_event(const netlink::Received& received);

// Overwrites a received message once it is decoded: a dumped SA, and the event of a new one, carry the key.
void wipe(const netlink::Received& received);

}  // namespace warren::xfrm
