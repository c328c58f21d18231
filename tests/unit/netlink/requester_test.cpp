#include "netlink/requester.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "netlink/kernel_socket.h"

namespace warren::netlink {
namespace {

std::uint32_t own_id() {
    return static_cast<std::uint32_t>(::getpid());
}

TEST(Requester, IsTheProcessThatHasTheSocketOpen) {
    const auto socket = Socket::open(Protocol::kXfrm);
    ASSERT_TRUE(socket);
    EXPECT_EQ(find_requester(Protocol::kXfrm, socket->port()), fmt::format("process {} (netlink_test)", own_id()));
}

TEST(Requester, OfAClosedSocketIsToldByItsNumber) {
    EXPECT_EQ(find_requester(Protocol::kXfrm, 4'000'000), "process 4000000, which is gone");
    EXPECT_EQ(find_requester(Protocol::kXfrm, (3U << 22U) + 4711), "process 4711, which is gone") << "libnl's third";
}

TEST(Requester, IsNobodyWhereOnlyGuessesAreLeft) {
    EXPECT_EQ(find_requester(Protocol::kXfrm, 0), std::nullopt) << "the kernel itself";
    EXPECT_EQ(find_requester(Protocol::kXfrm, static_cast<std::uint32_t>(-4711)), std::nullopt) << "made up by it";
}

}  // namespace
}  // namespace warren::netlink
