#include "cli/grammar.h"

namespace warren::cli {

namespace {

constexpr const char* kNetworkHelp = "name, id, or the beginning of an id";
constexpr std::uint32_t kMostAtOnce = 64;

std::string contradiction(const KeyRotate& value, bool at_once) {
    const bool named = !value.request.network().empty();
    if (value.all == named) {
        return named ? "--all and NETWORK exclude each other" : "which network? give NETWORK or --all";
    }
    if (value.abort && (value.all || value.request.detach())) {
        return "--abort takes a NETWORK and no other option";
    }
    if (value.all && value.request.detach()) {
        return "--all and --detach exclude each other: this command is what keeps to --at-once";
    }
    if (at_once && !value.all) {
        return "--at-once is for --all";
    }
    return value.at_once == 0 ? fmt::format("--at-once '0': must be from 1 to {}", kMostAtOnce) : "";
}

void declare_rotate(Syntax& syntax, KeyRotate& value) {
    v1::KeyRotateRequest& request = value.request;
    auto at_once = std::make_shared<bool>(false);
    syntax.flag(
        "--detach", [&request] { request.set_detach(true); }, "ask for it and don't wait");
    syntax.flag(
        "--abort", [&value] { value.abort = true; }, "take back a rotation that is being installed");
    syntax.flag(
        "--all", [&value] { value.all = true; }, "every encrypted network");
    syntax.number(
        "--at-once", "N", kMostAtOnce,
        [&value, at_once](std::uint32_t n) {
            value.at_once = n;
            *at_once = true;
        },
        "how many networks at the same time, with --all (4)");
    syntax.optional_argument("NETWORK", *request.mutable_network(), kNetworkHelp);
    syntax.check([&value, at_once] { return contradiction(value, *at_once); });
}

}  // namespace

void add_key_commands(CLI::App& root, Command& chosen) {
    CLI::App& group =
        add_group(root, {"key", "See and rotate the keys of encrypted networks", "warren key rotate net1"});
    add_command<KeyList>(group, chosen, {"ls", "List the keys (never their bytes)", "warren key ls"},
                         [](Syntax& /*syntax*/, KeyList& /*value*/) {});
    add_command<KeyStatus>(group, chosen,
                           {"status", "Show which key each node has and sends with", "warren key status net1"},
                           [](Syntax& syntax, KeyStatus& value) {
                               syntax.optional_argument("NETWORK", *value.request.mutable_network(), kNetworkHelp);
                           });
    add_command<KeyHistory>(group, chosen,
                            {"history", "Show a network's last rotations: who asked, how long, how much was sent",
                             "warren key history net1"},
                            [](Syntax& syntax, KeyHistory& value) {
                                syntax.argument("NETWORK", *value.request.mutable_network(), kNetworkHelp);
                            });
    add_command<KeyRotate>(
        group, chosen,
        {"rotate", "Give a network a new key, and wait until the old one is gone", "warren key rotate net1"},
        declare_rotate);
}

}  // namespace warren::cli
