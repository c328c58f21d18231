#include "netlink/kernel_socket.h"

#include <limits.h>  // NOLINT(modernize-deprecated-headers): IOV_MAX
#include <string.h>  // NOLINT(modernize-deprecated-headers): strerrorname_np
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace warren::netlink {

namespace {

constexpr int kRequestBuffer = 4 << 20;
constexpr int kSendBuffer = 1 << 20;
constexpr std::size_t kBatchBytes = 256U << 10U;
// What an acknowledgement takes of the receive buffer, its sk_buff counted, with room for a long extended text.
constexpr std::size_t kAckCharge = 2048;
constexpr std::size_t kAckSlots = 32;
constexpr std::size_t kAckSlot = 1024;
constexpr std::size_t kReceiveSize = kAckSlots * kAckSlot;  // 32 KiB is what the kernel fills of a dump
constexpr int kAnswerSeconds = 10;
constexpr int kEventDatagrams = 256;

base::Error kernel_error(int sys_errno, std::string_view extack) {
    const char* name = strerrorname_np(sys_errno);
    const auto plain = base::Error::from_errno("", sys_errno);  // for the code and strerror's text
    const auto text = extack.empty() ? std::string_view(plain.message()).substr(2) : extack;
    return {plain.code(), fmt::format("netlink: {}: {}", name != nullptr ? name : "error", text), sys_errno};
}

// NLMSG_ERROR (zero = acknowledgement) or NLMSG_DONE. The extended text is a courtesy: if its bytes are wrong or cut
// off, the error number stands alone.
base::Status answer_status(const Received& received) {
    const auto number = read_header<int>("answer", received.payload);
    if (!number) {
        return base::fail(base::Code::kInternal, "netlink: answer without an error number");
    }
    if (*number >= 0) {
        return {};
    }
    std::string extack;
    if ((received.flags & NLM_F_ACK_TLVS) != 0) {
        std::size_t skip = sizeof(int);
        if (received.type == NLMSG_ERROR) {
            skip = sizeof(nlmsgerr);
            if (const auto error = read_header<nlmsgerr>("answer", received.payload);
                error && (received.flags & NLM_F_CAPPED) == 0 && error->msg.nlmsg_len >= sizeof(nlmsghdr)) {
                skip += error->msg.nlmsg_len - sizeof(nlmsghdr);
            }
        }
        if (const auto attributes = Attributes::parse(after_header(received.payload, skip))) {
            static_cast<void>(attributes->read_string(NLMSGERR_ATTR_MSG, extack));
        }
    }
    return tl::unexpected(kernel_error(-*number, extack));
}

base::Status set_option(int fd, int level, int option, int value) {
    if (::setsockopt(fd, level, option, &value, sizeof value) != 0) {
        return base::fail_errno(fmt::format("netlink: socket option {}", option), errno);
    }
    return {};
}

// Beyond net.core.[rw]mem_max where the process may, else up to it.
base::Status set_buffer(int fd, int forced, int limited, int size) {
    if (::setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) == 0) {
        return {};
    }
    return set_option(fd, SOL_SOCKET, limited, size);
}

base::Result<base::UniqueFd> open_bound(Protocol protocol, int flags) {
    base::UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, static_cast<int>(protocol)));
    if (!fd) {
        return base::fail_errno("netlink: open a socket", errno);
    }
    const sockaddr_nl any{.nl_family = AF_NETLINK};
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
        return base::fail_errno("netlink: bind a socket", errno);
    }
    return fd;
}

struct Datagram {
    Bytes bytes;
    std::size_t length = 0;  // what was sent; more than bytes.size() if the buffer was too small
    bool from_kernel = false;
};

