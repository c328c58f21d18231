#include <vector>

#include "manager/changes.h"
#include "manager/tokens.h"
#include "tests/unit/manager/core_fixture.h"

namespace warren::manager {
namespace {

using base::Code;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(CoreTest, LastSeenIsTheLastWordAndSinceIsWhenTheSessionBegan) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    now_ += 5s;
    v1::FromAgent beat;
    beat.mutable_heartbeat();
    core_->session_message(m1.session, beat);
    EXPECT_EQ(core_->node_list({})->nodes(0).last_seen_unix_ms(), unix_ms(now_));
    const auto status = core_->key_status({});
    EXPECT_EQ(status->networks(0).members(0).since_unix_ms(), unix_ms(kStart));
}

TEST_F(CoreTest, JoinWithAnotherSecretIsRefusedAndLeavesNothing) {
    const auto refused = issue("w1", "192.0.2.2", certs::random_token_secret());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kDenied);
    EXPECT_EQ(core_->node_list({})->nodes_size(), 1);
}

TEST_F(CoreTest, RotatedTokenIsRefusedAtOnceAndToldSo) {
    const auto old = worker_token();
    v1::TokenRotateRequest rotate;
    rotate.set_role("worker");
    ASSERT_TRUE(core_->token_rotate(rotate));
    const auto refused = issue("w1", "192.0.2.2", old);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kDenied);
    EXPECT_THAT(refused.error().message(), HasSubstr("the join token was replaced on "));
    EXPECT_TRUE(issue("w1", "192.0.2.2", worker_token()));
    rotate.set_role("operator");
    EXPECT_THAT(core_->token_rotate(rotate).error().message(), HasSubstr("role 'operator'"));
}

TEST_F(CoreTest, TokenLetsInAsManyAsItMayAlsoAfterARestart) {
    v1::TokenRotateRequest rotate;
    rotate.set_role("worker");
    rotate.set_uses(2);
    const auto made = core_->token_rotate(rotate).value();
    EXPECT_EQ(made.uses_left(), 2U);
    const auto token = certs::parse_join_token("token", made.token()).value();
    ASSERT_TRUE(issue("w1", "192.0.2.2", token.secret));
    EXPECT_FALSE(issue("w1", "192.0.2.3", token.secret)) << "the name is taken";
    open();
    EXPECT_EQ(shown_worker_token().uses_left(), 1U) << "a refused join is no use";
    ASSERT_TRUE(issue("w2", "192.0.2.3", token.secret));
    EXPECT_EQ(shown_worker_token().uses_left(), 0U);
    EXPECT_THAT(issue("w3", "192.0.2.4", token.secret).error().message(), HasSubstr("is used up"));
    EXPECT_EQ(core_->node_list({})->nodes_size(), 3);
}

TEST_F(CoreTest, TokenExpires) {
    v1::TokenRotateRequest rotate;
    rotate.set_role("worker");
    rotate.set_expires("1h");
    ASSERT_TRUE(core_->token_rotate(rotate));
    EXPECT_EQ(shown_worker_token().expires_unix_ms(), unix_ms(now_ + 1h));
    now_ += 1h;
    EXPECT_THAT(issue("w1", "192.0.2.2", worker_token()).error().message(), HasSubstr("the join token expired on "));
    EXPECT_EQ(core_->node_list({})->nodes_size(), 1);
}

// A replacement or a use between the check and the commit must make the admission fail, not slip through.
TEST_F(CoreTest, AdmissionIsBoundToTheTokensItChecked) {
    Cluster state;
    const auto all = cluster_.store->range("");
    ASSERT_TRUE(all);
    for (const auto& item : all->items) {
        ASSERT_TRUE(state.put(item.key, item.value, item.mod_revision));
    }
    store::Transaction admission;
    spend_token(state, certs::Role::kWorker, admission);
    v1::TokenRotateRequest rotate;
    rotate.set_role("worker");
    ASSERT_TRUE(core_->token_rotate(rotate));
    EXPECT_FALSE(cluster_.store->commit(admission)->succeeded());
}

