#pragma once

#include "proto/local.pb.h"

// What a verification of an encrypted network has shown. Pure.
namespace warren::agent {

// Fills in the verdict of what was counted, and the detail unless it is "encrypted". `told`: the peer has said what it
// saw.
void judge(v1::PeerProof& proof, bool told);

// The worst of all peers'; without peers nothing is proved.
[[nodiscard]] std::string verdict_of(const v1::NetworkVerifyReply& reply);

}  // namespace warren::agent
