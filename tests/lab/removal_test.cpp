#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_state.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// A node that is removed, or leaves, with a real kernel full of keys.
namespace warren::lab {
namespace {

using std::chrono::seconds;

// Neither side of a session can say anything to the other.
class CutOffFromManager {
  public:
    explicit CutOffFromManager(const Host& host) : host_(&host) {
        host.must({"nft",
                   "table inet lab { chain in { type filter hook input priority 0; tcp sport 7443 drop; }; "
                   "chain out { type filter hook output priority 0; tcp dport 7443 drop; }; }"});
    }
    CutOffFromManager(const CutOffFromManager&) = delete;
    CutOffFromManager& operator=(const CutOffFromManager&) = delete;
    ~CutOffFromManager() { host_->run({"nft", "delete", "table", "inet", "lab"}); }

  private:
    const Host* host_;
};

// What the host has of warren: problems in its status, one a line.
std::string problems(const Host& host) {
    std::string text;
    const auto status = host.ask<v1::StatusReply>({"status"});
    for (const auto& problem : status.problems()) {
        text += problem + "\n";
    }
    return text;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(Removal, ARemovedNodeGetsNothingThroughAndCannotComeBack) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    auto& removed = lab->host(3);
    const auto untouched = kernel_state(removed);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    auto containers = containers_on_all(*lab, "net1");
    const auto& c1 = containers[0];
    const auto& c3 = containers[2];
    const auto former_ip = c3.ip();
    const auto own_keys = key_fingerprints(removed);
    auto known = own_keys;  // and what it can derive: all keys of the epoch
    for (const unsigned number : {1U, 2U}) {
        known.merge(key_fingerprints(lab->host(number)));
    }
    const auto old_id = removed.ask<v1::ClusterInfoReply>({"cluster", "info"}).node_id();
    std::vector<Flood> floods;
    floods.emplace_back(lab->artefacts(), containers[0], containers[1]);
    ASSERT_TRUE(floods[0].flowing());

    {
        const CutOffFromManager cut(removed);
        const auto refused = manager.warren({"node", "rm", "h3"});
        EXPECT_EQ(refused.code, 1);
        EXPECT_EQ(refused.err, "warren: node 'h3' has 1 endpoint (c3 in net1): disconnect it there, or use --force\n");
        const auto done = manager.warren({"node", "rm", "--force", "h3"});
        ASSERT_EQ(done.code, 0) << done.out << done.err;
        EXPECT_EQ(losses(floods), "") << "others noticed";

        // It goes on as if nothing had happened, with all its keys.
        ASSERT_EQ(keys_in_both(own_keys, key_fingerprints(removed)), own_keys.size());
        for (const unsigned number : {1U, 2U}) {
            EXPECT_EQ(keys_in_both(known, key_fingerprints(lab->host(number))), 0U) << "h" << number;
            EXPECT_FALSE(contains(kernel_state(lab->host(number)), removed.address())) << "h" << number;
        }
        Capture wire(lab->artefacts(), "underlay", kUnderlay);
        Capture inside(lab->artefacts(), "c1", c1.interface(), c1.where());
        const auto no_states = xfrm_stat(manager).at("XfrmInNoStates");
        EXPECT_FALSE(c3.ping(c1.ip(), 3));
        EXPECT_FALSE(c1.ping(former_ip));

        removed.kill_daemon(SIGKILL);
        removed.start_daemon();
        EXPECT_FALSE(c3.ping(c1.ip(), 3));
        wire.stop();
        inside.stop();
        EXPECT_GE(wire.count("esp and src host " + removed.address()), 6U) << "it did not even try";
        EXPECT_EQ(wire.count("esp and dst host " + removed.address()), 0U);
        EXPECT_EQ(inside.count("src host " + former_ip), 0U) << inside.show("src host " + former_ip);
        EXPECT_GE(xfrm_stat(manager).at("XfrmInNoStates"), no_states + 6);
    }

    // Nor does it get in when it can talk to the manager again.
    ASSERT_TRUE(eventually(seconds(15), [&] {
        return contains(problems(removed), "refuses this node: node 'h3' was removed from the cluster on ");
    })) << problems(removed);
    EXPECT_FALSE(c3.ping(c1.ip(), 2));
    const auto again = join(*lab, removed);
    EXPECT_EQ(again.code, 1);
    EXPECT_TRUE(contains(again.err, "this host is in a cluster already")) << again.err;
    EXPECT_EQ(removed.warren({"network", "connect", "net1", "--netns", "c3", "--name", "again"}).code, 1);
    EXPECT_EQ(manager.ask<v1::NodeListReply>({"node", "ls"}).nodes_size(), 2);
    EXPECT_EQ(manager.ask<v1::EndpointListReply>({"endpoint", "ls"}).endpoints_size(), 2);

    // As another node it may, if somebody gives it a token.
    removed.warren_ok({"cluster", "leave"});
    EXPECT_EQ(missing_lines(kernel_state(removed), untouched), "") << "is left";
    ASSERT_EQ(join(*lab, removed).code, 0);
    EXPECT_NE(removed.ask<v1::ClusterInfoReply>({"cluster", "info"}).node_id(), old_id);
    removed.connect("net1", c3);
    EXPECT_TRUE(eventually(seconds(10), [&] { return c3.ping(c1.ip()); }));
}

// What the cluster's log has of this kind, which has to be one event.
v1::Event only_event(const Host& manager, const std::string& kind) {
    auto events = manager.ask_all<v1::Event>({"events"});
    std::erase_if(events, [&](const v1::Event& event) { return event.kind() != kind; });
    if (events.size() != 1) {
        throw std::runtime_error(fmt::format("{} events are {}", events.size(), kind));
    }
    return events.front();
}

// A node that hears of it: it has its session, and would keep it for ever.
TEST(Removal, EndsTheOpenSessionAtOnceAndTheLogSaysWhoAsked) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& removed = lab->host(2);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const Container spare("spare");
    const auto id = removed.ask<v1::ClusterInfoReply>({"cluster", "info"}).node_id();
    ASSERT_TRUE(settled(removed));

