#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "agent/local_service.h"
#include "agent/local_socket.h"
#include "agent/membership_files.h"
#include "agent/segmentation_watch.h"
#include "manager/keyring.h"
#include "manager/server.h"

namespace warren::cmd {

inline constexpr std::string_view kLocked =
    "this manager is locked, its keys are on the disk only sealed: unlock it with 'warren cluster unlock'";

struct DaemonOptions {
    std::filesystem::path state_dir = "/var/lib/warren";
    std::filesystem::path run_dir = "/run/warren";
    std::filesystem::path resolv_conf = "/etc/resolv.conf";
    base::Duration shortest_leaf = certs::kShortestLeafLifetime;  // only tests have another
    base::Duration mtu_patience = manager::MtuPace::kPatience;    // the same
    std::filesystem::path unlock_key_file;                        // empty: a manager that is locked waits for its key
};

// `warrend`: an agent, its local API, and, on a manager's node, a manager.
//
// Thread: main's, which runs the loop in run(). Joining waits for the network on a thread of its own.
class Daemon {
  public:
    // Opens everything and takes up where a former daemon left off; changes nothing in the kernel.
    [[nodiscard]] static base::Result<std::unique_ptr<Daemon>> start(const DaemonOptions& options);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    // Until SIGTERM or SIGINT.
    void run();

  private:
    asio::io_context loop_{1};
    asio::signal_set signals_{loop_, SIGTERM, SIGINT};  // from the start: what comes meanwhile waits for run()
    agent::MembershipFiles files_;
    base::Duration shortest_leaf_;
    base::Duration mtu_patience_;
    std::filesystem::path unlock_key_file_;
    manager::Keyring keyring_;
    manager::Server manager_;
    std::unique_ptr<agent::Agent> agent_;
    std::unique_ptr<agent::SegmentationWatch> segmentation_;
    std::unique_ptr<agent::LocalService> local_service_;
    std::unique_ptr<agent::LocalSocket> socket_;
    asio::steady_timer retry_{loop_};
    std::vector<std::thread> workers_;
    std::string busy_with_;  // "joining" or "leaving"; empty: neither
    std::string entry_problem_;

    explicit Daemon(const DaemonOptions& options);
    [[nodiscard]] base::Status open(const DaemonOptions& options);
    [[nodiscard]] base::Status resume();
    void point_to_manager(const v1::NodeConfig& config);
    void enter_when_possible(std::shared_ptr<agent::Membership> membership);
    [[nodiscard]] base::Status start_manager(const agent::Membership& membership);
    [[nodiscard]] base::Status resume_manager();
    void wait_for_unlock(const v1::NodeConfig& config, const std::string& why);
    [[nodiscard]] base::Status begin_work();
    [[nodiscard]] base::Status check_manager() const;
    [[nodiscard]] base::Result<v1::ClusterLockReply> lock(const v1::ClusterLockRequest& request);
    [[nodiscard]] base::Result<v1::ClusterUnlockReply> unlock(const v1::ClusterUnlockRequest& request);
    [[nodiscard]] base::Result<v1::KekRotateReply> rotate_kek();
    [[nodiscard]] base::Result<std::uint32_t> change_kek();
    void add_status(v1::StatusReply& status) const;
    [[nodiscard]] base::Result<v1::ClusterInfoReply> init(const v1::ClusterInitRequest& request);
    void discard();
    [[nodiscard]] base::Result<agent::Membership> found(const v1::ClusterInitRequest& request);
    void join(v1::ClusterJoinRequest request, agent::Respond<v1::ClusterInfoReply> respond);
    [[nodiscard]] base::Result<v1::ClusterInfoReply> enter(agent::Membership membership);
    [[nodiscard]] base::Status check_idle() const;
    void leave(const v1::ClusterLeaveRequest& request, agent::Respond<v1::ClusterLeaveReply> respond);
    [[nodiscard]] base::Result<v1::ClusterLeaveReply> finish_leaving(const v1::NodeConfig& config,
                                                                     const base::Status& announced, bool force);
    [[nodiscard]] base::Status wipe_membership(v1::ClusterLeaveReply& reply);
};

}  // namespace warren::cmd