TEST_F(CoreTest, AJoinThatWasInterruptedCanBeRepeated) {
    const auto first = join("w1", "192.0.2.2");
    const auto second = join("w1", "192.0.2.2");
    EXPECT_NE(first, second) << "no two certificates for one node id";
    EXPECT_EQ(core_->node_list({})->nodes_size(), 2);
    EXPECT_FALSE(core_->session_opened({.cluster = founded_.cluster, .node = first, .role = certs::Role::kWorker},
                                       std::make_shared<Agent>()))
        << "the one that never came can't come any more";
    (void)begin_session(second, "192.0.2.2");
    EXPECT_THAT(issue("w1", "192.0.2.2", worker_token()).error().message(), HasSubstr("--node-name 'w1': taken"))
        << "a node that is there is not replaced";
}

TEST_F(CoreTest, NodeNamesAndAddressesAreUnique) {
    (void)begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    v1::TokenShowRequest which;
    which.set_role("worker");
    const auto token = certs::parse_join_token("token", core_->token_show(which)->token()).value();
    EXPECT_THAT(issue("w1", "192.0.2.3", token.secret).error().message(), HasSubstr("--node-name 'w1': taken"));
    EXPECT_THAT(issue("w2", "192.0.2.2", token.secret).error().message(), HasSubstr("--data-addr 192.0.2.2: taken"));
    EXPECT_THAT(issue("a b", "192.0.2.4", token.secret).error().message(), HasSubstr("--node-name 'a b'"));
    EXPECT_EQ(core_->node_list({})->nodes_size(), 2);
}

TEST_F(CoreTest, SessionOfAnUnknownNodeIsRefused) {
    const auto opened = core_->session_opened(
        {.cluster = founded_.cluster, .node = base::random_id<base::NodeId>(), .role = certs::Role::kWorker},
        std::make_shared<Agent>());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::kDenied);
}

TEST_F(CoreTest, NetworkGetsSubnetVniPortAndMtu) {
    (void)own_session();
    const auto plain = create("plain").value();
    const auto first = create("one", {"encrypted"}).value();
    const auto second = create("two", {"encrypted"}).value();
    EXPECT_EQ(plain.subnets(0).subnet(), "10.128.0.0/24");
    EXPECT_EQ(plain.udp_port(), 4789U);
    EXPECT_EQ(plain.mtu(), 1450U);
    EXPECT_EQ(first.subnets(0).subnet(), "10.128.1.0/24");
    EXPECT_EQ(first.subnets(0).gateway(), "10.128.1.1");
    EXPECT_EQ(first.udp_port(), 10001U);
    EXPECT_EQ(second.udp_port(), 10002U);
    EXPECT_EQ(first.mtu(), 1416U);
    EXPECT_EQ(first.active_epoch(), 1U);
    EXPECT_EQ(plain.vnis(0), 0x570000U);
    EXPECT_EQ(first.vnis(0), 0x570001U);
}

// A cluster whose settings are not the defaults: --subnet-pool, --subnet-size, --port-base, --plain-port.
class OwnSettings : public CoreTest {
  protected:
    OwnSettings() : CoreTest(settings()) {}

    static v1::ClusterSettings settings() {
        v1::ClusterSettings settings;
        settings.set_subnet_pool("172.20.8.0/24");
        settings.set_subnet_size(26);
        settings.set_port_base(20000);
        settings.set_plain_port(8472);
        return settings;
    }
};

