#pragma once

#include <filesystem>
#include <set>
#include <vector>

#include "agent/network_names.h"
#include "base/result.h"

namespace warren::agent {

// The names of this node's networks on disk, a file each, so that a daemon that starts while no manager is there
// answers its containers as the former one did.
//
// Owner: the agent. Lifetime: the run directory's, as that of the networks in the kernel. Failure: what can't be read
// is logged and left out; a manager's snapshot brings it anew.
class NamesRecord {
  public:
    explicit NamesRecord(std::filesystem::path directory) : directory_(std::move(directory)) {}

    [[nodiscard]] base::Status write(const NetworkNames& names) const;
    [[nodiscard]] std::vector<NetworkNames> read() const;
    void remove(const base::NetworkId& network) const;
    void remove_all_but(const std::set<base::NetworkId>& networks) const;

  private:
    std::filesystem::path directory_;

    [[nodiscard]] std::filesystem::path file_of(const base::NetworkId& network) const;
    [[nodiscard]] std::vector<base::NetworkId> list() const;
};

}  // namespace warren::agent
