#include "cmd/daemon.h"

#include <asio/post.hpp>

#include "agent/join.h"
#include "base/files.h"
#include "base/log.h"
#include "manager/found.h"
#include "store/sqlite_store.h"

namespace warren::cmd {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"warrend"};
constexpr std::string_view kDefaultListen = "0.0.0.0:7443";
constexpr std::uint16_t kManagerPort = 7443;

base::Result<std::int64_t> milliseconds(std::string_view what, const std::string& text) {
    if (text.empty()) {
        return 0;
    }
    WARREN_TRY_ASSIGN(const auto duration, base::parse_duration(what, text));
    if (duration <= base::Duration::zero()) {
        return fail(Code::kInvalid, "{} '{}': must be more than 0", what, text);
    }
    return duration.count();
}

base::Result<v1::ClusterSettings> settings_of(const v1::ClusterInitRequest& request) {
    v1::ClusterSettings settings;
    settings.set_subnet_pool(request.subnet_pool());
    settings.set_subnet_size(request.subnet_size());
    settings.set_plain_port(request.plain_port());
    settings.set_port_base(request.port_base());
    WARREN_TRY_ASSIGN(const auto grace, milliseconds("--rotation-grace", request.rotation_grace()));
    WARREN_TRY_ASSIGN(const auto limit, milliseconds("--straggler-limit", request.straggler_limit()));
    settings.set_rotation_grace_ms(grace);
    settings.set_straggler_limit_ms(limit);
    WARREN_TRY_ASSIGN(const auto lifetime, milliseconds("--leaf-lifetime", request.leaf_lifetime()));
    WARREN_TRY_ASSIGN(const auto readmission, milliseconds("--readmission-limit", request.readmission_limit()));
    settings.set_leaf_lifetime_ms(lifetime);
    settings.set_readmission_limit_ms(readmission);
    return settings;
}

}  // namespace

Daemon::Daemon(const DaemonOptions& options)
    : files_(options.state_dir),
      shortest_leaf_(options.shortest_leaf),
      mtu_patience_(options.mtu_patience),
      unlock_key_file_(options.unlock_key_file),
      keyring_({.manager = files_.manager_directory(), .certificates = files_.certificates(), .run = options.run_dir}) {
}

base::Result<std::unique_ptr<Daemon>> Daemon::start(const DaemonOptions& options) {
    std::unique_ptr<Daemon> daemon(new Daemon(options));
    WARREN_TRY(daemon->open(options));
    return daemon;
}

Daemon::~Daemon() {
    for (auto& worker : workers_) {
        worker.join();
    }
    // Callers first, then what they call.
    socket_.reset();
    agent_.reset();
    manager_.stop();
    if (auto closed = keyring_.close(); !closed) {
        kLog.error("{}", closed.error().message());
    }
}

base::Status Daemon::open(const DaemonOptions& options) {
    WARREN_TRY(base::make_directory(options.state_dir, 0700));
    WARREN_TRY(base::make_directory(options.run_dir, 0755));
    const auto run_dir = std::filesystem::absolute(options.run_dir);
    WARREN_TRY_ASSIGN(auto fabric, agent::Fabric::open(run_dir, fdstore::open_store(run_dir)));
    WARREN_TRY_ASSIGN(auto facts, agent::probe_host());
    agent_ = std::make_unique<agent::Agent>(
        loop_, std::move(fabric), facts,
        agent::AgentOptions{.version = WARREN_VERSION,
                            .run_dir = run_dir,
                            .certificates = [this] { return keyring_.certificates(); },
                            .certificates_changed = [this] { return keyring_.keep_identity(); },
                            .renew_own = [this](const std::string& pem) { return manager_.renew_own(pem); },
                            .resolv_conf = options.resolv_conf});
    local_service_ = std::make_unique<agent::LocalService>(
        loop_, *agent_,
        agent::ClusterEntry{
            .init = [this](const v1::ClusterInitRequest& request, const auto& respond) { respond(init(request)); },
            .join = [this](
                        v1::ClusterJoinRequest request,
                        agent::Respond<v1::ClusterInfoReply> respond) { join(std::move(request), std::move(respond)); },
            .leave = [this](const v1::ClusterLeaveRequest& request,
                            agent::Respond<v1::ClusterLeaveReply> respond) { leave(request, std::move(respond)); },
            .lock = [this](const v1::ClusterLockRequest& request) { return lock(request); },
            .unlock = [this](const v1::ClusterUnlockRequest& request) { return unlock(request); },
            .rotate_kek = [this] { return rotate_kek(); },
            .add_status = [this](v1::StatusReply& status) { add_status(status); }});
    WARREN_TRY_ASSIGN(socket_, agent::LocalSocket::open(loop_, options.run_dir / "warren.sock",
                                                        {local_service_.get(), &manager_.local_control()}));
    const auto who = [socket = socket_.get()](const std::string& peer) {
        const auto credentials = socket->credentials_of(peer);
        return credentials ? credentials->text() : peer;
    };
    local_service_->set_caller(who);
    manager_.set_local_caller(who);
    segmentation_ = std::make_unique<agent::SegmentationWatch>(
        loop_, std::move(facts), [this](const agent::HostFacts& found) { agent_->set_facts(found); });
    return resume();
}

