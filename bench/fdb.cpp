// Making and removing 5,000 forwarding entries and 5,000 neighbour entries of a VXLAN device, against `bridge -batch`
// and `ip -batch` with the same, turn by turn in one kernel. What counts on our side is opening the socket, making the
// messages and the transaction, as the overlay's builder does it; on the other side the two programs from start to end.
// Needs root; works in a network namespace of its own.

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "bench/measure.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"

namespace warren::bench {
namespace {

using netlink::Message;
using netlink::Socket;

constexpr std::uint32_t kEndpoints = 5000;
constexpr std::uint32_t kVteps = 100;
constexpr int kRounds = 9;

struct Endpoint {
    netlink::FdbEntry forwarding;
    netlink::Neighbour neighbour;
};

Socket open_socket() {
    return must(Socket::open(netlink::Protocol::kRoute));
}

base::IfIndex make_device() {
    if (::unshare(CLONE_NEWNET) != 0) {
        give_up("needs root, to make a network namespace");
    }
    Socket socket = open_socket();
    must(socket.request(
        netlink::create_vxlan({.name = "vx0"}, {.vni = base::Vni{0x570000}, .learning = false, .proxy = true})));
    must(socket.request(netlink::set_link("vx0", {.up = true})));
    return must(netlink::read_link(socket, "vx0")).index;
}

std::vector<Endpoint> all_endpoints(base::IfIndex link) {
    std::vector<Endpoint> endpoints;
    for (std::uint32_t i = 0; i < kEndpoints; ++i) {
        const base::MacAddress mac{
            {0x02, 0x57, 0, 0, static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)}};
        endpoints.push_back(
            {.forwarding = {.link = link, .mac = mac, .destination = base::IpAddress::v4(0xc0000201 + i % kVteps)},
             .neighbour = {.link = link, .ip = base::IpAddress::v4(0x0a800002 + i), .mac = mac}});
    }
    return endpoints;
}

template <typename ToForwarding, typename ToNeighbour>
void transact(const std::vector<Endpoint>& endpoints, ToForwarding&& to_forwarding, ToNeighbour&& to_neighbour) {
    Socket socket = open_socket();
    std::vector<Message> messages;
    messages.reserve(2 * endpoints.size());
    for (const Endpoint& endpoint : endpoints) {
        messages.push_back(to_forwarding(endpoint.forwarding));
    }
    for (const Endpoint& endpoint : endpoints) {
        messages.push_back(to_neighbour(endpoint.neighbour));
    }
    for (base::Status& status : socket.transact(messages)) {
        must(std::move(status));
    }
}

// Both tables of the device, in an order, so that the two ways can be compared.
using Tables = std::pair<std::vector<netlink::FdbEntry>, std::vector<netlink::Neighbour>>;
Tables in_kernel(base::IfIndex link) {
    Socket socket = open_socket();
    Tables tables{must(netlink::read_fdb(socket, link)), must(netlink::read_neighbours(socket, link))};
    std::erase_if(tables.second, [](const auto& entry) { return !entry.permanent; });
    std::sort(tables.first.begin(), tables.first.end());
    std::sort(tables.second.begin(), tables.second.end(), [](const auto& a, const auto& b) { return a.ip < b.ip; });
    return tables;
}

struct Scripts {
    std::string bridge;
    std::string ip;
};

Scripts making(const std::vector<Endpoint>& endpoints) {
    Scripts scripts;
    for (const Endpoint& it : endpoints) {
        scripts.bridge += fmt::format("fdb replace {} dev vx0 dst {} self permanent\n", it.forwarding.mac,
                                      *it.forwarding.destination);
        scripts.ip +=
            fmt::format("neigh replace {} lladdr {} dev vx0 nud permanent\n", it.neighbour.ip, it.neighbour.mac);
    }
    return scripts;
}

Scripts removing(const std::vector<Endpoint>& endpoints) {
    Scripts scripts;
    for (const Endpoint& it : endpoints) {
        scripts.bridge +=
            fmt::format("fdb del {} dev vx0 dst {} self\n", it.forwarding.mac, *it.forwarding.destination);
        scripts.ip += fmt::format("neigh del {} dev vx0\n", it.neighbour.ip);
    }
    return scripts;
}

class Rival {
  public:
    explicit Rival(const Scripts& scripts) : bridge_(scripts.bridge), ip_(scripts.ip) {}
    void run() const {
        run_program({"bridge", "-batch", bridge_.path()});
        run_program({"ip", "-batch", ip_.path()});
    }

  private:
    ScratchFile bridge_;
    ScratchFile ip_;
};

struct Times {
    std::vector<Milliseconds> make;
    std::vector<Milliseconds> remove;
};

void run() {
    const base::IfIndex link = make_device();
    const std::vector<Endpoint> endpoints = all_endpoints(link);
    const Rival maker(making(endpoints));
    const Rival remover(removing(endpoints));
    const Tables empty = in_kernel(link);
    Times ours;
    Times theirs;
    for (int round = 0; round < kRounds; ++round) {
        ours.make.push_back(timed([&] { transact(endpoints, netlink::put_fdb, netlink::put_neighbour); }));
        const Tables by_us = in_kernel(link);
        ours.remove.push_back(timed([&] { transact(endpoints, netlink::delete_fdb, netlink::delete_neighbour); }));
        if (in_kernel(link) != empty) {
            give_up("something is left");
        }
        theirs.make.push_back(timed([&] { maker.run(); }));
        const Tables by_them = in_kernel(link);
        theirs.remove.push_back(timed([&] { remover.run(); }));
        if (by_us != by_them || by_us.second.size() != kEndpoints || in_kernel(link) != empty) {
            give_up("the two ways did not leave the same entries");
        }
    }
    constexpr std::string_view kRival = "bridge and ip -batch";
    print_comparison("make 5,000 FDB + 5,000 neighbours", summarise(ours.make), kRival, summarise(theirs.make));
    print_comparison("remove 5,000 FDB + 5,000 neighbours", summarise(ours.remove), kRival, summarise(theirs.remove));
}

}  // namespace
}  // namespace warren::bench

int main() {
    warren::bench::run();
}
