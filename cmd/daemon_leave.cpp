#include <asio/post.hpp>

#include "agent/departure.h"
#include "base/log.h"
#include "cmd/daemon.h"

// How a node leaves its cluster: a manager is told first, then everything goes, keys last.
namespace warren::cmd {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"warrend"};

}  // namespace

void Daemon::leave(const v1::ClusterLeaveRequest& request, agent::Respond<v1::ClusterLeaveReply> respond) {
    if (auto idle = check_idle(); !idle) {
        respond(base::fail_with(std::move(idle)));
        return;
    }
    if (keyring_.state() == manager::Keyring::State::kLocked) {
        auto config = files_.load_config();
        if (config && !request.force()) {
            config = fail(Code::kPrecondition, "{}", kLocked);
        }
        respond(config ? finish_leaving(*config, {}, true)
                       : base::Result<v1::ClusterLeaveReply>(base::fail_with(std::move(config))));
        return;
    }
    auto loaded = files_.load(keyring_.certificates());
    if (!loaded || !*loaded) {
        respond(loaded ? fail(Code::kPrecondition, "this host is in no cluster") : base::fail_with(std::move(loaded)));
        return;
    }
    const bool force = request.force();
    auto membership = std::make_shared<agent::Membership>(**std::move(loaded));
    if (manager_.running() && force) {
        respond(finish_leaving(membership->config, {}, force));
        return;
    }
    busy_with_ = "leaving";
    workers_.emplace_back([this, membership, force, respond = std::move(respond)] {
        auto announced = agent::announce_departure(*membership, force);
        asio::post(loop_, [this, membership, force, respond, announced = std::move(announced)] {
            busy_with_.clear();
            respond(finish_leaving(membership->config, announced, force));
        });
    });
}

// What a manager said to the announcement decides; with force only what has to be done afterwards.
base::Result<v1::ClusterLeaveReply> Daemon::finish_leaving(const v1::NodeConfig& config, const base::Status& announced,
                                                           bool force) {
    const bool untold = !announced && announced.error().code() != Code::kDenied;
    if (untold && !force) {
        const auto& error = announced.error();
        if (error.code() != Code::kUnavailable) {
            return tl::unexpected<base::Error>(error);
        }
        return fail(Code::kPrecondition,
                    "{}; with --force this node leaves all the same, and then a manager has to be told: warren node rm "
                    "--force {}",
                    error.message(), config.node_name());
    }
    v1::ClusterLeaveReply reply;
    reply.set_cluster_name(config.cluster_name());
    reply.set_node_name(config.node_name());
    if (untold) {
        reply.add_remaining(fmt::format(
            "no manager knows of it ({}): run on one: warren node rm --force {}; until then the others keep "
            "the keys that this node knew",
            announced.error().message(), config.node_name()));
    }
    if (manager_.running() || keyring_.state() == manager::Keyring::State::kLocked) {
        reply.add_remaining(
            "the cluster ends with this manager: run warren cluster leave --force on each of its other nodes");
    }
    WARREN_TRY(wipe_membership(reply));
    kLog.warn("left cluster {} ({}){}", config.cluster_name(), config.cluster_id(),
              untold ? "; no manager knows of it" : "");
    return reply;
}

base::Status Daemon::wipe_membership(v1::ClusterLeaveReply& reply) {
    retry_.cancel();
    entry_problem_.clear();
    if (auto left = agent_->leave(); !left) {
        reply.add_remaining(fmt::format("not all of it could be taken out of the kernel: {}; a reboot does it",
                                        left.error().message()));
    }
    manager_.stop();
    manager_.set_absence({});
    WARREN_TRY(keyring_.close());
    WARREN_TRY(files_.wipe());
    keyring_.reset();
    return {};
}

}  // namespace warren::cmd
