#include "overlay/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::overlay {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Service, IsReadAndShownInOneForm) {
    const struct {
        const char* given;
        const char* shown;
    } cases[] = {
        {"http:80", "http:80/tcp"},
        {"HTTP-Alt:8080/tcp", "http-alt:8080/tcp"},
        {"dns:53/udp", "dns:53/udp"},
        {"9p:564", "9p:564/tcp"},
        {"fifteen-letters:65535", "fifteen-letters:65535/tcp"},
    };
    for (const auto& it : cases) {
        const auto read = parse_service("--service", it.given);
        ASSERT_TRUE(read) << read.error().message();
        EXPECT_EQ(read->text(), it.shown);
        EXPECT_EQ(parse_service("--service", it.shown), read);
    }
}

TEST(Service, WhatIsNoneIsRefusedWithTheRule) {
    const struct {
        const char* given;
        const char* why;
    } cases[] = {
        {"", "a name and a port are needed"},
        {"http", "a name and a port are needed"},
        {"http:80:81", "a name and a port are needed"},
        {":80", "1 to 15 letters"},
        {"80:80", "with a letter among them"},
        {"sixteen-letters1:1", "1 to 15 letters"},
        {"-http:80", "single hyphens between them"},
        {"http-:80", "single hyphens between them"},
        {"ht--tp:80", "single hyphens between them"},
        {"_http:80", "1 to 15 letters"},
        {"ht.tp:80", "1 to 15 letters"},
        {"http:", "from 1 to 65535"},
        {"http:0", "from 1 to 65535"},
        {"http:65536", "from 1 to 65535"},
        {"http:+80", "from 1 to 65535"},
        {"http:80/", "must be tcp or udp"},
        {"http:80/TCP", "must be tcp or udp"},
        {"http:80/sctp", "must be tcp or udp"},
    };
    for (const auto& it : cases) {
        const auto read = parse_service("--service", it.given);
        ASSERT_FALSE(read) << it.given << " is taken for " << read->text();
        EXPECT_EQ(read.error().code(), base::Code::kInvalid);
        EXPECT_THAT(read.error().message(),
                    AllOf(HasSubstr(fmt::format("--service '{}': ", it.given)), HasSubstr(it.why),
                          HasSubstr("it is NAME:PORT[/tcp|udp], such as http:80/tcp")));
    }
}

}  // namespace
}  // namespace warren::overlay
