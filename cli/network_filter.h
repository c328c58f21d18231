#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "proto/control.pb.h"

namespace warren::cli {

// `network ls --filter K=V`, with Docker's words: of several of one key any has to hold, and of labels all.
class NetworkFilter {
  public:
    // kInvalid: an unknown key, or a value that it cannot have.
    [[nodiscard]] static base::Result<NetworkFilter> parse(const std::vector<std::string>& filters);

    [[nodiscard]] bool takes(const v1::Network& network) const;

  private:
    std::vector<std::string> names_;  // part of the name
    std::vector<std::string> ids_;    // beginning of the id
    std::vector<std::string> drivers_;
    std::vector<std::string> labels_;  // KEY or KEY=VALUE
    std::optional<bool> encrypted_;
    std::optional<bool> unused_;  // "dangling"
};

}  // namespace warren::cli