TEST_F(OwnSettings, NetworksComeFromThePoolAndThePortsOfTheCluster) {
    const auto m1 = own_session();
    const auto plain = create("plain").value();
    const auto first = create("one", {"encrypted"}).value();
    open();
    const auto second = create("two", {"encrypted"}).value();
    EXPECT_EQ(plain.subnets(0).subnet(), "172.20.8.0/26");
    EXPECT_EQ(plain.udp_port(), 8472U);
    EXPECT_EQ(first.subnets(0).subnet(), "172.20.8.64/26");
    EXPECT_EQ(first.subnets(0).gateway(), "172.20.8.65");
    EXPECT_EQ(first.udp_port(), 20001U);
    EXPECT_EQ(second.subnets(0).subnet(), "172.20.8.128/26") << "also of a manager that begins anew";
    EXPECT_EQ(second.udp_port(), 20002U);
    EXPECT_EQ(create("chosen", {"encrypted"}, "10.1.0.0/24")->udp_port(), 20003U);
    EXPECT_EQ(create("four")->subnets(0).subnet(), "172.20.8.192/26");
    const auto beyond = create("five");
    ASSERT_FALSE(beyond) << "the pool is used up: " << beyond->subnets(0).subnet();
    EXPECT_THAT(beyond.error().message(), HasSubstr("172.20.8.0/24"));
}

TEST_F(CoreTest, BadNetworksAreRefusedAndChangeNothing) {
    (void)own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    struct Case {
        std::string name;
        std::vector<std::string> options;
        std::string subnet;
        std::string says;
    };
    for (const auto& bad :
         {Case{"net1", {}, "", "network name 'net1': taken"}, Case{"net/2", {}, "", "network name 'net/2'"},
          Case{"net2", {}, "10.1.0.128/25", "net1"}, Case{"net2", {}, "10.2.0.1/24", "10.2.0.1/24"},
          Case{"net2", {"crypt"}, "", "--opt crypt: unknown option"},
          Case{"net2", {"encrypted=maybe"}, "", "--opt encrypted=maybe"},
          Case{"net2", {"mtu=9000"}, "", "--opt mtu=9000"}}) {
        const auto refused = create(bad.name, bad.options, bad.subnet);
        ASSERT_FALSE(refused) << bad.says;
        EXPECT_THAT(refused.error().message(), HasSubstr(bad.says));
    }
    EXPECT_EQ(core_->network_list({})->networks_size(), 1);
}

TEST_F(CoreTest, OnlyMembersHearOfANetworkAndOnlyOwnersOfNamespaces) {
    const auto m1 = own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    const auto w2 = begin_session(join("w2", "192.0.2.3"), "192.0.2.3");
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(w1, "net1", "a").error(), "");
    ASSERT_EQ(connect(m1, "net1", "b").error(), "");
    EXPECT_EQ(w2.agent->last(v1::FromManager::kSnapshot), nullptr);
    EXPECT_EQ(w2.agent->last(v1::FromManager::kDelta), nullptr);
    const auto* snapshot = w1.agent->last(v1::FromManager::kSnapshot);
    ASSERT_NE(snapshot, nullptr);
    EXPECT_EQ(snapshot->snapshot().content().attachments(0).netns(), "/run/netns/a");
    EXPECT_EQ(snapshot->snapshot().content().epochs(0).secret().size(), 32U);
    const auto* delta = w1.agent->last(v1::FromManager::kDelta);
    ASSERT_NE(delta, nullptr) << "the other member's endpoint";
    EXPECT_EQ(delta->delta().endpoints_size(), 1);
    EXPECT_EQ(delta->delta().attachments_size(), 0) << "where others attach is nobody's business";
    EXPECT_EQ(delta->delta().epochs_size(), 0) << "no secret is sent twice";
}

TEST_F(CoreTest, AddressesAreGivenOnceAndBadOnesRefused) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/29"));
    ASSERT_EQ(connect(m1, "net1", "a", {"10.1.0.3"}).error(), "");
    EXPECT_THAT(connect(m1, "net1", "b", {"10.1.0.3"}).error(), HasSubstr("10.1.0.3"));
    EXPECT_THAT(connect(m1, "net1", "b", {"10.9.0.3"}).error(), HasSubstr("10.9.0.3"));
    EXPECT_THAT(connect(m1, "net1", "b", {"10.1.0.1"}).error(), HasSubstr("10.1.0.1"));
    EXPECT_THAT(connect(m1, "net1", "a").error(), HasSubstr("is in network 'net1' already"));
    EXPECT_THAT(connect(m1, "nosuch", "a").error(), HasSubstr("network 'nosuch': not found"));
    for (const auto* netns : {"b", "c", "d", "e"}) {
        ASSERT_EQ(connect(m1, "net1", netns).error(), "");
    }
    EXPECT_NE(connect(m1, "net1", "f").error(), "") << "five hosts fit beside the gateway";
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 5);
}

