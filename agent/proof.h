#pragma once

#include <optional>

#include "proto/local.pb.h"
#include "proto/session.pb.h"

// What a verification of an encrypted network has shown. Pure.
namespace warren::agent {

// Fills in who refused the forged frames, the verdict of what was counted, and the detail unless that is "encrypted".
// `told` is what the peer has said that it saw; nullopt: it has not.
void judge(v1::PeerProof& proof, const std::optional<v1::Seen>& told);

// The worst of all peers'; without peers nothing is proved.
[[nodiscard]] std::string verdict_of(const v1::NetworkVerifyReply& reply);

}  // namespace warren::agent
