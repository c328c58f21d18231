#include "base/reference.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/ids.h"

namespace warren::base {
namespace {

NetworkId id(const char* text) {
    return parse_id<NetworkId>("id", text).value();
}

const std::map<NetworkId, std::string> kNetworks{{id("aa110000000000000000000000000000"), "front"},
                                                 {id("aa220000000000000000000000000000"), "back"},
                                                 {id("bb000000000000000000000000000000"), "aa11"}};

Result<NetworkId> find(std::string_view reference) {
    return find_reference("network", reference, kNetworks, [](const std::string& name) { return name; });
}

TEST(Reference, IsANameAnIdOrTheBeginningOfOne) {
    EXPECT_EQ(find("front"), id("aa110000000000000000000000000000"));
    EXPECT_EQ(find("aa220000000000000000000000000000"), id("aa220000000000000000000000000000"));
    EXPECT_EQ(find("aa2"), id("aa220000000000000000000000000000"));
    EXPECT_EQ(find("b"), id("bb000000000000000000000000000000"));
    EXPECT_EQ(find("aa11"), id("bb000000000000000000000000000000")) << "a name goes first";
}

TEST(Reference, OfSeveralNoneIsTakenAndTheErrorNamesThem) {
    const auto found = find("aa");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), Code::kInvalid);
    EXPECT_EQ(found.error().message(),
              "network 'aa': several ids begin with it, such as aa110000000000000000000000000000 and "
              "aa220000000000000000000000000000; give more digits, or the name");
}

TEST(Reference, WhoIsNotThereIsNotFound) {
    for (const auto* nobody : {"", "fron", "aa3", "aa2200000000000000000000000000000"}) {
        const auto found = find(nobody);
        ASSERT_FALSE(found) << nobody;
        EXPECT_EQ(found.error().code(), Code::kNotFound);
    }
    EXPECT_EQ(find("nobody").error().message(), "network 'nobody': not found; see: warren network ls");
}

}  // namespace
}  // namespace warren::base
