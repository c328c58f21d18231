#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"
#include "tests/lab/udp_sender.h"

// All members of an encrypted network talk, somebody on the underlay forges frames for them, and all goes wrong that
// may. By the word of tcpdump and grep no frame of the network crosses the underlay in clear, no container gets a
// forged one, and the members talk again by themselves wherever they can.
namespace warren::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What every ping carries behind its time. As long as ping allows.
constexpr std::string_view kMark = "warren-leak-mark";

std::string in_hex(std::string_view text) {
    std::string hex;
    for (const char letter : text) {
        hex += fmt::format("{:02x}", static_cast<unsigned char>(letter));
    }
    return hex;
}

// Three members with a container each that ping one another all the time, and an outsider on the underlay.
class Scene {
  public:
    Scene() : lab_(cluster_of(3)) {
        manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
        containers = containers_on_all(*lab_, "net1");
        network = inspect(manager, "net1");
        for (const auto& container : containers) {
            addresses.push_back(container.ip());
            macs.push_back(container.mac());
            // Unlike a capture it lives through an interface that goes and comes back.
            must({"nft",
                  "table inet lab { counter forged { }; chain in { type filter hook prerouting priority -400; "
                  "udp dport 7777 counter name forged; }; }"},
                 container.where());
        }
        for (size_t number = 0; number < containers.size(); ++number) {
            forgeries_.push_back(forgery_for(number));
            for (size_t to = 0; to < containers.size(); ++to) {
                if (to != number) {
                    ping_all_the_time(containers[number], addresses[to]);
                }
            }
        }
        outsider_ = &lab_->add_host();
    }

    void ping_all_the_time(const Container& from, const std::string& address) {
        traffic_.emplace_back(Argv{"ping", "-n", "-q", "-i", "0.05", "-p", in_hex(kMark), address},
                              Where{.netns = from.name(), .out_file = "/dev/null"});
    }

    // In the shell of a host: $1 is the network's port, $2 the host's VTEP address, $3 that of another member, $4 the
    // daemon's run directory.
    void on(const Host& host, const std::string& script) const {
        host.must({"bash", "-ec", script, host.name(), std::to_string(network.udp_port()), host.address(),
                   (&host == &manager ? member : manager).address(), host.run_dir().string()});
    }

    // Forged frames for the container of that index, from a port that a member could send from.
    void strike_at(size_t victim, const Where& from, uint16_t source_port = 600) const {
        const auto sent = send_udp(from, {.source_port = source_port,
                                          .destination = lab_->host(static_cast<unsigned>(victim + 1)).address(),
                                          .destination_port = static_cast<uint16_t>(network.udp_port()),
                                          .payload = forgeries_[victim],
                                          .copies = 3});
        EXPECT_TRUE(sent.ok()) << sent.err;
    }
    void strike() const {
        for (size_t victim = 0; victim < forgeries_.size(); ++victim) {
            strike_at(victim, outsider_->where());
        }
    }

    // Time for frames to leave and to come in, whether they are answered or not.
    void press() const {
        strike();
        static_cast<void>(containers[1].ping(addresses[0], 3));
        strike();
    }

    // All that are left answer one another, which takes both directions of each pair. Forged frames go on coming in.
    [[nodiscard]] bool talk(milliseconds deadline) const {
        return eventually(deadline, [this] {
            strike_at(1, outsider_->where());
            for (size_t from = 0; from < remaining; ++from) {
                for (size_t to = from + 1; to < remaining; ++to) {
                    if (!containers[from].ping(addresses[to])) {
                        return false;
                    }
                }
            }
            return true;
        });
    }

    // Both barriers stand, by iproute2's and nft's word.
    static bool barred(const Host& host) {
        size_t policies = 0;
        std::istringstream listing(host.run({"ip", "xfrm", "policy"}).out);
        for (std::string line; std::getline(listing, line);) {
            policies += line.starts_with("src ") ? 1U : 0U;
        }
        const auto table = host.run({"nft", "list", "chain", "inet", "warren", "out"}).out;
        return policies >= 4 && table.find("drop") != std::string::npos;
    }

