#include "cli/endpoint_search.h"

#include "base/ip.h"

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

std::vector<const v1::Endpoint*> beside(const v1::Endpoint& endpoint, const Endpoints& all) {
    std::vector<const v1::Endpoint*> found{&endpoint};
    for (const auto& other : all) {
        if (other.node() == endpoint.node() && other.netns() == endpoint.netns() && other.id() != endpoint.id()) {
            found.push_back(&other);
        }
    }
    return found;
}

std::string gateway_for(const v1::Endpoint& endpoint, const v1::Network& network) {
    const auto address = base::parse_prefix("endpoint", endpoint.ip());
    for (const auto& subnet : network.subnets()) {
        const auto prefix = base::parse_prefix("subnet", subnet.subnet());
        if (address && prefix && prefix->contains(address->address)) {
            return subnet.gateway();
        }
    }
    return "";
}

}  // namespace warren::cli
