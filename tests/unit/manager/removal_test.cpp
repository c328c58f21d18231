#include "manager/changes.h"
#include "manager/key_record.h"
#include "tests/unit/manager/core_fixture.h"

// A node that was removed, or left: what it may do from then on, what becomes of what it had and of what it knew.
namespace warren::manager {
namespace {

using base::Code;
using testing::HasSubstr;
using testing::IsEmpty;

class Removal : public CoreTest {
  protected:
    // What a call of NodeRemove is told.
    struct Told {
        std::optional<base::Error> refused;
        std::vector<v1::NodeRemoveProgress> reports;

        [[nodiscard]] bool done() const { return !reports.empty() && reports.back().done(); }
        // Of the last report: "net1: w1", for each member that has not confirmed.
        [[nodiscard]] std::vector<std::string> unconfirmed() const {
            std::vector<std::string> found;
            for (const auto& purge : reports.back().networks()) {
                for (const auto& node : purge.unconfirmed()) {
                    found.push_back(purge.network() + ": " + node);
                }
            }
            return found;
        }
    };
    std::shared_ptr<Told> remove(const std::string& node, bool force = false) {
        auto told = std::make_shared<Told>();
        v1::NodeRemoveRequest request;
        request.set_node(node);
        request.set_force(force);
        const auto watch = core_->node_remove(request, [told](const auto& report) { told->reports.push_back(report); });
        if (!watch) {
            told->refused = watch.error();
        }
        (void)core_->run();
        return told;
    }
    [[nodiscard]] certs::Identity identity(const base::NodeId& node) const {
        return {.cluster = founded_.cluster, .node = node, .role = certs::Role::kWorker};
    }
    [[nodiscard]] std::vector<std::uint32_t> epochs() {
        std::vector<std::uint32_t> numbers;
        const auto list = core_->key_list({}).value();
        for (const auto& epoch : list.epochs()) {
            numbers.push_back(epoch.epoch());
        }
        return numbers;
    }
    // The whole store, decoded: what another manager would go by.
    [[nodiscard]] Cluster state() const {
        Cluster state;
        const auto all = cluster_.store->range("").value();
        for (const auto& item : all.items) {
            EXPECT_TRUE(state.put(item.key, item.value, item.mod_revision));
        }
        return state;
    }
    void acknowledge_all(const std::vector<Joined>& nodes, int rounds = 4) {
        for (int i = 0; i < rounds; ++i) {
            for (const auto& node : nodes) {
                acknowledge(node);
            }
        }
    }

    // Three nodes with an endpoint each in an encrypted network, all talking in its first epoch.
    struct Trio {
        Joined m1, w1, w2;
    };
    Trio trio() {
        Trio nodes{.m1 = own_session(),
                   .w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2"),
                   .w2 = begin_session(join("w2", "192.0.2.3"), "192.0.2.3")};
        EXPECT_TRUE(create("net1", {"encrypted"}));
        EXPECT_EQ(connect(nodes.m1, "net1", "a").error(), "");
        EXPECT_EQ(connect(nodes.w1, "net1", "b").error(), "");
        EXPECT_EQ(connect(nodes.w2, "net1", "c").error(), "");
        acknowledge_all({nodes.m1, nodes.w1, nodes.w2});
        return nodes;
    }
};

TEST_F(Removal, EndsTheSessionAndRefusesTheCertificateForEver) {
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(core_->check_caller(identity(w1.node)));
    ASSERT_TRUE(remove("w1")->done());
    ASSERT_TRUE(w1.agent->closed);
    EXPECT_EQ(w1.agent->closed->code(), Code::kDenied);
    for (int manager = 0; manager < 2; ++manager) {
        const auto refused = core_->session_opened(identity(w1.node), std::make_shared<Agent>());
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Code::kDenied);
        EXPECT_THAT(refused.error().message(), HasSubstr("node 'w1' was removed from the cluster on "));
        EXPECT_EQ(core_->check_caller(identity(w1.node)).error().code(), Code::kDenied);
        EXPECT_EQ(core_->leave(identity(w1.node), {}).error().code(), Code::kNotFound);
        open();  // the next manager knows as much
        now_ += 24h * 400;
    }
}

TEST_F(Removal, FreesNameAndAddressButNotTheIdNorYetTheIndex) {
    const auto first = join("w1", "192.0.2.2");
    ASSERT_TRUE(remove(first.text())->done());
    const auto second = join("w1", "192.0.2.2");
    EXPECT_NE(second, first);
    EXPECT_TRUE(core_->check_caller(identity(second)));
    EXPECT_FALSE(core_->check_caller(identity(first)));
    EXPECT_EQ(core_->node_list({})->nodes(1).index(), 3U) << "peers may still have SPIs with the index of the first";
}

TEST_F(Removal, OfManagersOneselfAndHostsInUseIsRefusedWithTheWayOut) {
    const auto nodes = trio();
    const auto before = cluster_.store->range("").value().revision;
    const auto last = remove("m1", true);
    ASSERT_TRUE(last->refused);
    EXPECT_THAT(last->refused->message(), HasSubstr("the cluster's only manager"));
    EXPECT_THAT(last->refused->message(), HasSubstr("warren cluster leave --force"));
    const auto in_use = remove("w2");
    ASSERT_TRUE(in_use->refused);
    EXPECT_EQ(in_use->refused->message(), "node 'w2' has 1 endpoint (c in net1): disconnect it there, or use --force");
    EXPECT_EQ(core_->leave(identity(nodes.w2.node), {}).error(), *in_use->refused);
    EXPECT_EQ(remove("w9")->refused->code(), Code::kNotFound);
    EXPECT_EQ(cluster_.store->range("").value().revision, before);

    // With a second manager the first may go, but not by its own command.
    auto cluster = state();
    v1::NodeRecord other;
    other.set_role("manager");
    ASSERT_TRUE(cluster.put(key::node(base::random_id<base::NodeId>()), other.SerializeAsString(), before));
    NodeRemoval removal{.node = founded_.node, .asked_of = founded_.node, .force = true};
    EXPECT_THAT(remove_node(cluster, removal, now_).error().message(),
                HasSubstr("is this one: run warren cluster leave"));
    removal.by_itself = true;
    EXPECT_TRUE(remove_node(cluster, removal, now_));
}

TEST_F(Removal, TakesWhatTheNodeHadAndTellsTheMembersAtOnce) {
    const auto nodes = trio();
    (void)remove("w2", true);
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 2);
    bool told = false;
    for (const auto& message : nodes.w1.agent->messages) {
        told = told || (message.has_delta() && message.delta().members_gone_size() == 1 &&
                        message.delta().endpoints_gone_size() == 1);
    }
    EXPECT_TRUE(told);
}

