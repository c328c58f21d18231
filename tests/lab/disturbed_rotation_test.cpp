#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <random>
#include <string>

#include "base/text.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"
#include "tests/lab/udp_stream.h"

// Rotations while all goes wrong that may: what flows between hosts that stay up loses nothing.
namespace warren::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// $WARREN_LAB_SEED repeats what another run has drawn.
unsigned long seed() {
    const char* given = std::getenv("WARREN_LAB_SEED");
    return given != nullptr ? base::parse_unsigned(given).value_or(1) : std::random_device{}();
}

// Five hosts. h1 is the manager. h2, h3 and h4 stay up, whatever their daemons do; h5 comes and goes.
class DisturbedRotation : public testing::Test {
  protected:
    DisturbedRotation() : seed_(seed()), random_(seed_), lab_(cluster_of(5)), manager_(lab_->host(1)) {
        manager_.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
        containers_ = containers_on_all(*lab_, "net1");
    }

    // Until a new epoch is active; the grace of the old one runs beside what comes next.
    void rotate(int times = 1) {
        for (int i = 0; i < times; ++i) {
            const auto before = inspect(manager_, "net1").active_epoch();
            manager_.warren_ok({"key", "rotate", "--detach", "net1"});
            ASSERT_TRUE(eventually(seconds(60), [&] { return inspect(manager_, "net1").active_epoch() > before; }))
                << manager_.warren({"key", "status"}).out;
            ++rotations_;
        }
    }

    // One daemon is killed, another is cut off from the manager, h5 crashes, all at once. Two rotations go by without
    // them: more would need the slots of the epochs that they have. They come back during a third.
    void disturb() {
        const auto killed = 2 + static_cast<unsigned>(random_() % 3);
        const auto cut = 2 + (killed - 2 + 1 + static_cast<unsigned>(random_() % 2)) % 3;  // not the same
        SCOPED_TRACE(fmt::format("h{} killed, h{} cut off, h5 crashed", killed, cut));
        lab_->host(killed).kill_daemon(SIGKILL);
        lab_->host(cut).cut_off_from_managers();
        lab_->host(5).crash();
        rotate(2);
        lab_->host(killed).start_daemon();
        lab_->host(cut).let_through_to_managers();
        lab_->host(5).start_daemon();
        rotate();
        await_rest();
    }

    // A container comes and goes on a member, and the only one of another.
    void connect_and_disconnect() {
        const Container extra("extra");
        lab_->host(4).connect("net1", extra);
        rotate();
        EXPECT_TRUE(eventually(seconds(20), [&] { return extra.ping(containers_[1].ip()); }));
        lab_->host(5).warren_ok({"network", "disconnect", "net1", "c5"});
        rotate();
        lab_->host(4).warren_ok({"network", "disconnect", "net1", "extra"});
        lab_->host(5).connect("net1", containers_[4]);
        await_rest();
    }

    void await_rest() {
        const auto one_epoch = [&] { return manager_.ask<v1::KeyListReply>({"key", "ls"}).epochs_size() == 1; };
        const auto all_settled = [&] {
            return std::ranges::all_of(lab_->hosts(), [](const auto& host) { return settled(*host); });
        };
        ASSERT_TRUE(eventually(seconds(60), [&] { return all_settled() && one_epoch(); }))
            << manager_.warren({"key", "status"}).out << manager_.warren({"key", "ls"}).out;
        EXPECT_EQ(unreachable_pairs(containers_, seconds(30)), "");
    }

    // `disturbances` times the whole of it, with as many rotations in all.
    void run(int rotations, int disturbances) {
        SCOPED_TRACE(fmt::format("again: WARREN_LAB_SEED={}", seed_));
        std::vector<const Container*> steady;
        for (std::size_t i = 0; i < 4; ++i) {
            steady.push_back(&containers_[i]);
        }
        auto streams = stream_around(*lab_, steady);
        auto floods = flood_all_pairs(*lab_, steady, milliseconds(40));
        for (int i = 0; i < disturbances && !HasFatalFailure(); ++i) {
            rotate(3);
            disturb();
            connect_and_disconnect();
        }
        while (rotations_ < rotations && !HasFatalFailure()) {
            rotate();
        }
        EXPECT_EQ(losses(streams), "");
        EXPECT_EQ(losses(floods), "");
    }

  private:
    unsigned long seed_;
    std::mt19937 random_;
    std::unique_ptr<Lab> lab_;
    Host& manager_;
    std::vector<Container> containers_;
    int rotations_ = 0;
};

TEST_F(DisturbedRotation, ThirtyLoseNothing) {
    run(30, 1);
}

// scripts/test --soak
class Soak : public DisturbedRotation {};

TEST_F(Soak, TwoHundredDisturbedRotationsLoseNothing) {
    run(200, 20);
}

}  // namespace
}  // namespace warren::lab
