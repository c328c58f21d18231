// Asks a name server, as fast as it answers or until it knows a name. For names-steps.
//   ask rate SERVER NAME SECONDS [WINDOW]  answers per second, with so many questions on their way at once (32)
//   ask until SERVER NAME yes|no           ends when there is (no) such name; prints the time, microseconds since 1970

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/sockaddr.h"
#include "base/text.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "bench/measure.h"

namespace warren::bench {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Clock = std::chrono::steady_clock;

// For the address of a name (RFC 1035 section 4).
Bytes question(std::uint16_t id, const std::string& name) {
    Bytes out{static_cast<std::uint8_t>(id >> 8U), static_cast<std::uint8_t>(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    for (const auto label : base::split(name, '.')) {
        out.push_back(static_cast<std::uint8_t>(label.size()));
        out.insert(out.end(), label.begin(), label.end());
    }
    out.insert(out.end(), {0, 0, 1, 0, 1});
    return out;
}

class Server {
  public:
    explicit Server(const std::string& address) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        const base::Sockaddr to({.ip = must(base::parse_ip("SERVER", address)), .port = 53});
        if (!fd_ || ::connect(fd_.get(), to.get(), to.size()) != 0) {
            give_up("no way to the server");
        }
    }
    void ask(const Bytes& bytes) const { (void)::send(fd_.get(), bytes.data(), bytes.size(), 0); }
    // The code of an answer and how many records it has; nullopt: none within the time.
    struct Reply {
        unsigned code = 0;
        unsigned records = 0;
    };
    [[nodiscard]] std::optional<Reply> hear(int milliseconds) const {
        pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
        std::array<std::uint8_t, 1500> buffer{};
        if (::poll(&waiting, 1, milliseconds) != 1 || ::recv(fd_.get(), buffer.data(), buffer.size(), 0) < 12) {
            return std::nullopt;
        }
        return Reply{.code = buffer[3] & 0xfU, .records = static_cast<unsigned>(buffer[6] << 8U | buffer[7])};
    }

  private:
    base::UniqueFd fd_;
};

void rate(const std::string& address, const std::string& name, unsigned seconds, unsigned window) {
    const Server server(address);
    const auto bytes = question(1, name);
    for (unsigned i = 0; i < window; ++i) {
        server.ask(bytes);
    }
    std::uint64_t answers = 0;
    std::uint64_t lost = 0;
    const auto began = Clock::now();
    const auto end = began + std::chrono::seconds(seconds);
    while (Clock::now() < end) {
        const auto reply = server.hear(100);
        answers += reply && reply->code == 0 && reply->records > 0 ? 1U : 0U;
        lost += reply ? 0U : 1U;
        server.ask(bytes);
    }
    fmt::print("{:.0f} {}\n",
               static_cast<double>(answers) / std::chrono::duration<double>(Clock::now() - began).count(), lost);
}

void until(const std::string& address, const std::string& name, bool there) {
    const Server server(address);
    const auto give_up_at = Clock::now() + std::chrono::seconds(20);
    for (std::uint16_t id = 0; Clock::now() < give_up_at; ++id) {
        server.ask(question(id, name));
        const auto reply = server.hear(100);
        if (reply && (reply->code == 0 && reply->records > 0) == there) {
            const auto now = std::chrono::system_clock::now().time_since_epoch();
            fmt::print("{}\n", std::chrono::duration_cast<std::chrono::microseconds>(now).count());
            return;
        }
        ::usleep(200);
    }
    give_up("it never changed");
}

}  // namespace
}  // namespace warren::bench

int main(int argc, char** argv) {
    using namespace warren::bench;
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto number = [&](std::size_t at, std::uint64_t otherwise) {
        return static_cast<unsigned>(at < arguments.size()
                                         ? warren::base::parse_unsigned(arguments[at], 100'000).value_or(otherwise)
                                         : otherwise);
    };
    if (arguments.size() >= 4 && arguments[0] == "rate") {
        rate(arguments[1], arguments[2], number(3, 1), number(4, 32));
    } else if (arguments.size() == 4 && arguments[0] == "until") {
        until(arguments[1], arguments[2], arguments[3] == "yes");
    } else {
        give_up("ask rate SERVER NAME SECONDS [WINDOW], or ask until SERVER NAME yes|no");
    }
    return 0;
}
