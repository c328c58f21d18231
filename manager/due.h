#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

// When which network is to be looked at. Pure.
namespace warren::manager {

using Due = std::map<base::NetworkId, base::Time>;

// Those whose time has come; they are taken off.
[[nodiscard]] std::vector<base::NetworkId> take_due(Due& due, base::Time now);
[[nodiscard]] std::optional<base::Time> next_due(const Due& due);

}  // namespace warren::manager
