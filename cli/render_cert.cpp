#include <fmt/format.h>

#include "cli/parts.h"
#include "cli/render.h"
#include "cli/table.h"

namespace warren::cli {

namespace {

Tone root_tone(const v1::CaRoot& root, const View& view) {
    if (root.state() != "dropped" && base::Time(base::Duration(root.not_after_unix_ms())) <= view.now) {
        return Tone::kBad;
    }
    return root.state() == "issuing" ? Tone::kGood : Tone::kPlain;
}

std::string names_of(const google::protobuf::RepeatedPtrField<v1::CaNode>& nodes) {
    std::string names;
    for (const auto& node : nodes) {
        names += fmt::format("{}{}{}", names.empty() ? "" : ", ", node.node(),
                             node.state() == "ready" ? "" : " (" + node.state() + ")");
    }
    return names;
}

}  // namespace

std::string authority_line(const v1::CaShowReply& reply) {
    const auto line = fmt::format("{}: {} of {}", reply.phase() == "idle" ? "moved" : "moving", reply.moved(),
                                  count_of(reply.nodes(), "node", "nodes"));
    return reply.waiting().empty() ? line : line + ", waiting for " + names_of(reply.waiting());
}

std::string operators_line(const v1::CaShowReply& reply) {
    std::string names;
    for (const auto& certificate : reply.operators()) {
        names += (names.empty() ? "" : ", ") + certificate.name();
    }
    return fmt::format("operators {}: {}; for each: warren cert issue --role operator NAME --out DIR",
                       reply.phase() == "idle"
                           ? "who are refused until they have new certificates"
                           : "who need new certificates before the old root is dropped, which does not wait for them",
                       names);
}

std::string render_authority(const v1::CaShowReply& reply, const View& view) {
    Table table({"ROOT", "STATE", "EXPIRES", "SHA-256"});
    for (const auto& root : reply.roots()) {
        table.row({root.name(), Cell(root.state(), root_tone(root, view)), expiry(root.not_after_unix_ms(), view),
                   root.fingerprint()});
    }
    std::string out = table.text(view) + "\n";
    out += printable(authority_line(reply));
    if (reply.phase() != "idle") {
        out += "; began " + moment(reply.started_unix_ms(), view);
    }
    out += "\n";
    if (!reply.left().empty()) {
        out += printable("not moved, let in again when they come back: " + names_of(reply.left())) + "\n";
    }
    if (!reply.operators().empty()) {
        out += printable(operators_line(reply)) + "\n";
    }
    return out;
}

std::string render_certificate(const v1::CertShowReply& reply, const View& view) {
    Block block;
    block.line("Subject", fmt::format("{} {} of cluster {}", reply.role(), reply.node_id(), reply.cluster_id()));
    block.line("URI", reply.uri());
    block.line("Issuer", fmt::format("{} (key id {})", reply.issuer(), reply.issuer_key_id()));
    block.line("Serial", reply.serial());
    block.line("Issued", moment(reply.issued_unix_ms(), view));
    add_certificate(block, reply.not_after_unix_ms(), view);
    block.line(reply.problem().empty() ? "Next renewal" : "Next attempt", due(reply.next_renewal_unix_ms(), view));
    if (!reply.problem().empty()) {
        block.line("Not renewed",
                   Cell(fmt::format("{}, since {}", reply.problem(), moment(reply.failing_since_unix_ms(), view)),
                        Tone::kBad));
    }
    block.line("File", reply.file());
    return block.text(view);
}

}  // namespace warren::cli
