#include <utility>

#include "agent/agent.h"
#include "base/log.h"
#include "netlink/namespace.h"

// What the agent does for names: what is answered from, on the network and on disk, and whom containers ask.
namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr base::Duration kRetry = std::chrono::seconds(30);

}  // namespace

void Agent::restore_names() {
    for (auto& names : names_record_.read()) {
        if (const auto home = fabric_->home(names.id)) {
            std::erase_if(names.local, [](const auto& local) {
                AttachmentView meant{.netns = local.second.netns, .ifname = {}, .inode = local.second.inode};
                return look_for_container(meant) == Vanished::Sight::kReplaced;
            });
            kLog.debug("network {}: answers names as before, until a manager says more", names.network);
            names_.keep(names, {}, *home, [&] { return fabric_->open_name_ports(names); });
        }
    }
}

void Agent::keep_names(const NetworkView& view, const netlink::NamespaceIdentity& home) {
    if (names_.has(view.id, view.revision)) {
        return;
    }
    const auto names = names_of(view, self().node);
    names_.keep(names, view.revision, home, [&] { return fabric_->open_name_ports(names); });
}

void Agent::write_names() {
    const auto now = base::steady_now();
    if (!membership_ || now < names_retry_at_) {
        return;
    }
    std::string problem;
    for (const auto& [id, state] : networks_) {
        const auto& view = state.view;
        const auto recorded = recorded_names_.find(id);
        if (!names_.home(id) || (recorded != recorded_names_.end() && recorded->second == view.revision)) {
            continue;
        }
        if (const auto written = names_record_.write(names_of(view, self().node)); written) {
            recorded_names_.insert_or_assign(id, view.revision);
        } else {
            names_retry_at_ = now + kRetry;
            problem = fmt::format("network {}: a restart without a manager would not know its names: {}", view.name,
                                  written.error().message());
        }
    }
    if (!problem.empty() && problem != names_problem_) {
        kLog.warn("{}", problem);
    }
    names_problem_ = std::move(problem);
}

void Agent::forget_names(const base::NetworkId& network) {
    names_.forget(network);
    recorded_names_.erase(network);
    names_record_.remove(network);
}

void Agent::forget_unknown_names() {
    std::set<base::NetworkId> known;
    for (const auto& [id, state] : networks_) {
        known.insert(id);
    }
    for (const auto& id : names_.networks()) {
        if (!known.contains(id)) {
            names_.forget(id);
        }
    }
    std::erase_if(recorded_names_, [&](const auto& entry) { return !known.contains(entry.first); });
    names_record_.remove_all_but(known);
}

// By container, the gateways of its networks: each answers about all of them.
ResolvConf::Servers Agent::name_servers() const {
    std::map<std::string, std::vector<base::IpAddress>> gateways;
    std::map<std::string, std::string> named;
    for (const auto& [id, state] : networks_) {
        for (const auto& [endpoint, attachment] : state.view.attachments) {
            const auto container = container_of(attachment.netns);
            // Those that know what is outside first: the C library goes on to the next one when it is refused, at
            // the cost of a question.
            auto& list = gateways[container];
            const auto known = state.view.endpoints.find(endpoint);
            const auto* subnet =
                known == state.view.endpoints.end() ? nullptr : subnet_with(state.view, known->second.ips.front());
            if (subnet != nullptr) {
                list.insert(state.view.internal ? list.end() : list.begin(), subnet->gateway);
            }
            if (auto name = netns_name(attachment.netns); !name.empty()) {
                named.emplace(std::move(name), container);
            }
        }
    }
    ResolvConf::Servers servers;
    for (const auto& [name, container] : named) {
        servers.emplace(name, gateways[container]);
    }
    return servers;
}

void Agent::tell_containers() {
    resolv_conf_.want(name_servers(), awaited_.empty());
}

}  // namespace warren::agent