TEST_F(CoreTest, NodeWithoutEspIsToldWhyAndNeverBecomesAMember) {
    (void)own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2", 1, {});
    ASSERT_TRUE(create("net1", {"encrypted"}));
    EXPECT_THAT(connect(w1, "net1", "a").error(), HasSubstr("CONFIG_INET_ESP is missing"));
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 0);
    EXPECT_EQ(w1.agent->last(v1::FromManager::kSnapshot), nullptr);
}

TEST_F(CoreTest, MembersOfANetworkAreOfOneFamily) {
    const auto m1 = own_session();
    const auto w6 = begin_session(join("w6", "2001:db8::2"), "2001:db8::2");
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    EXPECT_THAT(
        connect(w6, "net1", "b").error(),
        HasSubstr("network 'net1' goes over IPv4 (a member's data address is 192.0.2.1), but node 'w6' has the data "
                  "address 2001:db8::2: all members must be of one family"));
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 1);
    ASSERT_TRUE(create("net2", {"encrypted"}));
    EXPECT_EQ(connect(w6, "net2", "b").error(), "") << "a network of its own is fine";
}

TEST_F(CoreTest, NetworkInUseStaysAndTheErrorNamesTheUser) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1"));
    ASSERT_EQ(connect(m1, "net1", "web").error(), "");
    v1::NetworkRemoveRequest request;
    request.set_network("net1");
    const auto refused = core_->network_remove(request);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("in use by 1 endpoint (web on m1)"));
    ASSERT_EQ(disconnect(m1, "net1", "web").error(), "");
    EXPECT_NE(m1.agent->last(v1::FromManager::kGone), nullptr);
    ASSERT_TRUE(core_->network_remove(request));
    EXPECT_NE(create("net2")->vnis(0), 0x570000U) << "a freed VNI rests for a day";
    now_ += 25h;
    EXPECT_EQ(create("net3")->vnis(0), 0x570000U);
}

TEST_F(CoreTest, EndpointOfAnotherNodeCantBeDisconnected) {
    const auto m1 = own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(create("net1"));
    ASSERT_EQ(connect(w1, "net1", "web").error(), "");
    EXPECT_THAT(disconnect(m1, "net1", "web").error(), HasSubstr("is on node 'w1'"));
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 1);
    EXPECT_EQ(counted("refused other-node"), 1U);
    EXPECT_EQ(kinds().back(), "refused");
    EXPECT_NE(disconnect(m1, "net1", "nosuch").error(), "");
    EXPECT_EQ(counted("refused other-node"), 1U) << "a mistake is no attack";
}

TEST_F(CoreTest, RebootAndRejoinGiveNewMembershipIds) {
    auto m1 = own_session();
    const auto worker = join("w1", "192.0.2.2");
    auto w1 = begin_session(worker, "192.0.2.2", 1);
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(w1, "net1", "a").error(), "");
    const auto membership = [](const Joined& of) {
        return of.agent->last(v1::FromManager::kSnapshot)->snapshot().content().members(0).membership_id();
    };
    const auto first = membership(w1);
    w1 = begin_session(worker, "192.0.2.2", 1);
    EXPECT_EQ(membership(w1), first) << "the daemon's restart changes nothing";
    w1 = begin_session(worker, "192.0.2.2", 2);
    const auto second = membership(w1);
    EXPECT_NE(second, first) << "a reboot does";
    ASSERT_EQ(disconnect(w1, "net1", "a").error(), "");
    ASSERT_EQ(connect(w1, "net1", "a").error(), "");
    EXPECT_NE(membership(w1), second) << "and so does leaving";
}

