#include "cli/remove_node.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <map>
#include <ostream>
#include <set>

#include "cli/json.h"
#include "cli/render.h"
#include "cli/run.h"

namespace warren::cli {

namespace {

// A line for each thing that changed since the last message.
class RemovalLines {
  public:
    explicit RemovalLines(const Terminal& terminal) : terminal_(terminal) {}

    void show(const v1::NodeRemoveProgress& progress) {
        if (!begun_) {
            terminal_.out << printable(progress.node())
                          << " is out of the cluster: its certificate is refused, its endpoints are gone\n";
        }
        begun_ = true;
        for (const v1::KeyPurge& purge : progress.networks()) {
            const std::string line = purge_line(purge);
            std::string& last = shown_[purge.network()];
            if (line != last) {
                terminal_.out << line << '\n';
                last = line;
            }
        }
        terminal_.out << std::flush;
    }

  private:
    const Terminal& terminal_;
    bool begun_ = false;
    std::map<std::string, std::string> shown_;
};

// Who could not confirm, and in which networks; empty when all have.
std::string missing(const v1::NodeRemoveProgress& progress) {
    std::map<std::string, std::set<std::string>> networks;
    for (const v1::KeyPurge& purge : progress.networks()) {
        for (const std::string& node : purge.unconfirmed()) {
            networks[node].insert(purge.network());
        }
    }
    std::string text;
    for (const auto& [node, of] : networks) {
        text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", node, joined(of));
    }
    return text;
}

}  // namespace

Exit remove_node(const Connection& connection, const NodeRemove& command, Format format, const Terminal& terminal) {
    grpc::ClientContext context;
    const auto reader = connection.stub<v1::Control::Stub>().NodeRemove(&context, command.request);
    RemovalLines lines(terminal);
    v1::NodeRemoveProgress progress;
    while (reader->Read(&progress)) {
        if (format == Format::kJson) {
            terminal.out << to_json(progress, JsonStyle::kLine) << std::flush;
        } else {
            lines.show(progress);
        }
    }
    const std::string again = fmt::format("'warren node rm {}' shows it again", command.request.node());
    if (const grpc::Status status = reader->Finish(); !status.ok()) {
        base::Error error = connection.failure(status);
        if (!progress.node_id().empty()) {
            error = {error.code(),
                     fmt::format("{}; the node is removed and the rest goes on: {}", error.message(), again)};
        }
        return refuse(terminal, error);
    }
    if (const std::string unconfirmed = missing(progress); !progress.done() || !unconfirmed.empty()) {
        return refuse(terminal, {base::Code::kAborted,
                                 fmt::format("{} is removed, but who could not confirm that the keys it knew are "
                                             "deleted: {}; they are cut off from these networks until they do: {}",
                                             progress.node(), unconfirmed, again)});
    }
    if (format == Format::kTable) {
        terminal.out
            << "It may still know the join tokens; if it is not trusted any more: warren token rotate worker\n";
    }
    return Exit::kDone;
}

}  // namespace warren::cli
