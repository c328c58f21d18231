#include "xfrm/encap_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>

#include "tests/own_network.h"

namespace warren::xfrm {
namespace {

class EncapSocket : public testing::Test {
  protected:
    void SetUp() override { enter_own_network(); }
};

EncapPort at(const char* address, std::uint16_t port) {
    return {.address = base::parse_ip("address", address).value(), .port = base::UdpPort{port}};
}

TEST_F(EncapSocket, TellsWhatItIsBoundTo) {
    for (const char* address : {"127.0.0.1", "::1"}) {
        const auto where = at(address, 17443);
        const auto socket = open_encap_socket(where);
        ASSERT_TRUE(socket) << socket.error().message();
        EXPECT_EQ(encap_port_of(socket->get()), where);
        const auto second = open_encap_socket(where);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().sys_errno(), EADDRINUSE);
    }
}

TEST_F(EncapSocket, AnyOtherIsNone) {
    const base::UniqueFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const base::UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(encap_port_of(udp.get()), std::nullopt);
    EXPECT_EQ(encap_port_of(tcp.get()), std::nullopt);
    EXPECT_EQ(encap_port_of(-1), std::nullopt);
}

TEST_F(EncapSocket, AnAddressOfAnotherHostIsRefused) {
    const auto refused = open_encap_socket(at("192.0.2.200", 17443));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message().substr(0, 53), "socket for ESP in UDP on 192.0.2.200 port 17443: bind");
}

}  // namespace
}  // namespace warren::xfrm