    [[nodiscard]] bool all_settled() const {
        for (unsigned number = 1; number <= remaining; ++number) {
            if (!settled(lab_->host(number))) {
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] bool one_epoch() const { return manager.ask<v1::KeyListReply>({"key", "ls"}).epochs_size() == 1; }
    [[nodiscard]] bool is_endpoint(const std::string& name) const {
        const auto list = manager.ask<v1::EndpointListReply>({"endpoint", "ls"});
        return std::ranges::any_of(list.endpoints(), [&](const auto& endpoint) { return endpoint.name() == name; });
    }

    void disconnect(const Host& host, size_t container) const {
        host.warren_ok({"network", "disconnect", "net1", containers[container].name()});
    }
    // As what it was: the others ping the address, and remember whose it is.
    [[nodiscard]] Output try_connect(const Host& host, size_t container) const {
        const auto& name = containers[container].name();
        return host.warren({"network", "connect", "net1", "--netns", name, "--name", name, "--ip", addresses[container],
                            "--mac", macs[container]});
    }
    void connect(const Host& host, size_t container) const {
        const auto done = try_connect(host, container);
        EXPECT_TRUE(done.ok()) << done.err;
    }

    [[nodiscard]] std::unique_ptr<Capture> capture(const std::string& name) const {
        return std::make_unique<Capture>(lab_->artefacts(), name, kUnderlay);
    }

    // What the stopped capture and the containers have that must not be; empty when there is none.
    [[nodiscard]] std::string findings(const Capture& underlay, const std::string& name) {
        std::string text;
        // A host that forwards tells of a better way (ICMP redirect), and quotes the ESP that it is about.
        const auto clear = fmt::format(
            "{} and not src host {} and not (icmp and dst host {}) and not (icmp[0] == 5 and icmp[17] == 50)", kNotEsp,
            outsider_->address(), outsider_->address());
        if (const auto frames = underlay.count(clear); frames != 0) {
            text += fmt::format("{} clear frames by port:\n{}", frames, underlay.show(clear));
        }
        const auto file = lab_->artefacts() / (name + ".pcap");
        if (const auto lines = run({"grep", "--text", "--count", std::string(kMark), file.string()}); lines.code != 1) {
            text += fmt::format("clear frames by content: {}{}", lines.out, lines.err);
        }
        const auto forged = forged_frames();
        if (forged != forged_before_) {
            text += fmt::format("{} forged frames in containers\n", forged - forged_before_);
        }
        forged_before_ = forged;
        if (underlay.count("esp") == 0) {
            text += "there was no traffic\n";
        }
        return text;
    }

    [[nodiscard]] Lab& lab() { return *lab_; }

  private:
    [[nodiscard]] std::string forgery_for(size_t victim) const {
        const auto neighbour = victim == 0 ? 1U : 0U;
        return forged_payload({.vni = network.vnis(0),
                               .inner_source_mac = macs.at(neighbour),
                               .inner_mac = macs.at(victim),
                               .inner_source_ip = addresses.at(neighbour),
                               .inner_ip = addresses.at(victim)});
    }

    [[nodiscard]] uint64_t forged_frames() const {
        uint64_t sum = 0;
        for (const auto& container : containers) {
            const auto listing = must({"nft", "list", "counter", "inet", "lab", "forged"}, container.where());
            sum += std::stoull(listing.substr(listing.find("packets ") + 8));
        }
        return sum;
    }

    std::unique_ptr<Lab> lab_;

  public:
    Host& manager = lab_->host(1);
    Host& member = lab_->host(2);  // whom most of it happens to
    Host& other = lab_->host(3);
    v1::Network network;
    std::vector<Container> containers;
    std::vector<std::string> addresses;
    std::vector<std::string> macs;
    size_t remaining = 3;  // of the containers, from the first on: who is still to talk

  private:
    Host* outsider_ = nullptr;
    std::vector<std::string> forgeries_;  // for each container
    std::vector<Process> traffic_;
    uint64_t forged_before_ = 0;
};

// ---- What happens ----

// What a script can't do, then a shell's script on the member's host (Scene::on).
struct Step {
    void (*call)(Scene& scene) = nullptr;
    const char* script = nullptr;

    void operator()(Scene& scene) const {
        if (call != nullptr) {
            call(scene);
        }
        if (script != nullptr) {
            scene.on(scene.member, script);
        }
    }
    [[nodiscard]] constexpr bool empty() const { return script == nullptr && call == nullptr; }
};

enum class Then : uint8_t {
    kTheyTalk,        // whatever happens, or soon again by themselves
    kRemedyIsNeeded,  // they talk once it was applied
    kItEnds,          // for those that are not Scene::remaining
};

// Rows of one part share a scene.
enum class Part : uint8_t { kDaemons, kBarriers, kUnderlay, kKeys, kMembers, kHosts };

struct Disturbance {
    const char* name;
    Part part;
    bool in_test_command = false;
    Step happens;
    Then then = Then::kTheyTalk;
    Step remedy{};  // also what puts the scene in order for the next row
    seconds within = seconds(10);
    bool is_a_fight = false;  // what is taken away over and over is put back later and later
    // Takes a barrier away: it stands again within a second, and the daemon's log has these.
    std::array<const char*, 2> reported{};
    // Root has opened both barriers: what leaves before they stand again is outside (design, 11.1).
    bool opens = false;
};

void start_all(Scene& scene) {
    for (auto* host : {&scene.manager, &scene.member, &scene.other}) {
        host->start_daemon();
    }
}

// The last member's daemon dies as soon as this holds on its host while its only container is being connected.
void die_while_connecting(Scene& scene, const std::string& as_soon_as) {
    scene.disconnect(scene.other, 2);
    Process killer({"bash", "-c", fmt::format("until {}; do :; done; kill -KILL $0", as_soon_as),
                    std::to_string(scene.other.daemon_pid()), scene.other.run_dir().string()},
                   scene.other.where());
    static_cast<void>(scene.try_connect(scene.other, 2));
    EXPECT_TRUE(killer.wait(seconds(10)).ok()) << "it never came so far: " << as_soon_as;
    EXPECT_EQ(scene.other.kill_daemon(SIGKILL).code, 128 + SIGKILL);
}

// The same with the daemon back, and the container connected if nobody knows of it.
void start_and_connect(Scene& scene) {
    scene.other.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return scene.all_settled(); }));
    if (!scene.is_endpoint("c3")) {
        scene.connect(scene.other, 2);
    }
}

