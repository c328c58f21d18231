// What one rotation costs in a network of 10, 100 and 1,000 members: the manager's own code over a real store, every
// member with an agent's view of the network and the engine over a kernel in memory. Messages and bytes are those of
// the session streams; time is the processor's. Beside the members there are nodes that are none: it must cost them
// nothing.

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>

#include "agent/view.h"
#include "agent/wanted.h"
#include "bench/measure.h"
#include "certs/key.h"
#include "manager/core.h"
#include "proto/wire.h"
#include "tests/unit/manager/founded_cluster.h"
#include "xfrm/engine.h"
#include "xfrm/fake_kernel.h"

namespace warren::bench {
namespace {

using proto::raw;

struct Traffic {
    std::size_t messages = 0;
    std::size_t bytes = 0;

    void count(const google::protobuf::MessageLite& message) {
        ++messages;
        bytes += message.ByteSizeLong();
    }
};

// A stream to an agent: a queue.
class Stream final : public manager::SessionSink {
  public:
    void send(v1::FromManager message) override {
        traffic.count(message);
        queue.push_back(std::move(message));
    }
    void close(const base::Error& why) override { give_up(why.message()); }

    Traffic traffic;
    std::deque<v1::FromManager> queue;
};

// What an agent does about the keys of its network, without the links.
class Agent {
  public:
    Agent(const base::ClusterId& cluster, const base::NodeId& node, const base::IpAddress& vtep,
          const std::filesystem::path& run_dir)
        : self_{.cluster = cluster, .node = node, .vtep = vtep} {
        std::filesystem::create_directories(run_dir);
        engine_ = must(xfrm::Engine::open({.run_dir = run_dir}, kernel_));
    }

    // Takes what has arrived.
    void read() {
        for (; !stream->queue.empty(); stream->queue.pop_front()) {
            dirty_ = true;
            const auto& message = stream->queue.front();
            if (message.has_snapshot()) {
                view_ = must(agent::take_snapshot(message.snapshot()));
            } else if (message.has_delta()) {
                must(agent::take_delta(*view_, message.delta()));
            } else if (message.has_peer_acks()) {
                agent::take_acks(*view_, message.peer_acks());
            } else if (!message.endpoint_reply().error().empty()) {
                give_up(message.endpoint_reply().error());
            }
        }
    }

    // Does what messages have made due; the acknowledgement, if there is something new to acknowledge.
    std::optional<v1::FromAgent> work() {
        std::optional<v1::FromAgent> ack;
        if (dirty_ || !stream->queue.empty()) {
            time += computed([&] {
                read();
                ack = apply();
            });
        }
        return ack;
    }

    [[nodiscard]] std::size_t sas() const { return kernel_.states().size(); }

    std::shared_ptr<Stream> stream = std::make_shared<Stream>();
    manager::SessionId session;
    Traffic sent;
    Milliseconds time{};  // of work()

  private:
    std::optional<v1::FromAgent> apply() {
        dirty_ = false;
        const auto own = view_->members.at(self_.node).membership;
        const auto keys = must(agent::wanted_keys(*view_, self_, engine_->sent_epochs(view_->id, own)));
        if (const auto outcome = engine_->apply_states(keys); !outcome.complete()) {
            give_up(outcome.failed.empty() ? "SAs were lost" : outcome.failed.front().message());
        }
        if (std::exchange(acked_, view_->revision) == view_->revision) {
            return std::nullopt;
        }
        v1::FromAgent message;
        auto& applied = *message.mutable_acks()->add_applied();
        applied.set_network_id(raw(view_->id));
        applied.set_membership_id(own.value);
        applied.set_revision(view_->revision.value);
        sent.count(message);
        return message;
    }

