#include "cli/grammar.h"

// ca, cert: who vouches for whom.
namespace warren::cli {

void add_ca_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"ca", "See and replace the cluster's certificate authority", "warren ca show"});
    add_command<CaShow>(group, chosen,
                        {"show", "Show the roots, and which nodes have moved to the last", "warren ca show"},
                        [](Syntax& /*syntax*/, CaShow& /*value*/) {});
    add_command<CaRotate>(
        group, chosen,
        {"rotate", "Move the cluster to a new authority, and wait until the old one is dropped", "warren ca rotate"},
        [](Syntax& syntax, CaRotate& value) {
            syntax.text("--external-root", "FILE", value.external_root,
                        "a CA of your own: key, certificate and chain, PEM");
            syntax.flag(
                "--detach", [&value] { value.detach = true; }, "begin it and don't wait");
        });
}

void add_cert_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"cert", "See and renew this node's certificate", "warren cert show"});
    add_command<CertShow>(group, chosen, {"show", "Show this node's certificate", "warren cert show"},
                          [](Syntax& /*syntax*/, CertShow& /*value*/) {});
    add_command<CertRenew>(group, chosen,
                           {"renew", "Get a new certificate now, and wait until it is in use", "warren cert renew"},
                           [](Syntax& /*syntax*/, CertRenew& /*value*/) {});
}

}  // namespace warren::cli
