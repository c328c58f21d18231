#include "cli/grammar.h"

// ca, cert: who vouches for whom.
namespace warren::cli {

void add_ca_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"ca", "See and replace the cluster's certificate authority", "warren ca show"});
    add_command<CaShow>(group, chosen,
                        {"show", "Show the roots, and which nodes have moved to the last", "warren ca show"},
                        [](Syntax& /*syntax*/, CaShow& /*value*/) {});
    add_command<CaRotate>(group, chosen,
                          {"rotate", "Move the cluster to a new authority, and wait for the end", "warren ca rotate"},
                          [](Syntax& syntax, CaRotate& value) {
                              syntax.text("--external-root", "FILE", value.external_root,
                                          "a CA of your own: key, certificate and chain, PEM");
                              syntax.flag(
                                  "--detach", [&value] { value.detach = true; }, "begin it and don't wait");
                          });
}

void add_cert_commands(CLI::App& root, Command& chosen) {
    CLI::App& group = add_group(root, {"cert", "This node's certificate, and those of operators", "warren cert show"});
    add_command<CertShow>(group, chosen, {"show", "Show this node's certificate", "warren cert show"},
                          [](Syntax& /*syntax*/, CertShow& /*value*/) {});
    add_command<CertRenew>(group, chosen,
                           {"renew", "Get a new certificate now, and wait until it is in use", "warren cert renew"},
                           [](Syntax& /*syntax*/, CertRenew& /*value*/) {});
    add_command<CertIssue>(
        group, chosen,
        {"issue", "Make a certificate for 'warren --host tcp://... --cert DIR'",
         "warren cert issue --role operator alice --out alice.warren"},
        [](Syntax& syntax, CertIssue& value) {
            v1::CertIssueRequest& request = value.request;
            syntax.text("--role", "operator", *request.mutable_role(), "what it is for")->required();
            syntax.text("--out", "DIR", value.directory, "a new directory for the key and the certificate")->required();
            syntax.text("--expires", "DURATION", *request.mutable_expires(), "how long it is valid (90d)");
            syntax.argument("NAME", *request.mutable_name(), "of the operator");
        });
    add_command<CertList>(group, chosen, {"ls", "List the certificates of operators", "warren cert ls"},
                          [](Syntax& /*syntax*/, CertList& /*value*/) {});
    add_command<CertRevoke>(
        group, chosen, {"revoke", "Refuse an operator's certificate from now on", "warren cert revoke alice"},
        [](Syntax& syntax, CertRevoke& value) {
            syntax.argument("NAME", *value.request.mutable_certificate(), "name, id, or the beginning of an id");
        });
}

}  // namespace warren::cli