base::Status Daemon::resume() {
    if (std::filesystem::exists(files_.manager_directory())) {
        return resume_manager();
    }
    WARREN_TRY_ASSIGN(auto membership, files_.load());
    if (!membership) {
        discard();
        WARREN_TRY(keyring_.close());
        kLog.info("this host is in no cluster yet: warren cluster init, or warren cluster join");
        return {};
    }
    point_to_manager(membership->config);
    enter_when_possible(std::make_shared<agent::Membership>(*std::move(membership)));
    return {};
}

void Daemon::point_to_manager(const v1::NodeConfig& config) {
    manager_.set_absence(fmt::format("this node is a worker: run the command on manager {}", config.managers(0)));
}

// At boot the daemon may be there before its data address is.
void Daemon::enter_when_possible(std::shared_ptr<agent::Membership> membership) {
    const auto entered = agent_->enter(std::move(*membership));
    if (entered) {
        return;
    }
    if (entry_problem_ != entered.error().message()) {
        entry_problem_ = entered.error().message();
        agent_->await_entry(*membership, entered.error());
        kLog.error("{}; trying again every second", entry_problem_);
    }
    retry_.expires_after(std::chrono::seconds(1));
    retry_.async_wait([this, membership = std::move(membership)](const asio::error_code& error) mutable {
        if (!error) {
            enter_when_possible(std::move(membership));
        }
    });
}

base::Status Daemon::start_manager(const agent::Membership& membership) {
    WARREN_TRY_ASSIGN(auto store, store::SqliteStore::open(files_.manager_directory() / "store.db", {}));
    WARREN_TRY_ASSIGN(const auto listen,
                      base::parse_socket_address("listen", membership.config.listen(), kManagerPort));
    manager::Vault vault(keyring_.kek().clone());
    if (keyring_.next_kek()) {
        vault.change_to(keyring_.next_kek()->clone());
    }
    WARREN_TRY(manager_.start(std::move(store), std::move(vault), membership.identity,
                              {.listen = listen,
                               .certificates = keyring_.watched(),
                               .shortest_leaf = shortest_leaf_,
                               .mtu_patience = mtu_patience_}));
    manager_.set_absence({});
    if (keyring_.next_kek()) {
        kLog.info("a change of the key-encryption key was interrupted: going on");
        if (auto changed = change_kek(); !changed) {
            kLog.error("{}; 'warren cluster kek rotate' tries it again", changed.error().message());
        }
    }
    return {};
}

base::Result<v1::ClusterInfoReply> Daemon::init(const v1::ClusterInitRequest& request) {
    WARREN_TRY(check_idle());
    WARREN_TRY(files_.prepare());
    auto membership = found(request);
    if (!membership) {
        discard();
        return base::fail_with(std::move(membership));
    }
    WARREN_TRY(files_.commit(*membership));
    auto started = keyring_.open();
    if (started) {
        started = start_manager(*membership);
    }
    if (!started) {
        if (auto undone = files_.wipe(); !undone) {
            kLog.error("{}", undone.error().message());
        }
        return base::fail_with(std::move(started));
    }
    return enter(*std::move(membership));
}

base::Status Daemon::check_idle() const {
    if (!busy_with_.empty()) {
        return fail(Code::kConflict, "this host is just {} a cluster", busy_with_);
    }
    return {};
}

