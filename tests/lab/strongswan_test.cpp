#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// Another key manager on the same hosts: strongSwan's charon, with a tunnel of its own between them.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// charon in a host's namespace, with a tunnel from 10.99.<its number>.0/24 to the peer's.
class Charon {
  public:
    Charon(const Host& host, const Host& peer, const std::filesystem::path& artefacts, unsigned number)
        : host_(&host), base_(fmt::format("/tmp/charon{}", number)) {
        host.must({"ip", "address", "add", fmt::format("10.99.{}.1/24", number), "dev", "lo"});
        // Only what a tunnel takes: a plugin that does ESP itself, where one is installed, would be another test.
        std::ofstream(base_ + ".conf") << fmt::format(
            "charon {{\n load = random nonce openssl aes sha1 sha2 hmac kdf gmp kernel-netlink socket-default vici\n"
            " plugins {{\n vici {{\n socket = unix://{}.vici\n }}\n }}\n filelog {{\n stderr {{\n default = 1\n }}\n "
            "}}\n}}\n",
            base_);
        std::ofstream(base_ + ".swanctl") << fmt::format(
            "connections {{\n peer {{\n local_addrs = {}\n remote_addrs = {}\n version = 2\n"
            " local {{\n auth = psk\n id = h{}.example\n }}\n remote {{\n auth = psk\n id = h{}.example\n }}\n"
            " children {{\n net {{\n local_ts = 10.99.{}.0/24\n remote_ts = 10.99.{}.0/24\n"
            " esp_proposals = aes128gcm16\n start_action = trap\n }}\n }}\n }}\n}}\n"
            "secrets {{\n ike {{\n secret = this-is-a-test-vector\n }}\n}}\n",
            host.address(), peer.address(), number, 3 - number, number, 3 - number);
        // Its PID file has a fixed name below /run.
        process_ = std::make_unique<Process>(
            Argv{"unshare", "--mount", "bash", "-c",
                 fmt::format("mount -t tmpfs tmpfs /run; exec env STRONGSWAN_CONF={}.conf /usr/lib/ipsec/charon",
                             base_)},
            Where{.netns = host.name(), .out_file = artefacts / fmt::format("charon{}.log", number)});
        if (!eventually(seconds(20), [&] { return std::filesystem::exists(base_ + ".vici"); })) {
            throw std::runtime_error("charon did not come up");
        }
        swanctl({"--load-all", "--file", base_ + ".swanctl"});
    }

    std::string swanctl(Argv argv) const {
        argv.insert(argv.begin(), "swanctl");
        argv.insert(argv.end(), {"--uri", fmt::format("unix://{}.vici", base_)});
        return host_->must(argv);
    }

  private:
    const Host* host_;
    std::string base_;
    std::unique_ptr<Process> process_;
};

class StrongSwan : public testing::Test {
  protected:
    // Through charon's tunnel, as long as the test runs.
    [[nodiscard]] Process tunnel_flood() const {
        return Process({"ping", "-q", "-i", "0.02", "-W", "2", "-I", "10.99.1.1", "10.99.2.1"}, one.where());
    }
    [[nodiscard]] static std::string lost(Process& flood) {
        flood.signal(SIGINT);
        const auto said = flood.wait(seconds(10)).out;
        return said.find(" 0% packet loss") == std::string::npos ? said : "";
    }

    std::unique_ptr<Lab> lab = cluster_of(2);
    Host& one = lab->host(1);
    Host& two = lab->host(2);
    Charon first{one, two, lab->artefacts(), 1};
    Charon second{two, one, lab->artefacts(), 2};
};

TEST_F(StrongSwan, LosesNothingToWarrenNorWarrenToIt) {
    ASSERT_TRUE(eventually(seconds(10), [&] {
        return one.run({"ping", "-c", "1", "-W", "1", "-I", "10.99.1.1", "10.99.2.1"}).ok();
    })) << "the tunnel works by itself";
    auto tunnel = tunnel_flood();
    one.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    {
        const auto containers = containers_on_all(*lab, "net1");
        auto floods = flood_all_pairs(*lab, containers);
        one.warren_ok({"key", "rotate", "net1"});
        first.swanctl({"--rekey", "--child", "net"});
        two.kill_daemon(SIGKILL);
        two.start_daemon();
        ASSERT_TRUE(eventually(seconds(20), [&] { return settled(two); }));
        one.warren_ok({"key", "rotate", "net1"});
        second.swanctl({"--rekey", "--ike", "peer"});
        EXPECT_EQ(losses(floods), "");
        for (const auto& host : lab->hosts()) {
            const auto status = host->warren({"status"});
            EXPECT_EQ(status.code, 0) << status.out;
        }
        for (unsigned i = 1; i <= 2; ++i) {
            lab->host(i).warren_ok({"network", "disconnect", "net1", fmt::format("c{}", i)});
        }
    }
    EXPECT_EQ(lost(tunnel), "");
    EXPECT_THAT(first.swanctl({"--list-sas"}), HasSubstr("INSTALLED, TUNNEL"));
    EXPECT_EQ(sa_table(one, 0x57000001U).size(), 0U);
}

// Where a key manager listens, the kernel answers a missing SA with a larval state (SPI 0) that has our reqid. It is
// the kernel's, and in nobody's way.
TEST_F(StrongSwan, AMissingSaHealsAlthoughCharonIsAskedForIt) {
    one.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const auto epoch = inspect(one, "net1").active_epoch();
    const auto sas = sa_table(one);
    const auto out = std::find_if(sas.begin(), sas.end(), [&](const auto& sa) { return sa.source == one.address(); });
    ASSERT_NE(out, sas.end());
    one.freeze_daemon();  // so that the kernel has the time to ask
    one.must({"ip", "xfrm", "state", "delete", "src", out->source, "dst", out->destination, "proto", "esp", "spi",
              fmt::format("{:#x}", out->spi)});
    EXPECT_FALSE(containers[0].ping(containers[1].ip()));
    EXPECT_THAT(one.run({"ip", "xfrm", "state", "list", "nokeys"}).out, HasSubstr("spi 0x00000000 reqid 1459617793"))
        << "the kernel asks whoever listens";
    one.thaw_daemon();
    EXPECT_EQ(unreachable_pairs(containers), "");
    EXPECT_GT(inspect(one, "net1").active_epoch(), epoch) << "by new keys";
    EXPECT_EQ(one.warren({"status"}).code, 0) << one.warren({"status"}).out;
}

TEST_F(StrongSwan, ItsPortIsNotOursForEspInUdp) {
    one.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    one.warren_ok({"network", "update", "net1", "--opt", "encap=udp:4500"});
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return two.warren({"status"}).out.find("(charon): stop it, or give the network another port") !=
               std::string::npos;
    })) << two.warren({"status"}).out;
    EXPECT_EQ(unreachable_pairs(containers), "");
    one.warren_ok({"network", "update", "net1", "--opt", "encap=udp"});
    EXPECT_TRUE(eventually(seconds(20), [&] { return two.warren({"status"}).code == 0; }))
        << two.warren({"status"}).out;
    EXPECT_EQ(unreachable_pairs(containers), "");
}

}  // namespace
}  // namespace warren::lab
