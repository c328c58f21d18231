#include "manager/network_options.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace warren::manager {
namespace {

using Options = std::vector<std::string>;

TEST(NetworkOptions, EncryptedIsReadAsItIsWritten) {
    EXPECT_TRUE(parse_network_options(Options{"encrypted"})->encrypted);
    EXPECT_TRUE(parse_network_options(Options{"encrypted=true"})->encrypted);
    EXPECT_FALSE(parse_network_options(Options{"encrypted=false"})->encrypted);
    EXPECT_FALSE(parse_network_options(Options{})->encrypted);
}

TEST(NetworkOptions, AllAtOnce) {
    const auto options =
        parse_network_options(Options{"encrypted", "cipher=chacha20-poly1305", "replay-window=4096", "mtu=1280"});
    ASSERT_TRUE(options) << options.error().message();
    EXPECT_EQ(*options, (NetworkOptions{.encrypted = true,
                                        .cipher = keymgr::Cipher::kChaCha20Poly1305,
                                        .replay_window = 4096,
                                        .mtu = base::Mtu{1280}}));
}

struct Refused {
    Options options;
    std::string message;
};
// What names the test: not the bytes of pointers.
void PrintTo(const Refused& refused, std::ostream* out) {
    *out << refused.message;
}

class NetworkOptionsRefused : public testing::TestWithParam<Refused> {};

TEST_P(NetworkOptionsRefused, SaysWhatIsWrong) {
    const auto options = parse_network_options(GetParam().options);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code(), base::Code::kInvalid);
    EXPECT_EQ(options.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NetworkOptionsRefused,
    testing::Values(
        Refused{{"crypt"}, "--opt crypt: unknown option; known are encrypted, cipher, replay-window and mtu"},
        Refused{{"encrypted=yes"}, "--opt encrypted=yes: must be true or false"},
        Refused{{"encrypted", "encrypted=false"}, "--opt encrypted: given twice"},
        Refused{{"encrypted", "replay-window=31"}, "--opt replay-window=31: must be a number from 32 to 4096"},
        Refused{{"encrypted", "replay-window"}, "--opt replay-window=: must be a number from 32 to 4096"},
        Refused{{"mtu=100000"}, "--opt mtu=100000: must be a number from 576 to 65535"},
        Refused{{"cipher=aes-128-gcm"}, "--opt cipher: only for encrypted networks; add --opt encrypted"}));

}  // namespace
}  // namespace warren::manager
