#include "manager/server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <asio/executor_work_guard.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "certs/handshakes.h"
#include "manager/clock_watch.h"
#include "manager/doorway.h"
#include "manager/services.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
constexpr std::chrono::milliseconds kStopPatience{500};
constexpr std::chrono::milliseconds kIdlePatience{60'000};
constexpr base::Duration kLookAtNodes = std::chrono::seconds(1);
// One bootstrap or control request; a session's messages are smaller still.
constexpr int kMaxRequestBytes = 1 << 20;

}  // namespace

struct Server::Impl {
    Dispatch dispatch;
    BootstrapService bootstrap{dispatch};
    SessionsService sessions{dispatch};
    ControlService control{dispatch, Dispatch::Access::kRemote};
    ControlService local_control{dispatch, Dispatch::Access::kLocal};

    asio::io_context loop{1};
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
    asio::steady_timer timer{loop};
    std::unique_ptr<store::Store> store;
    std::unique_ptr<Core> core;
    Doorway doorway;
    std::chrono::steady_clock::time_point look_at_nodes{};
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::unique_ptr<grpc::Server> server;
    std::thread thread;
    bool ending = false;  // the loop's: nothing more is begun, and it ends when nothing is under way

    // On the loop: lets the core do what is due and comes back when more is.
    void run_core() {
        if (ending) {
            return;
        }
        const auto wait = core->run();
        if (const auto now = std::chrono::steady_clock::now(); now >= look_at_nodes) {
            look_at_nodes = now + kLookAtNodes;
            doorway.know(core->node_addresses());
        }
        timer.expires_after(wait);
        timer.async_wait([this](const asio::error_code& error) {
            if (!error) {
                run_core();
            }
        });
    }

    // Calls the core on its thread and waits for the answer.
    template <typename Reply>
    base::Result<Reply> ask(const std::function<base::Result<Reply>(Core&)>& call) {
        if (!thread.joinable()) {
            return base::fail(base::Code::kPrecondition, "no manager runs on this host");
        }
        std::promise<base::Result<Reply>> promise;
        asio::post(loop, [this, &promise, &call] { promise.set_value(call(*core)); });
        return promise.get_future().get();
    }

    base::Status listen(const certs::NodeIdentity& identity, const ServerOptions& options) {
        WARREN_TRY(doorway.listen(options.listen));
        WARREN_TRY_ASSIGN(auto credentials, certs::server_credentials(identity, options.certificates));
        grpc::ServerBuilder builder;
        builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
        // Who connects and says nothing, or has nothing to ask any more, makes room. A session is a call that lasts.
        builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, static_cast<int>(options.handshake.count()));
        builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, static_cast<int>(kIdlePatience.count()));
        acceptor = builder.experimental().AddExternalConnectionAcceptor(
            grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, std::move(credentials));
        builder.RegisterService(&bootstrap);
        builder.RegisterService(&sessions);
        builder.RegisterService(&control);
        server = builder.BuildAndStart();
        if (!server) {
            return base::fail(base::Code::kInternal, "the server of the manager's port does not start");
        }
        return {};
    }

    void open() {
        doorway.open(
            [this](base::UniqueFd connection) {
                grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
                parameters.fd = connection.release();
                acceptor->HandleNewConnection(&parameters);
            },
            [this](const std::string& peer, const base::Error& why) {
                core->refusals().note(Refusal::kConnection, peer, why.message(), base::system_now());
            });
    }
};

Server::Server() : impl_(std::make_unique<Impl>()) {}

Server::~Server() {
    stop();
}

