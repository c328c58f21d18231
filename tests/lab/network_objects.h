#pragma once

#include <string>
#include <vector>

#include "proto/control.pb.h"
#include "tests/lab/lab.h"

namespace warren::lab {

// What a host's kernel holds of these networks, which are all that there are, by the word of ip, bridge and nft, beside
// what it has to hold by that of `network inspect`: a line for each object that is missing or too many. Empty: exactly
// the wanted ones are there, and of networks that have no endpoint on this host nothing at all.
std::string strays(const Host& host, const std::vector<v1::Network>& networks);

}  // namespace warren::lab
