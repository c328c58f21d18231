#include "overlay/bring.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "netlink/address.h"
#include "netlink/segmentation.h"
#include "overlay/diff.h"
#include "overlay/observe.h"
#include "overlay/port_owner.h"
#include "overlay/sysctl.h"

namespace warren::overlay {

namespace {

using base::Error;
using base::Result;
using base::Status;
using netlink::Message;
using netlink::Namespace;
using netlink::Socket;

// Links come first, then what hangs on them; a name that somebody else took meanwhile costs one more.
constexpr int kRounds = 6;

// Up to so many ports are looked at one by one rather than with all others.
constexpr std::size_t kPortsAlone = 64;

// When a device is missing, thousands of entries fail alike.
constexpr std::size_t kErrorsShown = 8;

Result<OpenNamespace> open_container(const WantedPair& pair) {
    return open_namespace(Namespace::open_path(pair.netns));
}

// The request for a step that is one message in the namespace it is for. CreateVxlan and CreatePair need a second
// namespace, and what sets switches is no message.
struct ToMessage {
    std::optional<Message> operator()(const DeleteLink& a) const { return netlink::delete_link(a.link); }
    std::optional<Message> operator()(const CreateBridge& a) const {
        return netlink::create_bridge({.name = a.bridge.name, .mac = a.bridge.mac, .mtu = a.bridge.mtu},
                                      a.bridge.options);
    }
    std::optional<Message> operator()(const SetLink& a) const {
        return netlink::set_link(a.link,
                                 {.alias = a.alias, .mac = a.mac, .mtu = a.mtu, .master = a.master, .up = a.up});
    }
    std::optional<Message> operator()(const SetBridge& a) const { return netlink::set_bridge(a.link, a.options); }
    std::optional<Message> operator()(const SetPort& a) const { return netlink::set_bridge_port(a.link, a.options); }
    std::optional<Message> operator()(const AddAddress& a) const {
        // The manager sees to it that nobody else has it; an anycast gateway has to be had by many.
        return netlink::replace_address(
            {.link = a.link, .prefix = a.address, .no_dad = a.address.address.family == base::Family::kIpv6});
    }
    std::optional<Message> operator()(const DeleteAddress& a) const {
        return netlink::delete_address({.link = a.link, .prefix = a.address});
    }
    std::optional<Message> operator()(const PutForwarding& a) const {
        return is_default(a.entry) ? netlink::append_fdb(a.entry) : netlink::put_fdb(a.entry);
    }
    std::optional<Message> operator()(const DeleteForwarding& a) const { return netlink::delete_fdb(a.entry); }
    std::optional<Message> operator()(const PutNeighbour& a) const { return netlink::put_neighbour(a.neighbour); }
    std::optional<Message> operator()(const DeleteNeighbour& a) const { return netlink::delete_neighbour(a.neighbour); }
    std::optional<Message> operator()(const PutRoute& a) const { return netlink::replace_route(a.route); }
    std::optional<Message> operator()(const CreateVxlan& /*step*/) const { return std::nullopt; }
    std::optional<Message> operator()(const CreatePair& /*step*/) const { return std::nullopt; }
    std::optional<Message> operator()(const SetSegmentation& /*step*/) const { return std::nullopt; }
    std::optional<Message> operator()(const TurnOnForwarding& /*step*/) const { return std::nullopt; }
    std::optional<Message> operator()(const TurnOnIpv6& /*step*/) const { return std::nullopt; }
};

Status turn_on_forwarding() {
    for (const auto* name : kForwarding) {
        WARREN_TRY_ASSIGN(const auto now, read_sysctl(name));
        if (now) {
            WARREN_TRY(set_sysctl(name, "1"));
        }
    }
    return {};
}

Status turn_on_ipv6(const std::string& ifname) {
    const auto name = fmt::format("ipv6/conf/{}/disable_ipv6", ifname);
    WARREN_TRY_ASSIGN(const auto now, read_sysctl(name));
    if (!now) {
        return base::fail(base::Code::kPrecondition,
                          "this host's kernel has no IPv6 (ipv6.disable=1, or the module ipv6 is not loaded), and the "
                          "network has IPv6 subnets");
    }
    WARREN_TRY(set_sysctl(name, "0"));
    return {};
}

// The device whose forwarding or neighbour entries a step is about; nullopt: it is about something else.
struct TableOf {
    std::optional<base::IfIndex> operator()(const PutForwarding& a) const { return a.entry.link; }
    std::optional<base::IfIndex> operator()(const DeleteForwarding& a) const { return a.entry.link; }
    std::optional<base::IfIndex> operator()(const PutNeighbour& a) const { return a.neighbour.link; }
    std::optional<base::IfIndex> operator()(const DeleteNeighbour& a) const { return a.neighbour.link; }
    template <typename Other>
    std::optional<base::IfIndex> operator()(const Other& /*step*/) const {
        return std::nullopt;
    }
};

class Run {
  public:
    Run(Socket& host, OpenNamespace& home, const Subject& subject, Familiar& familiar)
        : host_(host), home_(home), subject_(subject), want_(subject.want), familiar_(familiar) {
        for (const auto& pair : want_.pairs) {
            pairs_.emplace(pair.endpoint, &pair);
        }
    }