    agent::Self self_;
    xfrm::FakeKernel kernel_;
    std::unique_ptr<xfrm::Engine> engine_;
    std::optional<agent::NetworkView> view_;
    base::Revision acked_;
    bool dirty_ = false;
};

struct Cost {
    Milliseconds manager{};
    std::vector<Milliseconds> agents;
    Traffic down;
    Traffic up;
    Traffic bystanders;
};

class Swarm {
  public:
    explicit Swarm(std::size_t members) {
        core_ = must(manager::Core::open(*founded_.store, manager::Vault(manager::test_kek()),
                                         {.now = [this] { return now_; }, .self = founded_.founded.node}));
        for (std::size_t i = 0; i < kBystanders; ++i) {
            bystanders_.push_back(add_node());
        }
        v1::NetworkCreateRequest request;
        request.set_name("n");
        request.add_subnets("10.128.0.0/16");
        request.add_options("encrypted");
        must(core_->network_create(request));
        for (std::size_t i = 0; i < members; ++i) {
            agents_.push_back(add_node());
            connect(*agents_.back());
        }
        settle();
        for (const auto& agent : agents_) {
            if (agent->sas() != 2 * (members - 1)) {
                give_up(fmt::format("{} SAs for {} peers", agent->sas(), members - 1));
            }
        }
    }

    Cost rotate() {
        forget_counts();
        bool done = false;
        v1::KeyRotateRequest request;
        request.set_network("n");
        on_manager(
            [&] { (void)must(core_->key_rotate(request, [&](const auto& progress) { done = progress.done(); })); });
        while (!done) {
            settle();
            now_ = std::max(due_, now_ + base::Duration(1));
            on_manager([] {});
        }
        settle();
        Cost cost{.manager = manager_time_, .agents = {}, .down = {}, .up = {}, .bystanders = {}};
        for (const auto& agent : agents_) {
            cost.agents.push_back(agent->time);
            add(cost.down, agent->stream->traffic);
            add(cost.up, agent->sent);
        }
        for (const auto& other : bystanders_) {
            add(cost.bystanders, other->stream->traffic);
        }
        return cost;
    }

  private:
    static constexpr std::size_t kBystanders = 10;

