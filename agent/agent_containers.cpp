#include <utility>

#include "agent/agent.h"
#include "base/log.h"
#include "netlink/namespace.h"
#include "proto/wire.h"

// What the agent does about containers that are no more.
namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};

}  // namespace

Vanished::Sight Agent::look_for_container(AttachmentView& attachment) {
    const auto there = netlink::identity_at(attachment.netns);
    attachment.replaced = there && attachment.inode != 0 && there->inode != attachment.inode;
    const bool missing = !there && there.error().code() == base::Code::kNotFound;  // else nobody knows
    if (!missing && !attachment.replaced) {
        return Vanished::Sight::kThere;
    }
    return attachment.inode != 0 ? Vanished::Sight::kReplaced : Vanished::Sight::kMissing;
}

bool Agent::look_at_attachments(NetworkView& view, const SeeContainer& see) {
    bool changed = false;
    for (auto& [endpoint, attachment] : view.attachments) {
        const bool before = attachment.replaced;
        const auto sight = look_for_container(attachment);
        if (see) {
            see(endpoint, sight);
        }
        changed = changed || attachment.replaced != before;
    }
    return changed;
}

void Agent::look_for_containers() {
    const auto now = base::steady_now();
    std::map<base::EndpointId, base::NetworkId> networks;
    for (auto& [network, state] : networks_) {
        const auto see = [&, &network = network](const base::EndpointId& id, Vanished::Sight sight) {
            vanished_.see(id, sight, now);
            networks.emplace(id, network);
        };
        if (look_at_attachments(state.view, see)) {
            mark(network);
        }
    }
    vanished_.keep_seen_at(now);
    if (!welcomed_) {
        return;
    }
    for (const auto& id : vanished_.due(now)) {
        release(networks.at(id), id);
    }
}

void Agent::release(const base::NetworkId& network, const base::EndpointId& id) {
    const auto& view = networks_.at(network).view;
    const auto endpoint = view.endpoints.find(id);
    const auto what = fmt::format("endpoint {} of network {}: its container's namespace {} is gone",
                                  endpoint == view.endpoints.end() ? id.text() : endpoint->second.name, view.name,
                                  view.attachments.at(id).netns);
    v1::EndpointRequest message;
    message.mutable_disconnect()->set_network(network.text());
    message.mutable_disconnect()->set_endpoint(id.text());
    message.mutable_disconnect()->set_vanished(true);
    request(
        std::move(message),
        {.network = std::nullopt,
         .fail = [what](const base::Error& why) { kLog.warn("{}, and can't be released: {}", what, why.message()); },
         .settle =
             [what](const v1::EndpointReply& /*reply*/) {
                 kLog.info("{}: released", what);
                 return true;
             }});
}

}  // namespace warren::agent
