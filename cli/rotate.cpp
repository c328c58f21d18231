#include "cli/rotate.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <vector>

#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/live.h"
#include "cli/render.h"
#include "cli/rotation_call.h"
#include "cli/run.h"
#include "cli/stream_call.h"

namespace warren::cli {

namespace {

// How often a live line's clock moves and ^C is looked for.
constexpr auto kTick = std::chrono::milliseconds(100);

std::string how_to_look(const std::string& network) {
    return "look with 'warren key status" + (network.empty() ? "" : " " + network) + "'";
}

// Shows the progress of one rotation or of several: lines that are drawn anew on a terminal, else a line for each
// change.
class ProgressView {
  public:
    ProgressView(const Terminal& terminal, Format format) : terminal_(terminal), format_(format), live_(terminal) {}

    // Something was heard of a call.
    void heard(const RotationCall& call) {
        if (format_ == Format::kJson) {
            terminal_.out << to_json(*call.latest(), JsonStyle::kLine) << std::flush;
        } else if (!terminal_.live) {
            std::string line = rotation_line(*call.latest(), now());
            if (auto& last = last_[call.network()]; line != last) {
                terminal_.out << line << "  " << base::format_age(call.elapsed()) << '\n' << std::flush;
                last = std::move(line);
            }
        }
    }
    void draw(const std::vector<const RotationCall*>& calls) {
        if (!is_live()) {
            return;
        }
        std::vector<std::string> lines;
        for (const RotationCall* call : calls) {
            if (call->latest()) {
                lines.push_back(rotation_line(*call->latest(), now()) + "  " + base::format_age(call->elapsed()));
                const auto more = late_lines(*call->latest());
                lines.insert(lines.end(), more.begin(), more.end());
            }
        }
        if (!lines.empty()) {
            live_.draw(lines);
        }
    }
    void finish() { live_.finish(); }
    void clear() { live_.clear(); }
    [[nodiscard]] bool is_live() const { return terminal_.live && format_ == Format::kTable; }

  private:
    const Terminal& terminal_;
    Format format_;
    LiveLines live_;
    std::map<std::string, std::string> last_;  // line, by network
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();

    [[nodiscard]] base::Time now() const {
        return terminal_.view.now +
               std::chrono::duration_cast<base::Duration>(std::chrono::steady_clock::now() - began_);
    }
};

// Calls of KeyRotate, at most so many at a time, driven from one thread: the completion queue's timeout is the tick.
class Rotations {
  public:
    Rotations(const Connection& connection, const KeyRotate& command, std::vector<std::string> networks,
              ProgressView& view)
        : connection_(connection), command_(command), networks_(std::move(networks)), view_(view) {}
    ~Rotations() {
        queue_.Shutdown();
        void* tag = nullptr;
        bool ok = false;
        while (queue_.Next(&tag, &ok)) {
        }
    }
    Rotations(const Rotations&) = delete;
    Rotations& operator=(const Rotations&) = delete;

    // Until all are over, or ^C has ended them. `over` is told of each in the order of its end.
    template <typename Over>
    void run(const InterruptWatch& watch, Over over) {
        start_more();
        while (running() > 0) {
            void* tag = nullptr;
            bool ok = false;
            const auto next = queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kTick);
            if (next == grpc::CompletionQueue::SHUTDOWN) {
                return;
            }
            if (next == grpc::CompletionQueue::TIMEOUT) {
                tick(watch);
                continue;
            }
            auto& call = *static_cast<RotationCall*>(tag);
            switch (call.advance(ok)) {
                case RotationCall::Turn::kMessage:
                    view_.heard(call);
                    view_.draw(shown());
                    break;
                case RotationCall::Turn::kOver:
                    stopped_ = stopped_ || watch.interrupted() || is_unreachable(call);
                    over(call);
                    start_more();
                    break;
                case RotationCall::Turn::kNothing:
                    break;
            }
        }
    }
    // Those that were never asked for.
    [[nodiscard]] std::vector<std::string> left() const {
        return {networks_.begin() + static_cast<std::ptrdiff_t>(calls_.size()), networks_.end()};
    }
    [[nodiscard]] const std::vector<std::unique_ptr<RotationCall>>& calls() const { return calls_; }

  private:
    const Connection& connection_;
    const KeyRotate& command_;
    std::vector<std::string> networks_;
    ProgressView& view_;
    grpc::CompletionQueue queue_;
    std::vector<std::unique_ptr<RotationCall>> calls_;
    bool stopped_ = false;