TEST_F(Removal, IsDoneWhenEveryMemberHasDeletedWhatTheNodeKnewWithoutAnyGrace) {
    const auto nodes = trio();
    const auto told = remove("w2", true);
    const auto known_before = nodes.w2.agent->messages.size();
    EXPECT_FALSE(told->done());
    EXPECT_EQ(told->unconfirmed().size(), 2U);
    acknowledge_all({nodes.m1}, 8);
    EXPECT_FALSE(told->done()) << "w1 has not changed over";
    acknowledge_all({nodes.m1, nodes.w1});
    ASSERT_TRUE(told->done());
    EXPECT_THAT(told->unconfirmed(), IsEmpty());
    EXPECT_EQ(epochs(), std::vector<std::uint32_t>{2});
    EXPECT_EQ(nodes.w2.agent->messages.size(), known_before) << "it hears of nothing any more, least of all of keys";
}

TEST_F(Removal, ListsWhoCannotConfirmUntilTheyDo) {
    const auto nodes = trio();
    core_->session_closed(nodes.w1.session);
    const auto told = remove("w2", true);
    now_ += 6s;  // longer than anybody who is away is waited for
    acknowledge_all({nodes.m1});
    ASSERT_TRUE(told->done());
    EXPECT_EQ(told->unconfirmed(), std::vector<std::string>{"net1: w1"});
    EXPECT_EQ(epochs(), std::vector<std::uint32_t>{2}) << "nobody keeps an epoch for it that the removed node knew";

    const auto back = begin_session(nodes.w1.node, "192.0.2.2");
    const auto asked = remove("w2");
    EXPECT_EQ(asked->unconfirmed(), std::vector<std::string>{"net1: w1"}) << "back, but not through yet";
    EXPECT_FALSE(asked->done());
    acknowledge_all({nodes.m1, back});
    ASSERT_TRUE(asked->done());
    EXPECT_THAT(asked->unconfirmed(), IsEmpty());
}

TEST_F(Removal, AClockThatIsSetGivesNobodyUp) {
    const auto nodes = trio();
    const auto told = remove("w2", true);
    set_clock(1h);
    acknowledge_all({nodes.m1}, 1);
    EXPECT_FALSE(told->done()) << "w1 had no time to confirm";
    acknowledge_all({nodes.m1, nodes.w1});
    EXPECT_TRUE(told->done());
    EXPECT_THAT(told->unconfirmed(), IsEmpty());
}

TEST_F(Removal, AMemberThatIsSilentIsGivenUpInTheEnd) {
    const auto nodes = trio();
    const auto told = remove("w2", true);
    for (int second = 0; second < 160 && !told->done(); ++second) {
        now_ += 1s;
        v1::FromAgent beat;
        beat.mutable_heartbeat();
        core_->session_message(nodes.w1.session, beat);
        acknowledge_all({nodes.m1}, 1);
    }
    ASSERT_TRUE(told->done());
    EXPECT_EQ(told->unconfirmed(), std::vector<std::string>{"net1: w1"});
}