// SAs are between addresses: those of the old one are worth nothing at the new one, and their keys may not come again.
TEST_F(CoreTest, AnotherDataAddressGivesANewMembershipId) {
    const auto m1 = own_session();
    const auto worker = join("w1", "192.0.2.2");
    const auto w1 = begin_session(worker, "192.0.2.2");
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    ASSERT_EQ(connect(w1, "net1", "b").error(), "");
    const auto first = told_membership(m1, worker);
    (void)begin_session(worker, "192.0.2.22");
    const auto second = told_membership(m1, worker);
    EXPECT_NE(second, first);
    const auto& delta = m1.agent->last(v1::FromManager::kDelta)->delta();
    ASSERT_EQ(delta.members_size(), 1);
    EXPECT_EQ(delta.members(0).vtep(), raw(ip("192.0.2.22"))) << "m1 hears of both at once";
    EXPECT_EQ(events().events(events().events_size() - 1).text(), "is a member anew: its data address changed");
    const auto told = m1.agent->messages.size();
    const auto again = begin_session(worker, "192.0.2.22");
    EXPECT_EQ(told_membership(again, worker), second) << "the same address and boot are the same membership";
    EXPECT_EQ(m1.agent->messages.size(), told);
}

TEST_F(CoreTest, StateSurvivesTheManager) {
    auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    const auto secret = m1.agent->last(v1::FromManager::kSnapshot)->snapshot().content().epochs(0).secret();
    open();
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 1);
    m1 = own_session();
    const auto* snapshot = m1.agent->last(v1::FromManager::kSnapshot);
    ASSERT_NE(snapshot, nullptr);
    EXPECT_TRUE(snapshot->snapshot().content().epochs(0).secret() == secret);
}

TEST_F(CoreTest, LabelsSurviveTheManager) {
    (void)own_session();
    v1::NetworkCreateRequest request;
    request.set_name("net1");
    request.add_labels("team=web=1");
    request.add_labels("bare");
    ASSERT_TRUE(core_->network_create(request));
    open();
    EXPECT_THAT(inspect().labels(),
                testing::UnorderedElementsAre(testing::Pair("team", "web=1"), testing::Pair("bare", "")));
}

TEST_F(CoreTest, AcknowledgementsOfTheFutureCountNothing) {
    const auto [m1, w1, network] = two_members();
    say_applied(w1, network, told_membership(w1, w1.node), 1'000'000);
    EXPECT_EQ(core_->key_status({})->networks(0).members(1).installed_epoch(), 0U);
}

// It would open the barrier: keys come into use that the other has not got.
TEST_F(CoreTest, AcknowledgementsInTheNameOfAnotherAreRefusedAndCountNothing) {
    const auto [m1, w1, network] = two_members();
    acknowledge(w1);
    v1::KeyRotateRequest rotate;
    rotate.set_network("net1");
    ASSERT_TRUE(core_->key_rotate(rotate, [](const auto& /*progress*/) {}));
    (void)core_->run();
    acknowledge(w1);
    const auto revision = core_->network_list({})->networks(0).revision();
    say_applied(w1, network, told_membership(w1, m1.node), revision);
    EXPECT_EQ(core_->key_status({})->networks(0).active_epoch(), 1U) << "m1 has said nothing";
    EXPECT_EQ(core_->key_status({})->networks(0).members(0).installed_epoch(), 1U);
    EXPECT_EQ(counted("refused other-node"), 1U);
    const auto told = events();
    const auto& last = told.events(told.events_size() - 1);
    EXPECT_EQ(last.kind(), "refused");
    EXPECT_EQ(last.by(), "node w1");
    EXPECT_THAT(last.text(), HasSubstr("an acknowledgement for network net1 in the name of node m1"));

    say_applied(w1, network, 4711, revision);
    EXPECT_EQ(counted("refused other-node"), 1U) << "one that was its own once is late, and no lie";
    say_applied(m1, network, told_membership(m1, m1.node), revision);
    EXPECT_EQ(core_->key_status({})->networks(0).active_epoch(), 2U) << "the same from m1 itself counts";
}

