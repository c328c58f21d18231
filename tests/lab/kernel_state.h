#pragma once

#include <string>

#include "tests/lab/lab.h"

namespace warren::lab {

// What a host's kernel holds that a network is made of, one object a line: links, addresses, namespaces, SAs, policies,
// the firewall, forwarding and neighbour entries, there and in the namespaces of its networks. Indexes, handles and
// times of creation are in it, so an object that was made anew is another one. Counters are not.
std::string kernel_state(const Host& host);

// The lines of `wanted` that `state` does not have; empty when all are there.
std::string missing_lines(const std::string& wanted, const std::string& state);

}  // namespace warren::lab
