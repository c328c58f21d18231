#include "tests/lab/capture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/unique_fd.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

// An Ethertype for local experiments (IEEE 802): nobody answers it, and no filter of a test matches it.
constexpr uint16_t kMark = 0x88b5;
constexpr const char* kNotMark = "not ether proto 0x88b5";

// Goes into a namespace and comes back at the end of the scope.
class InNamespace {
  public:
    explicit InNamespace(const Where& where) : home_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
        if (where.netns.empty()) {
            return;
        }
        const base::UniqueFd there(::open(("/run/netns/" + where.netns).c_str(), O_RDONLY | O_CLOEXEC));
        if (::setns(there.get(), CLONE_NEWNET) != 0) {
            throw std::runtime_error(fmt::format("setns {}: {}", where.netns, std::strerror(errno)));
        }
    }
    InNamespace(const InNamespace&) = delete;
    InNamespace& operator=(const InNamespace&) = delete;
    ~InNamespace() { ::setns(home_.get(), CLONE_NEWNET); }

  private:
    base::UniqueFd home_;
};

void send_mark(const std::string& interface, const Where& where) {
    const InNamespace inside(where);
    const base::UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    std::array<unsigned char, 60> frame{0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, kMark >> 8U, kMark & 0xffU};
    // Whether it can be sent on the interface or only be seen leaving is all the same.
    if (::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
        throw std::runtime_error(fmt::format("{}: end mark: {}", interface, std::strerror(errno)));
    }
}

// Walks over the records of a pcap file (libpcap's pcap-savefile(5), in this machine's byte order).
bool has_mark(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    constexpr size_t kFileHeader = 24;
    constexpr size_t kRecordHeader = 16;
    for (size_t at = kFileHeader; at + kRecordHeader + 14 <= bytes.size();) {
        uint32_t length = 0;
        std::memcpy(&length, bytes.data() + at + 8, sizeof(length));
        uint16_t type = 0;
        std::memcpy(&type, bytes.data() + at + kRecordHeader + 12, sizeof(type));
        if (ntohs(type) == kMark) {
            return true;
        }
        at += kRecordHeader + length;
    }
    return false;
}

}  // namespace

Capture::Capture(const std::filesystem::path& directory, const std::string& name, std::string interface, Where where)
    : file_("/run/lab/" + name + ".pcap"),
      keep_(directory / (name + ".pcap")),
      interface_(std::move(interface)),
      where_(std::move(where)) {
    tcpdump_ = std::make_unique<Process>(
        Argv{"tcpdump", "-i", interface_, "-n", "-U", "--immediate-mode", "-B", "16384", "-Z", "root", "-w", file_},
        Where{.netns = where_.netns});
    const bool up = eventually(seconds(10), [&] {
        return tcpdump_->output().err.find("listening on") != std::string::npos || !tcpdump_->running();
    });
    if (!up || !tcpdump_->running()) {
        throw std::runtime_error("tcpdump: " + tcpdump_->output().err);
    }
}

Capture::~Capture() {
    if (tcpdump_) {
        std::error_code none;
        std::filesystem::copy_file(file_, keep_, std::filesystem::copy_options::overwrite_existing, none);
    }
}

void Capture::stop() {
    send_mark(interface_, where_);
    if (!eventually(seconds(10), [&] { return has_mark(file_); })) {
        throw std::runtime_error(file_.string() + ": the capture's end mark never arrived in it");
    }
    tcpdump_->signal(SIGINT);
    const auto output = tcpdump_->wait(seconds(10));
    tcpdump_.reset();
    std::filesystem::copy_file(file_, keep_, std::filesystem::copy_options::overwrite_existing);
    if (output.err.find("\n0 packets dropped by kernel") == std::string::npos) {
        throw std::runtime_error(file_.string() + ": incomplete: " + output.err);
    }
}

unsigned Capture::count(const std::string& filter) const {
    const auto text = must({"tcpdump", "-n", "--count", "-r", file_, filter.empty() ? kNotMark : filter});
    return static_cast<unsigned>(std::stoul(text));
}

bool Capture::sees(const std::string& filter, std::chrono::milliseconds deadline) const {
    // The file is being written: tcpdump may complain about its last packet.
    return eventually(deadline, [&] {
        const auto text = run({"tcpdump", "-n", "--count", "-r", file_, filter}).out;
        return !text.empty() && std::stoul(text) > 0;
    });
}

std::string Capture::show(const std::string& filter, int packets) const {
    return run({"tcpdump", "-n", "-e", "-c", std::to_string(packets), "-r", file_, filter.empty() ? kNotMark : filter})
        .out;
}

}  // namespace warren::lab