// strace on the daemon's main thread, which is the one that changes the kernel. Returns once it is attached.
Process inject(const Host& host, const std::string& fault) {
    Process strace({"strace", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", "inject=sendmsg:" + fault, "-p",
                    std::to_string(host.daemon_pid())},
                   {});
    EXPECT_TRUE(eventually(seconds(5), [&] { return strace.output().err.find("attached") != std::string::npos; }))
        << strace.output().err;
    return strace;
}

// The last member's daemon dies at the first system call that changes the kernel, at the second, and so on, until one
// time it gets through.
void die_at_each_send(Scene& scene, bool of_connect) {
    auto& host = scene.other;
    int deaths = 0;
    for (bool dies = true; dies; deaths += dies ? 1 : 0) {
        if (of_connect == scene.is_endpoint("c3")) {
            of_connect ? scene.disconnect(host, 2) : scene.connect(host, 2);
        }
        auto strace = inject(host, fmt::format("signal=KILL:when={}", deaths + 1));
        static_cast<void>(of_connect ? scene.try_connect(host, 2)
                                     : host.warren({"network", "disconnect", "net1", "c3"}));
        dies = !host.daemon_running();
        strace.signal(SIGINT);
        strace.wait(seconds(5));
        scene.strike();
        if (dies) {
            host.kill_daemon(SIGKILL);
            host.start_daemon();
            ASSERT_TRUE(eventually(seconds(20), [&] { return scene.all_settled(); })) << "after " << deaths + 1;
        }
    }
    EXPECT_GE(deaths, 5) << "so few calls cannot have built a network";
    if (!scene.is_endpoint("c3")) {
        scene.connect(host, 2);
    }
}

// Whatever slot the next epoch gets, the SPI of its SA from the manager's host is taken by somebody else.
void take_spis(Scene& scene) {
    ASSERT_TRUE(eventually(seconds(20), [&] { return scene.one_epoch(); }));
    for (const auto& sa : sa_table(scene.member)) {
        if (sa.source != scene.manager.address()) {
            continue;
        }
        for (unsigned slot = 0; slot < 4; ++slot) {
            if (slot != sa.slot()) {
                const auto spi = (sa.spi & ~(3U << 28U)) | slot << 28U;
                scene.on(scene.member,
                         fmt::format("ip xfrm state add src 203.0.113.1 dst $2 proto esp spi {:#x} reqid 7 mode "
                                     "transport aead 'rfc4106(gcm(aes))' "
                                     "0x000102030405060708090a0b0c0d0e0f10111213 128",
                                     spi));
            }
        }
    }
    scene.manager.warren_ok({"key", "rotate", "--detach", "net1"});
    EXPECT_TRUE(eventually(seconds(5), [&] {
        return scene.member.warren({"status"}).out.find("another SA has this destination and SPI") != std::string::npos;
    })) << scene.member.warren({"status"}).out;
}

void abort_rotation(Scene& scene) {
    scene.other.freeze_daemon();
    scene.manager.warren_ok({"key", "rotate", "--detach", "net1"});
    EXPECT_TRUE(eventually(seconds(5), [&] { return !scene.one_epoch(); }));
    scene.press();
    scene.manager.warren_ok({"key", "rotate", "--abort", "net1"});
    scene.other.thaw_daemon();
}

void die_in_rotation(Scene& scene) {
    scene.manager.kill_daemon(SIGKILL);
    scene.manager.start_daemon_to_die_at("rotation.activated");
    ASSERT_TRUE(eventually(seconds(20), [&] { return scene.all_settled(); }));
    static_cast<void>(scene.manager.warren({"key", "rotate", "--detach", "net1"}));
    EXPECT_TRUE(eventually(seconds(20), [&] { return !scene.manager.daemon_running(); }));
}

// Nothing that the daemon tells the kernel gets there while a barrier is gone.
void run_out_of_memory(Scene& scene, const char* without_barrier, seconds clock_shift = seconds(0)) {
    auto strace = inject(scene.member, "error=ENOBUFS");
    scene.on(scene.member, without_barrier);
    scene.press();
    EXPECT_FALSE(Scene::barred(scene.member)) << "it had all the memory that it needed";
    if (clock_shift != seconds(0)) {
        scene.member.set_clock(clock_shift);
    }
    strace.signal(SIGINT);
    strace.wait(seconds(5));
}

void live_at_another_time(Scene& scene) {
    scene.member.stop_daemon();
    scene.member.start_daemon_at_other_time(seconds(0));
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(scene.member); }));
}

void jump_in_time(Scene& scene) {
    live_at_another_time(scene);
    for (const auto shift : {seconds(86'400), seconds(-86'400)}) {
        scene.member.set_clock(shift);
        scene.on(scene.member, "ip xfrm policy flush");
        scene.press();
    }
}

