#include "tests/lab/udp_stream.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace warren::lab {
namespace {

using std::chrono::seconds;

// A number of the summary in the receiver's report.
unsigned summed(const std::string& report, const std::string& field) {
    const auto summary = report.find("\"sum_received\"");
    const auto wanted = "\"" + field + "\":";
    const auto at = summary == std::string::npos ? summary : report.find(wanted, summary);
    if (at == std::string::npos) {
        throw std::runtime_error(fmt::format("iperf3 does not report {}: {}", field, report));
    }
    return static_cast<unsigned>(std::atoi(report.c_str() + at + wanted.size()));
}

// Datagrams that found no room in a socket of this namespace.
unsigned overrun(const Where& where) {
    const auto line = must({"nstat", "-asz", "UdpRcvbufErrors"}, where);
    const auto at = line.find("UdpRcvbufErrors");
    return at == std::string::npos ? 0 : static_cast<unsigned>(std::atoi(line.c_str() + at + 15));
}

}  // namespace

UdpStream::UdpStream(const std::filesystem::path& directory, const Container& from, const Container& to)
    : name_(from.name() + "=>" + to.name()),
      to_(to.where()),
      report_(directory / ("iperf3-" + from.name() + "-" + to.name() + ".json")) {
    std::filesystem::remove(report_);
    overrun_before_ = overrun(to_);
    receiver_ = std::make_unique<Process>(Argv{"iperf3", "--server", "--one-off", "--json"},
                                          Where{.netns = to.name(), .out_file = report_});
    const auto listens = [&] { return to.run({"ss", "-Hltn", "sport = 5201"}).out.find(":5201") != std::string::npos; };
    if (!eventually(seconds(10), listens)) {
        throw std::runtime_error(name_ + ": iperf3 does not listen: " + file_content(report_));
    }
    sender_ = std::make_unique<Process>(
        Argv{"iperf3", "--client", to.ip(), "--udp", "--bitrate", "480K", "--length", "1000", "--time", "3600"},
        Where{.netns = from.name(), .out_file = directory / ("iperf3-" + name_ + ".txt")});
    const auto flows = [&] { return to.run({"ss", "-Hun", "sport = 5201"}).out.find(":5201") != std::string::npos; };
    if (!eventually(seconds(10), flows)) {
        throw std::runtime_error(name_ + ": iperf3 does not send");
    }
}

void UdpStream::stop() {
    sender_->signal(SIGINT);
    sender_->wait(seconds(10));
    receiver_->wait(seconds(10));
    const auto report = file_content(report_);
    lost_ = summed(report, "lost_packets") - (overrun(to_) - overrun_before_);
    received_ = summed(report, "packets");
}

std::vector<UdpStream> stream_around(const Lab& lab, const std::vector<const Container*>& containers) {
    std::vector<UdpStream> streams;
    for (std::size_t i = 0; i < containers.size(); ++i) {
        streams.emplace_back(lab.artefacts(), *containers[i], *containers[(i + 1) % containers.size()]);
    }
    return streams;
}

std::string losses(std::vector<UdpStream>& streams) {
    std::string text;
    for (auto& stream : streams) {
        stream.stop();
        if (stream.lost() != 0 || stream.received() == 0) {
            text += fmt::format("{}: lost {} of {}; ", stream.name(), stream.lost(), stream.received());
        }
    }
    return text;
}

}  // namespace warren::lab