TEST_F(CoreTest, SilentSessionsEnd) {
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    now_ += 16s;
    (void)core_->run();
    ASSERT_TRUE(w1.agent->closed);
    EXPECT_EQ(w1.agent->closed->code(), Code::kUnavailable);
}

TEST_F(CoreTest, ARepairOnANodeIsAnEventAndManyAreCounted) {
    const auto [m1, w1, network] = two_members();
    v1::FromAgent message;
    message.mutable_repaired()->set_network_id(raw(base::parse_id<base::NetworkId>("id", network.id()).value()));
    message.mutable_repaired()->set_what("4 IPsec policies\nand more");
    core_->session_message(w1.session, message);
    const auto all = events();
    const auto& last = all.events(all.events_size() - 1);
    EXPECT_EQ(last.kind(), "repaired");
    EXPECT_EQ(last.node(), "w1");
    EXPECT_EQ(last.network(), "net1");
    EXPECT_EQ(last.text(), "4 IPsec policies?and more");
    const auto before = events().events_size();
    for (int i = 0; i < 1000; ++i) {
        core_->session_message(w1.session, message);
    }
    EXPECT_LT(events().events_size(), before + 12) << "a node pushes out what others told";
    now_ += 1min;
    v1::FromAgent beat;
    beat.mutable_heartbeat();
    core_->session_message(w1.session, beat);
    core_->session_message(w1.session, message);
    const auto after = events();
    EXPECT_THAT(after.events(after.events_size() - 1).text(), HasSubstr("more before)"));
}

TEST_F(CoreTest, ARepairOfANetworkThatIsNotTheNodesIsNone) {
    const auto m1 = own_session();
    const auto network = create("net1", {"encrypted"}).value();
    const auto before = events().events_size();
    v1::FromAgent message;
    message.mutable_repaired()->set_network_id(raw(base::parse_id<base::NetworkId>("id", network.id()).value()));
    core_->session_message(m1.session, message);
    message.mutable_repaired()->set_network_id("no id");
    core_->session_message(m1.session, message);
    EXPECT_EQ(events().events_size(), before);
}

v1::FromAgent question_to(const base::NodeId& node, const v1::Network& network) {
    v1::FromAgent message;
    auto& question = *message.mutable_peer_question();
    question.set_id(7);
    question.set_node_id(raw(node));
    question.set_network_id(raw(base::parse_id<base::NetworkId>("id", network.id()).value()));
    question.set_run(99);
    question.set_probes(true);
    return message;
}

TEST_F(CoreTest, MembersOfANetworkAskEachOther) {
    const auto [m1, w1, network] = two_members();
    core_->session_message(w1.session, question_to(m1.node, network));
    const auto* asked = m1.agent->last(v1::FromManager::kPeerQuestion);
    ASSERT_NE(asked, nullptr);
    EXPECT_EQ(asked->peer_question().node_id(), raw(w1.node)) << "whoever it says it is";
    EXPECT_EQ(asked->peer_question().run(), 99U);
    v1::FromAgent message;
    auto& answer = *message.mutable_peer_answer();
    answer.set_id(asked->peer_question().id());
    answer.set_node_id(asked->peer_question().node_id());
    answer.set_probes(5);
    core_->session_message(m1.session, message);
    const auto* answered = w1.agent->last(v1::FromManager::kPeerAnswer);
    ASSERT_NE(answered, nullptr);
    EXPECT_EQ(answered->peer_answer().id(), 7U);
    EXPECT_EQ(answered->peer_answer().node_id(), raw(m1.node));
    EXPECT_EQ(answered->peer_answer().probes(), 5U);
    EXPECT_EQ(answered->peer_answer().error(), "");
}

