#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/lab/lab.h"

namespace warren::lab {

// A steady stream of pings from one container to another. Counts by sequence numbers, so that an answer
// still on its way at the end is no loss and one that never comes is.
class Flood {
  public:
    Flood(const std::filesystem::path& directory, const Container& from, const Container& to,
          std::chrono::milliseconds apart = std::chrono::milliseconds(10));

    // Waits until answers are coming in, again or still; false when none does in time.
    [[nodiscard]] bool flowing(std::chrono::milliseconds deadline = std::chrono::seconds(10));
    // Ends it, after answers to pings sent later than this call: what is lost by then is lost for good.
    void stop();
    [[nodiscard]] unsigned lost() const { return lost_; }
    [[nodiscard]] unsigned answered() const { return answered_; }
    [[nodiscard]] const std::string& name() const { return name_; }

  private:
    std::string name_;
    std::filesystem::path keep_;
    std::filesystem::path file_;  // in memory: it is read often
    std::unique_ptr<Process> ping_;
    unsigned lost_ = 0;
    unsigned answered_ = 0;
};

// Between all ordered pairs of these containers; returns when all are answered.
std::vector<Flood> flood_all_pairs(const Lab& lab, const std::vector<Container>& containers);
std::vector<Flood> flood_all_pairs(const Lab& lab, const std::vector<const Container*>& containers,
                                   std::chrono::milliseconds apart = std::chrono::milliseconds(10));
// Stops them; the text names those that lost anything, with how much of how many.
std::string losses(std::vector<Flood>& floods);

}  // namespace warren::lab
