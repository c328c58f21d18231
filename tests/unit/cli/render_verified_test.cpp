#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/render.h"
#include "tests/unit/cli/sample.h"

namespace warren::cli {
namespace {

using testing::HasSubstr;

TEST(RenderVerified, ShowsWhatWasSeenOfEachPeer) {
    const auto reply = sample<v1::NetworkVerifyReply>(R"(
        network: "net1" verdict: "encrypted"
        peers { peer: "192.0.2.2" verdict: "encrypted" sent: 10 answered: 10 esp_sent_here: 10 esp_seen_there: 10
                esp_sent_there: 10 esp_seen_here: 10 forged_sent: 3 forged_seen_there: 3
                refused_by: "nft received_clear +3" })");
    EXPECT_EQ(
        render_verified(reply, kSampleView),
        R"(PEER        FRAMES   ANSWERED   ESP OUT   SEEN THERE   ESP IN   CLEAR   FORGED   LET IN   REFUSED BY              VERDICT
192.0.2.2   10       10         10        10           10       0       3        0        nft received_clear +3   encrypted

Encrypted: to and from 1 peer nothing crossed the underlay but ESP, and forged frames in clear were refused.
)");
}

TEST(RenderVerified, IsLoudAboutClearText) {
    auto reply = sample<v1::NetworkVerifyReply>(R"(
        network: "net1" verdict: "clear"
        peers { peer: "192.0.2.2" verdict: "clear" detail: "frames crossed the underlay in clear" clear_here: 4 })");
    auto text = render_verified(reply, kSampleView);
    EXPECT_THAT(text, HasSubstr("  * 192.0.2.2: frames crossed the underlay in clear\n\nNOT ENCRYPTED: see above.\n"));
    reply.clear_peers();
    reply.set_verdict("unproven");
    EXPECT_THAT(render_verified(reply, kSampleView), HasSubstr("Not proved: no other host is a member"));
}

}  // namespace
}  // namespace warren::cli
