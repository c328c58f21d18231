#pragma once

#include <filesystem>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "xfrm/install_history.h"

namespace warren::xfrm {

// The install history on disk, so that after a crash "installed and lost" can be told from "never installed". A text
// file, 0600, one line for an event, no secret in it; it grows by one write(2) a batch and is rewritten when most of it
// is of no use any more. Its directory is meant to be emptied by a reboot, but need not be: membership ids are new
// after one.
//
// Owner: the engine. Survives kill -9 at any point (an incomplete last line is dropped), not a loss of power, which
// takes the kernel's SAs along.
class InstallRecord {
  public:
    // Reads or makes the file. kInternal, with the line, when it holds what this class never wrote.
    [[nodiscard]] static base::Result<InstallRecord> open(const std::filesystem::path& path);

    [[nodiscard]] const InstallHistory& history() const { return history_; }

    // Before the kernel is given the SAs. On failure nothing is recorded, and nothing may be installed.
    [[nodiscard]] base::Status add(std::span<const Installed> installed);
    // After the kernel has refused them. On failure they stay recorded, which only costs a rotation.
    [[nodiscard]] base::Status revoke(std::span<const Installed> installed);
    // Before anybody is told that the inbound SAs of this membership are there. On failure nobody may be told.
    [[nodiscard]] base::Status acknowledge(const base::NetworkId& network, base::MembershipId self);
    [[nodiscard]] base::Status raise(std::span<const Floor> floors);

  private:
    explicit InstallRecord(std::filesystem::path path) : path_(std::move(path)) {}
    [[nodiscard]] base::Status replay(std::string_view content);
    [[nodiscard]] bool replay_line(std::string_view line);
    [[nodiscard]] base::Status append(const std::string& lines, std::size_t count);
    [[nodiscard]] base::Status rewrite();

    std::filesystem::path path_;
    base::UniqueFd fd_;
    InstallHistory history_;
    std::size_t lines_ = 0;    // in the file
    std::uint64_t bytes_ = 0;  // in the file
};

}  // namespace warren::xfrm