    Outcome run() && {
        Observed have;
        std::vector<Step> done;
        for (int round = 0; round < kRounds; ++round) {
            if (auto looked = round == 0 ? look(have) : look_again(done, have); !looked) {
                fail(std::nullopt, std::move(looked).error());
                break;
            }
            Plan plan = diff(want_, have);
            if (round == 0) {
                for (auto& refusal : plan.refused) {
                    fail(refusal.endpoint, std::move(refusal.error));
                }
            }
            take_note(have, plan);
            done = without_failed(std::move(plan.steps));
            if (!execute(done)) {
                break;
            }
        }
        out_.links = std::move(have.network.links);
        if (errors_left_out_ > 0) {
            out_.errors.emplace_back(base::Code::kInternal, fmt::format("{} more operations failed", errors_left_out_));
        }
        return std::move(out_);
    }

  private:
    Status look(Observed& have) {
        auto network = observe_network(home_.ns, home_.socket);
        if (!network) {
            return base::fail_in(fmt::format("read the namespace of {}", subject_.what), std::move(network));
        }
        have.network = *std::move(network);
        if (want_.forwards) {
            WARREN_TRY_ASSIGN(have.network.forwards, observe_forwarding(home_.ns));
        }
        look_into_containers(have);
        return {};
    }

    // After these steps: at what they were about, if that is little.
    Status look_again(const std::vector<Step>& steps, Observed& have) {
        const auto touched = touched_by(steps, have);
        if (!touched || !observe_again(home_.socket, *touched, have.network)) {
            return look(have);
        }
        look_into_containers(have);
        return {};
    }

    // Nullopt: more than some ports and tables.
    [[nodiscard]] std::optional<Touched> touched_by(const std::vector<Step>& steps, const Observed& before) const {
        const LinksByName links(before.network);
        const auto is_port = [&](const DeleteLink* gone) {
            const auto* link = gone == nullptr ? nullptr : links.find(gone->name);
            return link != nullptr && link->kind == "veth";
        };
        Touched touched;
        for (const auto& step : steps) {
            const auto* gone = std::get_if<DeleteLink>(&step.action);
            if (step.endpoint) {
                touched.ports.insert(pair_of(*step.endpoint).name);
            } else if (is_port(gone)) {
                touched.ports.insert(gone->name);
            } else if (const auto table = std::visit(TableOf{}, step.action)) {
                touched.tables.insert(*table);
            } else {
                return std::nullopt;
            }
        }
        return touched.ports.size() > kPortsAlone ? std::nullopt : std::optional(std::move(touched));
    }

    void look_into_containers(Observed& have) {
        have.containers.clear();
        const LinksByName ports(have.network);
        for (const auto& pair : want_.pairs) {
            const auto* port = ports.find(pair.name);
            if (const auto* known = familiar_.find(pair, port, netlink::identity_at(pair.netns))) {
                have.containers.emplace(pair.endpoint, *known);
                continue;
            }
            auto container = observe_one(pair);
            if (container) {
                have.containers.insert_or_assign(pair.endpoint, *std::move(container));
            } else {
                fail(pair.endpoint,
                     std::move(container).error().in(fmt::format("endpoint {}", name_of(pair.endpoint))));
            }
        }
    }

    Result<SeenNamespace> observe_one(const WantedPair& pair) {
        WARREN_TRY_ASSIGN(OpenNamespace container, open_container(pair));
        if (container.ns == home_.ns) {
            return base::fail(base::Code::kInvalid, "namespace {}: is that of {} itself, not a container's", pair.netns,
                              subject_.what);
        }
        WARREN_TRY_ASSIGN(auto seen, observe_container(container.socket));
        WARREN_TRY_ASSIGN(seen.routes, observe_routes(container.socket, pair.routes));
        homes_.insert_or_assign(pair.endpoint, container.ns.identity());
        return seen;
    }

