#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "manager/core.h"
#include "tests/unit/manager/founded_cluster.h"

// The control plane as its callers meet it: real store, no network. An agent here is a sink that keeps what it was
// sent.
namespace warren::manager {

using namespace std::chrono_literals;

inline const base::Time kStart{std::chrono::hours(500'000)};

class Agent final : public SessionSink {
  public:
    void send(v1::FromManager message) override { messages.push_back(std::move(message)); }
    void close(const base::Error& why) override { closed = why; }

    // The last message of a kind, or null.
    [[nodiscard]] const v1::FromManager* last(v1::FromManager::MessageCase kind) const {
        for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
            if (message->message_case() == kind) {
                return &*message;
            }
        }
        return nullptr;
    }

    std::vector<v1::FromManager> messages;
    std::optional<base::Error> closed;
};

class CoreTest : public testing::Test {
  protected:
    explicit CoreTest(const v1::ClusterSettings& settings = {}) : cluster_(now_, settings) { open(); }

    // A manager that begins, or begins again, on what the store holds.
    void open() {
        core_.reset();
        core_ = Core::open(*cluster_.store, Vault(test_kek()),
                           {.now = [this] { return now_; },
                            .clock_set_by = [this] { return std::exchange(set_by_, {}); },
                            .self = founded_.node})
                    .value();
    }

    v1::TokenShowReply shown_worker_token() {
        v1::TokenShowRequest which;
        which.set_role("worker");
        return core_->token_show(which).value();
    }
    certs::TokenSecret worker_token() {
        return std::move(certs::parse_join_token("token", shown_worker_token().token())->secret);
    }

    // A worker that joined with the token, as the bootstrap service has it.
    base::NodeId join(const std::string& name, const std::string& address) {
        const auto reply = issue(name, address, worker_token());
        EXPECT_TRUE(reply) << reply.error().message();
        return id_of<base::NodeId>(reply->node_id());
    }
    base::Result<v1::IssueCertificateReply> issue(const std::string& name, const std::string& address,
                                                  const certs::TokenSecret& secret) {
        const auto key = certs::PrivateKey::generate().value();
        v1::IssueCertificateRequest request;
        request.set_csr_pem(certs::make_request(key).value());
        const auto bytes = secret.reveal();
        request.set_token_secret(std::string(bytes.begin(), bytes.end()));
        request.set_node_name(name);
        request.set_data_address(raw(ip(address)));
        request.set_advertise_address(raw(ip(address)));
        return core_->issue_certificate(request);
    }

    struct Joined {
        std::shared_ptr<Agent> agent;
        SessionId session;
        base::NodeId node;
    };
    static v1::FromAgent hello_of(const std::string& address, std::uint8_t boot = 1,
                                  const std::vector<std::uint32_t>& ciphers = {1, 2, 3}) {
        v1::FromAgent message;
        auto& hello = *message.mutable_hello();
        base::BootId boot_id;
        boot_id.bytes[0] = boot;
        hello.set_boot_id(raw(boot_id));
        hello.set_data_address(raw(ip(address)));
        hello.set_underlay_mtu(1500);
        hello.set_version("1");
        hello.mutable_ciphers()->Add(ciphers.begin(), ciphers.end());
        if (ciphers.empty()) {
            hello.set_esp_problem("CONFIG_INET_ESP is missing");
        }
        return message;
    }
    Joined begin_session(const base::NodeId& node, const std::string& address, std::uint8_t boot = 1,
                         const std::vector<std::uint32_t>& ciphers = {1, 2, 3}) {
        Joined joined{.agent = std::make_shared<Agent>(), .session = {}, .node = node};
        const auto role = node == founded_.node ? certs::Role::kManager : certs::Role::kWorker;
        joined.session =
            core_->session_opened({.cluster = founded_.cluster, .node = node, .role = role}, joined.agent).value();
        core_->session_message(joined.session, hello_of(address, boot, ciphers));
        (void)core_->run();
        return joined;
    }

    // The manager's own node is a member of the cluster like any other.
    Joined own_session() { return begin_session(founded_.node, "192.0.2.1"); }

    // The manager's node and w1, each with an endpoint in the encrypted network net1, which m1 has acknowledged.
    struct TwoMembers {
        Joined m1;
        Joined w1;
        v1::Network network;
    };
    TwoMembers two_members() {
        TwoMembers two{.m1 = own_session(), .w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2"), .network = {}};
        two.network = create("net1", {"encrypted"}).value();
        EXPECT_EQ(connect(two.m1, "net1", "a").error(), "");
        EXPECT_EQ(connect(two.w1, "net1", "b").error(), "");
        acknowledge(two.m1);
        return two;
    }

    base::Result<v1::Network> update(const std::vector<std::string>& options, const std::string& network = "net1") {
        v1::NetworkUpdateRequest request;
        request.set_network(network);
        request.mutable_options()->Assign(options.begin(), options.end());
        core_->set_caller("uid 0");
        auto updated = core_->network_update(request);
        (void)core_->run();
        return updated;
    }
    v1::Network inspect(const std::string& network = "net1") {
        v1::NetworkInspectRequest request;
        request.set_network(network);
        return core_->network_inspect(request).value();
    }

    v1::EndpointReply ask(const Joined& from, const v1::EndpointRequest& request) {
        v1::FromAgent message;
        *message.mutable_endpoint_request() = request;
        core_->session_message(from.session, message);
        (void)core_->run();
        const auto* reply = from.agent->last(v1::FromManager::kEndpointReply);
        return reply == nullptr ? v1::EndpointReply() : reply->endpoint_reply();
    }
    v1::EndpointReply connect(const Joined& from, const std::string& network, const std::string& netns,
                              const std::vector<std::string>& addresses = {}) {
        v1::EndpointRequest request;
        request.mutable_connect()->set_network(network);
        request.mutable_connect()->set_netns("/run/netns/" + netns);
        for (const auto& address : addresses) {
            request.mutable_connect()->add_ips(raw(ip(address)));
        }
        return ask(from, request);
    }
    v1::EndpointReply disconnect(const Joined& from, const std::string& network, const std::string& endpoint,
                                 bool vanished = false) {
        v1::EndpointRequest request;
        request.mutable_disconnect()->set_vanished(vanished);
        request.mutable_disconnect()->set_network(network);
        request.mutable_disconnect()->set_endpoint(endpoint);
        return ask(from, request);
    }

    base::Result<v1::Network> create(const std::string& name, const std::vector<std::string>& options = {},
                                     const std::string& subnet = "") {
        v1::NetworkCreateRequest request;
        request.set_name(name);
        for (const auto& option : options) {
            request.add_options(option);
        }
        if (!subnet.empty()) {
            request.add_subnets(subnet);
        }
        return core_->network_create(request);
    }

    std::uint64_t counted(const std::string& refusal) {
        for (const auto& count : core_->refusals().counts()) {
            if (count.name == refusal) {
                return count.value;
            }
        }
        ADD_FAILURE() << "no counter " << refusal;
        return 0;
    }
    // The newest membership id of this node that `to` was told.
    static std::uint64_t told_membership(const Joined& to, const base::NodeId& of) {
        std::uint64_t membership = 0;
        for (const auto& message : to.agent->messages) {
            const auto& content = message.has_snapshot() ? message.snapshot().content() : message.delta();
            for (const auto& member : content.members()) {
                if (id_of<base::NodeId>(member.node_id()) == of) {
                    membership = member.membership_id();
                }
            }
        }
        return membership;
    }
    // Says that `from` has applied this revision, under whatever membership id.
    void say_applied(const Joined& from, const v1::Network& network, std::uint64_t membership, std::uint64_t revision) {
        v1::FromAgent message;
        auto& applied = *message.mutable_acks()->add_applied();
        applied.set_network_id(raw(base::parse_id<base::NetworkId>("id", network.id()).value()));
        applied.set_membership_id(membership);
        applied.set_revision(revision);
        core_->session_message(from.session, message);
        (void)core_->run();
    }

    // Acknowledges all that an agent was told of a network.
    void acknowledge(const Joined& from) {
        std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> held;  // network: membership, revision
        for (const auto& message : from.agent->messages) {
            const v1::NetworkDelta* delta = nullptr;
            if (message.has_snapshot()) {
                delta = &message.snapshot().content();
            } else if (message.has_delta()) {
                delta = &message.delta();
            } else {
                continue;
            }
            auto& [membership, revision] = held[delta->network_id()];
            revision = delta->revision();
            for (const auto& member : delta->members()) {
                if (id_of<base::NodeId>(member.node_id()) == from.node) {
                    membership = member.membership_id();
                }
            }
        }
        v1::FromAgent message;
        for (const auto& [network, state] : held) {
            auto& applied = *message.mutable_acks()->add_applied();
            applied.set_network_id(network);
            applied.set_membership_id(state.first);
            applied.set_revision(state.second);
        }
        core_->session_message(from.session, message);
        (void)core_->run();
    }

    // A rotation on command, to its end.
    void rotate_whole(const std::string& network, const Joined& one, const Joined& other) {
        v1::KeyRotateRequest request;
        request.set_network(network);
        v1::RotationProgress last;
        ASSERT_TRUE(core_->key_rotate(request, [&](const auto& progress) { last = progress; }));
        (void)core_->run();
        for (int step = 0; step < 20 && !last.done(); ++step) {
            acknowledge(one);
            acknowledge(other);
            now_ += 1s;
            v1::FromAgent beat;
            beat.mutable_heartbeat();
            core_->session_message(one.session, beat);
            core_->session_message(other.session, beat);
            (void)core_->run();
        }
        EXPECT_TRUE(last.done());
    }

    v1::EventsReply events() {
        v1::EventsReply all;
        EXPECT_TRUE(core_->events({}, [&](const auto& reply) { all = reply; }));
        return all;
    }
    std::vector<std::string> kinds() {
        const auto told = events();
        std::vector<std::string> all;
        for (const auto& event : told.events()) {
            all.push_back(event.kind());
        }
        return all;
    }

    void set_clock(base::Duration by) {
        now_ += by;
        set_by_ += by;
    }

    base::Time now_ = kStart;
    base::Duration set_by_{};
    FoundedCluster cluster_;
    Founded& founded_ = cluster_.founded;
    std::unique_ptr<Core> core_;
};

}  // namespace warren::manager
