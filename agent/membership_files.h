#pragma once

#include <filesystem>
#include <optional>

#include "agent/agent.h"
#include "base/result.h"

namespace warren::agent {

// Where a node keeps its membership: <state-dir>/cluster/, with node.json, certs/ and, on a manager, manager/.
//
// A node enters a cluster by preparing <state-dir>/cluster.new/ and renaming it: what a crash leaves is either nothing
// or a whole membership.
class MembershipFiles {
  public:
    explicit MembershipFiles(std::filesystem::path state_dir) : state_dir_(std::move(state_dir)) {}

    [[nodiscard]] std::filesystem::path directory() const { return state_dir_ / "cluster"; }
    [[nodiscard]] std::filesystem::path manager_directory() const { return directory() / "manager"; }
    [[nodiscard]] std::filesystem::path certificates() const { return directory() / "certs"; }
    [[nodiscard]] std::filesystem::path staging() const { return state_dir_ / "cluster.new"; }

    // Nothing when this host is in no cluster. Torn or foreign files are an error that names the file and the way out.
    [[nodiscard]] base::Result<std::optional<Membership>> load() const { return load(certificates()); }
    // The same with the identity's files elsewhere: those of a manager that was locked are.
    [[nodiscard]] base::Result<std::optional<Membership>> load(const std::filesystem::path& files_of_identity) const;

    // The part of it that is never secret. There must be one.
    [[nodiscard]] base::Result<v1::NodeConfig> load_config() const;

    // An empty staging directory; what an interrupted attempt left in it goes. kConflict: this host is in a cluster.
    [[nodiscard]] base::Status prepare() const;
    // What is left of an attempt that came to nothing, or of a wipe() that was interrupted, goes.
    [[nodiscard]] base::Status discard() const;
    // Writes the membership into the staging directory and makes it the node's.
    [[nodiscard]] base::Status commit(const Membership& membership) const;
    // The opposite of commit(): the node is in no cluster any more. Keys are overwritten before their files go, which
    // is worth something on file systems that write in place. A crash leaves the membership, or what discard() removes.
    [[nodiscard]] base::Status wipe() const;

  private:
    std::filesystem::path state_dir_;
};

}  // namespace warren::agent
