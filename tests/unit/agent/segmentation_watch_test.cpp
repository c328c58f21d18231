#include "agent/segmentation_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/executor_work_guard.hpp>
#include <atomic>
#include <vector>

namespace warren::agent {
namespace {

using namespace std::chrono_literals;
using Segmentation = HostFacts::Segmentation;
using testing::ElementsAre;

class SegmentationWatchTest : public testing::Test {
  protected:
    // Runs the loop until so many verdicts were told, or for that long.
    void run(std::size_t verdicts, base::Duration patience = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (told_.size() < verdicts && std::chrono::steady_clock::now() < deadline) {
            loop_.run_one_for(10ms);
        }
    }

    asio::io_context loop_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
    std::atomic<bool> module_ = false;
    std::atomic<int> tests_ = 0;
    std::vector<Segmentation> told_;
    SegmentationWatch watch_{loop_,
                             {},
                             [this](const HostFacts& facts) { told_.push_back(facts.segmentation); },
                             {.module_present = [this] { return module_.load(); },
                              .test =
                                  [this](HostFacts& facts) {
                                      ++tests_;
                                      facts.segmentation = module_ ? Segmentation::kBroken : Segmentation::kFine;
                                  }},
                             1ms};
};

TEST_F(SegmentationWatchTest, AModuleThatComesOrGoesIsTestedAndTrustedOnlyThen) {
    run(1);
    EXPECT_THAT(told_, ElementsAre(Segmentation::kFine));
    module_ = true;
    run(3);
    EXPECT_THAT(told_, ElementsAre(Segmentation::kFine, Segmentation::kUnknown, Segmentation::kBroken));
    module_ = false;
    run(5);
    EXPECT_THAT(told_, ElementsAre(Segmentation::kFine, Segmentation::kUnknown, Segmentation::kBroken,
                                   Segmentation::kUnknown, Segmentation::kFine));
}

TEST_F(SegmentationWatchTest, NothingNewIsNotTestedAgain) {
    run(1);
    run(2, 100ms);
    EXPECT_EQ(tests_, 1);
    EXPECT_EQ(told_.size(), 1U);
}

}  // namespace
}  // namespace warren::agent
