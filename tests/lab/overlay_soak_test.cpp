#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/lab/addresses.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"
#include "tests/lab/network_objects.h"

// Containers come, go and move among five hosts while daemons are killed, for long. Who should talk talks afterwards,
// by name and at full size; who should not does not; and every kernel holds exactly what is wanted.
namespace warren::lab {
namespace {

using std::chrono::seconds;

struct NetworkKind {
    const char* name;
    Argv options;
    bool internal = false;
};
// Two have IPv6: who has it by one could try the addresses of the other.
const std::vector<NetworkKind> kNetworks{{.name = "plain", .options = {}},
                                         {.name = "secret", .options = {"--opt", "encrypted", "--ipv6"}},
                                         {.name = "inner", .options = {"--internal", "--ipv6"}, .internal = true}};
constexpr unsigned kHosts = 5;
constexpr unsigned kContainers = 30;
constexpr std::size_t kNetworksOfOne = 2;  // of a container, at most
constexpr int kIpAndIcmp = 28;             // bytes of a ping before its data
constexpr int kIpv6AndIcmp = 48;

// $WARREN_LAB_SEED repeats what another run has drawn.
unsigned long seed() {
    const char* given = std::getenv("WARREN_LAB_SEED");
    return given != nullptr ? base::parse_unsigned(given).value_or(1) : std::random_device{}();
}

// A container as it should be. Its endpoints have its name; its namespace is another one after each take-over, since
// the old one is still on its old host.
struct Resident {
    std::string name;
    std::unique_ptr<Container> space;
    unsigned generation = 1;
    unsigned host = 0;               // 0: on none
    std::set<std::size_t> networks;  // places in kNetworks
};

class Churn : public testing::Test {
  protected:
    Churn() : seed_(seed()), random_(seed_), lab_(cluster_of(kHosts)), outside_(lab_->add_host()) {
        std::cout << "again: WARREN_LAB_SEED=" << seed_ << '\n' << std::flush;
        for (const auto& kind : kNetworks) {
            Argv argv{"network", "create", kind.name};
            argv.insert(argv.end(), kind.options.begin(), kind.options.end());
            manager().warren_ok(argv);
        }
        for (unsigned i = 1; i <= kContainers; ++i) {
            auto& it = residents_.emplace_back(Resident{.name = fmt::format("c{}", i)});
            it.space = std::make_unique<Container>(it.name);
            connect(it);
        }
    }

    // Random steps, one after the other, until the test is so old, and a look at all of it after so many and at the
    // end.
    void churn(seconds age, int steps) {
        SCOPED_TRACE(fmt::format("again: WARREN_LAB_SEED={}", seed_));
        const auto goes_on = [&] { return std::chrono::steady_clock::now() < begun_ + age && !HasFailure(); };
        do {
            for (int i = 0; i < steps && goes_on(); ++i) {
                step();
                ++steps_;
            }
            await_rest();
            const auto networks = shown();
            expect_model(networks);
            expect_objects(networks);
            expect_talk(networks);
        } while (goes_on());
        std::cout << steps_ << " steps\n";
    }

    void remove_everything() {
        SCOPED_TRACE(fmt::format("again: WARREN_LAB_SEED={}", seed_));
        for (auto& it : residents_) {
            while (!it.networks.empty()) {
                disconnect(it, *it.networks.begin());
            }
        }
        for (const auto& kind : kNetworks) {
            ensure(manager(), {"network", "rm", kind.name}, "not found");
        }
        await_rest();
        expect_objects({});
    }

  private:
    // ---- What is done ----

    Host& manager() { return lab_->host(1); }
    std::size_t pick(std::size_t of) { return static_cast<std::size_t>(random_() % of); }
    unsigned any_host() { return 1 + static_cast<unsigned>(pick(kHosts)); }
    Resident& any_resident() { return residents_[pick(residents_.size())]; }

    void note(const std::string& text) {
        std::ofstream(lab_->artefacts() / "steps.log", std::ios::app) << text << '\n';
    }

