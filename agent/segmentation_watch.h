#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "agent/host_facts.h"
#include "base/time.h"

namespace warren::agent {

// Keeps HostFacts::segmentation true to the kernel: tests it at the start, and again whenever a module that cuts ESP
// late has come or gone. While one that came is not tested yet, nothing is known, and encrypted networks do without.
//
// Thread: the loop's; a test runs on one of its own.
class SegmentationWatch {
  public:
    struct Probe {
        std::function<bool()> module_present;
        std::function<void(HostFacts&)> test;  // up to some seconds
    };
    using Tell = std::function<void(const HostFacts&)>;

    // The real probe, unless a test has another. `tell` is not called after the watch is gone.
    SegmentationWatch(asio::io_context& loop, HostFacts facts, Tell tell, Probe probe = real(),
                      base::Duration interval = std::chrono::seconds(10));
    ~SegmentationWatch();
    SegmentationWatch(const SegmentationWatch&) = delete;
    SegmentationWatch& operator=(const SegmentationWatch&) = delete;

  private:
    asio::io_context* loop_;
    HostFacts facts_;
    Tell tell_;
    Probe probe_;
    base::Duration interval_;
    bool module_ = false;  // as the last test had it
    asio::steady_timer timer_;
    std::thread tester_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

    [[nodiscard]] static Probe real();
    void start_test();
    void tested(const HostFacts& facts);
    void look();
};

}  // namespace warren::agent