    // Of the interfaces' names, and of the containers where all is right.
    void take_note(const Observed& have, const Plan& plan) {
        std::set<base::EndpointId> wrong;
        for (const auto& step : plan.steps) {
            if (step.endpoint) {
                wrong.insert(*step.endpoint);
            }
        }
        const LinksByName ports(have.network);
        for (const auto& pair : want_.pairs) {
            const auto container = have.containers.find(pair.endpoint);
            const auto* port = ports.find(pair.name);
            const auto* end = container == have.containers.end() || port == nullptr
                                  ? nullptr
                                  : container_end(pair, *port, container->second);
            const auto there = homes_.find(pair.endpoint);
            if (end == nullptr || wrong.contains(pair.endpoint)) {
                familiar_.forget(pair.endpoint);
            } else if (there != homes_.end()) {
                familiar_.remember(pair, *port, there->second, container->second);
            }
            if (end != nullptr) {
                out_.ifnames.insert_or_assign(pair.endpoint, end->name);
            }
        }
    }

    // What failed in an earlier round is not tried again in this call, nor is anything for an endpoint that is in
    // error.
    std::vector<Step> without_failed(std::vector<Step> steps) const {
        std::erase_if(steps, [this](const Step& step) {
            return (step.endpoint && out_.endpoint_errors.contains(*step.endpoint)) ||
                   (!failed_.empty() && failed_.contains(describe(step)));
        });
        return steps;
    }

    // False when there was nothing to do.
    bool execute(const std::vector<Step>& steps) {
        std::size_t done = 0;
        while (done < steps.size()) {
            // A run of messages for the same socket goes in one transaction.
            std::size_t end = done;
            std::vector<Message> messages;
            while (end < steps.size() && steps[end].place == steps[done].place &&
                   (steps[done].place == Place::kNetwork || steps[end].endpoint == steps[done].endpoint)) {
                auto message = std::visit(ToMessage{}, steps[end].action);
                if (!message) {
                    break;
                }
                messages.push_back(*std::move(message));
                ++end;
            }
            if (messages.empty()) {
                record(steps[done], execute_special(steps[done]));
                ++done;
                continue;
            }
            transact(std::span(steps).subspan(done, end - done), messages);
            done = end;
        }
        return !steps.empty();
    }

    void transact(std::span<const Step> steps, std::span<Message> messages) {
        if (steps.front().place != Place::kContainer) {
            record_all(steps, home_.socket.transact(messages));
            return;
        }
        auto container = open_container(pair_of(*steps.front().endpoint));
        if (!container) {
            record(steps.front(), base::fail_with(std::move(container)));
            return;
        }
        record_all(steps, container->socket.transact(messages));
    }

    Status execute_special(const Step& step) {
        if (const auto* vxlan = std::get_if<CreateVxlan>(&step.action)) {
            return make_vxlan(*vxlan);
        }
        if (const auto* pair = std::get_if<CreatePair>(&step.action)) {
            WARREN_TRY_ASSIGN(const Namespace container, Namespace::open_path(pair->netns));
            return home_.socket.request(
                netlink::create_veth({.name = pair->name, .mtu = pair->mtu},
                                     {.name = pair->ifname, .mac = pair->mac, .mtu = pair->mtu, .into = &container}));
        }
        if (const auto* segmentation = std::get_if<SetSegmentation>(&step.action)) {
            return netlink::set_segmentation(home_.ns, segmentation->name, segmentation->on);
        }
        if (std::holds_alternative<TurnOnForwarding>(step.action)) {
            return netlink::run_in(home_.ns, turn_on_forwarding);
        }
        if (const auto* ipv6 = std::get_if<TurnOnIpv6>(&step.action)) {
            const auto turn_on = [name = ipv6->name] { return turn_on_ipv6(name); };
            if (step.place != Place::kContainer) {
                return netlink::run_in(home_.ns, turn_on);
            }
            WARREN_TRY_ASSIGN(const auto container, Namespace::open_path(pair_of(*step.endpoint).netns));
            return netlink::run_in(container, turn_on);
        }
        return base::fail(base::Code::kInternal, "no request for this step");
    }

    // Under a name that no other device has, then renamed: kernels before 6.13 look the name of a new device up in the
    // namespace of the request first (net/core/rtnetlink.c, __rtnl_newlink), and hosts may have a vx0 of their own.
    Status make_vxlan(const CreateVxlan& vxlan) {
        const auto& passing = subject_.passing_name;
        if (auto left = netlink::read_link(home_.socket, passing)) {  // by a daemon that died here
            WARREN_TRY(home_.socket.request(netlink::delete_link(left->index)));
        }
        WARREN_TRY(host_.request(
            netlink::create_vxlan({.name = passing, .mtu = vxlan.mtu, .into = &home_.ns}, vxlan.options)));
        WARREN_TRY_ASSIGN(const auto link, netlink::read_link(home_.socket, passing));
        return home_.socket.request(netlink::rename_link(link.index, vxlan.name));
    }

