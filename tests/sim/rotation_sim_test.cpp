#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "tests/sim/world.h"

namespace warren::sim {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : base::parse_unsigned(text).value_or(otherwise);
}

// WARREN_SIM_SEED replays one seed; WARREN_SIM_SEEDS sets how many are tried, from 1 on.
TEST(RotationSim, LosesNothingUnderAnyFaults) {
    const std::uint64_t only = from_environment("WARREN_SIM_SEED", 0);
    const std::uint64_t first = only != 0 ? only : from_environment("WARREN_SIM_FIRST", 1);
    const std::uint64_t count = only != 0 ? 1 : from_environment("WARREN_SIM_SEEDS", 3000);
    std::size_t rotations = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        World world(seed, false);
        if (world.run()) {
            FAIL() << "replay with WARREN_SIM_SEED=" << seed << "\n" << *World(seed, true).run();
        }
        rotations += world.rotations();
    }
    RecordProperty("rotations", std::to_string(rotations));
    EXPECT_GT(rotations, count);  // the faults leave room for rotations
}

}  // namespace
}  // namespace warren::sim
