#include "agent/view.h"

#include <gtest/gtest.h>

#include "agent/wanted.h"

namespace warren::agent {
namespace {

template <typename IdType>
IdType id(std::uint8_t number) {
    IdType made;
    made.bytes[0] = number;
    return made;
}
template <typename IdType>
std::string raw(const IdType& made) {
    return {made.bytes.begin(), made.bytes.end()};
}

const auto kNetwork = id<base::NetworkId>(1);
const auto kSelf = id<base::NodeId>(1);
const auto kPeer = id<base::NodeId>(2);
const Self kNode{.cluster = id<base::ClusterId>(9), .node = kSelf, .vtep = base::IpAddress::v4(0xc0000201)};

void add_member(v1::NetworkDelta& delta, const base::NodeId& node, std::uint32_t index, std::uint64_t since) {
    auto& member = *delta.add_members();
    member.set_node_id(raw(node));
    member.set_node_index(index);
    member.set_vtep(std::string("\xc0\x00\x02", 3) + static_cast<char>(index));
    member.set_membership_id(100 + index);
    member.set_since(since);
}

void add_epoch(v1::NetworkDelta& delta, std::uint32_t number, std::uint64_t since) {
    auto& epoch = *delta.add_epochs();
    epoch.set_epoch(number);
    epoch.set_slot(number % 4);
    epoch.set_cipher(1);
    epoch.set_replay_window(1024);
    epoch.set_since(since);
    epoch.set_secret(std::string(32, static_cast<char>(number)));  // a test vector
}

void add_endpoint(v1::NetworkDelta& delta, std::uint8_t number, const base::NodeId& node) {
    auto& endpoint = *delta.add_endpoints();
    endpoint.set_id(raw(id<base::EndpointId>(number)));
    endpoint.set_name("e" + std::to_string(number));
    endpoint.add_ips(std::string("\x0a\x01\x00", 3) + static_cast<char>(number));
    endpoint.set_mac(std::string("\x02\x00\x00\x00\x00", 5) + static_cast<char>(number));
    endpoint.set_node_id(raw(node));
}

// This node and one peer, epoch 1 active, both introduced by revision 3.
v1::NetworkSnapshot snapshot() {
    v1::NetworkSnapshot message;
    auto& spec = *message.mutable_network();
    spec.set_id(raw(kNetwork));
    spec.set_name("net1");
    auto& subnet = *spec.add_subnets();
    subnet.set_subnet(std::string("\x0a\x01\x00\x00", 4));
    subnet.set_length(24);
    subnet.set_gateway(std::string("\x0a\x01\x00\x01", 4));
    subnet.set_vni(0x570000);
    spec.set_udp_port(10001);
    spec.set_mtu(1416);
    spec.set_encrypted(true);
    spec.set_network_index(1);
    auto& content = *message.mutable_content();
    content.set_network_id(raw(kNetwork));
    content.set_revision(5);
    content.set_active_epoch(1);
    add_member(content, kSelf, 1, 2);
    add_member(content, kPeer, 2, 3);
    add_epoch(content, 1, 1);
    add_endpoint(content, 1, kSelf);
    add_endpoint(content, 2, kPeer);
    auto& attachment = *content.add_attachments();
    attachment.set_endpoint_id(raw(id<base::EndpointId>(1)));
    attachment.set_netns("/run/netns/a");
    return message;
}

void acknowledge(NetworkView& view, std::uint64_t membership, std::uint64_t revision) {
    v1::PeerAcks acks;
    auto& ack = *acks.add_acks();
    ack.set_membership_id(membership);
    ack.set_acked(revision);
    take_acks(view, acks);
}

// A kernel that is not known to cut VXLAN in ESP rightly.
TEST(View, OnlyEncryptedNetworksGoWithoutSegmentation) {
    auto view = take_snapshot(snapshot()).value();
    auto self = kNode;
    view.encrypted = true;
    EXPECT_TRUE(wanted_links(view, self).segmentation);
    self.segmentation = false;
    EXPECT_FALSE(wanted_links(view, self).segmentation);
    view.encrypted = false;
    EXPECT_TRUE(wanted_links(view, self).segmentation);
}

TEST(TakeDelta, KnowsWhoMakesTheMtuSmallAndThatNobodyDoesAnyMore) {
    auto view = take_snapshot(snapshot()).value();
    EXPECT_EQ(view.narrowest, std::nullopt);
    v1::NetworkDelta delta;
    delta.set_network_id(raw(kNetwork));
    delta.set_revision(100);
    delta.set_mtu(1316);
    auto& narrowest = *delta.mutable_narrowest();
    narrowest.set_node_id(raw(kPeer));
    narrowest.set_node("h2");
    narrowest.set_underlay_mtu(1400);
    narrowest.set_peer("?");
    EXPECT_FALSE(take_delta(view, delta));
    EXPECT_NE(view.mtu, base::Mtu{1316}) << "half of it was taken";
    narrowest.set_peer(std::string("\xc0\x00\x02\x01", 4));
    ASSERT_TRUE(take_delta(view, delta));
    EXPECT_EQ(view.mtu, base::Mtu{1316});
    EXPECT_EQ(view.narrowest,
              (NarrowestView{
                  .id = kPeer, .node = "h2", .underlay = base::Mtu{1400}, .peer = base::IpAddress::v4(0xc0000201)}));
    delta.clear_narrowest();
    delta.set_revision(101);
    ASSERT_TRUE(take_delta(view, delta));
    EXPECT_EQ(view.narrowest, std::nullopt);
}

TEST(View, SnapshotBecomesKernelObjects) {
    auto view = take_snapshot(snapshot());
    ASSERT_TRUE(view) << view.error().message();
    const auto links = wanted_links(*view, kNode);
    ASSERT_EQ(links.local.size(), 1U);
    EXPECT_EQ(links.local[0].netns, "/run/netns/a");
    ASSERT_EQ(links.remote.size(), 1U);
    EXPECT_EQ(links.remote[0].vtep.text(), "192.0.2.2");
    EXPECT_EQ(links.remote[0].ips.at(0).text(), "10.1.0.2");
}

TEST(View, NothingIsSentBeforeThePeerHasAcknowledged) {
    auto view = take_snapshot(snapshot()).value();
    auto keys = wanted_keys(view, kNode, {}).value();
    ASSERT_EQ(keys.peers.size(), 1U);
    EXPECT_EQ(keys.peers[0].send, base::Epoch{}) << "no outbound SA: dropped, not clear";
    EXPECT_EQ(keys.peers[0].receive, (std::vector{base::Epoch{1}}));
    acknowledge(view, 102, 3);
    keys = wanted_keys(view, kNode, {}).value();
    EXPECT_EQ(keys.peers[0].send, base::Epoch{1});
}

TEST(View, AnInstalledEpochIsReceivedInButNotSentIn) {
    auto view = take_snapshot(snapshot()).value();
    acknowledge(view, 102, 3);
    v1::NetworkDelta delta;
    delta.set_network_id(raw(kNetwork));
    delta.set_revision(6);
    delta.set_active_epoch(1);
    add_epoch(delta, 2, 6);
    ASSERT_TRUE(take_delta(view, delta));
    const auto keys = wanted_keys(view, kNode, {}).value();
    EXPECT_EQ(keys.peers[0].send, base::Epoch{1});
    EXPECT_EQ(keys.peers[0].receive, (std::vector{base::Epoch{1}, base::Epoch{2}}));
}

TEST(View, MembersAndEndpointsGo) {
    auto view = take_snapshot(snapshot()).value();
    v1::NetworkDelta delta;
    delta.set_network_id(raw(kNetwork));
    delta.set_revision(6);
    delta.set_active_epoch(1);
    delta.add_members_gone(raw(kPeer));
    delta.add_endpoints_gone(raw(id<base::EndpointId>(2)));
    ASSERT_TRUE(take_delta(view, delta));
    EXPECT_TRUE(wanted_keys(view, kNode, {})->peers.empty());
    EXPECT_TRUE(wanted_links(view, kNode).remote.empty());
}

TEST(View, BroadcastGoesToTheOtherMembersOnceTheNetworkIsSaidToHaveIt) {
    auto without = snapshot();
    auto view = take_snapshot(without).value();
    EXPECT_FALSE(wanted_links(view, kNode).multicast);
    without.mutable_network()->set_multicast(true);
    EXPECT_TRUE(wanted_links(take_snapshot(without).value(), kNode).multicast);

    v1::NetworkDelta delta;
    delta.set_network_id(raw(kNetwork));
    delta.set_revision(6);
    delta.set_active_epoch(1);
    delta.set_multicast(true);
    ASSERT_TRUE(take_delta(view, delta));
    const auto links = wanted_links(view, kNode);
    EXPECT_TRUE(links.multicast);
    ASSERT_EQ(links.peers.size(), 1U) << "not to itself";
    EXPECT_EQ(links.peers[0].vtep.text(), "192.0.2.2");
    delta.set_revision(7);
    delta.clear_multicast();
    delta.add_members_gone(raw(kPeer));
    ASSERT_TRUE(take_delta(view, delta));
    EXPECT_TRUE(wanted_links(view, kNode).multicast) << "nothing was said of it";
    EXPECT_TRUE(wanted_links(view, kNode).peers.empty());
}

TEST(View, OldDeltasAreRefused) {
    auto view = take_snapshot(snapshot()).value();
    v1::NetworkDelta delta;
    delta.set_network_id(raw(kNetwork));
    delta.set_revision(5);
    EXPECT_FALSE(take_delta(view, delta));
    EXPECT_EQ(view.active, base::Epoch{1});
}

// A message that breaks any rule is refused whole: the view is what it was.
TEST(View, MalformedDeltasChangeNothing) {
    const auto broken = [](auto breaking) {
        v1::NetworkDelta delta;
        delta.set_network_id(raw(kNetwork));
        delta.set_revision(6);
        delta.set_active_epoch(2);
        add_member(delta, id<base::NodeId>(3), 3, 6);
        add_epoch(delta, 2, 6);
        add_endpoint(delta, 3, kPeer);
        breaking(delta);
        return delta;
    };
    const std::vector<v1::NetworkDelta> deltas{broken([](auto& d) { d.mutable_members(0)->set_node_id("short"); }),
                                               broken([](auto& d) { d.mutable_members(0)->set_node_index(0x4000); }),
                                               broken([](auto& d) { d.mutable_members(0)->set_vtep("xyz"); }),
                                               broken([](auto& d) { d.mutable_epochs(0)->set_slot(4); }),
                                               broken([](auto& d) { d.mutable_epochs(0)->set_cipher(4); }),
                                               broken([](auto& d) { d.mutable_epochs(0)->set_epoch(0); }),
                                               broken([](auto& d) { d.mutable_epochs(0)->clear_secret(); }),
                                               broken([](auto& d) { d.mutable_endpoints(0)->set_mac("12345"); }),
                                               broken([](auto& d) { d.mutable_endpoints(0)->set_ips(0, ""); }),
                                               broken([](auto& d) { d.mutable_endpoints(0)->add_services("http"); }),
                                               broken([](auto& d) { d.add_endpoints_gone("x"); })};
    for (const auto& delta : deltas) {
        auto view = take_snapshot(snapshot()).value();
        EXPECT_FALSE(take_delta(view, delta)) << delta.ShortDebugString().substr(0, 60);
        EXPECT_EQ(view.revision, base::Revision{5});
        EXPECT_EQ(view.members.size(), 2U);
        EXPECT_EQ(view.epochs.size(), 1U);
        EXPECT_EQ(view.endpoints.size(), 2U);
    }
}

TEST(View, ChangedEpochsKeepTheirSecret) {
    auto view = take_snapshot(snapshot()).value();
    const auto before = view.epochs.at(base::Epoch{1}).secret.clone();
    v1::NetworkDelta delta;
    delta.set_network_id(raw(kNetwork));
    delta.set_revision(6);
    delta.set_active_epoch(1);
    add_epoch(delta, 1, 1);
    delta.mutable_epochs(0)->clear_secret();
    delta.mutable_epochs(0)->set_superseded(6);
    ASSERT_TRUE(take_delta(view, delta));
    EXPECT_TRUE(view.epochs.at(base::Epoch{1}).secret == before);
    EXPECT_EQ(view.epochs.at(base::Epoch{1}).held.superseded, base::Revision{6});
}

}  // namespace
}  // namespace warren::agent