TEST_F(CoreTest, AQuestionThatCannotBeHandedOnIsAnsweredWithTheReason) {
    const auto [m1, w1, network] = two_members();
    const auto stranger = begin_session(join("w2", "192.0.2.3"), "192.0.2.3");
    const auto refused = [&](const auto& asker) {
        const auto* answer = asker.agent->last(v1::FromManager::kPeerAnswer);
        return answer == nullptr ? "nothing" : answer->peer_answer().error();
    };
    core_->session_message(stranger.session, question_to(m1.node, network));
    EXPECT_EQ(refused(stranger), "only members of a network ask each other");
    core_->session_message(w1.session, question_to(stranger.node, network));
    EXPECT_EQ(refused(w1), "only members of a network ask each other");
    core_->session_closed(m1.session);
    core_->session_message(w1.session, question_to(m1.node, network));
    EXPECT_EQ(refused(w1), "it has no session with the manager");
    EXPECT_EQ(m1.agent->last(v1::FromManager::kPeerQuestion), nullptr);
}

TEST_F(CoreTest, OnlyWhoSharesANetworkIsAnswered) {
    const auto [m1, w1, network] = two_members();
    const auto stranger = begin_session(join("w2", "192.0.2.3"), "192.0.2.3");
    v1::FromAgent message;
    message.mutable_peer_answer()->set_node_id(raw(stranger.node));
    core_->session_message(w1.session, message);
    EXPECT_EQ(stranger.agent->last(v1::FromManager::kPeerAnswer), nullptr);
    message.mutable_peer_answer()->set_node_id(raw(m1.node));
    message.mutable_peer_answer()->set_error(std::string(1 << 20, 'x'));
    core_->session_message(w1.session, message);
    EXPECT_EQ(m1.agent->last(v1::FromManager::kPeerAnswer), nullptr) << "a manager's memory is not a peer's to fill";
}

TEST_F(CoreTest, ANodeThatAsksWithoutEndIsNotHandedOnWithoutEnd) {
    const auto [m1, w1, network] = two_members();
    const auto before = m1.agent->messages.size();
    for (int i = 0; i < 10'000; ++i) {
        core_->session_message(w1.session, question_to(m1.node, network));
    }
    EXPECT_LE(m1.agent->messages.size() - before, 1000U);
}

TEST_F(CoreTest, AHeartbeatIsAnsweredWithTheTime) {
    const auto m1 = own_session();
    v1::FromAgent beat;
    beat.mutable_heartbeat();
    core_->session_message(m1.session, beat);
    EXPECT_EQ(m1.agent->last(v1::FromManager::kHeartbeat)->heartbeat().now_unix_ms(), unix_ms(now_));
}

TEST_F(CoreTest, NobodyHasBeenSilentBecauseTheClockWasSet) {
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    for (const auto by : {1h, -2h}) {
        now_ += 10s;
        set_clock(by);
        (void)core_->run();
        EXPECT_FALSE(w1.agent->closed) << base::format_age(by);
        v1::FromAgent beat;
        beat.mutable_heartbeat();
        core_->session_message(w1.session, beat);
    }
    now_ += 16s;
    (void)core_->run();
    EXPECT_TRUE(w1.agent->closed) << "and who is, is found out";
}

TEST_F(CoreTest, ANewerSessionReplacesTheOlderOne) {
    const auto node = join("w1", "192.0.2.2");
    const auto older = begin_session(node, "192.0.2.2");
    const auto newer = begin_session(node, "192.0.2.2");
    EXPECT_TRUE(older.agent->closed);
    EXPECT_FALSE(newer.agent->closed);
    core_->session_closed(older.session);
    v1::NodeInspectRequest request;
    request.set_node("w1");
    EXPECT_EQ(core_->node_inspect(request)->state(), "ready") << "the end of the old one is not the end of the new one";
}

TEST_F(CoreTest, SecretsAreSealedAtRest) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    const auto secret = m1.agent->last(v1::FromManager::kSnapshot)->snapshot().content().epochs(0).secret();
    v1::TokenShowRequest which;
    which.set_role("worker");
    const auto token = certs::parse_join_token("token", core_->token_show(which)->token()).value().secret;
    const auto bytes = token.reveal();
    const std::string token_secret(bytes.begin(), bytes.end());
    const auto all = cluster_.store->range("");
    ASSERT_TRUE(all);
    ASSERT_GT(all->items.size(), 5U);
    for (const auto& item : all->items) {
        EXPECT_EQ(item.value.find(secret), std::string::npos) << item.key;
        EXPECT_EQ(item.value.find(token_secret), std::string::npos) << item.key;
    }
}

