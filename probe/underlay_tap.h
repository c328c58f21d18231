#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "probe/underlay_frame.h"

namespace warren::probe {

struct Sought {
    base::UdpPort port;             // every UDP datagram to it
    base::Mtu esp_size;             // ESP of this size, as an IP packet; in UDP it is larger by that header
    std::set<base::UdpPort> encap;  // ports of ESP in UDP
};

// Sees what crosses a device on its way to one UDP port, and ESP of one size: what a proof of encryption needs, and so
// little that the host's other traffic costs no more than a filter in the kernel.
//
// Owner: the agent. Thread: any one.
class UnderlayTap {
  public:
    // kPrecondition: the device carries no Ethernet frames.
    [[nodiscard]] static base::Result<UnderlayTap> open(const std::string& device, const Sought& sought);

    struct Frame {
        bool out = false;                 // on its way out
        std::vector<std::uint8_t> bytes;  // its beginning
    };
    [[nodiscard]] int fd() const { return fd_.get(); }  // readable when receive() has something
    // Some of what has crossed; again when fd() is still readable. An error: nothing will come any more.
    [[nodiscard]] base::Result<std::vector<Frame>> receive();

    // Straight to the device, past policies and filters.
    [[nodiscard]] base::Status send(std::span<const std::uint8_t> frame);

  private:
    explicit UnderlayTap(base::UniqueFd fd) : fd_(std::move(fd)) {}

    base::UniqueFd fd_;
};

}  // namespace warren::probe
