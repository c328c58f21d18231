#include "agent/way_out.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"gateway"};
// A connect that takes longer has failed.
constexpr base::Duration kPatience = std::chrono::seconds(30);

}  // namespace

WayOutNeeds way_out_needs(const std::vector<const NetworkView*>& networks, const base::NodeId& self,
                          std::string (*container_of)(const std::string& netns)) {
    WayOutNeeds needs;
    std::map<std::string, std::size_t> known;  // container → its place
    for (const auto* view : networks) {
        for (const auto& [id, attachment] : view->attachments) {
            const auto endpoint = view->endpoints.find(id);
            if (endpoint == view->endpoints.end() || endpoint->second.node != self) {
                continue;
            }
            needs.networks.insert(view->subnet);
            if (view->internal) {
                continue;
            }
            const auto [place, fresh] = known.emplace(container_of(attachment.netns), needs.containers.size());
            if (fresh) {
                needs.containers.push_back({.netns = attachment.netns,
                                            .name = fmt::format("endpoint {}", endpoint->second.name),
                                            .published = {}});
            }
            auto& container = needs.containers[place->second];
            container.published.insert(container.published.end(), attachment.published.begin(),
                                       attachment.published.end());
            needs.of_endpoint.emplace(id, container.netns);
        }
    }
    return needs;
}

WayOut::WayOut(base::Result<overlay::GatewayBridge> bridge) {
    if (bridge) {
        bridge_.emplace(*std::move(bridge));
    } else {
        no_bridge_ = std::move(bridge).error();
    }
}

base::Status WayOut::hold(const overlay::Publication& wanted) {
    return ports_.hold(wanted, base::steady_now() + kPatience);
}

void WayOut::want(const base::ClusterId& cluster, WayOutNeeds needs) {
    const bool same = needs.containers == needs_.containers && needs.networks == needs_.networks;
    needs_ = std::move(needs);
    if ((same && !stale_) || !bridge_) {
        return;
    }
    stale_ = false;
    std::set<overlay::Publication> published;
    for (const auto& container : needs_.containers) {
        published.insert(container.published.begin(), container.published.end());
    }
    port_errors_ = ports_.keep_only(published, base::steady_now());
    const auto before = problems();
    report_ = bridge_->apply(cluster, needs_.containers, needs_.networks);
    for (const auto& problem : problems()) {
        if (std::find(before.begin(), before.end(), problem) == before.end()) {
            kLog.error("{}", problem);
        }
    }
}

base::Status WayOut::remove() {
    needs_ = {};
    report_ = {};
    port_errors_ = ports_.keep_only({}, base::Moment::max());
    return bridge_ ? bridge_->remove() : base::Status{};
}

std::array<int, 2> WayOut::event_fds() const {
    return bridge_ ? bridge_->event_fds() : std::array{-1, -1};
}

void WayOut::handle_events() {
    stale_ = bridge_->handle_events() || stale_;
}

std::optional<base::Error> WayOut::error(const base::EndpointId& endpoint) const {
    const auto netns = needs_.of_endpoint.find(endpoint);
    if (netns == needs_.of_endpoint.end()) {
        return std::nullopt;
    }
    if (no_bridge_) {
        return no_bridge_;
    }
    if (const auto error = report_.container_errors.find(netns->second); error != report_.container_errors.end()) {
        return error->second;
    }
    const auto container = std::ranges::find(needs_.containers, netns->second, &overlay::WantedContainer::netns);
    for (const auto& published : container->published) {
        if (const auto error = port_errors_.find(published); error != port_errors_.end()) {
            return error->second;
        }
    }
    return report_.problems.empty() ? std::nullopt
                                    : std::optional(base::Error(base::Code::kUnavailable, report_.problems.front()));
}

std::vector<std::string> WayOut::problems() const {
    std::vector<std::string> problems;
    if (needs_.containers.empty() && report_.problems.empty()) {
        return problems;
    }
    const auto add = [&](std::string_view what) {
        problems.push_back(fmt::format("containers have no way out of this host: {}", what));
    };
    if (no_bridge_) {
        add(no_bridge_->message());
    }
    for (const auto& problem : report_.problems) {
        add(problem);
    }
    for (const auto& [netns, error] : report_.container_errors) {
        problems.push_back(fmt::format("no way out of this host for one: {}", error.message()));
    }
    for (const auto& [published, error] : port_errors_) {
        problems.push_back(error.message());
    }
    return problems;
}

bool WayOut::publishes_any() const {
    return std::ranges::any_of(needs_.containers, [](const auto& container) { return !container.published.empty(); });
}

std::optional<base::IpAddress> WayOut::address(const base::EndpointId& endpoint) const {
    const auto netns = needs_.of_endpoint.find(endpoint);
    const auto found =
        netns == needs_.of_endpoint.end() ? report_.addresses.end() : report_.addresses.find(netns->second);
    return found == report_.addresses.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace warren::agent
