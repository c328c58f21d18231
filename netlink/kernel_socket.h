#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "netlink/attributes.h"
#include "netlink/message.h"
#include "netlink/namespace.h"

struct iovec;

namespace warren::netlink {

enum class Protocol : std::uint8_t { kRoute = NETLINK_ROUTE, kXfrm = NETLINK_XFRM, kNetfilter = NETLINK_NETFILTER };

using ReceiveFn = std::function<base::Status(const Received&)>;

// A request socket. The namespace is that of the thread that opened it, for ever, whichever thread uses it later.
// Owner: one thread at a time. Calls block only for the kernel's own work; an answer that stays away for ten seconds is
// an error, not a hang.
// Errors of the kernel read "netlink: EEXIST: <extended acknowledgement, else strerror>" and carry sys_errno().
class Socket {
  public:
    [[nodiscard]] static base::Result<Socket> open(Protocol protocol);
    [[nodiscard]] static base::Result<Socket> open_in(const Namespace& where, Protocol protocol);

    // Sends all messages, many in each system call, and tracks one acknowledgement for each: the result has one status
    // per message, in their order. The kernel works them off in order and a failure stops none of the later ones.
    // kAborted = the acknowledgement was lost: look at the kernel's state before doing it again.
    [[nodiscard]] std::vector<base::Status> transact(std::span<Message> messages);
    // One message with no answer but the acknowledgement.
    [[nodiscard]] base::Status request(Message message);
    // One message with data in the answer (RTM_GETLINK of one link): `fn` once per answering message, its error wins.
    [[nodiscard]] base::Status query(Message message, const ReceiveFn& fn);
    // Adds NLM_F_DUMP; `fn` once per object, its first error ends the walk and wins.
    // kAborted = the kernel's tables changed underneath or it lost a part: what `fn` saw may be incomplete, read again.
    [[nodiscard]] base::Status dump(Message message, const ReceiveFn& fn);
    // dump() into a vector, repeated a few times while it is kAborted. `decode(const Received&)` gives Result<T> or
    // Result<std::optional<T>> (nullopt = not of interest).
    template <typename T, typename Make, typename Decode>
    [[nodiscard]] base::Result<std::vector<T>> read_all(Make&& make_message, Decode&& decode);

    [[nodiscard]] std::uint32_t port() const { return port_; }  // Received::port of events caused by this socket

  private:
    struct Batch;
    struct Walk {
        std::uint32_t sequence = 0;
        bool done = false;
        bool incomplete = false;
        base::Status status;
    };
    Socket(base::UniqueFd fd, std::uint32_t port, std::size_t batch_messages);
    void stamp(Message& message);
    [[nodiscard]] base::Status send(std::span<iovec> parts);
    void exchange(Batch& batch);
    [[nodiscard]] base::Status receive_acks(Batch& batch);
    void settle(Batch& batch, Bytes datagram) const;
    [[nodiscard]] base::Status walk(Message message, const ReceiveFn& fn);
    void step(Walk& state, const Received& received, const ReceiveFn& fn) const;

    base::UniqueFd fd_;
    std::uint32_t port_ = 0;
    std::uint32_t sequence_ = 0;
    std::size_t batch_messages_ = 0;  // acknowledgements that the receive buffer holds for certain
    std::vector<std::byte> buffer_;
};

// A socket that listens to multicast groups. Owner: one thread. Never blocks.
class Subscription {
  public:
    enum class Outcome : std::uint8_t {
        kDrained,  // nothing missing so far
        kLost,     // the kernel dropped events: read the whole state again
    };

    // `groups` are RTNLGRP_* or XFRMNLGRP_* (numbers, not masks). `receive_buffer` in bytes as the kernel counts them.
    [[nodiscard]] static base::Result<Subscription> open(Protocol protocol, std::span<const unsigned> groups,
                                                         std::size_t receive_buffer = kDefaultBuffer);
    [[nodiscard]] static base::Result<Subscription> open_in(const Namespace& where, Protocol protocol,
                                                            std::span<const unsigned> groups,
                                                            std::size_t receive_buffer = kDefaultBuffer);

    [[nodiscard]] int fd() const { return fd_.get(); }  // readable = call receive()
    // Hands what is pending to `fn` (its errors are returned after all have been handed over, the first wins). Takes at
    // most some hundred datagrams so that a storm starves nobody: what is left keeps fd() readable.
    [[nodiscard]] base::Result<Outcome> receive(const ReceiveFn& fn);

    static constexpr std::size_t kDefaultBuffer = 4U << 20U;

  private:
    explicit Subscription(base::UniqueFd fd);
    base::UniqueFd fd_;
    std::vector<std::byte> buffer_;
};

template <typename T, typename Make, typename Decode>
base::Result<std::vector<T>> Socket::read_all(Make&& make_message, Decode&& decode) {
    constexpr int kAttempts = 8;
    std::vector<T> out;
    base::Status status;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        out.clear();
        status = dump(make_message(), [&](const Received& received) -> base::Status {
            auto item = decode(received);
            if (!item) {
                return base::fail_with(std::move(item));
            }
            if constexpr (std::is_same_v<std::decay_t<decltype(*item)>, std::optional<T>>) {
                if (*item) {
                    out.push_back(**std::move(item));
                }
            } else {
                out.push_back(*std::move(item));
            }
            return {};
        });
        if (status || status.error().code() != base::Code::kAborted) {
            break;
        }
    }
    if (!status) {
        return base::fail_with(std::move(status));
    }
    return out;
}

}  // namespace warren::netlink