    [[nodiscard]] std::size_t running() const {
        return static_cast<std::size_t>(
            std::count_if(calls_.begin(), calls_.end(), [](const auto& call) { return !call->is_over(); }));
    }
    [[nodiscard]] bool is_unreachable(const RotationCall& call) const {
        return !call.status().ok() && connection_.failure(call.status()).code() == base::Code::kUnavailable;
    }
    // On the screen: those that run, or the only one.
    [[nodiscard]] std::vector<const RotationCall*> shown() const {
        std::vector<const RotationCall*> shown;
        for (const auto& call : calls_) {
            if (!call->is_over() || networks_.size() == 1) {
                shown.push_back(call.get());
            }
        }
        return shown;
    }
    void start_more() {
        while (!stopped_ && calls_.size() < networks_.size() && running() < command_.at_once) {
            v1::KeyRotateRequest request = command_.request;
            request.set_network(networks_[calls_.size()]);
            calls_.push_back(std::make_unique<RotationCall>(connection_.stub<v1::Control::Stub>(), request, queue_));
        }
    }
    void tick(const InterruptWatch& watch) {
        if (watch.interrupted()) {
            stopped_ = true;
            for (const auto& call : calls_) {
                call->cancel();
            }
        }
        const bool moving = std::any_of(calls_.begin(), calls_.end(), [](const auto& call) {
            return !call->is_over() && call->latest() && !call->latest()->done();
        });
        if (moving) {
            view_.draw(shown());
        }
    }
};

// Members that can be reached and still have not got the new epoch.
std::string without_excuse(const v1::RotationProgress& last) {
    std::vector<std::string> names;
    for (const v1::LateMember& late : last.late()) {
        if (late.reachable() && !late.waited_for()) {
            names.push_back(late.node());
        }
    }
    return joined(names);
}

// Why a stream that ended well is not a rotation that did, or nothing.
std::optional<std::string> shortfall(const std::optional<v1::RotationProgress>& last, const std::string& network) {
    if (!last || !last->done()) {
        return "warrend stopped reporting before the rotation was done; " + how_to_look(network);
    }
    if (last->phase() == "removed") {
        return "network " + network + " was removed meanwhile";
    }
    if (last->phase() == "aborted") {
        return fmt::format("the rotation of {} to epoch {} was aborted; the old one stays active: {}", network,
                           last->epoch(), how_to_look(network));
    }
    if (const std::string names = without_excuse(*last); !names.empty()) {
        return fmt::format("epoch {} of {} is active, but not on {}, which can be reached and does not confirm: {}",
                           last->epoch(), network, names, how_to_look(network));
    }
    return std::nullopt;
}

// What became of a call that is over; nothing: the new epoch is active wherever it can be.
std::optional<base::Error> failure_of(const Connection& connection, const RotationCall& call, bool interrupted,
                                      bool detach) {
    const std::string& network = call.network();
    if (call.status().error_code() == grpc::StatusCode::CANCELLED && interrupted) {
        return base::Error(base::Code::kAborted,
                           "interrupted; the rotation of " + network + " goes on: " + how_to_look(network));
    }
    if (!call.status().ok()) {
        base::Error error = connection.failure(call.status());
        if (call.latest()) {
            error = {error.code(), error.message() + "; the rotation may go on: " + how_to_look(network)};
        }
        return error;
    }
    if (const auto missing = detach ? std::nullopt : shortfall(call.latest(), network)) {
        return base::Error(base::Code::kInternal, *missing);
    }
    return std::nullopt;
}

std::string result_of(const RotationCall& call, bool failed) {
    if (!failed) {
        return "done";
    }
    const bool otherwise = call.latest() && call.latest()->done() &&
                           (call.latest()->phase() == "aborted" || call.latest()->phase() == "removed");
    return otherwise ? call.latest()->phase() : "failed";
}

}  // namespace

Exit rotate(const Connection& connection, const KeyRotate& command, Format format, const Terminal& terminal) {
    const std::string& network = command.request.network();
    const InterruptWatch watch;
    ProgressView view(terminal, format);
    Rotations rotations(connection, command, {network}, view);
    rotations.run(watch, [](const RotationCall& /*call*/) {});
    view.finish();
    const RotationCall& call = *rotations.calls().front();
    if (const auto error = failure_of(connection, call, watch.interrupted(), command.request.detach())) {
        return refuse(terminal, *error);
    }
    if (format == Format::kTable && command.request.detach()) {
        terminal.out << "asked for; " << how_to_look(network) << '\n';
    } else if (format == Format::kTable && call.latest()->stragglers_size() > 0) {
        terminal.out << printable("not reached, so still served with an older epoch until the straggler limit: " +
                                  joined(call.latest()->stragglers()))
                     << '\n';
    }
    return Exit::kDone;
}

Exit rotate_all(const Connection& connection, const KeyRotate& command, const std::vector<std::string>& networks,
                Format format, const Terminal& terminal) {
    const InterruptWatch watch;
    ProgressView view(terminal, format);
    Rotations rotations(connection, command, networks, view);
    Exit worst = Exit::kDone;
    std::vector<RotationResult> results;
    rotations.run(watch, [&](const RotationCall& call) {
        const auto error = failure_of(connection, call, watch.interrupted(), false);
        RotationResult result{.network = call.network(), .result = result_of(call, error.has_value())};
        if (call.latest()) {
            result.epoch = call.latest()->epoch();
            result.elapsed = call.elapsed();
            result.without = joined(call.latest()->stragglers());
        }
        results.push_back(std::move(result));
        if (error) {
            view.clear();
            worst = std::max(worst, refuse(terminal, *error));
        }
    });
    view.clear();
    for (const std::string& network : rotations.left()) {
        results.push_back({.network = network, .result = "not asked for"});
        worst = std::max(worst, Exit::kFailed);
    }
    if (format == Format::kTable) {
        std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.network < b.network; });
        terminal.out << render_rotations(results, terminal.view);
    }
    return worst;
}

}  // namespace warren::cli
