#include "agent/way_out.h"

#include <algorithm>
#include <utility>

#include "agent/backoff.h"
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
            if (endpoint == view->endpoints.end() || endpoint->second.node != self || attachment.replaced) {
                continue;
            }
            for (const auto& subnet : view->subnets) {
                needs.networks.insert(subnet.prefix);
            }
            if (view->internal) {
                continue;
            }
            const auto [place, fresh] = known.emplace(container_of(attachment.netns), needs.containers.size());
            if (fresh) {
                needs.containers.push_back({.netns = attachment.netns, .name = endpoint->second.name, .published = {}});
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

std::optional<std::string> WayOut::want(const base::ClusterId& cluster, base::UdpPort plain_port, WayOutNeeds needs) {
    overlay::GatewayBridge::Wanted wanted{.cluster = cluster,
                                          .containers = std::move(needs.containers),
                                          .networks = std::move(needs.networks),
                                          .needed = std::move(needs.needed),
                                          .plain_port = plain_port};
    const auto now = base::steady_now();
    of_endpoint_ = std::move(needs.of_endpoint);
    const bool same = wanted_ == wanted;
    if (same && !due(now)) {
        return std::nullopt;
    }
    const auto before = problems();
    const bool was_good = same && good();
    stale_ = false;
    wanted_ = std::move(wanted);
    std::set<overlay::Publication> published;
    for (const auto& container : wanted_.containers) {
        published.insert(container.published.begin(), container.published.end());
    }
    port_errors_ = ports_.keep_only(published, now);
    if (bridge_) {
        report_ = bridge_->apply(wanted_);
    }
    failures_ = good() ? 0 : failures_ + 1;
    retry_at_ = now + backoff(failures_);
    for (const auto& problem : problems()) {
        if (std::find(before.begin(), before.end(), problem) == before.end()) {
            kLog.error("{}", problem);
        }
    }
    return was_good && report_.changes > report_.of_containers ? std::optional(report_.changed_by) : std::nullopt;
}

void WayOut::look() {
    stale_ = true;
    if (bridge_) {
        bridge_->doubt();
    }
}

bool WayOut::due(base::Moment now) const {
    return now >= held_until_ && (failures_ > 0 ? now >= retry_at_ : stale_);
}

base::Status WayOut::remove() {
    wanted_ = {};
    of_endpoint_.clear();
    report_ = {};
    failures_ = 0;
    port_errors_ = ports_.keep_only({}, base::Moment::max());
    return bridge_ ? bridge_->remove() : base::Status{};
}

std::array<int, 2> WayOut::event_fds() const {
    return bridge_ ? bridge_->event_fds() : std::array{-1, -1};
}

bool WayOut::handle_events() {
    stale_ = bridge_->handle_events() || stale_;
    return stale_;
}

std::optional<base::Error> WayOut::error(const base::EndpointId& endpoint,
                                         const std::vector<overlay::Publication>& published) const {
    const auto netns = of_endpoint_.find(endpoint);
    if (netns == of_endpoint_.end()) {
        return std::nullopt;
    }
    if (no_bridge_) {
        return no_bridge_;
    }
    if (!report_.problems.empty()) {  // of the bridge itself: what fails in containers follows from these
        return base::Error(base::Code::kUnavailable, report_.problems.front());
    }
    if (const auto error = report_.container_errors.find(netns->second); error != report_.container_errors.end()) {
        return error->second;
    }
    for (const auto& it : published) {
        if (const auto error = port_errors_.find(it); error != port_errors_.end()) {
            return error->second;
        }
    }
    return std::nullopt;
}

std::vector<std::string> WayOut::problems() const {
    std::vector<std::string> problems;
    if (wanted_.containers.empty() && report_.problems.empty()) {
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
    return std::ranges::any_of(wanted_.containers, [](const auto& container) { return !container.published.empty(); });
}

std::optional<base::IpAddress> WayOut::address(const base::EndpointId& endpoint) const {
    const auto netns = of_endpoint_.find(endpoint);
    const auto found = netns == of_endpoint_.end() ? report_.addresses.end() : report_.addresses.find(netns->second);
    return found == report_.addresses.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace warren::agent
