#include "cli/run.h"

#include <algorithm>
#include <optional>
#include <ostream>
#include <utility>
#include <variant>

#include "cli/ca_rotate.h"
#include "cli/cert_issue.h"
#include "cli/connection.h"
#include "cli/endpoint_search.h"
#include "cli/events.h"
#include "cli/json.h"
#include "cli/lock.h"
#include "cli/network_filter.h"
#include "cli/remove_node.h"
#include "cli/render.h"
#include "cli/rotate.h"

namespace warren::cli {

namespace {

using Control = v1::Control::Stub;
using Local = v1::Local::Stub;

constexpr std::chrono::seconds kLimit{30};
constexpr std::chrono::seconds kJoinLimit{60};  // a handshake, a certificate and a first snapshot over the network

// A renderer that wants the view, as one that does not.
template <typename Message>
auto viewed(std::string (*render)(const Message&, const View&), const View& view) {
    return [render, &view](const Message& reply) { return render(reply, view); };
}

// Does what each command asks: calls the daemon and shows the answer. Connects with the first call.
class Runner {
  public:
    Runner(const Invocation& invocation, const Terminal& terminal) : invocation_(invocation), terminal_(terminal) {}

    Exit operator()(const PrintHelp& command) {
        (command.exit == Exit::kDone ? terminal_.out : terminal_.err) << command.text;
        return command.exit;
    }
    Exit operator()(const ShowVersion& /*command*/) {
        terminal_.out << (json() ? "{\"version\": \"" WARREN_VERSION "\"}\n" : "warren " WARREN_VERSION "\n");
        return Exit::kDone;
    }

    Exit operator()(const ClusterInit& command) {
        return show(&Local::ClusterInit, command.request,
                    [&](const auto& reply) { return render_initialised(reply, join_command()); });
    }
    Exit operator()(const ClusterJoin& command) {
        return show(&Local::ClusterJoin, command.request, render_joined, kJoinLimit);
    }
    Exit operator()(const ClusterInfo& command) {
        return show(&Local::ClusterInfo, command.request, viewed(render_cluster, terminal_.view));
    }
    Exit operator()(const ClusterLeave& command) { return show(&Local::ClusterLeave, command.request, render_left); }
    Exit operator()(const ClusterLock& command) {
        return lock_cluster(lock_calls(), command, invocation_.format, terminal_);
    }
    Exit operator()(const ClusterUnlock& command) {
        return unlock_cluster(lock_calls(), command, invocation_.format, terminal_);
    }
    Exit operator()(const KekRotate& command) { return show(&Local::KekRotate, command.request, render_kek_rotated); }
    Exit operator()(const TokenShow& command) {
        return show(&Control::TokenShow, command.request,
                    [&](const auto& reply) { return render_token(reply, command.quiet, terminal_.view); });
    }
    Exit operator()(const TokenRotate& command) {
        return show(&Control::TokenRotate, command.request,
                    [&](const auto& reply) { return render_token(reply, command.quiet, terminal_.view); });
    }

    Exit operator()(const CertIssue& command) {
        if (auto connected = connect(); !connected) {
            return refuse(terminal_, connected.error());
        }
        return issue_certificate(*connection_, command, invocation_.format, terminal_);
    }
    Exit operator()(const CertList& command) {
        return show(&Control::CertList, command.request, viewed(render_certificates, terminal_.view));
    }
    Exit operator()(const CertRevoke& command) { return show(&Control::CertRevoke, command.request, render_revoked); }

    Exit operator()(const NodeList& command) {
        return show(&Control::NodeList, command.request,
                    [&](const auto& reply) { return render_nodes(reply, command.quiet, terminal_.view); });
    }
    Exit operator()(const NodeInspect& command) {
        return show(&Control::NodeInspect, command.request, viewed(render_node, terminal_.view));
    }

    Exit operator()(const NodeRemove& command) {
        if (auto connected = connect(); !connected) {
            return refuse(terminal_, connected.error());
        }
        return remove_node(*connection_, command, invocation_.format, terminal_);
    }

