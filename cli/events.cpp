#include "cli/events.h"

#include <algorithm>
#include <ostream>
#include <thread>

#include "cli/connection.h"
#include "cli/json.h"
#include "cli/render.h"
#include "cli/run.h"
#include "cli/stream_call.h"

namespace warren::cli {

namespace {

constexpr auto kRetryPause = std::chrono::seconds(1);
constexpr auto kTick = std::chrono::milliseconds(50);

// Whether a stream that ended so can be taken up again: the daemon or its manager is away, or had too much of us.
bool is_passing(grpc::StatusCode code) {
    return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::FAILED_PRECONDITION ||
           code == grpc::StatusCode::ABORTED || code == grpc::StatusCode::CANCELLED;
}

class Reader {
  public:
    Reader(const Events& command, Format format, const Terminal& terminal)
        : request_(command.request), format_(format), terminal_(terminal) {}

    // One stream, to its end.
    grpc::Status read(const Connection& connection, const InterruptWatch& watch) {
        StreamCall<v1::EventsReply> call([&](auto* context, auto* queue) {
            return connection.stub<v1::Control::Stub>().AsyncEvents(context, request_, queue, nullptr);
        });
        return call.run(
            watch, [this](const v1::EventsReply& reply) { take(reply); }, [] {});
    }

    [[nodiscard]] bool begun() const { return begun_; }
    void note_loss(const base::Error& why) {
        if (!std::exchange(lost_, true)) {
            terminal_.err << "warren: " << printable(why.message()) << "; trying again until it is back\n"
                          << std::flush;
        }
    }

  private:
    v1::EventsRequest request_;
    Format format_;
    const Terminal& terminal_;
    bool begun_ = false;
    bool lost_ = false;

    void take(const v1::EventsReply& reply) {
        if (!begun_ && format_ == Format::kTable) {
            terminal_.out << events_header();
        }
        begun_ = true;
        lost_ = false;
        request_.set_after(reply.last());
        if (reply.dropped() > 0) {
            terminal_.err << fmt::format("warren: {} in the meantime; the log has no room for them any more\n",
                                         count_of(reply.dropped(), "event was dropped", "events were dropped"));
        }
        for (const v1::Event& event : reply.events()) {
            terminal_.out << (format_ == Format::kJson ? to_json(event, JsonStyle::kLine) : event_line(event));
        }
        terminal_.out << std::flush;
    }
};

void pause(const InterruptWatch& watch) {
    const auto until = std::chrono::steady_clock::now() + kRetryPause;
    while (!watch.interrupted() && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(kTick);
    }
}

}  // namespace

Exit events(const Destination& destination, const Events& command, Format format, const Terminal& terminal) {
    const InterruptWatch watch;
    Reader reader(command, format, terminal);
    while (true) {
        base::Error error(base::Code::kInternal, "");
        bool passing = true;
        if (const auto connection = Connection::open(destination, terminal.view.now)) {
            const grpc::Status status = reader.read(*connection, watch);
            if (status.ok()) {
                return Exit::kDone;
            }
            error = connection->failure(status);
            passing = is_passing(status.error_code());
        } else {
            error = connection.error();
        }
        if (watch.interrupted()) {
            return Exit::kDone;
        }
        if (!command.request.follow() || !reader.begun() || !passing) {
            return refuse(terminal, error);
        }
        reader.note_loss(error);
        pause(watch);
    }
}

}  // namespace warren::cli
