#include "cli/rotate.h"

#include <optional>
#include <ostream>

#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/render.h"
#include "cli/run.h"
#include "cli/stream_call.h"

namespace warren::cli {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Shows progress: redraws one line on a terminal, else adds a line for each change.
class ProgressLine {
  public:
    ProgressLine(const Terminal& terminal, Format format) : terminal_(terminal), format_(format) {}

    void show(const v1::RotationProgress& progress, base::Duration elapsed) {
        if (format_ == Format::kJson) {
            return;  // each message is shown as it comes
        }
        const std::string line = rotation_line(progress);
        const std::string timed = line + "  " + base::format_age(elapsed);
        if (terminal_.live) {
            // A line that wraps could not be redrawn.
            const std::size_t width = terminal_.width == 0 ? timed.size() : terminal_.width - 1;
            terminal_.out << '\r' << clip(timed, width) << "\x1b[K" << std::flush;
            open_ = true;
        } else if (line != last_) {
            terminal_.out << timed << '\n' << std::flush;
        }
        last_ = line;
    }
    // Leaves the line as it is; what is written next begins below it.
    void finish() {
        if (open_) {
            terminal_.out << '\n' << std::flush;
        }
        open_ = false;
    }

  private:
    const Terminal& terminal_;
    Format format_;
    std::string last_;
    bool open_ = false;
};

// One call of KeyRotate and what it shows.
class RotationCall {
  public:
    RotationCall(const Connection& connection, const KeyRotate& command, Format format, const Terminal& terminal)
        : terminal_(terminal), format_(format), line_(terminal, format), call_([&](auto* context, auto* queue) {
              return connection.stub<v1::Control::Stub>().AsyncKeyRotate(context, command.request, queue, nullptr);
          }) {}

    // Until the daemon ends the stream, or ^C does.
    grpc::Status run(const InterruptWatch& watch) {
        auto status = call_.run(
            watch, [this](const v1::RotationProgress& progress) { take(progress); }, [this] { tick(); });
        line_.finish();
        return status;
    }
    [[nodiscard]] const std::optional<v1::RotationProgress>& latest() const { return latest_; }

  private:
    void tick() {
        if (latest_ && !latest_->done() && terminal_.live) {
            const auto since = std::chrono::steady_clock::now() - taken_;
            line_.show(*latest_,
                       base::Duration(latest_->elapsed_ms()) + std::chrono::duration_cast<base::Duration>(since));
        }
    }
    void take(const v1::RotationProgress& progress) {
        latest_ = progress;
        taken_ = std::chrono::steady_clock::now();
        if (format_ == Format::kJson) {
            terminal_.out << to_json(*latest_, JsonStyle::kLine) << std::flush;
        }
        line_.show(*latest_, base::Duration(latest_->elapsed_ms()));
    }

    const Terminal& terminal_;
    Format format_;
    ProgressLine line_;
    StreamCall<v1::RotationProgress> call_;
    std::optional<v1::RotationProgress> latest_;
    SteadyTime taken_;
};

std::string how_to_look(const std::string& network) {
    return "look with 'warren key status " + network + "'";
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
    return std::nullopt;
}

}  // namespace

Exit rotate(const Connection& connection, const KeyRotate& command, Format format, const Terminal& terminal) {
    const std::string& network = command.request.network();
    const InterruptWatch watch;
    RotationCall call(connection, command, format, terminal);
    const grpc::Status status = call.run(watch);
    if (status.error_code() == grpc::StatusCode::CANCELLED && watch.interrupted()) {
        return refuse(terminal, {base::Code::kAborted,
                                 "interrupted; the rotation of " + network + " goes on: " + how_to_look(network)});
    }
    if (!status.ok()) {
        base::Error error = connection.failure(status);
        if (call.latest()) {
            error = {error.code(), error.message() + "; the rotation may go on: " + how_to_look(network)};
        }
        return refuse(terminal, error);
    }
    if (command.request.detach()) {
        if (format == Format::kTable) {
            terminal.out << "asked for; " << how_to_look(network) << '\n';
        }
        return Exit::kDone;
    }
    if (const auto missing = shortfall(call.latest(), network)) {
        return refuse(terminal, {base::Code::kInternal, *missing});
    }
    if (format == Format::kTable && call.latest()->stragglers_size() > 0) {
        terminal.out << printable("not reached, so still served with an older epoch until the straggler limit: " +
                                  joined(call.latest()->stragglers()))
                     << '\n';
    }
    return Exit::kDone;
}

}  // namespace warren::cli