TEST_F(CoreTest, AnEndpointWhoseContainerVanishedIsToldOf) {
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(create("net1"));
    ASSERT_EQ(connect(w1, "net1", "a").error(), "");
    ASSERT_EQ(connect(w1, "net1", "b").error(), "");
    ASSERT_EQ(disconnect(w1, "net1", "b", true).error(), "");
    EXPECT_EQ(kinds().back(), "endpoint-gone");
    const auto all = events();
    const auto& gone = all.events(all.events_size() - 1);
    EXPECT_THAT(gone.text(), HasSubstr("released the endpoint b: its container's namespace "));
    EXPECT_EQ(gone.node(), "w1");
    ASSERT_EQ(disconnect(w1, "net1", "a").error(), "");
    EXPECT_EQ(kinds().back(), "member-left");
}

TEST_F(CoreTest, EventsTellTheStoryOfANetwork) {
    core_->set_caller("uid 0, pid 4711");
    const auto m1 = own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    ASSERT_EQ(connect(w1, "net1", "b").error(), "");
    acknowledge(m1);
    acknowledge(w1);
    rotate_whole("net1", m1, w1);
    ASSERT_EQ(disconnect(w1, "net1", "b").error(), "");
    EXPECT_THAT(kinds(), ElementsAre("node-joined", "node-joined", "network-created", "member-joined", "member-joined",
                                     "rotation-requested", "epoch-installing", "epoch-active", "epoch-retired",
                                     "member-left", "rotation-requested", "epoch-installing"));
    const auto asked = events().events(5);
    EXPECT_EQ(asked.by(), "uid 0, pid 4711");
    EXPECT_EQ(asked.network(), "net1");
    EXPECT_EQ(asked.epoch(), 2U);
    EXPECT_EQ(events().events(9).node(), "w1");
    EXPECT_EQ(events().events(11).text(), "epoch 3 is being installed: member-left");
    const auto before = events().last();
    open();
    EXPECT_EQ(events().last(), before) << "a manager that begins tells nothing twice";
}

TEST_F(CoreTest, AnSaAtItsLimitIsToldOnceHoweverOftenAnAgentSaysSo) {
    const auto m1 = own_session();
    const auto network = create("net1", {"encrypted"}).value();
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    v1::FromAgent message;
    auto& request = *message.mutable_rotation_request();
    request.set_network_id(raw(base::parse_id<base::NetworkId>("id", network.id()).value()));
    request.set_epoch(1);
    request.set_limit(true);
    for (int i = 0; i < 100; ++i) {
        core_->session_message(m1.session, message);
        (void)core_->run();
    }
    const auto all = kinds();
    EXPECT_EQ(std::count(all.begin(), all.end(), "limit-reached"), 1);
    EXPECT_THAT(events().events(3).text(), HasSubstr("an SA of epoch 1 has come near its limit"));
    EXPECT_EQ(events().events(3).node(), "m1");
}

// A refused change tells nothing, and refusals are bounded.
TEST_F(CoreTest, RefusalsAreToldAndLimited) {
    EXPECT_FALSE(create("net/1"));
    EXPECT_THAT(kinds(), ElementsAre("node-joined"));
    for (int i = 0; i < 1000; ++i) {
        core_->note_refusal(Refusal::kNoCertificate, "ipv4:198.51.100.7:1234",
                            base::Error(Code::kDenied, "needs a client certificate"));
    }
    (void)core_->run();
    const auto all = kinds();
    EXPECT_LT(std::count(all.begin(), all.end(), "refused"), 10);
    EXPECT_EQ(events().events(1).by(), "ipv4:198.51.100.7:1234");
}

}  // namespace
}  // namespace warren::manager