    // Until it is done, or was done before: a daemon that was just started has to find its manager first. What the
    // command says then has `done` in it.
    void ensure(const Host& host, const Argv& args, const std::string& done) {
        note(fmt::format("{}: warren {}", host.name(), fmt::join(args, " ")));
        Output last;
        const bool ended = eventually(seconds(30), [&] {
            last = host.warren(args);
            return last.ok() || last.err.find("session") == std::string::npos;
        });
        EXPECT_TRUE(ended && (last.ok() || last.err.find(done) != std::string::npos))
            << host.name() << ": warren " << fmt::format("{}", fmt::join(args, " ")) << ": " << last.err;
    }

    static Argv connect_command(const Resident& it, std::size_t network) {
        return {"network", "connect", kNetworks[network].name, "--netns", it.space->name(), "--name", it.name};
    }
    static Argv disconnect_command(const Resident& it, std::size_t network) {
        return {"network", "disconnect", kNetworks[network].name, it.name};
    }
    void connect_to(Resident& it, std::size_t network, const Argv& more = {}) {
        auto argv = connect_command(it, network);
        argv.insert(argv.end(), more.begin(), more.end());
        ensure(lab_->host(it.host), argv, "already, as endpoint");
        it.networks.insert(network);
    }
    static void has_left(Resident& it, std::size_t network) {
        it.networks.erase(network);
        it.host = it.networks.empty() ? 0 : it.host;
    }
    // To another network than those it is in, where it is, or anywhere.
    void connect(Resident& it) {
        if (it.networks.size() == kNetworksOfOne) {
            return;
        }
        it.host = it.host == 0 ? any_host() : it.host;
        auto network = pick(kNetworks.size());
        while (it.networks.contains(network)) {
            network = (network + 1) % kNetworks.size();
        }
        connect_to(it, network);
    }

    void disconnect(Resident& it, std::size_t network) {
        ensure(lab_->host(it.host), disconnect_command(it, network), "not found");
        has_left(it, network);
    }
    void disconnect(Resident& it) {
        if (!it.networks.empty()) {
            disconnect(it, *std::next(it.networks.begin(), static_cast<std::ptrdiff_t>(pick(it.networks.size()))));
        }
    }

    // Off here and on there.
    void move(Resident& it) {
        const auto networks = it.networks;
        for (const auto network : networks) {
            disconnect(it, network);
        }
        it.host = networks.empty() ? 0 : any_host();
        for (const auto network : networks) {
            connect_to(it, network);
        }
    }

    // The same container is made anew elsewhere, and nobody says goodbye for the old one.
    void take_over(Resident& it, unsigned host) {
        leaving_.push_back(std::move(it.space));
        it.space = std::make_unique<Container>(fmt::format("{}-{}", it.name, ++it.generation));
        it.host = host;
        const auto networks = it.networks;
        for (const auto network : networks) {
            connect_to(it, network, {"--take-over"});
        }
    }
    void take_over(Resident& it) {
        if (it.host != 0) {
            take_over(it, any_host());
        }
    }
    void take_over_from_the_dead(Resident& it) {
        const auto old_host = it.host;
        if (old_host < 2) {  // on none, or where the manager is
            return;
        }
        note(fmt::format("h{}: killed", old_host));
        lab_->host(old_host).kill_daemon(SIGKILL);
        take_over(it, 1 + (old_host + static_cast<unsigned>(pick(kHosts - 1))) % kHosts);
        lab_->host(old_host).start_daemon();
    }