    void record_all(std::span<const Step> steps, std::vector<Status> results) {
        for (std::size_t i = 0; i < steps.size(); ++i) {
            record(steps[i], std::move(results[i]));
        }
    }

    void record(const Step& step, Status result) {
        if (result || already_gone(step, result.error())) {
            ++out_.changes;
            note_appeared(step);
            out_.of_endpoints += step.endpoint ? 1U : 0U;
            return;
        }
        failed_.insert(describe(step));
        // With an interface name that was ours to choose, somebody else was faster: the next round takes another.
        const bool lost_race = std::holds_alternative<CreatePair>(step.action) &&
                               result.error().sys_errno() == EEXIST && step.endpoint &&
                               pair_of(*step.endpoint).ifname.empty();
        if (lost_race) {
            return;
        }
        Error error = std::move(result).error().in(describe(step));
        if (error.sys_errno() == EXFULL) {  // net/bridge/br_if.c, find_portno: port 0 is none
            error = Error(base::Code::kExhausted,
                          fmt::format("{}: a bridge has 1,023 ports at most, and this one has as many: connect the "
                                      "container on another host",
                                      error.message()),
                          EXFULL);
        } else if (error.sys_errno() == EADDRINUSE) {
            const auto owner = port_owner(Transport::kUdp, subject_.port.value);
            error = Error(base::Code::kConflict,
                          fmt::format("{}: UDP port {} is taken by {}", error.message(), subject_.port,
                                      owner.value_or("another socket")),
                          EADDRINUSE);
        }
        if (step.endpoint) {
            error = std::move(error).in(fmt::format("endpoint {}", name_of(*step.endpoint)));
        }
        fail(step.endpoint, std::move(error));
    }

    void note_appeared(const Step& step) {
        if (const auto* put = std::get_if<PutNeighbour>(&step.action)) {
            out_.appeared.insert({.ip = put->neighbour.ip, .mac = put->neighbour.mac});
        } else if (std::holds_alternative<CreatePair>(step.action)) {
            const auto& pair = pair_of(*step.endpoint);
            for (const auto& address : pair.addresses) {
                out_.appeared.insert({.ip = address.address, .mac = pair.mac});
            }
        }
    }

    // Deleting what went by itself meanwhile (a container's namespace died) is no failure.
    static bool already_gone(const Step& step, const Error& error) {
        const int code = error.sys_errno();
        return (std::holds_alternative<DeleteLink>(step.action) && code == ENODEV) ||
               (std::holds_alternative<DeleteForwarding>(step.action) && code == ENOENT) ||
               (std::holds_alternative<DeleteNeighbour>(step.action) && code == ENOENT) ||
               (std::holds_alternative<DeleteAddress>(step.action) && code == EADDRNOTAVAIL);
    }

    void fail(std::optional<base::EndpointId> endpoint, Error error) {
        if (endpoint) {
            out_.endpoint_errors.emplace(*endpoint, std::move(error));  // the first one is the cause of the others
        } else if (out_.errors.size() < kErrorsShown) {
            out_.errors.push_back(std::move(error));
        } else {
            ++errors_left_out_;
        }
    }

    [[nodiscard]] const WantedPair& pair_of(const base::EndpointId& endpoint) const { return *pairs_.at(endpoint); }

    [[nodiscard]] std::string name_of(const base::EndpointId& endpoint) const {
        const auto found = subject_.names.find(endpoint);
        return found == subject_.names.end() ? endpoint.text() : found->second;
    }

    Socket& host_;
    OpenNamespace& home_;
    const Subject& subject_;
    const Desired& want_;
    Familiar& familiar_;
    std::map<base::EndpointId, const WantedPair*> pairs_;
    std::map<base::EndpointId, netlink::NamespaceIdentity> homes_;  // of the containers that were looked into
    Outcome out_;
    std::size_t errors_left_out_ = 0;
    std::set<std::string> failed_;  // descriptions: what fails may come back in other company
};

}  // namespace

Result<OpenNamespace> open_namespace(Result<Namespace> ns) {
    WARREN_TRY_ASSIGN(Namespace open, std::move(ns));
    WARREN_TRY_ASSIGN(Socket socket, Socket::open_in(open, netlink::Protocol::kRoute));
    return OpenNamespace{std::move(open), std::move(socket)};
}

Outcome bring(Socket& host, OpenNamespace& home, const Subject& subject, Familiar& familiar) {
    return Run(host, home, subject, familiar).run();
}

}  // namespace warren::overlay
