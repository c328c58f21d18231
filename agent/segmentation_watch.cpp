#include "agent/segmentation_watch.h"

#include <asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "xfrm/probe.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};

}  // namespace

SegmentationWatch::Probe SegmentationWatch::real() {
    return {.module_present = [] { return xfrm::offload_module_present(); }, .test = &probe_segmentation};
}

SegmentationWatch::SegmentationWatch(asio::io_context& loop, HostFacts facts, Tell tell, Probe probe,
                                     base::Duration interval)
    : loop_(&loop),
      facts_(std::move(facts)),
      tell_(std::move(tell)),
      probe_(std::move(probe)),
      interval_(interval),
      timer_(loop) {
    start_test();
}

SegmentationWatch::~SegmentationWatch() {
    *alive_ = false;
    tester_.join();
}

void SegmentationWatch::start_test() {
    module_ = probe_.module_present();
    tester_ = std::thread([this, facts = facts_, alive = alive_]() mutable {
        probe_.test(facts);
        asio::post(*loop_, [this, facts = std::move(facts), alive] {
            if (*alive) {
                tested(facts);
            }
        });
    });
}

void SegmentationWatch::tested(const HostFacts& facts) {
    facts_ = facts;
    tell_(facts_);
    look();
}

void SegmentationWatch::look() {
    timer_.expires_after(interval_);
    timer_.async_wait([this, alive = alive_](const asio::error_code& cancelled) {
        if (cancelled || !*alive) {
            return;
        }
        if (const bool present = probe_.module_present(); present == module_) {
            look();
            return;
        }
        kLog.warn("the kernel's module for segmentation of ESP is {}: testing it again", module_ ? "gone" : "there");
        facts_.segmentation = HostFacts::Segmentation::kUnknown;
        facts_.segmentation_note = HostFacts{}.segmentation_note;
        tell_(facts_);
        tester_.join();
        start_test();
    });
}

}  // namespace warren::agent