// One datagram, or -errno in the error's sys_errno().
base::Result<Datagram> receive_datagram(int fd, std::span<std::byte> buffer, int flags) {
    sockaddr_nl sender{};
    iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ssize_t got = 0;
    do {
        got = ::recvmsg(fd, &message, flags | MSG_TRUNC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return base::fail_errno("netlink: receive", errno);
    }
    const auto length = static_cast<std::size_t>(got);
    return Datagram{.bytes = std::as_bytes(buffer.first(std::min(length, buffer.size()))),
                    .length = length,
                    .from_kernel = message.msg_namelen == sizeof sender && sender.nl_pid == 0};
}

}  // namespace

base::Result<Socket> Socket::open(Protocol protocol) {
    WARREN_TRY_ASSIGN(auto fd, open_bound(protocol, 0));
    WARREN_TRY(set_option(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, 1));
    WARREN_TRY(set_option(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, 1));
    if (protocol == Protocol::kRoute) {  // makes the kernel heed a dump's filter instead of dumping everything
        WARREN_TRY(set_option(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1));
    }
    WARREN_TRY(set_buffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, kSendBuffer));
    WARREN_TRY(set_buffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, kRequestBuffer));
    const timeval patience{.tv_sec = kAnswerSeconds, .tv_usec = 0};
    int granted = 0;
    socklen_t size = sizeof granted;
    sockaddr_nl self{};
    socklen_t self_size = sizeof self;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        ::getsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &granted, &size) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&self), &self_size) != 0) {
        return base::fail_errno("netlink: set up a socket", errno);
    }
    const auto acks = static_cast<std::size_t>(granted) / kAckCharge;
    return Socket(std::move(fd), self.nl_pid, std::clamp<std::size_t>(acks, 1, IOV_MAX));
}

base::Result<Socket> Socket::open_in(const Namespace& where, Protocol protocol) {
    return run_in(where, [protocol] { return open(protocol); });
}

Socket::Socket(base::UniqueFd fd, std::uint32_t port, std::size_t batch_messages)
    : fd_(std::move(fd)), port_(port), batch_messages_(batch_messages), buffer_(kReceiveSize) {}

void Socket::stamp(Message& message) {
    message.raw().nlmsg_seq = ++sequence_;
    message.raw().nlmsg_pid = port_;  // XFRM copies it into the events the request causes
}

// The messages of one sendmsg, with consecutive sequence numbers from `first` on.
struct Socket::Batch {
    std::uint32_t first = 0;
    std::vector<iovec> parts;
    std::vector<base::Status*> results;
    std::vector<bool> acknowledged;
    std::size_t open = 0;

    void settle(std::uint32_t sequence, base::Status status) {
        const std::size_t index = sequence - first;  // wraps around as sequence numbers do
        if (index < results.size() && !acknowledged[index]) {
            acknowledged[index] = true;
            --open;
            *results[index] = std::move(status);
        }
    }
    void settle_rest(const base::Status& status) {
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (!acknowledged[i]) {
                *results[i] = status;
            }
        }
    }
};

std::vector<base::Status> Socket::transact(std::span<Message> messages) {
    std::vector<base::Status> results(messages.size());
    std::size_t next = 0;
    while (next < messages.size()) {
        Batch batch{.first = sequence_ + 1};
        std::size_t bytes = 0;
        for (; next < messages.size() && batch.parts.size() < batch_messages_ && bytes < kBatchBytes; ++next) {
            Message& message = messages[next];
            results[next] = message.status();
            if (!results[next]) {
                continue;
            }
            stamp(message);
            message.raw().nlmsg_flags |= NLM_F_ACK;
            bytes += message.raw().nlmsg_len;
            batch.parts.push_back({.iov_base = &message.raw(), .iov_len = message.raw().nlmsg_len});
            batch.results.push_back(&results[next]);
        }
        exchange(batch);
    }
    return results;
}

void Socket::exchange(Batch& batch) {
    batch.open = batch.parts.size();
    batch.acknowledged.resize(batch.parts.size());
    if (batch.open == 0) {
        return;
    }
    base::Status status = send(batch.parts);
    if (status) {
        status = receive_acks(batch);
    }
    if (!status) {
        batch.settle_rest(status);
    }
}

