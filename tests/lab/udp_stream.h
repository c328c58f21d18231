#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/lab/lab.h"

namespace warren::lab {

// UDP with sequence numbers from one container to another, by iperf3: 1,000 bytes, 60 a second. One way, so that what
// it loses was lost there. What came and found the receiver's buffer full, because iperf3 got no time on a busy
// machine, is no loss of the network's.
class UdpStream {
  public:
    // Returns when datagrams have come.
    UdpStream(const std::filesystem::path& directory, const Container& from, const Container& to);

    // Ends it and waits for the receiver's report.
    void stop();
    [[nodiscard]] unsigned lost() const { return lost_; }
    [[nodiscard]] unsigned received() const { return received_; }
    [[nodiscard]] const std::string& name() const { return name_; }

  private:
    std::string name_;
    Where to_;
    std::filesystem::path report_;
    unsigned overrun_before_ = 0;
    std::unique_ptr<Process> receiver_;
    std::unique_ptr<Process> sender_;
    unsigned lost_ = 0;
    unsigned received_ = 0;
};

// From each of these to the next, and from the last to the first.
std::vector<UdpStream> stream_around(const Lab& lab, const std::vector<const Container*>& containers);
// Stops them; the text names those that lost anything, with how much of how many.
std::string losses(std::vector<UdpStream>& streams);

}  // namespace warren::lab
