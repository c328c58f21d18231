#include "cli/grammar.h"

namespace warren::cli {

void add_events_command(CLI::App& root, Command& chosen) {
    add_command<Events>(root, chosen,
                        {"events", "Show what happened in the cluster", "warren events --follow --since 1h"},
                        [](Syntax& syntax, Events& value) {
                            v1::EventsRequest& request = value.request;
                            syntax.flag(
                                "-f,--follow", [&request] { request.set_follow(true); },
                                "go on with what happens from now on, until ^C");
                            syntax.text("--since", "TIME|DURATION", *request.mutable_since(),
                                        "only what is not older (all; with --follow nothing of the past)");
                            syntax.text("--network", "NETWORK", *request.mutable_network(),
                                        "only of this one: name, id, or the beginning of an id");
                        });
}

}  // namespace warren::cli
