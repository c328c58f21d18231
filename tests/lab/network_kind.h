#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/lab/lab.h"

// For what holds of encrypted networks and of plain ones: testing::TestWithParam<bool>, true where it is encrypted.
namespace warren::lab {

inline std::string name_of_kind(const testing::TestParamInfo<bool>& encrypted) {
    return encrypted.param ? "Encrypted" : "Plain";
}

// `network create` with these options and, behind them, the name.
inline void create_network(const Host& manager, bool encrypted, const Argv& options_and_name) {
    Argv create{"network", "create"};
    if (encrypted) {
        create.insert(create.end(), {"--opt", "encrypted"});
    }
    create.insert(create.end(), options_and_name.begin(), options_and_name.end());
    manager.warren_ok(create);
}

}  // namespace warren::lab
