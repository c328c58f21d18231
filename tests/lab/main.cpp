#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/lab/udp_sender.h"

// The test program. It changes namespaces, links and firewalls under fixed names, so it runs its tests only where
// scripts/lab-run has made room for that. It is also its own sender of forged datagrams (udp_sender.h).
int main(int argc, char** argv) {
    if (const auto code = warren::lab::run_as_udp_sender(argc, argv)) {
        return *code;
    }
    testing::InitGoogleTest(&argc, argv);
    if (!testing::GTEST_FLAG(list_tests) && std::getenv("WARREN_LAB") == nullptr) {
        std::cerr << "these tests need a kernel of their own: scripts/test --lab, or scripts/lab-run -- " << argv[0]
                  << "\n";
        return 2;
    }
    return RUN_ALL_TESTS();
}
