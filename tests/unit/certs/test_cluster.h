#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/ids.h"
#include "certs/authority.h"
#include "certs/node_identity.h"
#include "tests/test_directory.h"

namespace warren::certs {

using namespace std::chrono_literals;

// A fixed moment for everything that takes time as an argument: 2026-03-01 12:00:00 UTC.
inline constexpr base::Time kNow{std::chrono::seconds(1772366400)};
inline constexpr base::Duration kDay = 24h;

template <typename T>
T must(base::Result<T> result) {
    if (!result) {
        ADD_FAILURE() << result.error().message();
        std::abort();  // no value to go on with
    }
    return *std::move(result);
}
inline void must(const base::Status& status) {
    ASSERT_TRUE(status) << status.error().message();
}

// The error's text, or "" when there is none.
template <typename T>
std::string error_of(const base::Result<T>& result) {
    return result ? std::string() : result.error().message();
}

// A cluster's authority and what a manager does with it.
struct TestCluster {
    explicit TestCluster(base::Time made = kNow, base::ClusterId cluster = base::random_id<base::ClusterId>())
        : now(made),
          id(cluster),
          authority(must(Authority::make(id, "harbour", made))),
          roots(must(Roots::parse("roots", authority.root_pem()))) {}

    [[nodiscard]] Identity identity(Role role) const {
        return {.cluster = id, .node = base::random_id<base::NodeId>(), .role = role};
    }
    [[nodiscard]] std::string leaf(const PrivateKey& key, const Identity& who, base::Time issued,
                                   base::Duration lifetime = kDefaultLeafLifetime) const {
        return must(authority.issue(must(make_request(key)), who, lifetime, issued));
    }
    [[nodiscard]] NodeIdentity node(const Identity& who, base::Time issued,
                                    base::Duration lifetime = kDefaultLeafLifetime) const {
        PrivateKey key = must(PrivateKey::generate());
        const std::string chain = leaf(key, who, issued, lifetime);
        return must(NodeIdentity::assemble(std::move(key), chain, roots));
    }
    [[nodiscard]] NodeIdentity node(Role role) const { return node(identity(role), now); }

    base::Time now;
    base::ClusterId id;
    Authority authority;
    Roots roots;
};

}  // namespace warren::certs
