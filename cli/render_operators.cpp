#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

Tone state_tone(const std::string& state) {
    return state == "valid" ? Tone::kGood : state == "expired" ? Tone::kCaution : Tone::kBad;
}

}  // namespace

std::string render_certificates(const v1::CertListReply& reply, const View& view) {
    Table table({"ID", "NAME", "ROLE", "STATE", "CA", "ISSUED", "EXPIRES"});
    for (const v1::OperatorCertificate& certificate : reply.certificates()) {
        table.row({short_id(certificate.id()), certificate.name(), certificate.role(),
                   Cell(certificate.state(), state_tone(certificate.state())), certificate.ca(),
                   age(certificate.issued_unix_ms(), view), expiry(certificate.expires_unix_ms(), view)});
    }
    return table.text(view);
}

std::string render_revoked(const v1::CertListReply& reply) {
    std::string text;
    for (const v1::OperatorCertificate& certificate : reply.certificates()) {
        text += printable(fmt::format("The certificate {} of {} {} is refused from now on.", short_id(certificate.id()),
                                      certificate.role(), certificate.name())) +
                "\n";
    }
    return text;
}

std::string render_issued(const v1::CertIssueReply& reply, const std::string& directory, const View& view) {
    const v1::OperatorCertificate& certificate = reply.certificate();
    return printable(fmt::format("Key and certificate of {} {} are in {}; it expires {}.", certificate.role(),
                                 certificate.name(), directory, expiry(certificate.expires_unix_ms(), view))) +
           "\n\nOn the operator's machine, with that directory:\n\n    " +
           printable(fmt::format("warren --host tcp://{} --cert {} node ls", reply.manager(), directory)) +
           "\n\nWhoever has the directory can do what the operator can. To end that: " +
           printable("warren cert revoke " + certificate.name()) + "\n";
}

}  // namespace warren::cli
