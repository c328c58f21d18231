#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <csignal>
#include <vector>

#include "base/files.h"
#include "base/text.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

std::vector<v1::Event> parse_events(const std::string& lines) {
    std::vector<v1::Event> events;
    for (const auto line : base::split(lines, '\n')) {
        v1::Event event;
        if (google::protobuf::util::JsonStringToMessage(std::string(line), &event).ok()) {
            events.push_back(event);
        }
    }
    return events;
}

std::vector<v1::Event> events_of(const Host& manager) {
    return manager.ask_all<v1::Event>({"events"});
}

// The manager is killed while somebody follows its events: each is shown, once, in order.
TEST(Events, AFollowerMissesNothingOverARestartOfTheManager) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    const auto shown = lab->artefacts() / "followed.json";
    Process follower(manager.warren_command({"events", "--follow", "--since", "1h", "--format", "json"}),
                     {.netns = manager.name(), .out_file = shown});
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    manager.warren_ok({"key", "rotate", "net1"});
    const auto before = events_of(manager).size();

    manager.kill_daemon(SIGKILL);
    manager.start_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] { return settled(lab->host(1)) && settled(lab->host(2)); }));
    manager.warren_ok({"key", "rotate", "net1"});

    const auto all = events_of(manager);
    EXPECT_GT(all.size(), before);
    std::vector<v1::Event> followed;
    EXPECT_TRUE(eventually(seconds(10), [&] {
        followed = parse_events(base::read_file(shown).value());
        return followed.size() >= all.size();
    }));
    ASSERT_EQ(followed.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(followed[i].sequence(), i + 1);
        EXPECT_EQ(followed[i].ShortDebugString(), all[i].ShortDebugString());
    }
    follower.signal(SIGINT);
    EXPECT_EQ(follower.wait().code, 0);
}

// Who asked, and who was refused.
TEST(Events, SayWhoAskedAndWhoWasRefused) {
    const auto lab = cluster_of(1);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    EXPECT_NE(events_of(manager).back().by().find("uid 0"), std::string::npos) << events_of(manager).back().by();

    const auto token = manager.ask<v1::TokenShowReply>({"token", "show", "worker"}).token();
    manager.warren_ok({"token", "rotate", "worker"});
    auto& stranger = lab->add_host();
    stranger.start_daemon();
    EXPECT_FALSE(stranger.warren({"cluster", "join", "--token", token, manager.address()}).ok());
    const auto last = events_of(manager).back();
    EXPECT_EQ(last.kind(), "refused");
    EXPECT_NE(last.by().find(stranger.address()), std::string::npos) << last.by();
    EXPECT_NE(last.text().find("the join token was replaced"), std::string::npos) << last.text();
}

}  // namespace
}  // namespace warren::lab