// A command that failed leaves nothing behind.
void Daemon::discard() {
    if (auto discarded = files_.discard(); !discarded) {
        kLog.error("{}", discarded.error().message());
    }
}

base::Result<agent::Membership> Daemon::found(const v1::ClusterInitRequest& request) {
    const auto listen_text = request.listen().empty() ? std::string(kDefaultListen) : request.listen();
    WARREN_TRY_ASSIGN(const auto listen, base::parse_socket_address("--listen", listen_text, kManagerPort));
    WARREN_TRY_ASSIGN(const auto addresses,
                      agent::choose_addresses(request.data_addr(), request.advertise_addr(), request.node_name()));
    WARREN_TRY_ASSIGN(const auto settings, settings_of(request));
    WARREN_TRY_ASSIGN(auto key, certs::PrivateKey::generate());
    WARREN_TRY_ASSIGN(auto request_pem, certs::make_request(key));
    const auto directory = files_.staging() / "manager";
    WARREN_TRY(base::make_directory(directory, 0700));
    WARREN_TRY_ASSIGN(auto kek, keymgr::create_kek(directory / "kek"));
    WARREN_TRY_ASSIGN(auto store, store::SqliteStore::open(directory / "store.db", {.mode = store::OpenMode::kCreate}));
    const manager::Vault vault(std::move(kek));
    WARREN_TRY_ASSIGN(const auto founded,
                      manager::found_cluster(*store, vault,
                                             {.cluster_name = request.name().empty() ? "warren" : request.name(),
                                              .settings = settings,
                                              .node_name = addresses.name,
                                              .data_address = addresses.data,
                                              .advertise_address = addresses.advertise,
                                              .port = listen.port,
                                              .request_pem = std::move(request_pem),
                                              .shortest_leaf = shortest_leaf_},
                                             base::system_now()));
    WARREN_TRY_ASSIGN(auto roots, certs::Roots::parse("the new root", founded.roots_pem));
    WARREN_TRY_ASSIGN(auto identity,
                      certs::NodeIdentity::assemble(std::move(key), founded.certificate_pem, std::move(roots)));
    agent::Membership membership{.identity = std::move(identity), .config = {}};
    auto& config = membership.config;
    config.set_cluster_id(founded.cluster.text());
    config.set_cluster_name(request.name().empty() ? "warren" : request.name());
    config.set_node_id(founded.node.text());
    config.set_node_name(addresses.name);
    config.set_role(std::string(certs::name(certs::Role::kManager)));
    config.add_managers(base::SocketAddress{.ip = addresses.advertise, .port = listen.port}.text());
    config.set_data_address(addresses.data.text());
    config.set_advertise_address(addresses.advertise.text());
    config.set_listen(listen.text());
    return membership;
}

void Daemon::join(v1::ClusterJoinRequest request, agent::Respond<v1::ClusterInfoReply> respond) {
    if (auto idle = check_idle(); !idle) {
        respond(base::fail_with(std::move(idle)));
        return;
    }
    busy_with_ = "joining";
    workers_.emplace_back([this, request = std::move(request), respond = std::move(respond)] {
        auto joined =
            std::make_shared<base::Result<agent::Membership>>(agent::join_cluster(request, files_, base::system_now()));
        asio::post(loop_, [this, joined, respond] {
            busy_with_.clear();
            if (!*joined) {
                discard();
            }
            respond(*joined ? enter(std::move(**joined))
                            : base::Result<v1::ClusterInfoReply>(tl::unexpected<base::Error>(joined->error())));
        });
    });
}

base::Result<v1::ClusterInfoReply> Daemon::enter(agent::Membership membership) {
    WARREN_TRY(agent_->enter(std::move(membership)));
    if (!manager_.running()) {
        point_to_manager(agent_->membership()->config);
    }
    return agent_->info();
}

void Daemon::run() {
    signals_.async_wait([this](const asio::error_code& error, int signal) {
        if (!error) {
            kLog.info("signal {}: stopping; networks stay as they are", signal);
            local_service_->stop();
            socket_->stop();
            agent_->stop();
            loop_.stop();
        }
    });
    kLog.info("warrend {} is ready", WARREN_VERSION);
    fdstore::notify_ready();
    loop_.run();
}

}  // namespace warren::cmd