    // A container comes to a network, or goes from it.
    struct Change {
        Resident* who = nullptr;
        std::size_t network = 0;
        bool comes = true;
    };
    std::vector<Change> draw_changes() {
        std::vector<Change> changes;
        for (auto count = 1 + pick(6); count > 0; --count) {
            auto& it = any_resident();
            if (std::ranges::any_of(changes, [&](const Change& other) { return other.who == &it; })) {
                continue;
            }
            Change change{.who = &it, .comes = it.networks.empty()};
            if (change.comes) {
                it.host = any_host();
                change.network = pick(kNetworks.size());
            } else {
                change.network = *std::next(it.networks.begin(), static_cast<std::ptrdiff_t>(pick(it.networks.size())));
            }
            changes.push_back(change);
        }
        return changes;
    }
    // Several at once, and one time of two some daemon dies in the middle of that, at any moment. What was not done is
    // done then.
    void crowd() {
        const auto changes = draw_changes();
        const bool deadly = pick(2) == 0;
        const auto number = pick(2) == 0 ? 1 : changes[0].who->host;
        const auto delay = pick(400);
        std::vector<Process> commands;
        for (const auto& change : changes) {
            const auto argv = change.comes ? connect_command(*change.who, change.network)
                                           : disconnect_command(*change.who, change.network);
            auto& host = lab_->host(change.who->host);
            note(fmt::format("at once: {}: warren {}", host.name(), fmt::join(argv, " ")));
            commands.emplace_back(host.warren_command(argv), host.where());
        }
        if (deadly) {
            note(fmt::format("h{}: killed after {} ms", number, delay));
            std::this_thread::sleep_for(std::chrono::milliseconds(delay));  // any moment
            restart(number, SIGKILL);
        }
        for (std::size_t i = 0; i < changes.size(); ++i) {
            const auto said = commands[i].wait();
            EXPECT_TRUE(said.ok() || deadly || said.err.find("session") != std::string::npos) << said.err;
            const auto& [who, network, comes] = changes[i];
            if (comes && said.ok()) {
                who->networks.insert(network);
            } else if (comes) {
                connect_to(*who, network);
            } else if (said.ok()) {
                has_left(*who, network);
            } else {
                disconnect(*who, network);
            }
        }
    }

    void restart(unsigned number, int signal) {
        note(fmt::format("h{}: signal {}", number, signal));
        lab_->host(number).kill_daemon(signal);
        lab_->host(number).start_daemon();
    }

    void step() {
        auto& it = any_resident();
        switch (pick(13)) {
            case 0:
            case 1:
            case 2:
                return connect(it);
            case 3:
            case 4:
                return disconnect(it);
            case 5:
            case 6:
                return move(it);
            case 7:
                return take_over(it);
            case 8:
                return take_over_from_the_dead(it);
            case 9:
            case 10:
                return crowd();
            case 11:
                return restart(2 + static_cast<unsigned>(pick(kHosts - 1)), SIGKILL);
            default:
                return restart(1, pick(2) == 0 ? SIGKILL : SIGTERM);
        }
    }

    // ---- What is there then ----

    // All daemons have applied what they were told, no rotation goes on, and old containers are off.
    void await_rest() {
        EXPECT_TRUE(eventually(seconds(120),
                               [&] {
                                   return manager().warren({"network", "ls"}).ok() && !rotates() && all_settled();
                               }))
            << manager().warren({"key", "status"}).out << manager().warren({"status"}).out;
        EXPECT_TRUE(eventually(seconds(30), [&] { return std::ranges::all_of(leaving_, is_bare); }));
        leaving_.clear();
    }
    bool rotates() {
        const auto status = manager().ask<v1::KeyStatusReply>({"key", "status"});
        return std::ranges::any_of(status.networks(), [](const auto& it) { return it.phase() != "idle"; });
    }
    bool all_settled() {
        for (unsigned number = 1; number <= kHosts; ++number) {
            if (!settled(lab_->host(number))) {
                return false;
            }
        }
        return true;
    }
    static bool is_bare(const std::unique_ptr<Container>& space) {
        return space->run({"ip", "-brief", "link", "show", "type", "veth"}).out.empty();
    }

    std::vector<v1::Network> shown() {
        std::vector<v1::Network> networks;
        networks.reserve(kNetworks.size());
        for (const auto& kind : kNetworks) {
            networks.push_back(inspect(manager(), kind.name));
        }
        return networks;
    }

    void expect_model(const std::vector<v1::Network>& networks) {
        std::set<std::string> wanted;
        std::set<std::string> seen;
        for (const auto& it : residents_) {
            for (const auto network : it.networks) {
                wanted.insert(fmt::format("{} in {} on h{} is /run/netns/{}", it.name, kNetworks[network].name, it.host,
                                          it.space->name()));
            }
        }
        for (const auto& network : networks) {
            for (const auto& endpoint : network.endpoints()) {
                seen.insert(fmt::format("{} in {} on {} is {}", endpoint.name(), network.name(), endpoint.node(),
                                        endpoint.netns()));
            }
        }
        EXPECT_EQ(seen, wanted);
    }

