#include "tests/lab/capture.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "base/unique_fd.h"
#include "tests/lab/in_namespace.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

// An Ethertype for local experiments (IEEE 802): nobody answers it, and no filter of a test matches it.
constexpr uint16_t kMark = 0x88b5;
constexpr const char* kNotMark = "not ether proto 0x88b5";

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

// The frames in a pcap file (libpcap's pcap-savefile(5), in this machine's byte order). The last may be half written.
std::vector<std::string_view> frames_in(std::string_view bytes) {
    constexpr size_t kFileHeader = 24;
    constexpr size_t kRecordHeader = 16;
    std::vector<std::string_view> frames;
    for (size_t at = kFileHeader; at + kRecordHeader <= bytes.size();) {
        uint32_t length = 0;
        std::memcpy(&length, bytes.data() + at + 8, sizeof(length));
        frames.push_back(bytes.substr(at + kRecordHeader, length));
        at += kRecordHeader + length;
    }
    return frames;
}

bool has_mark(const std::filesystem::path& file) {
    const std::string mark{static_cast<char>(kMark >> 8U), static_cast<char>(kMark & 0xffU)};
    const auto bytes = file_content(file);
    return std::ranges::any_of(frames_in(bytes),
                               [&](auto frame) { return frame.size() >= 14 && frame.substr(12, 2) == mark; });
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

std::vector<std::string> Capture::frames(const std::string& filter) const {
    const auto chosen = file_.string() + ".chosen";
    must({"tcpdump", "-n", "-Z", "root", "-r", file_, "-w", chosen, filter});
    const auto bytes = file_content(chosen);
    std::filesystem::remove(chosen);
    const auto frames = frames_in(bytes);
    return {frames.begin(), frames.end()};
}

}  // namespace warren::lab
