#include "base/sockaddr.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

namespace warren::base {
namespace {

TEST(Sockaddr, IsReadAsItWasMade) {
    for (const auto* text : {"192.0.2.7", "2001:db8::7"}) {
        const SocketAddress address{.ip = parse_ip("ip", text).value(), .port = 7443};
        const Sockaddr made(address);
        EXPECT_EQ(made.get()->sa_family, socket_family(address.ip.family));
        EXPECT_EQ(made.address(), address);
    }
}

TEST(Sockaddr, IsWhatTheKernelTakesAndGives) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const Sockaddr wanted({.ip = IpAddress::v4(0x7f000001), .port = 0});
    ASSERT_EQ(::bind(fd, wanted.get(), wanted.size()), 0);
    Sockaddr bound;
    ASSERT_EQ(::getsockname(fd, bound.get(), bound.size_pointer()), 0);
    EXPECT_EQ(bound.size(), sizeof(sockaddr_in));
    EXPECT_EQ(bound.address()->ip, IpAddress::v4(0x7f000001));
    EXPECT_NE(bound.address()->port, 0);
    ::close(fd);
}

TEST(Sockaddr, OfAnotherFamilyHasNone) {
    Sockaddr local;
    local.get()->sa_family = AF_UNIX;
    EXPECT_EQ(local.address(), std::nullopt);
}

}  // namespace
}  // namespace warren::base
