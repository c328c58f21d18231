#include "cli/grammar.h"

namespace warren::cli {

void add_key_commands(CLI::App& root, Command& chosen) {
    constexpr const char* kNetworkHelp = "name, id, or the beginning of an id";
    CLI::App& group =
        add_group(root, {"key", "See and rotate the keys of encrypted networks", "warren key rotate net1"});
    add_command<KeyList>(group, chosen, {"ls", "List the keys (never their bytes)", "warren key ls"},
                         [](Syntax& /*syntax*/, KeyList& /*value*/) {});
    add_command<KeyStatus>(group, chosen,
                           {"status", "Show which key each node has and sends with", "warren key status net1"},
                           [](Syntax& syntax, KeyStatus& value) {
                               syntax.optional_argument("NETWORK", *value.request.mutable_network(), kNetworkHelp);
                           });
    add_command<KeyRotate>(
        group, chosen,
        {"rotate", "Give a network a new key, and wait until the old one is gone", "warren key rotate net1"},
        [](Syntax& syntax, KeyRotate& value) {
            v1::KeyRotateRequest& request = value.request;
            syntax.flag(
                "--detach", [&request] { request.set_detach(true); }, "ask for it and don't wait");
            syntax.argument("NETWORK", *request.mutable_network(), kNetworkHelp);
        });
}

}  // namespace warren::cli