base::Status Socket::send(std::span<iovec> parts) {
    sockaddr_nl kernel{.nl_family = AF_NETLINK};
    msghdr message{};
    message.msg_name = &kernel;
    message.msg_namelen = sizeof kernel;
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    while (::sendmsg(fd_.get(), &message, 0) < 0) {
        if (errno != EINTR) {
            return base::fail_errno("netlink: send", errno);
        }
    }
    return {};
}

// Until each message of the batch has its acknowledgement. Many per system call, each in a slot of the buffer.
base::Status Socket::receive_acks(Batch& batch) {
    bool lost = false;
    while (batch.open > 0) {
        std::array<mmsghdr, kAckSlots> headers{};
        std::array<iovec, kAckSlots> parts{};
        std::array<sockaddr_nl, kAckSlots> senders{};
        for (std::size_t i = 0; i < kAckSlots; ++i) {
            parts[i] = {.iov_base = buffer_.data() + i * kAckSlot, .iov_len = kAckSlot};
            headers[i].msg_hdr.msg_iov = &parts[i];
            headers[i].msg_hdr.msg_iovlen = 1;
            headers[i].msg_hdr.msg_name = &senders[i];
            headers[i].msg_hdr.msg_namelen = sizeof senders[i];
        }
        const int got = ::recvmmsg(fd_.get(), headers.data(), kAckSlots, lost ? MSG_DONTWAIT : MSG_WAITFORONE, nullptr);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == ENOBUFS) {
            lost = true;  // take what did arrive
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return lost ? base::fail(base::Code::kAborted, "netlink: acknowledgement lost, outcome unknown")
                        : base::fail(base::Code::kUnavailable, "netlink: no acknowledgement in {} s", kAnswerSeconds);
        }
        if (got < 0) {
            // Without the number: it is no answer of the kernel's, and the batch may well have been done.
            return base::fail(base::Code::kAborted, "netlink: receive: {}, outcome unknown", std::strerror(errno));
        }
        for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
            if (senders[i].nl_pid == 0) {
                settle(batch, {buffer_.data() + i * kAckSlot, headers[i].msg_len});
            }
        }
    }
    return {};
}

// One datagram with acknowledgements. Data that a request asked for by mistake (NLM_F_ECHO) is passed over.
void Socket::settle(Batch& batch, Bytes datagram) const {
    const auto head = read_header<nlmsghdr>("acknowledgement", datagram);
    if (!head || head->nlmsg_type != NLMSG_ERROR || head->nlmsg_pid != port_) {
        return;
    }
    // A text longer than the slot was cut off: then the header's length is larger than what is here.
    const std::size_t length = std::clamp<std::size_t>(head->nlmsg_len, sizeof *head, datagram.size());
    batch.settle(head->nlmsg_seq, answer_status({.type = head->nlmsg_type,
                                                 .flags = head->nlmsg_flags,
                                                 .sequence = head->nlmsg_seq,
                                                 .port = head->nlmsg_pid,
                                                 .payload = datagram.subspan(sizeof *head, length - sizeof *head)}));
}

base::Status Socket::request(Message message) {
    return std::move(transact(std::span(&message, 1)).front());
}

base::Status Socket::query(Message message, const ReceiveFn& fn) {
    message.raw().nlmsg_flags |= NLM_F_ACK;
    return walk(std::move(message), fn);
}

base::Status Socket::dump(Message message, const ReceiveFn& fn) {
    message.raw().nlmsg_flags |= NLM_F_DUMP;
    return walk(std::move(message), fn);
}

