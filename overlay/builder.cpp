#include "overlay/builder.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "overlay/desired.h"
#include "overlay/diff.h"

namespace warren::overlay {

namespace {

using base::Error;
using base::Result;
using base::Status;
using netlink::Message;
using netlink::Socket;

constexpr base::Log kLog{"overlay"};
// Of a network's id in the name that its VXLAN device has for a moment.
constexpr std::size_t kPassingDigits = 14;

Subject subject_of(const Network& network) {
    Subject subject{.what = fmt::format("network {}", network.name),
                    .want = desired(network),
                    .names = {},
                    .passing_name = fmt::format("w{}", network.id.text().substr(0, kPassingDigits)),
                    .port = network.port};
    for (const auto& endpoint : network.local) {
        subject.names.emplace(endpoint.id, endpoint.name);
    }
    return subject;
}

// What the namespace that routes from part to part had learned of these.
void forget_neighbours(OpenNamespace& home, const std::string& bridge, const std::set<Appeared>& appeared) {
    const auto link = netlink::read_link(home.socket, bridge);
    if (!link) {
        return;
    }
    std::vector<Message> messages;
    messages.reserve(appeared.size());
    for (const auto& it : appeared) {
        messages.push_back(netlink::delete_neighbour({.link = link->index, .ip = it.ip, .mac = {}}));
    }
    static_cast<void>(home.socket.transact(messages));  // of most there is none
}

// Frames that may be lost, as others: they only hasten what happens anyway.
void announce_on_bridges(OpenNamespace& home, const Desired& want, const std::set<Appeared>& appeared) {
    if (appeared.empty()) {  // as nearly always
        return;
    }
    for (const auto& bridge : want.bridges) {
        std::set<Appeared> here;
        std::ranges::copy_if(appeared, std::inserter(here, here.end()), [&](const Appeared& it) {
            return std::ranges::any_of(bridge.addresses, [&](const auto& subnet) { return subnet.contains(it.ip); });
        });
        std::vector<base::MacAddress> listeners;
        for (const auto& pair : want.pairs) {
            if (pair.bridge == bridge.name) {
                listeners.push_back(pair.mac);
            }
        }
        if (const auto sent = announce(home.ns, bridge.name, here, listeners); !sent) {
            kLog.debug("{}", sent.error().message());
        }
        if (want.forwards) {
            forget_neighbours(home, bridge.name, here);
        }
    }
}

}  // namespace

Result<Builder> Builder::open(const std::filesystem::path& run_dir) {
    WARREN_TRY_ASSIGN(Socket host, Socket::open(netlink::Protocol::kRoute));
    WARREN_TRY_ASSIGN(LinkWatch watch, LinkWatch::open());
    return Builder(std::move(host), netlink::PinnedNamespaces(run_dir / "netns"), std::move(watch));
}

Outcome Builder::apply(const Network& network) {
    const std::string name = network.id.text();
    auto home = open_namespace(namespaces_.open(name));
    const bool missing = !home && home.error().code() == base::Code::kNotFound;
    if (missing) {
        watch_.forget(network.id);  // lest a namespace that somebody unpinned, and its port, live on
        home = open_namespace(namespaces_.create(name));
    }
    if (!home) {
        Outcome out;
        out.errors.push_back(
            std::move(home).error().in(missing ? "create the network's namespace" : "open the network's namespace"));
        return out;
    }
    const auto watched = watch_.watch(network.id, home->ns);  // before the look, so that no change is missed
    const auto subject = subject_of(network);
    Outcome out = bring(host_, *home, subject, familiar_[network.id]);
    announce_on_bridges(*home, subject.want, out.appeared);
    out.changes += missing ? 1 : 0;
    if (!watched) {
        out.errors.push_back(watched.error());
    }
    return out;
}

Status Builder::stop(const base::NetworkId& network) {
    auto home = open_namespace(namespaces_.open(network.text()));
    if (!home) {
        return home.error().code() == base::Code::kNotFound ? Status{} : base::fail_with(std::move(home));
    }
    WARREN_TRY_ASSIGN(const auto links, netlink::read_links(home->socket));
    for (const auto& link : links) {
        if (link.kind == "vxlan" && link.master != base::IfIndex{}) {
            WARREN_TRY(home->socket.request(netlink::set_link(link.index, {.master = base::IfIndex{}})));
        }
    }
    return {};
}

Status Builder::remove(const base::NetworkId& network) {
    const std::string name = network.text();
    watch_.forget(network);
    familiar_.erase(network);
    auto home = open_namespace(namespaces_.open(name));
    if (!home && home.error().code() == base::Code::kNotFound) {
        return namespaces_.remove(name);  // at most a leftover file
    }
    if (!home) {
        return base::fail_in("open the network's namespace", std::move(home));
    }
    // Not left to the namespace's end: that comes when the kernel finds time, and the UDP port and the containers'
    // interfaces shall be gone when this returns.
    WARREN_TRY_ASSIGN(const auto links, netlink::read_links(home->socket));
    std::vector<Message> messages;
    std::vector<std::string> names;
    for (const auto& link : links) {
        if (is_of(link, name)) {
            messages.push_back(netlink::delete_link(link.index));
            names.push_back(link.name);
        }
    }
    const auto results = home->socket.transact(messages);
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (!results[i] && results[i].error().sys_errno() != ENODEV) {
            return tl::unexpected(Error(results[i].error()).in(fmt::format("delete {}", names[i])));
        }
    }
    return namespaces_.remove(name);
}

Result<std::vector<base::NetworkId>> Builder::found() const {
    WARREN_TRY_ASSIGN(const auto names, namespaces_.list());
    std::vector<base::NetworkId> out;
    for (const auto& name : names) {
        if (const auto id = base::parse_id<base::NetworkId>("network id", name)) {
            out.push_back(*id);
        }
    }
    return out;
}

}  // namespace warren::overlay
