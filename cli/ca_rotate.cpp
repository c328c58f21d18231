#include "cli/ca_rotate.h"

#include <optional>
#include <ostream>
#include <thread>

#include "base/files.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/render.h"

namespace warren::cli {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr auto kLook = std::chrono::milliseconds(300);
constexpr std::size_t kLargestFile = 256U << 10U;
// A daemon that restarts is back within this, and its manager.
constexpr auto kAbsence = std::chrono::seconds(60);

base::Result<v1::CaRotateRequest> request_of(const CaRotate& command) {
    v1::CaRotateRequest request;
    if (!command.external_root.empty()) {
        auto text = base::read_file(command.external_root, kLargestFile);
        if (!text) {
            return base::fail(base::Code::kInvalid, "--external-root: {}", text.error().message());
        }
        request.set_external_pem(*std::move(text));
    }
    return request;
}

void show_line(const Terminal& terminal, Format format, const std::string& line, std::string& last) {
    if (format == Format::kJson || line == last) {
        return;
    }
    last = line;
    if (terminal.live) {
        const std::size_t width = terminal.width == 0 ? line.size() : terminal.width - 1;
        terminal.out << '\r' << clip(line, width) << "\x1b[K" << std::flush;
    } else {
        terminal.out << line << '\n' << std::flush;
    }
}

// Looks until the old CA is dropped.
base::Result<v1::CaShowReply> follow(const CaCalls& calls, v1::CaShowReply latest, Format format,
                                     const Terminal& terminal) {
    const InterruptWatch watch;
    std::string last;
    std::optional<SteadyTime> absent;
    if (format == Format::kTable && !latest.operators().empty()) {
        terminal.out << printable(operators_line(latest)) << '\n' << std::flush;
    }
    show_line(terminal, format, printable(authority_line(latest)), last);
    while (latest.phase() != "idle") {
        if (watch.interrupted()) {
            return base::fail(base::Code::kAborted, "interrupted; the rotation goes on: look with 'warren ca show'");
        }
        std::this_thread::sleep_for(kLook);
        auto reply = calls.show();
        if (reply) {
            absent.reset();
            latest = *std::move(reply);
            show_line(terminal, format, printable(authority_line(latest)), last);
            continue;
        }
        const auto now = std::chrono::steady_clock::now();
        if (now - absent.value_or(now) > kAbsence) {
            return base::fail(reply.error().code(), "{}; the rotation goes on: look with 'warren ca show'",
                              reply.error().message());
        }
        absent = absent.value_or(now);
    }
    return latest;
}

}  // namespace

Exit rotate_authority(const CaCalls& calls, const CaRotate& command, Format format, const Terminal& terminal) {
    const auto request = request_of(command);
    if (!request) {
        return refuse(terminal, request.error());
    }
    auto begun = calls.rotate(*request);
    if (!begun) {
        return refuse(terminal, begun.error());
    }
    const auto done = command.detach ? std::move(begun) : follow(calls, *std::move(begun), format, terminal);
    if (terminal.live && !command.detach && format == Format::kTable) {
        terminal.out << '\n';
    }
    if (!done) {
        return refuse(terminal, done.error());
    }
    terminal.out << (format == Format::kJson ? to_json(*done, JsonStyle::kIndented)
                                             : render_authority(*done, terminal.view))
                 << std::flush;
    return Exit::kDone;
}

}  // namespace warren::cli
