#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"

namespace warren::base {

// What people call an object: the first whose name is `reference`, else the only one whose id begins with it. `what` is
// "network", "node", "endpoint". kNotFound: none; kInvalid: the ids of several begin with it.
template <typename Map, typename NameOf>
[[nodiscard]] Result<typename Map::key_type> find_reference(std::string_view what, std::string_view reference,
                                                            const Map& map, NameOf name_of) {
    for (const auto& [id, object] : map) {
        if (name_of(object) == reference) {
            return id;
        }
    }
    std::optional<typename Map::key_type> found;
    for (const auto& [id, object] : map) {
        if (!reference.empty() && id.text().starts_with(reference)) {
            if (found) {
                return fail(Code::kInvalid,
                            "{} '{}': several ids begin with it, such as {} and {}; give more digits, or the name",
                            what, reference, found->text(), id.text());
            }
            found = id;
        }
    }
    if (!found) {
        return fail(Code::kNotFound, "{} '{}': not found; see: warren {} ls", what, reference, what);
    }
    return *found;
}

}  // namespace warren::base