    // In kernels, and the files that containers find names by.
    void expect_objects(const std::vector<v1::Network>& networks) {
        for (unsigned number = 1; number <= kHosts; ++number) {
            std::string found;
            EXPECT_TRUE(eventually(seconds(20), [&] { return (found = strays(lab_->host(number), networks)).empty(); }))
                << found;
        }
        std::set<std::string> wanted;
        std::set<std::string> seen;
        for (const auto& it : residents_) {
            if (!it.networks.empty()) {
                wanted.insert(it.space->name());
            }
        }
        std::error_code none;
        for (const auto& entry : std::filesystem::directory_iterator("/etc/netns", none)) {
            seen.insert(entry.path().filename().string());
        }
        EXPECT_EQ(seen, wanted);
    }

    void expect_talk(const std::vector<v1::Network>& networks) {
        for (const auto& it : residents_) {
            for (std::size_t i = 0; i < kNetworks.size(); ++i) {
                if (it.networks.contains(i)) {
                    EXPECT_EQ(unreached_by_name(it, networks[i], "-4", kIpAndIcmp), "")
                        << it.name << " in " << networks[i].name();
                }
                if (it.networks.contains(i) && networks[i].subnets_size() > 1) {
                    EXPECT_EQ(unreached_by_name(it, networks[i], "-6", kIpv6AndIcmp), "")
                        << it.name << " in " << networks[i].name();
                }
            }
            EXPECT_EQ(reached_though(it, networks), "") << it.name;
        }
    }
    // Whom of a network its own names do not lead to with packets of full size.
    static std::string unreached_by_name(const Resident& it, const v1::Network& network, const char* family,
                                         int headers) {
        Argv argv{"ip",    "netns", "exec", it.space->name(),
                  "fping", family,  "-M",   "-u",
                  "-r",    "3",     "-t",   "500",
                  "-i",    "1",     "-b",   std::to_string(static_cast<int>(network.mtu()) - headers)};
        for (const auto& endpoint : network.endpoints()) {
            if (endpoint.name() != it.name) {
                argv.push_back(fmt::format("{}.{}", endpoint.name(), network.name()));
            }
        }
        if (network.endpoints_size() < 2) {
            return "";
        }
        const auto said = run(argv);
        return said.ok() ? "" : fmt::format("{}{} exit code {}", said.out, said.err, said.code);
    }
    // Who answers though it should not: other networks, and who is outside unless there is a way out.
    std::string reached_though(const Resident& it, const std::vector<v1::Network>& networks) {
        Argv ipv4;
        Argv ipv6;
        bool way_out = false;
        for (std::size_t i = 0; i < kNetworks.size(); ++i) {
            way_out = way_out || (it.networks.contains(i) && !kNetworks[i].internal);
            if (it.networks.contains(i)) {
                continue;
            }
            for (const auto& endpoint : networks[i].endpoints()) {
                ipv4.push_back(without_length(endpoint.ip()));
                if (!endpoint.ipv6().empty()) {
                    ipv6.push_back(without_length(endpoint.ipv6()));
                }
            }
        }
        if (way_out) {
            EXPECT_TRUE(it.space->ping(outside_.address())) << it.name << " has no way out";
        } else {
            ipv4.push_back(outside_.address());
        }
        return who_answers(it, "-4", ipv4) + who_answers(it, "-6", ipv6);
    }
    static std::string who_answers(const Resident& it, const char* family, const Argv& addresses) {
        Argv argv{"fping", family, "-a", "-r", "0", "-t", "200", "-i", "1"};
        argv.insert(argv.end(), addresses.begin(), addresses.end());
        return addresses.empty() ? "" : it.space->run(argv).out;
    }

    const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
    int steps_ = 0;
    unsigned long seed_;
    std::mt19937 random_;
    std::unique_ptr<Lab> lab_;
    Host& outside_;
    std::vector<Resident> residents_;
    std::vector<std::unique_ptr<Container>> leaving_;
};

TEST_F(Churn, LeavesWhatIsWantedAndNothingElse) {
    churn(seconds(110), 40);  // two minutes with the last look and the end
    remove_everything();
}

// scripts/test --soak
class ChurnSoak : public Churn {};

TEST_F(ChurnSoak, LeavesWhatIsWantedAndNothingElseForHalfAnHour) {
    churn(std::chrono::minutes(30), 60);
    remove_everything();
}

}  // namespace
}  // namespace warren::lab