// Who left a network a moment ago still knows its keys: the rotation for that may wait, the one for a removal must not.
TEST_F(Removal, CountsKeysOfNetworksThatTheNodeHadLeft) {
    const auto nodes = trio();
    ASSERT_EQ(disconnect(nodes.w1, "net1", "b").error(), "");
    acknowledge_all({nodes.m1, nodes.w2});
    now_ += 10s;
    acknowledge_all({nodes.m1, nodes.w2});
    ASSERT_EQ(epochs(), std::vector<std::uint32_t>{2});
    ASSERT_EQ(disconnect(nodes.w2, "net1", "c").error(), "");  // less than a minute after: its rotation waits
    const auto told = remove("w2");
    ASSERT_EQ(told->reports.back().networks_size(), 1);
    EXPECT_EQ(told->reports.back().networks(0).epoch(), 3U);
    EXPECT_FALSE(told->done());
    acknowledge_all({nodes.m1});
    EXPECT_TRUE(told->done());
    EXPECT_THAT(told->unconfirmed(), IsEmpty());
    EXPECT_EQ(epochs(), std::vector<std::uint32_t>{3});

    // w1 left before: what it knew is gone already, and nothing has to be rotated for it.
    EXPECT_TRUE(remove("w1")->done());
    EXPECT_EQ(epochs(), std::vector<std::uint32_t>{3});
}

TEST_F(Removal, GoesOnAfterAManagerDiedInTheMiddle) {
    (void)trio();
    const auto before = state();
    const auto w2 = before.find_node("w2").value();
    const auto first = remove_node(before, {.node = w2, .asked_of = founded_.node, .force = true}, now_).value();
    ASSERT_TRUE(cluster_.store->commit(first)->succeeded());
    ASSERT_EQ(state().networks().begin()->second.endpoints.size(), 3U) << "the first of two changes is made";
    open();
    (void)core_->run();
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 2);
    EXPECT_EQ(core_->network_list({})->networks(0).members(), 2U);
    EXPECT_TRUE(state().removed(w2)->record.to_clear().empty());
    EXPECT_EQ(state().networks().begin()->second.keys.record.revoked_below(), 2U);
}

// A transaction of the store has its limits; a node's endpoints have none.
TEST_F(Removal, TakesAnyNumberOfEndpoints) {
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/16"));
    for (int i = 0; i < 130; ++i) {
        ASSERT_EQ(connect(w1, "net1", fmt::format("c{}", i)).error(), "");
    }
    ASSERT_TRUE(remove("w1", true)->done());
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 0);
    EXPECT_EQ(core_->network_list({})->networks(0).members(), 0U);
}

// Another manager may let the node connect something between the check and the commit.
TEST_F(Removal, DoesNotSlipPastAnEndpointThatComesMeanwhile) {
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(create("net1"));
    const auto removal = remove_node(state(), {.node = w1.node, .asked_of = founded_.node}, now_).value();
    ASSERT_EQ(connect(w1, "net1", "a").error(), "");
    EXPECT_FALSE(cluster_.store->commit(removal)->succeeded());
}

TEST_F(Removal, LeavingIsTheSameByTheNodeItself) {
    const auto nodes = trio();
    v1::LeaveRequest request;
    request.set_force(true);
    ASSERT_TRUE(core_->leave(identity(nodes.w2.node), request));
    (void)core_->run();
    EXPECT_TRUE(nodes.w2.agent->closed);
    acknowledge_all({nodes.m1, nodes.w1});
    EXPECT_EQ(epochs(), std::vector<std::uint32_t>{2});
    EXPECT_EQ(core_->node_list({})->nodes_size(), 2);
    const auto own = certs::Identity{.cluster = founded_.cluster, .node = founded_.node, .role = certs::Role::kManager};
    EXPECT_EQ(core_->leave(own, request).error().code(), Code::kPrecondition) << "the only manager stays";
}

TEST_F(Removal, ACertificateOfAnotherRoleThanTheNodeHasCountsNothing) {
    const auto w1 = join("w1", "192.0.2.2");
    auto forged = identity(w1);
    forged.role = certs::Role::kManager;
    EXPECT_EQ(core_->check_caller(forged).error().code(), Code::kDenied);
    auto foreign = identity(w1);
    foreign.cluster = base::random_id<base::ClusterId>();
    EXPECT_EQ(core_->check_caller(foreign).error().code(), Code::kDenied);
    EXPECT_EQ(core_->check_caller(identity(base::random_id<base::NodeId>())).error().code(), Code::kDenied);
}

}  // namespace
}  // namespace warren::manager