void jump_back_before_a_retry(Scene& scene) {
    live_at_another_time(scene);
    run_out_of_memory(scene, "ip xfrm policy flush", seconds(-86'400));
}

// From its first container on until the network is removed, with somebody who pings before there is anybody to answer.
void start_and_remove_network(Scene& scene) {
    scene.manager.warren_ok({"network", "create", "--opt", "encrypted", "--subnet", "10.129.0.0/24", "short"});
    const Container from("from");
    const Container to("to");
    scene.manager.connect("short", from);
    const std::string address = "10.129.0.77";
    const Process early({"ping", "-n", "-q", "-i", "0.05", "-p", in_hex(kMark), address},
                        {.netns = from.name(), .out_file = "/dev/null"});
    scene.member.connect("short", to, {"--ip", address});
    EXPECT_TRUE(eventually(seconds(10), [&] { return from.ping(address); }));
    scene.member.warren_ok({"network", "disconnect", "short", "to"});
    scene.manager.warren_ok({"network", "disconnect", "short", "from"});
    scene.manager.warren_ok({"network", "rm", "short"});
}

// A container that the other member's host masquerades sends forged frames as well.
void forge_through_masquerade(Scene& scene) {
    const Container guest("guest");
    scene.on(scene.other, R"(ip link add guest type veth peer name eth0 netns guest
                 ip address add 10.99.0.1/24 dev guest
                 ip link set guest up
                 sysctl -qw net.ipv4.ip_forward=1
                 nft 'table ip lab { chain nat { type nat hook postrouting priority srcnat;
                      ip saddr 10.99.0.0/24 masquerade; }; }'
                 ip -n guest address add 10.99.0.2/24 dev eth0
                 ip -n guest link set eth0 up
                 ip -n guest route add default via 10.99.0.1)");
    for (const uint16_t source_port : {uint16_t{600}, uint16_t{5000}}) {
        scene.strike_at(1, guest.where(), source_port);
    }
    scene.press();
    scene.other.must({"nft", "delete", "table", "ip", "lab"});
}

void remove_member(Scene& scene) {
    scene.remaining = 2;
    scene.manager.warren_ok({"node", "rm", "--force", "h3"});
}

void remove_network(Scene& scene) {
    for (size_t i = 0; i < scene.remaining; ++i) {
        scene.disconnect(scene.lab().host(static_cast<unsigned>(i + 1)), i);
    }
    scene.remaining = 0;
    scene.manager.warren_ok({"network", "rm", "net1"});
}

// The links go first, and with them what a real host would not send any more either while the lab takes the rest away.
void power_off(Host& host) {
    host.must({"ip", "link", "set", "eth0", "down"});
    host.crash();
}
void power_on(Host& host) {
    host.must({"ip", "link", "set", "eth0", "up"});
    host.start_daemon();
}

// Until a rotation that heals lost SAs may follow another one.
constexpr seconds kOneRotation{90};
constexpr const char* kPoliciesReported = "its policies are not as they were";
constexpr const char* kTableReported = "the nft table inet warren: changed by process ";
constexpr const char* kFlushBoth = "ip xfrm policy flush; nft flush ruleset";

constexpr Step kKillMember{.call = [](Scene& scene) { scene.member.kill_daemon(SIGKILL); }};
constexpr Step kStartMember{.call = [](Scene& scene) { scene.member.start_daemon(); }};
// At the right time again.
constexpr Step kRestartMember{.call = [](Scene& scene) {
    scene.member.stop_daemon();
    scene.member.start_daemon();
}};
constexpr Step kStartManager{.call = [](Scene& scene) { scene.manager.start_daemon(); }};
constexpr Step kStartAndConnect{.call = start_and_connect};
constexpr Step kRotate{.call = [](Scene& scene) { scene.manager.warren_ok({"key", "rotate", "net1"}); }};
constexpr Step kDropNat{.script = "nft delete table ip lab"};

