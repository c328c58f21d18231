#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"

// What `warren doctor` says of hosts in order, and of hosts with one thing wrong.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// Finds those of one check and verdict: each "detail -> remedy".
std::vector<std::string> found(const v1::DoctorReply& reply, const std::string& check, const std::string& verdict) {
    std::vector<std::string> texts;
    for (const auto& finding : reply.findings()) {
        if (finding.check() == check && finding.verdict() == verdict) {
            texts.push_back(finding.detail() + " -> " + finding.remedy());
        }
    }
    return texts;
}

class Doctor : public testing::Test {
  protected:
    Doctor() {
        well_.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
        containers_ = containers_on_all(*lab_, "net1");
    }

    // What it finds wrong on a host; exit code 4 exactly when that is something.
    static std::string wrong(const Host& host) {
        const auto output = host.warren({"doctor"});
        const auto reply = host.ask<v1::DoctorReply>({"doctor"});
        std::string all;
        for (const auto& finding : reply.findings()) {
            if (finding.verdict() == "wrong") {
                all += finding.check() + ": " + finding.detail() + " -> " + finding.remedy() + "\n";
            }
        }
        EXPECT_EQ(output.code, all.empty() ? 0 : 4) << output.out << output.err;
        return all;
    }

    std::unique_ptr<Lab> lab_ = cluster_of(2);
    Host& well_ = lab_->host(1);
    Host& ill_ = lab_->host(2);
    const std::string to_well_ = "network net1: " + well_.address();
    const std::string to_ill_ = "network net1: " + ill_.address();
    std::vector<Container> containers_;
};

TEST_F(Doctor, OfHostsInOrderFindsThemHealthy) {
    for (const auto& host : lab_->hosts()) {
        EXPECT_EQ(wrong(*host), "") << host->name();
    }
    const auto reply = well_.ask<v1::DoctorReply>({"doctor"});
    EXPECT_THAT(found(reply, to_ill_, "ok"),
                testing::ElementsAre(testing::MatchesRegex("both ways, round trip .* ms, full frames uncut -> ")));
    EXPECT_THAT(found(reply, "host firewall", "ok"), testing::SizeIs(1));
    EXPECT_THAT(found(reply, "kernel options", "ok"), testing::SizeIs(1));
    EXPECT_THAT(found(reply, "clock", "ok"), testing::SizeIs(1));
}

TEST_F(Doctor, NamesTheDirectionInWhichEspIsBlocked) {
    ill_.must({"nft",
               "add table ip way; add chain ip way in { type filter hook prerouting priority -400; }; add rule "
               "ip way in ip protocol esp drop"});
    EXPECT_THAT(wrong(well_), HasSubstr(to_ill_ + ": frames do not get there: none of 5 came to it"));
    EXPECT_THAT(wrong(ill_), HasSubstr(to_well_ + ": frames get there (5 of 5), answers do not come back"));
    EXPECT_THAT(wrong(ill_), HasSubstr("let ESP (IP protocol 50)"));
    ill_.must({"nft", "delete table ip way"});
    EXPECT_EQ(wrong(well_), "");
}

TEST_F(Doctor, NamesTheFirewallThatDropsWhatWasDecrypted) {
    ill_.must({"nft",
               "add table inet own; add chain inet own input { type filter hook input priority 0; policy drop; }; "
               "add rule inet own input ct state established,related accept; add rule inet own input iifname lo "
               "accept; add rule inet own input meta l4proto esp accept; add rule inet own input tcp dport 22 "
               "accept"});
    const auto ill = wrong(ill_);
    EXPECT_THAT(ill, HasSubstr("host firewall: chain input of table inet own drops decrypted UDP"));
    const auto at = ill.find("nft insert rule inet own input meta secpath");
    ASSERT_NE(at, std::string::npos) << ill;
    // The remedy, as it is given.
    ill_.must({"bash", "-c", ill.substr(at, ill.find('\n', at) - at)});
    EXPECT_EQ(wrong(ill_), "");
    EXPECT_TRUE(containers_[0].ping(containers_[1].ip()));
}

TEST_F(Doctor, MeasuresAWayThatIsTooNarrow) {
    // A router between them that takes 1400 bytes, and cuts what may be cut.
    ill_.must({"nft",
               "add table ip way; add chain ip way in { type filter hook prerouting priority -450; }; add rule "
               "ip way in ip protocol esp ip length > 1400 drop"});
    const auto reply = well_.ask<v1::DoctorReply>({"doctor"});
    const auto there = found(reply, to_ill_, "wrong");
    ASSERT_THAT(there, testing::SizeIs(1)) << reply.ShortDebugString();
    EXPECT_THAT(there[0], HasSubstr("to it: small frames get through, full ones (1500 on the underlay) do not; the "
                                    "largest that does is 1400"));
    EXPECT_THAT(there[0], HasSubstr("--opt mtu=1316"));
}

TEST_F(Doctor, KnowsAPeerThatIsDownAndOneWithoutAManager) {
    ill_.kill_daemon(SIGKILL);
    EXPECT_THAT(wrong(well_), HasSubstr(to_ill_ + ": none of 5 frames was answered, and it can't be asked"));
    ill_.start_daemon();
    ASSERT_TRUE(eventually(seconds(15), [&] { return settled(ill_); }));
    ill_.cut_off_from_managers();
    ASSERT_TRUE(eventually(seconds(15), [&] { return !settled(ill_); }));
    const auto ill = wrong(ill_);
    EXPECT_THAT(ill, HasSubstr("manager 192.0.2.1:7443: no session"));
    EXPECT_EQ(ill.find("network net1:"), std::string::npos) << "the network goes on: " << ill;
    ill_.let_through_to_managers();
}

TEST_F(Doctor, NamesSysctlsThatVoidTheBarriers) {
    ill_.must({"sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=500"});
    ill_.must({"sysctl", "-qw", "net.ipv4.ip_local_port_range=9000 60999"});
    EXPECT_THAT(wrong(ill_), HasSubstr("net.ipv4.ip_unprivileged_port_start"));
    const auto ports = found(ill_.ask<v1::DoctorReply>({"doctor"}), "local ports", "warning");
    ASSERT_THAT(ports, testing::SizeIs(1));
    EXPECT_THAT(ports[0], HasSubstr("of network net1: among those that the kernel gives to any program"));
}

}  // namespace
}  // namespace warren::lab
