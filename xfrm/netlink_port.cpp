#include <linux/xfrm.h>

#include <array>
#include <cerrno>
#include <utility>

#include "netlink/kernel_socket.h"
#include "xfrm/codec.h"
#include "xfrm/kernel_port.h"

namespace warren::xfrm {
namespace {

using netlink::Received;

Answer answer_of(base::Status&& status) {
    if (status) {
        return {};
    }
    // With an error number the kernel has said no, before or after it read the message; without one nobody knows.
    const bool refused = status.error().sys_errno() != 0;
    return {.kind = refused ? Answer::Kind::kRefused : Answer::Kind::kUnknown, .error = std::move(status).error()};
}

class NetlinkPort final : public KernelPort {
  public:
    NetlinkPort(netlink::Socket socket, netlink::Subscription subscription)
        : socket_(std::move(socket)), subscription_(std::move(subscription)) {}

    base::Result<std::vector<Sa>> dump_sas() override {
        return socket_.read_all<Sa>(dump_sas_request, [](const Received& received) {
            auto sa = decode_sa(received);
            wipe(received);
            return sa;
        });
    }

    base::Result<std::vector<Policy>> dump_policies() override {
        return socket_.read_all<Policy>(dump_policies_request, decode_policy);
    }

    std::vector<Answer> apply(std::span<const Operation> operations) override {
        std::vector<netlink::Message> messages;
        messages.reserve(operations.size());
        for (const Operation& operation : operations) {
            messages.push_back(std::visit([](const auto& it) { return encode(it); }, operation));
        }
        std::vector<base::Status> results = socket_.transact(messages);
        std::vector<Answer> answers;
        answers.reserve(results.size());
        for (base::Status& result : results) {
            answers.push_back(answer_of(std::move(result)));
        }
        return answers;
    }

    [[nodiscard]] int event_fd() const override { return subscription_.fd(); }

    base::Result<EventBatch> read_events() override {
        EventBatch batch;
        auto outcome = subscription_.receive([&](const Received& received) -> base::Status {
            auto event = decode_event(received);
            wipe(received);
            if (!event) {
                return base::fail_with(std::move(event));
            }
            if (*event) {
                take(batch, {.event = **std::move(event), .by = received.port});
            }
            return {};
        });
        if (!outcome) {
            return base::fail_with(std::move(outcome));
        }
        batch.lost = *outcome == netlink::Subscription::Outcome::kLost;
        return batch;
    }

  private:
    void take(EventBatch& batch, Told told) const {
        if (told.by != socket_.port()) {
            batch.events.push_back(std::move(told));
        } else if (const auto* gone = std::get_if<SaGone>(&told.event)) {
            batch.deleted.push_back(*gone);
        }
    }

    netlink::Socket socket_;
    netlink::Subscription subscription_;
};

base::Error explain(base::Error error) {
    if (error.sys_errno() == EPROTONOSUPPORT) {
        return {base::Code::kPrecondition, "the kernel lacks CONFIG_XFRM_USER (module xfrm_user)", EPROTONOSUPPORT};
    }
    return error;
}

}  // namespace

base::Result<std::unique_ptr<KernelPort>> make_netlink_port() {
    // Not the group ACQUIRE: with a listener there the kernel makes a larval state for each packet that finds no SA.
    constexpr std::array<unsigned, 3> kGroups{XFRMNLGRP_SA, XFRMNLGRP_EXPIRE, XFRMNLGRP_POLICY};
    auto socket = netlink::Socket::open(netlink::Protocol::kXfrm);
    if (!socket) {
        return tl::unexpected(explain(std::move(socket).error()));
    }
    WARREN_TRY_ASSIGN(auto subscription, netlink::Subscription::open(netlink::Protocol::kXfrm, kGroups));
    return std::make_unique<NetlinkPort>(*std::move(socket), std::move(subscription));
}

}  // namespace warren::xfrm
