#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "probe/probe_frame.h"

namespace warren::probe {

using ProbeTime = std::chrono::steady_clock::time_point;
using ProbeSpan = std::chrono::steady_clock::duration;

// What was found out about the way to one peer of a network, and back.
struct PathFound {
    unsigned asked = 0;                   // small frames
    unsigned answered = 0;                // of these; 0: the way is closed, one way or the other, and the rest is empty
    std::optional<ProbeSpan> round_trip;  // the shortest
    // Frames as large as containers may send, there and back; they may be cut on the way.
    bool large_there = false;
    bool large_back = false;
    // The largest packets of containers that need not be cut on the way.
    base::Mtu uncut_there;
    base::Mtu uncut_back;

    bool operator==(const PathFound&) const = default;
};

// Finds it out, by asking: small frames first; if any is answered, as large ones as containers may send, there and
// back, with and without leave to cut them; and if cutting was needed, by halves how large they may be. A value without
// I/O: the caller sends what is due and hands in what comes.
class PathProbe {
  public:
    PathProbe(std::uint64_t run, base::NodeIndex self, base::NodeIndex peer, base::Mtu largest, ProbeTime now);

    struct Question {
        Probe probe;
        base::Mtu size;
    };
    // What to send now. Ask again every few milliseconds, until over().
    [[nodiscard]] std::vector<Question> due(ProbeTime now);
    void take(const ReceivedProbe& answer, ProbeTime now);

    [[nodiscard]] bool over() const { return trials_.empty(); }
    [[nodiscard]] const PathFound& found() const { return found_; }
    [[nodiscard]] std::uint64_t run() const { return run_; }

  private:
    enum class What : std::uint8_t { kSmall, kLargeThere, kLargeBack, kUncutThere, kUncutBack };
    // One thing that is tried a few times, and holds when one of them is answered.
    struct Trial {
        What what = What::kSmall;
        base::Mtu size;  // of the larger one of question and answer
        unsigned left = 0;
        ProbeTime next;
        base::Mtu good;  // of a search: was answered
        base::Mtu bad;   // was not
    };
    struct Sent {
        What what = What::kSmall;
        base::Mtu size;
        ProbeTime at;
    };

    std::uint64_t run_;
    base::NodeIndex self_;
    base::NodeIndex peer_;
    base::Mtu largest_;
    std::uint16_t next_number_ = 0;
    std::map<std::uint16_t, Sent> sent_;
    std::vector<Trial> trials_;
    PathFound found_;

    void try_large(ProbeTime now);
    void search(What what, base::Mtu good, base::Mtu bad, ProbeTime now);
    void ended(const Trial& trial, bool answered, ProbeTime now);
    [[nodiscard]] Question question(const Trial& trial);
};

}  // namespace warren::probe