const std::vector<Disturbance> kDisturbances{
    // ---- The daemon goes and comes ----
    {.name = "Stopped",
     .part = Part::kDaemons,
     .in_test_command = true,
     .happens = {.call = [](Scene& scene) { scene.member.stop_daemon(); }},
     .remedy = kStartMember},
    {.name = "Killed", .part = Part::kDaemons, .in_test_command = true, .happens = kKillMember, .remedy = kStartMember},
    {.name = "RestartedWithTheManagerDown",
     .part = Part::kDaemons,
     .in_test_command = true,
     .happens = {.call =
                     [](Scene& scene) {
                         scene.manager.stop_daemon();
                         scene.member.kill_daemon(SIGKILL);
                         scene.member.start_daemon();
                     }},
     .remedy = kStartManager},
    {.name = "PoliciesFlushedWithoutADaemon",
     .part = Part::kDaemons,
     .in_test_command = true,
     .happens = {.call = kKillMember.call, .script = "ip xfrm policy flush"},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartMember},
    {.name = "FirewallFlushedWithoutADaemon",
     .part = Part::kDaemons,
     .happens = {.call = kKillMember.call, .script = "nft flush ruleset"},
     .remedy = kStartMember},
    {.name = "StatesFlushedWithoutADaemon",
     .part = Part::kDaemons,
     .happens = {.call = kKillMember.call, .script = "ip xfrm state flush"},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartMember,
     .within = kOneRotation},
    {.name = "AllKilled",
     .part = Part::kDaemons,
     .happens = {.call =
                     [](Scene& scene) {
                         for (auto* host : {&scene.manager, &scene.member, &scene.other}) {
                             host->kill_daemon(SIGKILL);
                         }
                     }},
     .remedy = {.call = start_all}},
    {.name = "KilledTenTimes",
     .part = Part::kDaemons,
     .happens = {.call =
                     [](Scene& scene) {
                         for (int i = 0; i < 10; ++i) {
                             scene.member.kill_daemon(SIGKILL);
                             scene.member.start_daemon();
                         }
                     }}},
    {.name = "FrozenWhenThePoliciesAreFlushed",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { scene.member.freeze_daemon(); }, .script = "ip xfrm policy flush"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call = [](Scene& scene) { scene.member.thaw_daemon(); }}},
    {.name = "KilledWhenTheTableIsThere",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { die_while_connecting(scene, "nft list table inet warren &> /dev/null"); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartAndConnect},
    {.name = "KilledWhenThePoliciesAreThere",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { die_while_connecting(scene, "[[ $(ip xfrm policy) ]]"); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartAndConnect},
    {.name = "KilledWhenTheSasAreThere",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { die_while_connecting(scene, "[[ $(ip xfrm state) ]]"); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartAndConnect},
    {.name = "KilledWhenTheNetworkHasItsNamespace",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { die_while_connecting(scene, "[[ $(ls $1/netns) ]]"); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartAndConnect},
    {.name = "KilledAtEachSendOfAConnect",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { die_at_each_send(scene, true); }}},
    {.name = "KilledAtEachSendOfADisconnect",
     .part = Part::kDaemons,
     .happens = {.call = [](Scene& scene) { die_at_each_send(scene, false); }}},

    // ---- Root takes barriers away ----
    {.name = "PoliciesFlushed",
     .part = Part::kBarriers,
     .in_test_command = true,
     .happens = {.script = "ip xfrm policy flush"},
     .reported = {kPoliciesReported}},
    {.name = "FirewallFlushed",
     .part = Part::kBarriers,
     .in_test_command = true,
     .happens = {.script = "nft flush ruleset"},
     .reported = {kTableReported}},
    {.name = "BothFlushedAtOnce",
     .part = Part::kBarriers,
     .in_test_command = true,
     .happens = {.script = kFlushBoth},
     .reported = {kPoliciesReported, kTableReported},
     .opens = true},
    {.name = "StatesFlushed",
     .part = Part::kBarriers,
     .in_test_command = true,
     .happens = {.script = "ip xfrm state flush"}},
    {.name = "XfrmSwitchedOffOnTheDevice",
     .part = Part::kBarriers,
     .happens = {.script = "sysctl -qw net.ipv4.conf.eth0.disable_xfrm=1"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.script = "sysctl -qw net.ipv4.conf.eth0.disable_xfrm=0"}},
    {.name = "PoliciesSwitchedOffOnTheDevice",
     .part = Part::kBarriers,
     .happens = {.script = "sysctl -qw net.ipv4.conf.eth0.disable_policy=1"},
     .remedy = {.script = "sysctl -qw net.ipv4.conf.eth0.disable_policy=0"}},
    {.name = "TableDeleted",
     .part = Part::kBarriers,
     .happens = {.script = "nft delete table inet warren"},
     .reported = {kTableReported}},
    {.name = "TableMadeDormant",
     .part = Part::kBarriers,
     .happens = {.script = "nft add table inet warren '{ flags dormant; }'"},
     .reported = {kTableReported}},
    {.name = "ChainEmptied",
     .part = Part::kBarriers,
     .happens = {.script = "nft flush chain inet warren out"},
     .reported = {kTableReported}},
    {.name = "PortsTakenOut",
     .part = Part::kBarriers,
     .happens = {.script = "nft flush set inet warren encrypted_ports"},
     .reported = {kTableReported}},
    {.name = "AllLetThrough",
     .part = Part::kBarriers,
     .happens = {.script = "for chain in untouched out in forward; do nft insert rule inet warren $chain accept; done"},
     .reported = {kTableReported}},
    {.name = "OnePolicyDeleted",
     .part = Part::kBarriers,
     .happens = {.script = "ip xfrm policy delete dir out index "
                           "$(ip -s xfrm policy | grep -oP 'dir out action allow index \\K[0-9]+')"},
     .reported = {kPoliciesReported}},
    {.name = "OneBarrierAfterTheOther",
     .part = Part::kBarriers,
     .happens = {.script = R"(for round in {1..3}; do
         ip xfrm policy flush
         timeout 5 bash -c 'until (($(ip xfrm policy | grep -c ^src) >= 4)); do :; done'
         nft flush ruleset
         timeout 5 bash -c 'until nft list table inet warren &> /dev/null; do :; done'
     done)"},
     .reported = {kPoliciesReported, kTableReported}},
    {.name = "PoliciesFlushedAgainAndAgain",
     .part = Part::kBarriers,
     .happens = {.script = "for round in {1..20}; do ip xfrm policy flush; done"},
     .within = seconds(40),
     .is_a_fight = true,
     .reported = {kPoliciesReported}},
    {.name = "FirewallFlushedAgainAndAgain",
     .part = Part::kBarriers,
     .happens = {.script = "for round in {1..20}; do nft flush ruleset; done"},
     .within = seconds(40),
     .is_a_fight = true,
     .reported = {kTableReported}},
    {.name = "AForeignPolicyIsPreferred",
     .part = Part::kBarriers,
     .happens = {.script = "ip xfrm policy add src $2 dst 192.0.2.0/24 proto udp dport $1 dir out priority 1"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.script = "ip xfrm policy delete src $2 dst 192.0.2.0/24 proto udp dport $1 dir out"}},

    // ---- The host's rules, links and addresses ----
    {.name = "SourceRewritten",
     .part = Part::kUnderlay,
     .in_test_command = true,
     .happens = {.script = "nft \"table ip lab { chain nat { type nat hook postrouting priority srcnat; "
                           "udp dport $1 snat to 192.0.2.102; }; }\""},
     .remedy = kDropNat},
    {.name = "SourcePortRewritten",
     .part = Part::kUnderlay,
     .happens = {.script = "nft \"table ip lab { chain nat { type nat hook postrouting priority srcnat; "
                           "udp dport $1 snat to $2:2000-3000; }; }\""},
     .remedy = kDropNat},
    {.name = "Masqueraded",
     .part = Part::kUnderlay,
     .happens = {.script = "nft 'table ip lab { chain nat { type nat hook postrouting priority srcnat; "
                           "oifname eth0 masquerade random; }; }'"},
     .remedy = kDropNat},
    {.name = "DestinationRewritten",
     .part = Part::kUnderlay,
     .happens = {.script = "nft \"table ip lab { chain nat { type nat hook output priority -100; "
                           "udp dport $1 dnat to 192.0.2.99; }; }\""},
     .remedy = kDropNat},
    {.name = "ForgedThroughMasquerade",
     .part = Part::kUnderlay,
     .in_test_command = true,
     .happens = {.call = forge_through_masquerade}},
    {.name = "LinkDownAndUp",
     .part = Part::kUnderlay,
     .in_test_command = true,
     .happens = {.script = "ip link set eth0 down; ip link set eth0 up"}},
    {.name = "LinkDown",
     .part = Part::kUnderlay,
     .happens = {.script = "ip link set eth0 down"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.script = "ip link set eth0 up"}},
    {.name = "LinkFlaps",
     .part = Part::kUnderlay,
     .happens = {.script = "for round in {1..20}; do ip link set eth0 down; ip link set eth0 up; done"}},
    {.name = "CarrierLost",
     .part = Part::kUnderlay,
     .happens = {.call =
                     [](Scene&) {
                         must({"ip", "link", "set", "port2", "down"});
                     }},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call =
                    [](Scene&) {
                        must({"ip", "link", "set", "port2", "up"});
                    }}},
    {.name = "AddressTakenAway",
     .part = Part::kUnderlay,
     .happens = {.script = "ip address del $2/24 dev eth0"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.script = "ip address add $2/24 dev eth0"}},
    {.name = "AddressChanged",
     .part = Part::kUnderlay,
     .happens = {.script = "ip address del $2/24 dev eth0; ip address add 192.0.2.77/24 dev eth0"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.script = "ip address del 192.0.2.77/24 dev eth0; ip address add $2/24 dev eth0"}},
    {.name = "MtuLowered",
     .part = Part::kUnderlay,
     .in_test_command = true,
     .happens = {.script = "ip link set eth0 mtu 1280"},
     .remedy = {.script = "ip link set eth0 mtu 1500"}},
    {.name = "RouteTakenAway",
     .part = Part::kUnderlay,
     .happens = {.script = "ip route add blackhole $3"},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.script = "ip route delete blackhole $3"}},
    {.name = "LossyAndOutOfOrder",
     .part = Part::kUnderlay,
     .happens = {.script = "tc qdisc add dev eth0 root netem loss 10% duplicate 10% delay 5ms reorder 20%"},
     .remedy = {.script = "tc qdisc delete dev eth0 root"},
     .within = seconds(60)},
    {.name = "VxlanDeviceDown",
     .part = Part::kUnderlay,
     .happens = {.script = "nsenter --net=$(echo $4/netns/*) ip link set vx0 down"}},
    {.name = "VxlanDeviceDeleted",
     .part = Part::kUnderlay,
     .happens = {.script = "nsenter --net=$(echo $4/netns/*) ip link delete vx0"}},
    {.name = "BridgeDeleted",
     .part = Part::kUnderlay,
     .happens = {.script = "nsenter --net=$(echo $4/netns/*) ip link delete br0"}},
    {.name = "ForwardingEntriesFlushed",
     .part = Part::kUnderlay,
     .happens = {.script = "nsenter --net=$(echo $4/netns/*) bash -c 'bridge fdb show dev vx0 | "
                           "while read -r mac _; do bridge fdb del $mac dev vx0 || bridge fdb del $mac dev vx0 master; "
                           "done' &> /dev/null || true"}},

    // ---- Keys ----
    {.name = "Rotated", .part = Part::kKeys, .happens = kRotate},
    {.name = "RotatedTenTimes",
     .part = Part::kKeys,
     .happens = {.call =
                     [](Scene& scene) {
                         for (int i = 0; i < 10; ++i) {
                             kRotate(scene);
                         }
                     }}},
    {.name = "RotationAborted", .part = Part::kKeys, .in_test_command = true, .happens = {.call = abort_rotation}},
    {.name = "ManagerDiesInARotation",
     .part = Part::kKeys,
     .happens = {.call = die_in_rotation},
     .remedy = kStartManager},
    {.name = "ForeignSasWithOurSpis",
     .part = Part::kKeys,
     .in_test_command = true,
     .happens = {.call = take_spis},
     .remedy = {.script = "ip xfrm state deleteall reqid 7"}},
    {.name = "PoliciesAndStatesFlushed",
     .part = Part::kKeys,
     .in_test_command = true,
     .happens = {.script = "ip xfrm policy flush; ip xfrm state flush"},
     .reported = {kPoliciesReported}},
    {.name = "OutOfMemoryForThePolicies",
     .part = Part::kKeys,
     .happens = {.call = [](Scene& scene) { run_out_of_memory(scene, "ip xfrm policy flush"); }},
     .within = seconds(20)},
    {.name = "OutOfMemoryForTheFirewall",
     .part = Part::kKeys,
     .happens = {.call = [](Scene& scene) { run_out_of_memory(scene, "nft flush ruleset"); }},
     .within = seconds(20)},
    {.name = "ClockJumpsBackBeforeARetry",
     .part = Part::kKeys,
     .happens = {.call = jump_back_before_a_retry},
     .remedy = kRestartMember,
     .within = seconds(20)},
    {.name = "ClockJumps",
     .part = Part::kKeys,
     .happens = {.call = jump_in_time},
     .remedy = {.call = [](Scene& scene) { scene.member.set_clock(seconds(0)); }}},
    {.name = "StatesFlushedWithTheManagerDown",
     .part = Part::kKeys,
     .happens = {.call = [](Scene& scene) { scene.manager.stop_daemon(); }, .script = "ip xfrm state flush"},
     .then = Then::kRemedyIsNeeded,
     .remedy = kStartManager,
     .within = kOneRotation},
    {.name = "PoliciesFlushedWithTheManagerDown",
     .part = Part::kKeys,
     .happens = {.call = [](Scene& scene) { scene.manager.stop_daemon(); }, .script = "ip xfrm policy flush"},
     .remedy = kStartManager},
    {.name = "EverythingFlushedButTheFirewall",
     .part = Part::kKeys,
     .happens = {.script = "ip xfrm state flush; ip xfrm policy flush; ip xfrm state flush"},
     .within = kOneRotation},

    // ---- Members come and go; the last two rows end the scene ----
    {.name = "NetworkStartsAndEnds",
     .part = Part::kMembers,
     .in_test_command = true,
     .happens = {.call = start_and_remove_network}},
    {.name = "LastContainerLeaves",
     .part = Part::kMembers,
     .in_test_command = true,
     .happens = {.call = [](Scene& scene) { scene.disconnect(scene.other, 2); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call = [](Scene& scene) { scene.connect(scene.other, 2); }}},
    {.name = "LastContainerComesBackUnderItsAddress",
     .part = Part::kMembers,
     .happens = {.call = [](Scene& scene) { scene.disconnect(scene.other, 2); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call =
                    [](Scene& scene) {
                        scene.other.warren_ok({"network", "connect", "net1", "--netns", "c3", "--name", "c3", "--ip",
                                               scene.addresses[2]});
                    }}},
    {.name = "MemberRemoved",
     .part = Part::kMembers,
     .in_test_command = true,
     .happens = {.call = remove_member},
     .then = Then::kItEnds},
    {.name = "NetworkRemoved",
     .part = Part::kMembers,
     .in_test_command = true,
     .happens = {.call = remove_network},
     .then = Then::kItEnds},

    // ---- Hosts go down and come up ----
    {.name = "Rebooted",
     .part = Part::kHosts,
     .happens = {.call = [](Scene& scene) { power_off(scene.member); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call = [](Scene& scene) { power_on(scene.member); }},
     .within = seconds(20)},
    {.name = "ManagerRebooted",
     .part = Part::kHosts,
     .happens = {.call = [](Scene& scene) { power_off(scene.manager); }},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call = [](Scene& scene) { power_on(scene.manager); }},
     .within = seconds(20)},
    {.name = "AllRebooted",
     .part = Part::kHosts,
     .happens = {.call =
                     [](Scene& scene) {
                         for (auto* host : {&scene.manager, &scene.member, &scene.other}) {
                             power_off(*host);
                         }
                     }},
     .then = Then::kRemedyIsNeeded,
     .remedy = {.call =
                    [](Scene& scene) {
                        for (auto* host : {&scene.manager, &scene.member, &scene.other}) {
                            power_on(*host);
                        }
                    }},
     .within = seconds(30)},
    {.name = "NodeLeaves",
     .part = Part::kHosts,
     .happens = {.call =
                     [](Scene& scene) {
                         scene.remaining = 2;
                         scene.other.warren_ok({"cluster", "leave", "--force"});
                     }},
     .then = Then::kItEnds},
};

// ---- The tests ----

// The daemon has put back what the row took away, within a second, or in a fight once it looks again, and not silently.
void expect_closed(Scene& scene, const Disturbance& row, const std::array<size_t, 2>& told_before) {
    EXPECT_TRUE(eventually(row.is_a_fight ? row.within : seconds(1), [&] { return Scene::barred(scene.member); }))
        << "open for more than a second";
    for (size_t i = 0; i < row.reported.size(); ++i) {
        EXPECT_TRUE(row.reported[i] == nullptr ||
                    eventually(seconds(1), [&] { return scene.member.times_logged(row.reported[i]) > told_before[i]; }))
            << "not reported: " << row.reported[i];
    }
}

void expect_then(Scene& scene, const Disturbance& row) {
    const seconds deadline = row.within;
    if (row.then == Then::kTheyTalk) {
        EXPECT_TRUE(scene.talk(deadline)) << "they don't talk by themselves";
    } else {
        scene.press();
    }
    row.remedy(scene);
    if (row.then == Then::kItEnds) {
        EXPECT_TRUE(scene.talk(deadline)) << "others suffer";
        for (size_t gone = scene.remaining; gone < scene.containers.size(); ++gone) {
            EXPECT_FALSE(scene.containers[0].ping(scene.addresses[gone])) << scene.addresses[gone] << " still answers";
        }
    } else if (!row.remedy.empty()) {
        EXPECT_TRUE(scene.talk(deadline)) << "they don't talk after the remedy";
    }
}

void put_through(Scene& scene, const Disturbance& row) {
    SCOPED_TRACE(row.name);
    std::array<size_t, 2> told{};
    for (size_t i = 0; i < told.size(); ++i) {
        told[i] = row.reported[i] == nullptr ? 0 : scene.member.times_logged(row.reported[i]);
    }
    std::string name = row.name;
    auto capture = scene.capture(name);
    scene.strike();
    row.happens(scene);
    if (row.reported[0] != nullptr) {
        expect_closed(scene, row, told);
    }
    if (row.opens) {
        capture->stop();
        static_cast<void>(scene.findings(*capture, name));
        name += "-closed";
        capture = scene.capture(name);
    }
    expect_then(scene, row);
    EXPECT_TRUE(eventually(seconds(20), [&] { return scene.all_settled(); })) << "not settled";
    for (unsigned number = 1; number <= scene.remaining; ++number) {
        auto& host = scene.lab().host(number);
        EXPECT_TRUE(eventually(row.within, [&] { return Scene::barred(host); })) << host.name() << " is left open";
    }
    capture->stop();
    EXPECT_EQ(scene.findings(*capture, name), "");
}

// $WARREN_LAB_ROW chooses one of the part's rows.
void put_through(Part part, bool in_test_command) {
    const char* chosen = std::getenv("WARREN_LAB_ROW");
    Scene scene;
    for (const auto& row : kDisturbances) {
        const bool wanted =
            chosen != nullptr ? row.name == std::string_view(chosen) : row.in_test_command == in_test_command;
        if (row.part == part && wanted && !testing::Test::HasFatalFailure()) {
            put_through(scene, row);
        }
    }
}

TEST(Leak, NoneWhenTheDaemonGoesAndComes) {
    put_through(Part::kDaemons, true);
}
TEST(Leak, NoneWhenRootTakesABarrierAway) {
    put_through(Part::kBarriers, true);
}
TEST(Leak, NoneWhenRulesAndLinksChange) {
    put_through(Part::kUnderlay, true);
}
TEST(Leak, NoneWhenKeysGoWrong) {
    put_through(Part::kKeys, true);
}
TEST(Leak, NoneWhenMembersComeAndGo) {
    put_through(Part::kMembers, true);
}

// scripts/test --soak
TEST(LeakSoak, NoneWhenTheDaemonGoesAndComes) {
    put_through(Part::kDaemons, false);
}
TEST(LeakSoak, NoneWhenRootTakesABarrierAway) {
    put_through(Part::kBarriers, false);
}
TEST(LeakSoak, NoneWhenRulesAndLinksChange) {
    put_through(Part::kUnderlay, false);
}
TEST(LeakSoak, NoneWhenKeysGoWrong) {
    put_through(Part::kKeys, false);
}
TEST(LeakSoak, NoneWhenHostsGoDown) {
    put_through(Part::kHosts, false);
}

const Disturbance& row_of(std::string_view name) {
    return *std::ranges::find(kDisturbances, name, &Disturbance::name);
}

// What the rows say is worth nothing unless they would see a leak. Each of these has but one barrier in its way.
TEST(Leak, IsSeenWhenTheOtherBarrierIsGoneToo) {
    Scene scene;
    const struct {
        const char* other_barrier;
        const char* row;
        std::vector<const char*> seen;
    } cases[] = {
        {"nft delete table inet warren", "XfrmSwitchedOffOnTheDevice", {"by port", "by content"}},
        {"nft delete table inet warren", "PoliciesSwitchedOffOnTheDevice", {"forged frames"}},
        {"ip xfrm policy flush", "FirewallFlushed", {"by port", "by content", "forged frames"}},
    };
    for (const auto& it : cases) {
        SCOPED_TRACE(it.row);
        const auto& row = row_of(it.row);
        const auto name = "other-barrier-gone-" + std::string(it.row);
        scene.member.freeze_daemon();
        scene.on(scene.member, it.other_barrier);
        auto capture = scene.capture(name);
        row.happens(scene);
        scene.press();
        capture->stop();
        const auto found = scene.findings(*capture, name);
        for (const auto* what : it.seen) {
            EXPECT_NE(found.find(what), std::string::npos) << what << " is not among: " << found;
        }
        row.remedy(scene);
        scene.member.thaw_daemon();
        EXPECT_TRUE(eventually(seconds(10), [&] { return Scene::barred(scene.member); }));
    }
}

}  // namespace
}  // namespace warren::lab