    base::Time now_{std::chrono::hours(500'000)};
    base::Time due_{};
    manager::FoundedCluster founded_{now_};
    certs::PrivateKey key_ = must(certs::PrivateKey::generate());  // every node has it: making keys is slow
    std::unique_ptr<manager::Core> core_;
    std::vector<std::unique_ptr<Agent>> agents_;
    std::vector<std::unique_ptr<Agent>> bystanders_;
    std::uint32_t nodes_ = 0;
    Milliseconds manager_time_{};
    Milliseconds unclocked_{};

    static void add(Traffic& sum, const Traffic& more) {
        sum.messages += more.messages;
        sum.bytes += more.bytes;
    }

    // A call of the manager, and what its loop does after every call. Its clock goes on by the time that it needs, as
    // if the next message were there already: a manager under full load.
    template <typename Call>
    void on_manager(Call call) {
        const auto spent = computed([&] {
            call();
            due_ = now_ + core_->run();
        });
        manager_time_ += spent;
        unclocked_ += spent;
        const auto whole = std::chrono::floor<base::Duration>(unclocked_);
        unclocked_ -= whole;
        now_ += whole;
    }

    void forget_counts() {
        manager_time_ = {};
        for (const auto* nodes : {&agents_, &bystanders_}) {
            for (const auto& node : *nodes) {
                v1::FromAgent alive;
                alive.mutable_heartbeat();
                core_->session_message(node->session, alive);
                node->stream->queue.clear();
                node->stream->traffic = {};
                node->sent = {};
                node->time = {};
            }
        }
    }

    std::unique_ptr<Agent> add_node() {
        ++nodes_;
        const auto vtep = base::IpAddress::v4(0x0a000000U + nodes_);
        v1::TokenShowRequest which;
        which.set_role("worker");
        const auto token = must(certs::parse_join_token("token", must(core_->token_show(which)).token()));
        v1::IssueCertificateRequest request;
        request.set_csr_pem(must(certs::make_request(key_)));
        const auto bytes = token.secret.reveal();
        request.set_token_secret(std::string(bytes.begin(), bytes.end()));
        request.set_node_name(fmt::format("h{}", nodes_));
        request.set_data_address(raw(vtep));
        request.set_advertise_address(raw(vtep));
        const auto node = proto::id_of<base::NodeId>(must(core_->issue_certificate(request)).node_id());
        auto agent = std::make_unique<Agent>(founded_.founded.cluster, node, vtep,
                                             founded_.directory.path() / std::to_string(nodes_));
        agent->session = must(core_->session_opened(
            {.cluster = founded_.founded.cluster, .node = node, .role = certs::Role::kWorker}, agent->stream));
        v1::FromAgent message;
        auto& hello = *message.mutable_hello();
        hello.set_boot_id(raw(base::random_id<base::BootId>()));
        hello.set_data_address(raw(vtep));
        hello.set_underlay_mtu(1500);
        hello.set_version("1");
        for (const std::uint32_t cipher : {1U, 2U, 3U}) {
            hello.add_ciphers(cipher);
        }
        core_->session_message(agent->session, message);
        on_manager([] {});
        return agent;
    }

    void connect(const Agent& agent) {
        v1::FromAgent message;
        auto& wanted = *message.mutable_endpoint_request()->mutable_connect();
        wanted.set_network("n");
        wanted.set_netns(fmt::format("/run/netns/c{}", agents_.size()));
        on_manager([&] { core_->session_message(agent.session, message); });
        for (const auto& member : agents_) {
            member->read();
        }
    }

    // Until nobody has anything to say. In turns, since on one processor the agents would have the caches that the
    // manager, which is alone on its host, has for itself.
    void settle() {
        std::vector<std::pair<const Agent*, v1::FromAgent>> acks;
        do {
            for (const auto& ack : std::exchange(acks, {})) {
                on_manager([&] { core_->session_message(ack.first->session, ack.second); });
            }
            for (const auto& agent : agents_) {
                if (auto ack = agent->work()) {
                    acks.emplace_back(agent.get(), *std::move(ack));
                }
            }
        } while (!acks.empty());
    }
};

std::string row(std::string_view what, double value, double smallest, std::string_view unit) {
    return fmt::format("  {:<44} {:>12.1f} {:<5} x {:.2f}\n", what, value, unit, value / smallest);
}

// Per rotation, medians; the last column compares with the smallest network.
class Report {
  public:
    void print(std::size_t members, const std::vector<Cost>& costs) {
        const auto median = [&](auto part) {
            std::vector<double> values;
            for (const auto& cost : costs) {
                values.push_back(part(cost));
            }
            std::sort(values.begin(), values.end());
            return values[values.size() / 2];
        };
        const auto n = static_cast<double>(members);
        fmt::print("{} members\n", members);
        line("manager: processor per member", "us",
             median([&](const Cost& cost) { return cost.manager.count() * 1000 / n; }));
        line("messages to each member", "",
             median([&](const Cost& cost) { return static_cast<double>(cost.down.messages) / n; }));
        line("bytes to each member", "B",
             median([&](const Cost& cost) { return static_cast<double>(cost.down.bytes) / n; }));
        line("messages from each member", "",
             median([&](const Cost& cost) { return static_cast<double>(cost.up.messages) / n; }));
        line("bytes from each member", "B",
             median([&](const Cost& cost) { return static_cast<double>(cost.up.bytes) / n; }));
        line("agent: processor per peer", "us",
             median([&](const Cost& cost) { return summarise(cost.agents).median.count() * 1000 / (n - 1); }));
        fmt::print("  {:<44} {:>12.1f} ms\n", "manager: processor in all",
                   median([](const Cost& cost) { return cost.manager.count(); }));
        fmt::print("  {:<44} {:>12} messages\n", "to nodes that are no members",
                   std::max_element(costs.begin(), costs.end(), [](const Cost& a, const Cost& b) {
                       return a.bystanders.messages < b.bystanders.messages;
                   })->bystanders.messages);
        std::fflush(stdout);
        next_ = 0;
    }

  private:
    void line(std::string_view what, std::string_view unit, double value) {
        if (next_ == smallest_.size()) {
            smallest_.push_back(value);
        }
        fmt::print("{}", row(what, value, smallest_[next_++], unit));
    }

    std::vector<double> smallest_;
    std::size_t next_ = 0;
};

void run() {
    constexpr int kRotations = 5;
    Report report;
    for (const std::size_t members : std::initializer_list<std::size_t>{10, 100, 1000}) {
        Swarm swarm(members);
        std::vector<Cost> costs;
        for (int i = 0; i < kRotations; ++i) {
            costs.push_back(swarm.rotate());
        }
        report.print(members, costs);
    }
}

}  // namespace
}  // namespace warren::bench

int main() {
    warren::bench::run();
}