    manager.warren_ok({"node", "rm", "--force", "h2"});
    EXPECT_TRUE(eventually(seconds(3), [&] { return !removed.ask<v1::StatusReply>({"status"}).manager_connected(); }));
    EXPECT_TRUE(eventually(seconds(3), [&] { return contains(problems(removed), "refuses this node: "); }))
        << problems(removed);
    EXPECT_EQ(removed.warren({"network", "connect", "net1", "--netns", "spare"}).code, 1);
    EXPECT_FALSE(containers[1].ping(containers[0].ip()));

    const auto told = only_event(manager, "node-removed");
    EXPECT_EQ(told.node(), "h2");
    EXPECT_EQ(told.node_id(), id);
    EXPECT_TRUE(contains(told.by(), "uid 0")) << told.by();
}

TEST(Removal, MembersThatCannotConfirmAreNamedAndCutOffUntilTheyDo) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    auto& away = lab->host(2);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    auto containers = containers_on_all(*lab, "net1");
    away.kill_daemon(SIGKILL);
    ASSERT_TRUE(containers[0].ping(containers[1].ip())) << "without its daemon it goes on";

    const auto short_of = manager.warren({"node", "rm", "--force", "h3"});
    EXPECT_EQ(short_of.code, 1) << short_of.out;
    EXPECT_TRUE(
        contains(short_of.err, "could not confirm that the keys it knew are deleted: h2 (net1); they are cut off"))
        << short_of.err;
    EXPECT_FALSE(containers[0].ping(containers[1].ip(), 2));

    away.start_daemon();
    const auto whole = manager.warren({"node", "rm", "h3"});
    EXPECT_EQ(whole.code, 0) << whole.out << whole.err;
    EXPECT_TRUE(eventually(seconds(10), [&] { return containers[0].ping(containers[1].ip()); }));
    EXPECT_FALSE(containers[2].ping(containers[1].ip(), 2)) << "the removed one is in again";
}

TEST(Leave, TakesEverythingWithItAndSaysWhatNobodyKnows) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    const auto untouched = kernel_state(lab->host(2));
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    auto containers = containers_on_all(*lab, "net1");

    auto& polite = lab->host(2);
    const auto polite_id = polite.ask<v1::ClusterInfoReply>({"cluster", "info"}).node_id();
    const auto in_use = polite.warren({"cluster", "leave"});
    EXPECT_EQ(in_use.code, 1);
    EXPECT_EQ(in_use.err, "warren: node 'h2' has 1 endpoint (c2 in net1): disconnect it there, or use --force\n");
    EXPECT_TRUE(containers[0].ping(containers[1].ip())) << "a refused command has changed something";
    polite.warren_ok({"network", "disconnect", "net1", "c2"});
    EXPECT_EQ(polite.warren_ok({"cluster", "leave"}),
              "This node, h2, has left cluster warren; its keys and certificate are deleted.\n");
    EXPECT_EQ(missing_lines(kernel_state(polite), untouched), "") << "is left";
    EXPECT_FALSE(std::filesystem::exists(polite.state_dir() / "cluster"));
    EXPECT_EQ(polite.ask<v1::StatusReply>({"status"}).state(), "no-cluster");
    EXPECT_EQ(manager.ask<v1::NodeListReply>({"node", "ls"}).nodes_size(), 2);
    const auto told = only_event(manager, "node-left");
    EXPECT_EQ(told.node(), "h2");
    EXPECT_EQ(told.node_id(), polite_id);

    auto& lonely = lab->host(3);
    manager.stop_daemon();
    const auto unheard = lonely.warren({"cluster", "leave"});
    EXPECT_EQ(unheard.code, 1);
    EXPECT_TRUE(contains(unheard.err, "manager 192.0.2.1:7443 can't be reached")) << unheard.err;
    EXPECT_TRUE(contains(unheard.err, "warren node rm --force h3")) << unheard.err;
    EXPECT_TRUE(std::filesystem::exists(lonely.state_dir() / "cluster"));
    const auto forced = lonely.warren_ok({"cluster", "leave", "--force"});
    EXPECT_TRUE(contains(forced, "To be done: no manager knows of it")) << forced;
    EXPECT_EQ(sa_table(lonely).size(), 0U);
    EXPECT_FALSE(std::filesystem::exists(lonely.state_dir() / "cluster"));
    manager.start_daemon();
    manager.warren_ok({"node", "rm", "--force", "h3"});

    // The last one turns off the light.
    const auto last = manager.warren({"cluster", "leave"});
    EXPECT_EQ(last.code, 1);
    EXPECT_TRUE(contains(last.err, "is the cluster's only manager")) << last.err;
    manager.warren_ok({"cluster", "leave", "--force"});
    EXPECT_FALSE(std::filesystem::exists(manager.state_dir() / "cluster"));
    EXPECT_EQ(sa_table(manager).size(), 0U);
    manager.warren_ok({"cluster", "init", "--data-addr", manager.address(), "--node-name", "h1"});
    EXPECT_EQ(join(*lab, polite).code, 0);
}

}  // namespace
}  // namespace warren::lab
