#include "tests/lab/flood.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <stdexcept>

namespace warren::lab {
namespace {

using std::chrono::seconds;

// The sequence numbers of the answers in ping's output so far.
std::set<unsigned> answers(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::set<unsigned> found;
    for (std::string line; std::getline(in, line);) {
        // "64 bytes from 10.128.0.3: icmp_seq=7 ttl=64 time=0.5 ms"; the last line may be half written.
        const auto at = line.find("icmp_seq=");
        if (at != std::string::npos && line.ends_with(" ms")) {
            found.insert(static_cast<unsigned>(std::atoi(line.c_str() + at + 9)));
        }
    }
    return found;
}

unsigned newest(const std::filesystem::path& file) {
    const auto found = answers(file);
    return found.empty() ? 0 : *found.rbegin();
}

}  // namespace

Flood::Flood(const std::filesystem::path& directory, const Container& from, const Container& to,
             std::chrono::milliseconds apart)
    : name_(from.name() + "-" + to.name()),
      keep_(directory / ("flood-" + name_ + ".txt")),
      file_("/run/lab/flood-" + name_) {
    std::filesystem::remove(file_);
    const auto seconds_apart = fmt::format("{:.3f}", std::chrono::duration<double>(apart).count());
    ping_ = std::make_unique<Process>(Argv{"stdbuf", "-oL", "ping", "-n", "-i", seconds_apart, to.ip()},
                                      Where{.netns = from.name(), .out_file = file_});
}

bool Flood::flowing(std::chrono::milliseconds deadline) {
    const auto before = newest(file_);
    return eventually(deadline, [&] { return newest(file_) > before + 3; });
}

void Flood::stop() {
    const bool alive = flowing();
    ping_->signal(SIGINT);
    ping_->wait(seconds(5));
    std::filesystem::copy_file(file_, keep_, std::filesystem::copy_options::overwrite_existing);
    const auto found = answers(file_);
    answered_ = static_cast<unsigned>(found.size());
    const auto last = found.empty() ? 0 : *found.rbegin();
    lost_ = last - answered_ + (alive ? 0 : 1);
}

std::vector<Flood> flood_all_pairs(const Lab& lab, const std::vector<Container>& containers) {
    std::vector<const Container*> pointers;
    pointers.reserve(containers.size());
    for (const auto& container : containers) {
        pointers.push_back(&container);
    }
    return flood_all_pairs(lab, pointers);
}

std::vector<Flood> flood_all_pairs(const Lab& lab, const std::vector<const Container*>& containers,
                                   std::chrono::milliseconds apart) {
    std::vector<Flood> floods;
    for (const auto* from : containers) {
        for (const auto* to : containers) {
            if (from != to) {
                floods.emplace_back(lab.artefacts(), *from, *to, apart);
            }
        }
    }
    for (auto& flood : floods) {
        if (!flood.flowing()) {
            throw std::runtime_error("no answer: " + flood.name());
        }
    }
    return floods;
}

std::string losses(std::vector<Flood>& floods) {
    std::string text;
    for (auto& flood : floods) {
        flood.stop();
        if (flood.lost() != 0) {
            text += fmt::format("{}: lost {}, answered {}; ", flood.name(), flood.lost(), flood.answered());
        }
    }
    return text;
}

}  // namespace warren::lab
