#include <filesystem>

#include "agent/agent.h"
#include "agent/cut_off.h"
#include "base/reference.h"
#include "base/text.h"
#include "netlink/link.h"
#include "netlink/namespace.h"
#include "overlay/bring.h"
#include "overlay/model.h"
#include "overlay/publication.h"
#include "overlay/service.h"
#include "proto/wire.h"

// The local API's side of the agent: requests that go to the manager and come back through the kernel, and what status
// shows.
namespace warren::agent {

namespace {

using base::Code;
using base::fail;

constexpr base::Duration kPatience = std::chrono::seconds(20);

struct Container {
    std::string path;         // of its network namespace
    std::uint64_t inode = 0;  // as in ConnectEndpoint
};

// What is to be connected, found and checked before anybody is asked.
base::Result<Container> find_container(const v1::NetworkConnectRequest& request) {
    if (request.netns().empty() == (request.pid() == 0)) {
        return fail(Code::kInvalid, "--netns, --pid: give one of them");
    }
    const bool is_path = request.netns().find('/') != std::string::npos;
    const auto given =
        request.pid() != 0 ? fmt::format("--pid {}", request.pid()) : fmt::format("--netns {}", request.netns());
    auto found = request.pid() != 0 ? netlink::Namespace::open_pid(static_cast<pid_t>(request.pid()))
                 : is_path          ? netlink::Namespace::open_path(request.netns())
                                    : netlink::Namespace::open_name(request.netns());
    if (!found) {
        return base::fail_in(given, std::move(found));
    }
    WARREN_TRY_ASSIGN(const auto own, netlink::Namespace::current());
    if (*found == own) {
        return fail(Code::kInvalid, "{}: is the host's own network namespace", given);
    }
    Container container{.path = {}, .inode = 0};
    container.path = request.pid() != 0 ? fmt::format("/proc/{}/ns/net", request.pid())
                     : is_path          ? std::filesystem::absolute(request.netns()).string()
                                        : "/run/netns/" + request.netns();
    if (netlink::is_of_process(container.path)) {
        container.inode = found->identity().inode;
    }
    return container;
}

base::Result<v1::ConnectEndpoint> wire_request(const v1::NetworkConnectRequest& request, const Container& container) {
    v1::ConnectEndpoint wire;
    wire.set_network(request.network());
    wire.set_netns(container.path);
    wire.set_netns_inode(container.inode);
    wire.set_name(request.name());
    if (request.name().empty() && request.pid() != 0) {
        wire.set_name(fmt::format("pid-{}", request.pid()));
    }
    *wire.mutable_aliases() = request.aliases();
    wire.set_take_over(request.take_over());
    for (const auto& text : request.publish()) {
        WARREN_TRY_ASSIGN(const auto published, overlay::parse_publication("--publish", text));
        wire.add_publish(published.text());
    }
    for (const auto& text : request.services()) {
        WARREN_TRY_ASSIGN(const auto service, overlay::parse_service("--service", text));
        wire.add_services(service.text());
    }
    for (const auto& text : request.ips()) {
        WARREN_TRY_ASSIGN(const auto ip, base::parse_ip("--ip", text));
        wire.add_ips(proto::raw(ip));
    }
    if (!request.mac().empty()) {
        WARREN_TRY_ASSIGN(const auto mac, base::parse_mac("--mac", request.mac()));
        wire.set_mac(proto::raw(mac));
    }
    if (!request.ifname().empty()) {
        WARREN_TRY(netlink::check_ifname("--ifname", request.ifname()));
        wire.set_ifname(request.ifname());
    }
    return wire;
}

v1::ClusterInfoReply describe(const v1::NodeConfig& config) {
    v1::ClusterInfoReply reply;
    reply.set_cluster_id(config.cluster_id());
    reply.set_cluster_name(config.cluster_name());
    reply.set_node_id(config.node_id());
    reply.set_node_name(config.node_name());
    reply.set_role(config.role());
    *reply.mutable_managers() = config.managers();
    reply.set_data_address(config.data_address());
    reply.set_advertise_address(config.advertise_address());
    return reply;
}

v1::ClusterInfoReply describe(const Membership& membership) {
    auto reply = describe(membership.config);
    const auto& root = membership.identity.roots().certificates().front();
    reply.set_root_fingerprint(base::to_hex(root.fingerprint));
    reply.set_root_expires_unix_ms(proto::unix_ms(root.not_after));
    reply.set_certificate_expires_unix_ms(proto::unix_ms(membership.identity.leaf().not_after));
    return reply;
}

}  // namespace

base::Status Agent::check_session() const {
    if (awaited_entry_) {
        return fail(Code::kPrecondition, "{}", awaited_entry_->problem);
    }
    if (!membership_) {
        return fail(Code::kPrecondition, "this host is in no cluster: warren cluster init, or warren cluster join");
    }
    if (!welcomed_) {
        return fail(Code::kPrecondition,
                    "no session with manager {}{}{}; what is connected goes on working, but changes need a "
                    "manager",
                    membership_->config.managers(0), session_error_.empty() ? "" : ": ", session_error_);
    }
    return {};
}

std::uint64_t Agent::request(v1::EndpointRequest message, Pending pending) {
    const auto id = next_request_++;
    message.set_request_id(id);
    v1::FromAgent wrapped;
    *wrapped.mutable_endpoint_request() = std::move(message);
    pending.deadline = base::steady_now() + kPatience;
    pending_.emplace(id, std::move(pending));
    session_->send(std::move(wrapped));
    return id;
}

void Agent::answer(const v1::EndpointReply& reply) {
    const auto found = pending_.find(reply.request_id());
    if (found == pending_.end()) {
        return;
    }
    if (reply.error_code() != 0) {
        const auto fail_request = found->second.fail;
        pending_.erase(found);
        fail_request(base::Error(static_cast<Code>(reply.error_code() - 1), reply.error()));
        return;
    }
    const auto network = proto::id_of<base::NetworkId>(reply.network_id());
    found->second.network = network;
    found->second.reply = reply;
    settle_pending();
}

void Agent::settle_pending() {
    std::vector<std::uint64_t> ready;
    for (const auto& [id, pending] : pending_) {
        if (pending.network) {
            ready.push_back(id);
        }
    }
    for (const auto id : ready) {
        const auto found = pending_.find(id);
        if (found != pending_.end() && found->second.settle(found->second.reply)) {
            pending_.erase(id);
        }
    }
}

// Told before the manager is asked: what was taken over for an interface that can't be had could not be given back. The
// network's own link in the container is the manager's affair, or goes when it is taken over.
base::Status Agent::check_ifname(const v1::ConnectEndpoint& wire) const {
    if (wire.ifname().empty()) {
        return {};
    }
    WARREN_TRY_ASSIGN(auto container, overlay::open_namespace(netlink::Namespace::open_path(wire.netns())));
    const auto link = netlink::read_link(container.socket, wire.ifname());
    if (!link) {
        return link.error().code() == Code::kNotFound ? base::Status() : tl::unexpected<base::Error>(link.error());
    }
    const auto network = base::find_reference("network", wire.network(), networks_,
                                              [](const NetworkState& state) { return state.view.name; });
    if (network && link->alias.starts_with(overlay::network_mark(self().cluster, *network))) {
        return {};
    }
    return fail(Code::kConflict, "--ifname {}: the container has an interface of that name already; choose another one",
                wire.ifname());
}

base::Result<v1::ConnectEndpoint> Agent::check_connect(const v1::NetworkConnectRequest& given) const {
    WARREN_TRY(check_session());
    WARREN_TRY_ASSIGN(const auto container, find_container(given));
    WARREN_TRY_ASSIGN(auto wire, wire_request(given, container));
    WARREN_TRY(check_ifname(wire));
    return wire;
}

void Agent::connect(const v1::NetworkConnectRequest& given, const Respond<v1::NetworkConnectReply>& respond) {
    auto wire = check_connect(given);
    if (!wire) {
        respond(base::fail_with(std::move(wire)));
        return;
    }
    for (const auto& text : wire->publish()) {
        auto held = way_out_.hold(*overlay::parse_publication("--publish", text));
        if (!held) {
            respond(base::fail_with(std::move(held)));
            return;
        }
    }
    v1::EndpointRequest message;
    *message.mutable_connect() = *std::move(wire);
    request(std::move(message),
            {.network = std::nullopt,
             .fail = [respond](const base::Error& why) { respond(tl::unexpected<base::Error>(why)); },
             .settle = [this, respond, took_over = given.take_over()](
                           const v1::EndpointReply& reply) { return settle_connect(reply, took_over, respond); }});
}

std::optional<base::Error> Agent::connect_error(const NetworkState& state, const base::EndpointId& id) const {
    if (const auto error = state.applied.endpoint_errors.find(id); error != state.applied.endpoint_errors.end()) {
        return error->second;
    }
    const auto attachment = state.view.attachments.find(id);
    const bool publishes = attachment != state.view.attachments.end() && !attachment->second.published.empty();
    return publishes ? way_out_.error(id, attachment->second.published) : std::nullopt;
}

bool Agent::settle_connect(const v1::EndpointReply& reply, bool took_over,
                           const Respond<v1::NetworkConnectReply>& respond) {
    const auto network = proto::id_of<base::NetworkId>(reply.network_id());
    const auto found = networks_.find(network);
    const auto id = proto::id_of<base::EndpointId>(reply.endpoint_id());
    if (found == networks_.end() || !found->second.view.endpoints.contains(id)) {
        return false;  // the snapshot or change with it is on its way
    }
    const auto& state = found->second;
    if (const auto error = connect_error(state, id)) {
        // The endpoint can't be had here: take it back, so that a failed connect leaves nothing.
        v1::EndpointRequest undo;
        undo.mutable_disconnect()->set_network(network.text());
        undo.mutable_disconnect()->set_endpoint(id.text());
        auto why = *error;
        if (took_over) {
            why = base::Error(why.code(),
                              why.message() + "; the endpoint that was taken over, if there was one, is gone");
        }
        const auto done = [respond, why] { respond(tl::unexpected<base::Error>(why)); };
        request(std::move(undo), {.network = std::nullopt,
                                  .fail = [done](const base::Error& /*why*/) { done(); },
                                  .settle =
                                      [done](const v1::EndpointReply& /*reply*/) {
                                          done();
                                          return true;
                                      }});
        return true;
    }
    const auto& published = state.view.attachments.at(id).published;
    const auto ifname = state.applied.ifnames.find(id);
    if (ifname == state.applied.ifnames.end() || (!published.empty() && !way_out_.address(id))) {
        return false;
    }
    const auto& endpoint = state.view.endpoints.at(id);
    v1::NetworkConnectReply result;
    result.set_endpoint_id(id.text());
    result.set_name(endpoint.name);
    result.set_network(state.view.name);
    for (const auto& ip : endpoint.ips) {
        const auto text = with_length(state.view, ip).text();
        ip.family == base::Family::kIpv4 ? result.set_ip(text) : result.set_ipv6(text);
    }
    result.set_mac(endpoint.mac.text());
    result.set_ifname(ifname->second);
    result.set_mtu(state.view.mtu.value);
    for (const auto& it : published) {
        result.add_published(it.text());
    }
    for (const auto& it : endpoint.services) {
        result.add_services(it.text());
    }
    respond(std::move(result));
    return true;
}

std::map<base::EndpointId, std::string> Agent::local_names() const {
    std::map<base::EndpointId, std::string> names;
    for (const auto& [network, state] : networks_) {
        for (const auto& [id, attachment] :
             state.view.attachments) {  // of which a network has few beside its endpoints
            if (const auto endpoint = state.view.endpoints.find(id); endpoint != state.view.endpoints.end()) {
                names.emplace(id, endpoint->second.name);
            }
        }
    }
    return names;
}

void Agent::disconnect(const v1::NetworkDisconnectRequest& given, const Respond<v1::NetworkDisconnectReply>& respond) {
    if (auto ready = check_session(); !ready) {
        respond(base::fail_with(std::move(ready)));
        return;
    }
    v1::EndpointRequest message;
    message.mutable_disconnect()->set_network(given.network());
    message.mutable_disconnect()->set_endpoint(given.endpoint());
    request(std::move(message),
            {.network = std::nullopt,
             .fail = [respond](const base::Error& why) { respond(tl::unexpected<base::Error>(why)); },
             .settle =
                 [this, respond, given = given.endpoint(), names = local_names()](const v1::EndpointReply& reply) {
                     const auto network = proto::id_of<base::NetworkId>(reply.network_id());
                     const auto id = proto::id_of<base::EndpointId>(reply.endpoint_id());
                     const auto found = networks_.find(network);
                     const bool told = found == networks_.end() ? !removals_.contains(network)
                                                                : !found->second.view.endpoints.contains(id);
                     if (!told || dirty_.contains(network)) {
                         return false;
                     }
                     v1::NetworkDisconnectReply result;
                     result.set_endpoint_id(id.text());
                     const auto name = names.find(id);
                     result.set_name(name == names.end() ? given : name->second);
                     respond(std::move(result));
                     return true;
                 }});
}

base::Result<v1::ClusterInfoReply> Agent::info() const {
    if (awaited_entry_) {
        return awaited_entry_->cluster;
    }
    if (!membership_) {
        return fail(Code::kPrecondition, "this host is in no cluster: warren cluster init, or warren cluster join");
    }
    return describe(*membership_);
}

base::Result<v1::CertShowReply> Agent::certificate() const {
    if (!membership_) {
        WARREN_TRY(info());
        return fail(Code::kPrecondition, "{}", awaited_entry_->problem);
    }
    return keeper_.show();
}

void Agent::renew_certificate(const Respond<v1::CertShowReply>& respond) {
    if (auto ready = check_session(); !ready) {
        respond(base::fail_with(std::move(ready)));
        return;
    }
    keeper_.renew(respond);
}

void Agent::await_entry(const Membership& membership, const base::Error& why) {
    awaited_entry_ =
        Entry{.cluster = describe(membership),
              .problem = fmt::format("{}; this node waits for it, and what it had in the kernel stays as it is",
                                     why.message())};
}

void Agent::await_entry(const v1::NodeConfig& config, std::string problem) {
    awaited_entry_ = Entry{.cluster = describe(config), .problem = std::move(problem)};
}

base::Status Agent::leave() {
    session_.reset();
    session_timer_.cancel();
    channel_.reset();
    welcomed_ = false;
    session_error_.clear();
    session_denied_ = false;
    session_failures_ = 0;
    keeper_.leave();
    membership_.reset();
    awaited_entry_.reset();
    for (auto& [id, pending] : std::exchange(pending_, {})) {
        pending.fail(base::Error(Code::kAborted, "this node has left its cluster"));
    }
    awaited_.clear();
    networks_.clear();
    probes_.forget_all();
    forget_unknown_names();
    resolv_conf_.want({}, true);
    all_known_ = false;
    dirty_.clear();
    removals_.clear();
    asked_.clear();
    auto removed = way_out_.remove();
    WARREN_TRY(fabric_->remove_unknown({}, {}));
    return removed;
}

std::vector<std::string> Agent::problems() const {
    std::vector<std::string> problems;
    if (session_denied_) {
        problems.push_back(
            fmt::format("manager {} refuses this node: {}", membership_->config.managers(0), session_error_));
    } else if (!welcomed_) {
        // An expired certificate is the reason, and the error says what to do.
        problems.push_back(fmt::format("no session with manager {}{}{}{}", membership_->config.managers(0),
                                       session_error_.empty() ? "" : ": ", session_error_,
                                       keeper_.expired() ? "" : ": is it running and its port open?"));
    }
    if (auto problem = keeper_.problem()) {
        problems.push_back(*std::move(problem));
    }
    for (const auto& [id, state] : networks_) {
        for (const auto& problem : all_problems(state.applied)) {
            problems.push_back(fmt::format("network {}: {}", state.view.name, problem));
        }
        for (const auto& peer : cut_off_peers(state.view, self().node)) {
            problems.push_back(fmt::format("network {}: {}", state.view.name, peer));
        }
    }
    for (auto& problem : underlay_problems()) {
        problems.push_back(std::move(problem));
    }
    const auto fight = [&](std::string_view whose, const Repairs& repairs) {
        if (const auto times = repairs.fought(base::steady_now()); times > 0) {
            problems.push_back(fmt::format(
                "another program keeps changing {}, which was put right {} times in a row{}: find it (nft monitor, ip "
                "xfrm monitor, ip monitor) and stop it",
                whose, times, repairs.last_by().empty() ? "" : ", last changed by " + repairs.last_by()));
        }
    };
    for (const auto& [id, state] : networks_) {
        fight(fmt::format("what the kernel has of network {}", state.view.name), state.repairs);
    }
    fight("the nft table inet warren", firewall_repairs_);
    fight("the gateway bridge", gateway_repairs_);
    for (const auto& problem : way_out_.problems()) {
        problems.push_back(problem);
    }
    if (!firewall_problem_.empty()) {
        problems.push_back(fmt::format(
            "the nft table inet warren is not as it should be and can't be put back: {}; what it protects is "
            "held by the IPsec policies, or stopped",
            firewall_problem_));
    }
    if (!names_problem_.empty()) {
        problems.push_back(names_problem_);
    }
    for (const auto& [id, error] : removals_) {
        problems.push_back(fmt::format("network {} can't be taken down: {}", id, error.message()));
    }
    return problems;
}

}  // namespace warren::agent
