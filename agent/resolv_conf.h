#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace warren::agent {

// Where a container asks for names: /etc/netns/NAME/resolv.conf for each namespace that `ip netns` knows by a name,
// which `ip netns exec` shows to its programs as /etc/resolv.conf. Other containers' files are their runtime's affair.
//
// A file that Warren has not written, for this run directory, is neither changed nor removed.
// Owner: the agent. Failure: logged, and tried again when the container's servers change.
class ResolvConf {
  public:
    explicit ResolvConf(std::filesystem::path run_dir, std::filesystem::path directory = "/etc/netns")
        : run_dir_(std::move(run_dir)), directory_(std::move(directory)) {}

    // By the name that `ip netns` has for a container's namespace: whom it may ask.
    using Servers = std::map<std::string, std::vector<base::IpAddress>>;
    // Writes what is new since the last call. `complete`: these are all, and what is there for others goes; a former
    // daemon's at the first such call.
    void want(Servers containers, bool complete);

  private:
    std::filesystem::path run_dir_;
    std::filesystem::path directory_;
    Servers told_;           // last
    bool complete_ = false;  // and there are no others

    [[nodiscard]] std::string mark() const;  // how each file begins
    enum class There : std::uint8_t { kNothing, kOurs, kForeign };
    [[nodiscard]] There look(const std::filesystem::path& file) const;
    void write(const std::string& container, const std::vector<base::IpAddress>& servers) const;
    void remove(const std::filesystem::path& container) const;  // its directory
    void remove_all_but(const Servers& containers) const;
    [[nodiscard]] static base::Status put(const std::filesystem::path& file, std::string_view text);
};

// The name that `ip netns` has for a namespace with this path; empty: none.
[[nodiscard]] std::string netns_name(const std::string& path);

}  // namespace warren::agent