    Exit operator()(const NetworkCreate& command) {
        return show(&Control::NetworkCreate, command.request,
                    [](const v1::Network& network) { return printable(network.id()) + "\n"; });
    }
    Exit operator()(const NetworkList& command) {
        const auto filter = NetworkFilter::parse({command.filters.begin(), command.filters.end()});
        if (!filter) {
            refuse(terminal_, filter.error());
            return Exit::kUsage;
        }
        auto reply = call(&Control::NetworkList, command.request, kLimit);
        if (!reply) {
            return refuse(terminal_, reply.error());
        }
        auto& networks = *reply->mutable_networks();
        networks.erase(std::remove_if(networks.begin(), networks.end(),
                                      [&](const auto& network) { return !filter->takes(network); }),
                       networks.end());
        print(*reply, [&](const auto& shown) { return render_networks(shown, command.quiet, terminal_.view); });
        return Exit::kDone;
    }
    Exit operator()(const NetworkInspect& command) {
        return show(&Control::NetworkInspect, command.request, [&](const v1::Network& network) {
            return render_network(network, command.verbose, terminal_.view);
        });
    }
    Exit operator()(const NetworkUpdate& command) {
        return show(&Control::NetworkUpdate, command.request,
                    [&](const v1::Network& network) { return render_network(network, false, terminal_.view); });
    }
    Exit operator()(const NetworkVerify& command) {
        const auto reply = call(&Local::NetworkVerify, command.request, kLimit);
        if (!reply) {
            return refuse(terminal_, reply.error());
        }
        print(*reply, viewed(render_verified, terminal_.view));
        if (reply->verdict() == "encrypted") {
            return Exit::kDone;
        }
        return reply->verdict() == "clear" ? Exit::kFailed : Exit::kDegraded;
    }
    Exit operator()(const NetworkRemove& command);
    Exit operator()(const NetworkPrune& command);
    Exit operator()(const NetworkConnect& command) {
        return show(&Local::NetworkConnect, command.request, render_connected);
    }
    Exit operator()(const NetworkDisconnect& command) {
        return show(&Local::NetworkDisconnect, command.request,
                    [](const v1::NetworkDisconnectReply& reply) { return printable(reply.name()) + "\n"; });
    }
    Exit operator()(const EndpointList& command) {
        return show(&Control::EndpointList, command.request, viewed(render_endpoints, terminal_.view));
    }
    Exit operator()(const EndpointInspect& command);

    Exit operator()(const KeyList& command) {
        return show(&Control::KeyList, command.request, viewed(render_keys, terminal_.view));
    }
    Exit operator()(const KeyStatus& command) {
        return show(&Control::KeyStatus, command.request, viewed(render_key_status, terminal_.view));
    }
    Exit operator()(const KeyHistory& command) {
        return show(&Control::KeyHistory, command.request, viewed(render_history, terminal_.view));
    }
    Exit operator()(const KeyRotate& command) {
        if (command.abort) {
            v1::KeyAbortRequest request;
            request.set_network(command.request.network());
            return show(&Control::KeyAbort, request, viewed(render_aborted, terminal_.view));
        }
        if (command.all) {
            return all_networks(command);
        }
        if (auto connected = connect(); !connected) {
            return refuse(terminal_, connected.error());
        }
        return rotate(*connection_, command, invocation_.format, terminal_);
    }

    Exit operator()(const Events& command) {
        return events(invocation_.destination, command, invocation_.format, terminal_);
    }

    Exit operator()(const CaShow& command) {
        return show(&Control::CaShow, command.request, viewed(render_authority, terminal_.view));
    }
    Exit operator()(const CaRotate& command) {
        return rotate_authority(
            {.rotate = [this](const v1::CaRotateRequest& request) { return call(&Control::CaRotate, request, kLimit); },
             .show =
                 [this] {
                     auto reply = call(&Control::CaShow, v1::CaShowRequest(), kLimit);
                     if (!reply) {
                         connection_.reset();  // the daemon may come back
                     }
                     return reply;
                 }},
            command, invocation_.format, terminal_);
    }

    Exit operator()(const CertShow& command) {
        return show(&Local::CertShow, command.request, viewed(render_certificate, terminal_.view));
    }
    Exit operator()(const CertRenew& command) {
        return show(&Local::CertRenew, command.request, viewed(render_certificate, terminal_.view));
    }

    Exit operator()(const Doctor& command) {
        const auto reply = call(&Local::Doctor, command.request, kLimit);
        if (!reply) {
            return refuse(terminal_, reply.error());
        }
        print(*reply, viewed(render_doctor, terminal_.view));
        return std::ranges::any_of(reply->findings(), [](const auto& finding) { return finding.verdict() == "wrong"; })
                   ? Exit::kDegraded
                   : Exit::kDone;
    }

    Exit operator()(const Status& command) {
        const auto reply = call(&Local::Status, command.request, kLimit);
        if (!reply) {
            return refuse(terminal_, reply.error());
        }
        print(*reply, viewed(render_status, terminal_.view));
        return reply->state() == "ok" || reply->state() == "no-cluster" ? Exit::kDone : Exit::kDegraded;
    }

  private:
    [[nodiscard]] bool json() const { return invocation_.format == Format::kJson; }

    LockCalls lock_calls() {
        return {.lock = [this](const v1::ClusterLockRequest& q) { return call(&Local::ClusterLock, q, kLimit); },
                .unlock = [this](const v1::ClusterUnlockRequest& q) { return call(&Local::ClusterUnlock, q, kLimit); }};
    }

    base::Status connect() {
        if (!connection_) {
            WARREN_TRY_ASSIGN(connection_, Connection::open(invocation_.destination, terminal_.view.now));
        }
        return {};
    }

