#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/random.h"
#include "netlink/kernel_socket.h"
#include "netlink/link.h"
#include "netlink/namespace.h"
#include "overlay/builder.h"
#include "overlay/diff.h"
#include "sample.h"

// Hosts and containers for tests on the real kernel: namespaces of the test's own, gone with it.
namespace warren::overlay {

// The value of a Result, or the end of the test binary with its error: for steps that must work for a test to mean
// anything.
template <typename T>
T must(base::Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "needed for this test: %s\n", result.error().message().c_str());
        std::abort();
    }
    if constexpr (!std::is_void_v<T>) {
        return *std::move(result);
    }
}

inline ::testing::AssertionResult complete(const Outcome& outcome) {
    auto result = outcome.complete() ? ::testing::AssertionSuccess() : ::testing::AssertionFailure();
    for (const auto& error : outcome.errors) {
        result << error.message() << "\n";
    }
    for (const auto& [id, error] : outcome.endpoint_errors) {
        result << error.message() << "\n";
    }
    return result;
}

struct Output {
    std::string text;  // stdout and stderr
    bool good = false;
};

class Node {
  public:
    netlink::Namespace ns = must(netlink::Namespace::create_anonymous());
    netlink::Socket route = must(netlink::Socket::open_in(ns, netlink::Protocol::kRoute));

    Node() { must(route.request(netlink::set_link("lo", {.up = true}))); }

    Output run(const std::string& command) const {
        Output out;
        must(netlink::run_in(ns, [&]() -> base::Status {
            std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
            std::array<char, 4096> buffer{};
            while (pipe != nullptr && std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
                out.text += buffer.data();
            }
            out.good = pipe != nullptr && ::pclose(pipe) == 0;
            return {};
        }));
        return out;
    }
    void need(const std::string& command) const {
        const Output out = run(command);
        if (!out.good) {
            std::fprintf(stderr, "needed for this test: %s: %s\n", command.c_str(), out.text.c_str());
            std::abort();
        }
    }
    // A path to the namespace that works while this object lives.
    [[nodiscard]] std::string path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), ns.fd()); }
    std::vector<netlink::Link> links() { return must(netlink::read_links(route)); }
    netlink::Link link(const std::string& name) { return must(netlink::read_link(route, name)); }

    ::testing::AssertionResult pings(const std::string& target, const std::string& options = "") const {
        const Output out = run(fmt::format("ping -n -c 2 -i 0.05 -w 4 {} {}", options, target));
        return (out.good ? ::testing::AssertionSuccess() : ::testing::AssertionFailure()) << out.text;
    }
};
using Container = Node;

// A host with an address on the underlay and a builder that works in it.
class Host : public Node {
  public:
    explicit Host(std::string address) : address_(std::move(address)) {}
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host() {
        for (const auto& network : must(builder().found())) {
            must(builder().remove(network));
        }
        std::error_code ignored;
        std::filesystem::remove_all(run_dir_, ignored);
    }

    // A new one each time, as after a restart of the daemon.
    [[nodiscard]] Builder builder() const {
        return must(netlink::run_in(ns, [this] { return Builder::open(run_dir_); }));
    }
    [[nodiscard]] Outcome apply(const Network& network) const {
        // On a thread in the host's namespace, as the daemon is.
        std::optional<Outcome> out;
        must(netlink::run_in(ns, [&]() -> base::Status {
            out = must(Builder::open(run_dir_)).apply(network);
            return {};
        }));
        return *std::move(out);
    }
    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] const std::filesystem::path& run_dir() const { return run_dir_; }
    [[nodiscard]] netlink::Namespace network_namespace(const Network& network) const {
        return must(netlink::Namespace::open_path(run_dir_ / "netns" / network.id.text()));
    }
    [[nodiscard]] Network network() const {
        Network network = sample_network();
        network.vtep = ip(address_);
        return network;
    }

  private:
    std::string address_;
    std::filesystem::path run_dir_ =
        std::filesystem::temp_directory_path() / fmt::format("warren-overlay-{:x}", base::random_u64());
};

// Joins two hosts by a cable: `eth0` on both.
inline void connect(Host& a, Host& b) {
    must(a.route.request(netlink::create_veth({.name = "eth0"}, {.name = "eth0", .into = &b.ns})));
    for (Host* host : {&a, &b}) {
        const bool v6 = host->address().find(':') != std::string::npos;
        host->need(fmt::format("ip addr add {}/{} dev eth0 {}", host->address(), v6 ? 64 : 24, v6 ? "nodad" : ""));
        host->need("ip link set eth0 up");
    }
}

// Every frame that passes an interface, from its making on.
class Sniffer {
  public:
    Sniffer(const netlink::Namespace& where, const std::string& ifname);

    // The frames that passed since the last call.
    std::vector<std::vector<std::uint8_t>> frames();
    // How many of them contain `text`.
    std::size_t count(const std::string& text);

  private:
    base::UniqueFd fd_;
};

// A UDP socket in a namespace.
class Udp {
  public:
    // Bound to `port` on every address; 0 = any.
    Udp(const netlink::Namespace& where, std::uint16_t port);
    void send(const std::string& to, std::uint16_t port);
    // How many datagrams have come since the last call; waits for `expected` of them, two seconds at most.
    std::size_t received(std::size_t expected);

  private:
    base::UniqueFd fd_;
};

// Sends a raw Ethernet frame with `text` as its payload (of an EtherType that nobody speaks).
void send_frame(const netlink::Namespace& where, const std::string& ifname, const base::MacAddress& to,
                const base::MacAddress& from, const std::string& text);

}  // namespace warren::overlay