// Sends and reads on to the end of the answer whatever happens: a dump left half read would make the next one EBUSY.
base::Status Socket::walk(Message message, const ReceiveFn& fn) {
    WARREN_TRY(message.status());
    stamp(message);
    iovec part{.iov_base = &message.raw(), .iov_len = message.raw().nlmsg_len};
    WARREN_TRY(send(std::span(&part, 1)));
    Walk state{.sequence = sequence_};
    while (!state.done) {
        auto datagram = receive_datagram(fd_.get(), buffer_, 0);
        if (!datagram && datagram.error().sys_errno() == ENOBUFS) {
            state.incomplete = true;
            continue;
        }
        if (!datagram && datagram.error().sys_errno() == EAGAIN) {
            return base::fail(base::Code::kUnavailable, "netlink: no answer in {} s", kAnswerSeconds);
        }
        WARREN_TRY(datagram);
        if (datagram->length > buffer_.size()) {
            state.incomplete = true;
            buffer_.resize(datagram->length);
            continue;
        }
        if (datagram->from_kernel) {
            WARREN_TRY(for_each_message(datagram->bytes, [&](const Received& received) { step(state, received, fn); }));
        }
    }
    if (state.status && state.incomplete) {
        return base::fail(base::Code::kAborted, "netlink: the kernel's tables changed while they were read");
    }
    return state.status;
}

void Socket::step(Walk& state, const Received& received, const ReceiveFn& fn) const {
    if (received.sequence != state.sequence || received.port != port_ || state.done) {
        return;
    }
    state.incomplete = state.incomplete || (received.flags & NLM_F_DUMP_INTR) != 0 || received.type == NLMSG_OVERRUN;
    base::Status status;
    if (received.type == NLMSG_ERROR || received.type == NLMSG_DONE) {
        state.done = true;
        status = answer_status(received);
    } else if (received.type >= NLMSG_MIN_TYPE && state.status) {
        status = fn(received);
    }
    if (state.status) {
        state.status = std::move(status);
    }
}

base::Result<Subscription> Subscription::open(Protocol protocol, std::span<const unsigned> groups,
                                              std::size_t receive_buffer) {
    WARREN_TRY_ASSIGN(auto fd, open_bound(protocol, SOCK_NONBLOCK));
    // The kernel doubles what it is asked for, to count its own overhead.
    const auto size = static_cast<int>(std::min<std::size_t>(receive_buffer, 1U << 30U) / 2);
    WARREN_TRY(set_buffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, size));
    for (const unsigned group : groups) {
        const auto joined = set_option(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, static_cast<int>(group));
        if (!joined) {
            return base::fail_errno(fmt::format("netlink: join group {}", group), joined.error().sys_errno());
        }
    }
    return Subscription(std::move(fd));
}

base::Result<Subscription> Subscription::open_in(const Namespace& where, Protocol protocol,
                                                 std::span<const unsigned> groups, std::size_t receive_buffer) {
    return run_in(where, [&] { return open(protocol, groups, receive_buffer); });
}

Subscription::Subscription(base::UniqueFd fd) : fd_(std::move(fd)), buffer_(kReceiveSize) {}

base::Result<Subscription::Outcome> Subscription::receive(const ReceiveFn& fn) {
    Outcome outcome = Outcome::kDrained;
    base::Status first_error;
    const auto keep = [&first_error](base::Status status) {
        if (first_error) {
            first_error = std::move(status);
        }
    };
    for (int i = 0; i < kEventDatagrams; ++i) {
        auto datagram = receive_datagram(fd_.get(), buffer_, MSG_DONTWAIT);
        if (!datagram && datagram.error().sys_errno() == EAGAIN) {
            break;
        }
        if (!datagram && datagram.error().sys_errno() == ENOBUFS) {
            outcome = Outcome::kLost;
            continue;
        }
        WARREN_TRY(datagram);
        if (datagram->length > buffer_.size()) {
            outcome = Outcome::kLost;
            buffer_.resize(datagram->length);
            continue;
        }
        if (datagram->from_kernel) {
            keep(for_each_message(datagram->bytes, [&](const Received& received) {
                if (received.type >= NLMSG_MIN_TYPE) {
                    keep(fn(received));
                }
            }));
        }
    }
    if (!first_error) {
        return base::fail_with(std::move(first_error));
    }
    return outcome;
}

}  // namespace warren::netlink