    template <typename Stub, typename Request, typename Reply>
    base::Result<Reply> call(Method<Stub, Request, Reply> method, const Request& request, std::chrono::seconds limit) {
        WARREN_TRY(connect());
        return connection_->call(method, request, limit);
    }

    template <typename Reply, typename Render>
    void print(const Reply& reply, Render render) {
        terminal_.out << (json() ? to_json(reply, JsonStyle::kIndented) : render(reply)) << std::flush;
    }

    // The life of nearly every command.
    template <typename Stub, typename Request, typename Reply, typename Render>
    Exit show(Method<Stub, Request, Reply> method, const Request& request, Render render,
              std::chrono::seconds limit = kLimit) {
        const base::Result<Reply> reply = call(method, request, limit);
        if (!reply) {
            return refuse(terminal_, reply.error());
        }
        print(*reply, render);
        return Exit::kDone;
    }

    Exit all_networks(const KeyRotate& command) {
        const auto keys = call(&Control::KeyStatus, v1::KeyStatusRequest(), kLimit);
        if (!keys) {
            return refuse(terminal_, keys.error());
        }
        std::vector<std::string> networks;
        for (const v1::KeyNetwork& network : keys->networks()) {
            networks.push_back(network.network());
        }
        return rotate_all(*connection_, command, networks, invocation_.format, terminal_);
    }

    // For the text after `cluster init`; without it that text is less handy, but the cluster is there.
    std::string join_command() {
        v1::TokenShowRequest request;
        request.set_role("worker");
        const auto reply = call(&Control::TokenShow, request, kLimit);
        return reply ? reply->join_command() : "";
    }

    const Invocation& invocation_;
    const Terminal& terminal_;
    std::optional<Connection> connection_;
};

Exit Runner::operator()(const NetworkRemove& command) {
    Exit worst = Exit::kDone;
    for (const std::string& network : command.networks) {
        v1::NetworkRemoveRequest request;
        request.set_network(network);
        const auto reply = call(&Control::NetworkRemove, request, kLimit);
        if (!reply) {
            worst = refuse(terminal_, reply.error());
            if (worst == Exit::kUnreachable) {
                return worst;  // the rest would only say so again
            }
            continue;
        }
        terminal_.out << (json() ? to_json(*reply, JsonStyle::kLine) : printable(reply->name()) + "\n") << std::flush;
    }
    return worst;
}

// A network that somebody connects to meanwhile is refused, and stays.
Exit Runner::operator()(const NetworkPrune& command) {
    const auto reply = call(&Control::NetworkList, v1::NetworkListRequest(), kLimit);
    if (!reply) {
        return refuse(terminal_, reply.error());
    }
    NetworkRemove unused;
    for (const auto& network : reply->networks()) {
        if (network.endpoint_count() == 0) {
            unused.networks.push_back(network.name());
        }
    }
    if (command.force) {
        return (*this)(unused);
    }
    for (const auto& network : unused.networks) {
        terminal_.out << printable(network) << '\n';
    }
    terminal_.err << (unused.networks.empty()
                          ? "warren: every network has an endpoint\n"
                          : "warren: these have no endpoint; to remove them: network prune --force\n");
    return Exit::kDone;
}

Exit Runner::operator()(const EndpointInspect& command) {
    const auto list = call(&Control::EndpointList, v1::EndpointListRequest(), kLimit);
    if (!list) {
        return refuse(terminal_, list.error());
    }
    const auto found = find_endpoint(list->endpoints(), command.endpoint);
    if (!found) {
        return refuse(terminal_, found.error());
    }
    std::vector<std::string> gateways;
    for (const auto* of_container : beside(**found, list->endpoints())) {
        v1::NetworkInspectRequest request;
        request.set_network(of_container->network());
        if (const auto shown = call(&Control::NetworkInspect, request, kLimit)) {
            gateways.push_back(gateway_for(*of_container, *shown));
        }
    }
    print(**found, [&](const auto& endpoint) { return render_endpoint(endpoint, gateways, terminal_.view); });
    return Exit::kDone;
}

}  // namespace

Exit refuse(const Terminal& terminal, const base::Error& error) {
    terminal.err << "warren: " << printable(error.message()) << '\n' << std::flush;
    return error.code() == base::Code::kUnavailable ? Exit::kUnreachable : Exit::kFailed;
}

Exit run(const std::vector<std::string>& arguments, const Environment& environment, Terminal terminal) {
    const base::Result<Invocation> invocation = parse(arguments, environment);
    if (!invocation) {
        refuse(terminal, invocation.error());
        return Exit::kUsage;
    }
    terminal.view.colour = terminal.view.colour && !invocation->no_color;
    const Exit exit = std::visit(Runner(*invocation, terminal), invocation->command);
    if (!terminal.out.flush()) {
        return refuse(terminal, {base::Code::kInternal, "cannot write to the standard output"});
    }
    return exit;
}

}  // namespace warren::cli
