#include "cli/endpoint_search.h"

#include <algorithm>

namespace warren::cli {

namespace {

base::Result<const v1::Endpoint*> only_one(const std::vector<const v1::Endpoint*>& found, const std::string& wanted) {
    if (found.size() == 1) {
        return found.front();
    }
    std::string list;
    for (const auto* endpoint : found) {
        list += fmt::format("{}{} in {} on {}", list.empty() ? "" : ", ", endpoint->id().substr(0, 12),
                            endpoint->network(), endpoint->node());
    }
    return base::fail(base::Code::kConflict, "endpoint '{}': there are several: {}; give its id", wanted, list);
}

}  // namespace

base::Result<const v1::Endpoint*> find_endpoint(const Endpoints& all, const std::string& wanted) {
    std::vector<const v1::Endpoint*> named;
    std::vector<const v1::Endpoint*> beginning;
    for (const auto& endpoint : all) {
        if (endpoint.id() == wanted) {
            return &endpoint;
        }
        if (endpoint.name() == wanted) {
            named.push_back(&endpoint);
        } else if (!wanted.empty() && endpoint.id().starts_with(wanted)) {
            beginning.push_back(&endpoint);
        }
    }
    if (!named.empty()) {
        return only_one(named, wanted);
    }
    if (!beginning.empty()) {
        return only_one(beginning, wanted);
    }
    return base::fail(base::Code::kNotFound, "endpoint '{}': not found; see warren endpoint ls", wanted);
}

std::vector<std::string> networks_of(const v1::Endpoint& endpoint, const Endpoints& all) {
    std::vector<std::string> networks{endpoint.network()};
    for (const auto& other : all) {
        if (other.node() == endpoint.node() && other.netns() == endpoint.netns() &&
            std::ranges::find(networks, other.network()) == networks.end()) {
            networks.push_back(other.network());
        }
    }
    return networks;
}

}  // namespace warren::cli