base::Status Server::start(std::unique_ptr<store::Store> store, Vault vault, const certs::NodeIdentity& identity,
                           ServerOptions options) {
    impl_->store = std::move(store);
    WARREN_TRY_ASSIGN(impl_->core, Core::open(*impl_->store, std::move(vault),
                                              {.clock_set_by =
                                                   [watch = ClockWatch()]() mutable {
                                                       return watch.look(base::system_now(),
                                                                         std::chrono::steady_clock::now());
                                                   },
                                               .heartbeat = options.heartbeat,
                                               .self = identity.identity().node,
                                               .shortest_leaf = options.shortest_leaf,
                                               .mtu_patience = options.mtu_patience}));
    if (const auto id = impl_->core->cluster_id(); id != identity.identity().cluster) {
        impl_->core.reset();
        impl_->store.reset();
        return base::fail(
            base::Code::kPrecondition,
            "manager/store.db is of cluster {}, and the certificate in certs/node.pem of {}: put back the "
            "two that belong together",
            id, identity.identity().cluster);
    }
    Dispatch::Target target{.loop = &impl_->loop,
                            .core = impl_->core.get(),
                            .cluster = identity.identity().cluster,
                            .ran = [impl = impl_.get()] { impl->run_core(); }};
    impl_->dispatch.set(std::make_shared<const Dispatch::Target>(std::move(target)));
    impl_->loop.restart();
    impl_->ending = false;
    impl_->work.emplace(impl_->loop.get_executor());
    impl_->core->on_ledger_ready([impl = impl_.get()] { asio::post(impl->loop, [impl] { impl->run_core(); }); });
    if (auto listening = impl_->listen(identity, options); !listening) {
        impl_->doorway.close();
        impl_->dispatch.set(nullptr);
        impl_->core.reset();
        impl_->store.reset();
        return listening;
    }
    impl_->thread = std::thread([impl = impl_.get()] { impl->loop.run(); });
    impl_->open();
    asio::post(impl_->loop, [impl = impl_.get()] { impl->run_core(); });
    kLog.info("manager of cluster {} listens on {}", identity.identity().cluster, options.listen);
    return {};
}

base::Result<v1::ReadmitReply> Server::renew_own(const std::string& request_pem) {
    return impl_->ask<v1::ReadmitReply>([&request_pem](Core& core) { return core.renew_own(request_pem); });
}

base::Result<std::uint32_t> Server::change_kek(const keymgr::KeyEncryptionKey& next) {
    return impl_->ask<std::uint32_t>([&next](Core& core) { return core.change_kek(next.clone()); });
}

void Server::stop() {
    if (!impl_->thread.joinable()) {
        return;
    }
    // New calls are refused; those under way still find the core, since its loop ends after the last of them.
    impl_->dispatch.set(nullptr);
    impl_->doorway.close();
    impl_->server->Shutdown(std::chrono::system_clock::now() + kStopPatience);
    impl_->server->Wait();
    asio::post(impl_->loop, [impl = impl_.get()] {
        impl->ending = true;
        impl->timer.cancel();
    });
    impl_->work.reset();
    impl_->thread.join();
    impl_->server.reset();
    impl_->acceptor.reset();
    impl_->core.reset();
    impl_->store.reset();
}

bool Server::running() const {
    return impl_->dispatch.target() != nullptr;
}

void Server::add_counters(v1::StatusReply& status) const {
    if (!running()) {
        return;
    }
    auto counts = impl_->core->refusals().counts();
    const auto lost = certs::lost_handshakes();
    counts.push_back({.name = "refused handshake",
                      .meaning = "TLS handshakes that failed: foreign or outdated certificate, not TLS 1.3",
                      .value = lost.failed});
    counts.push_back(
        {.name = "refused silent", .meaning = "connections that ended without a word", .value = lost.silent});
    for (const auto& count : counts) {
        if (count.value != 0) {
            auto& counter = *status.add_counters();
            counter.set_name(std::string(count.name));
            counter.set_value(count.value);
            counter.set_meaning(std::string(count.meaning));
        }
    }
}

void Server::set_absence(std::string why) {
    impl_->dispatch.set_absence(std::move(why));
}

grpc::Service& Server::local_control() {
    return impl_->local_control;
}

void Server::set_local_caller(std::function<std::string(const std::string& peer)> who) {
    impl_->local_control.set_caller(std::move(who));
}

}  // namespace warren::manager
