#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/lab/process.h"

namespace warren::lab {

// tcpdump on one interface, into <directory>/<name>.pcap. Listens once constructed; stop() returns when everything that
// crossed the interface before is in the file, and throws if the kernel dropped any of it.
class Capture {
  public:
    // The interface is in the namespace of `where` (empty: the lab's own, where the bridge kUnderlay sees all hosts).
    Capture(const std::filesystem::path& directory, const std::string& name, std::string interface, Where where = {});

    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    ~Capture();  // keeps what there is when the test did not get as far as stop()

    void stop();
    // How many packets of the stopped capture match a tcpdump filter (empty: all but the capture's own end mark).
    [[nodiscard]] unsigned count(const std::string& filter) const;
    // Waits, while capturing, for a packet that matches; false when none came.
    [[nodiscard]] bool sees(const std::string& filter,
                            std::chrono::milliseconds deadline = std::chrono::seconds(10)) const;
    // The first lines of what matches, for a failure's message.
    [[nodiscard]] std::string show(const std::string& filter, int packets = 5) const;
    // The frames that match, each from its Ethernet header on.
    [[nodiscard]] std::vector<std::string> frames(const std::string& filter) const;

  private:
    std::filesystem::path file_;  // in memory: written packet by packet
    std::filesystem::path keep_;
    std::string interface_;
    Where where_;
    std::unique_ptr<Process> tcpdump_;
};

}  // namespace warren::lab
