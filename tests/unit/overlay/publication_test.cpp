#include "overlay/publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample.h"

namespace warren::overlay {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Publication, IsReadAndShownInOneForm) {
    const struct {
        const char* given;
        const char* shown;
    } cases[] = {
        {"8080:80", "8080:80/tcp"},     {"8080:80/tcp", "8080:80/tcp"},
        {"5353:53/udp", "5353:53/udp"}, {"192.0.2.1:65535:1/udp", "192.0.2.1:65535:1/udp"},
        {"0.0.0.0:80:80", "80:80/tcp"},
    };
    for (const auto& it : cases) {
        const auto read = parse_publication("--publish", it.given);
        ASSERT_TRUE(read) << read.error().message();
        EXPECT_EQ(read->text(), it.shown);
        EXPECT_EQ(parse_publication("--publish", it.shown), read);
    }
}

TEST(Publication, WhatIsNoneIsRefusedWithTheRule) {
    for (const char* given :
         {"", "80", ":80", "80:", "0:80", "80:0", "65536:80", "80:65536", "a:b", "80:80/", "80:80/sctp", "80:80/TCP",
          "host:80:80", "::1:80:80", "[::1]:80:80", "1.2.3:80:80", "1.2.3.4:80:80:80", "-1:80", "80:80-90"}) {
        const auto read = parse_publication("--publish", given);
        ASSERT_FALSE(read) << given << " is taken for " << read->text();
        EXPECT_EQ(read.error().code(), base::Code::kInvalid);
        EXPECT_THAT(read.error().message(),
                    AllOf(HasSubstr(fmt::format("--publish '{}'", given)),
                          HasSubstr("it is [IP:]HOSTPORT:PORT[/tcp|udp], such as 8080:80/tcp")));
    }
}

TEST(Publication, CollidesWhereOneAddressHasBoth) {
    const auto of = [](const char* text) { return parse_publication("", text).value(); };
    EXPECT_TRUE(collide(of("80:80"), of("80:8080")));
    EXPECT_TRUE(collide(of("192.0.2.1:80:80"), of("80:80")));
    EXPECT_TRUE(collide(of("192.0.2.1:80:80"), of("192.0.2.1:80:81")));
    EXPECT_FALSE(collide(of("192.0.2.1:80:80"), of("192.0.2.2:80:80")));
    EXPECT_FALSE(collide(of("80:80/tcp"), of("80:80/udp")));
    EXPECT_FALSE(collide(of("80:80"), of("81:80")));
}

}  // namespace
}  // namespace warren::overlay
