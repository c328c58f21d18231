#include "cli/cert_issue.h"

#include <filesystem>
#include <ostream>
#include <system_error>

#include "certs/key.h"
#include "certs/node_identity.h"
#include "cli/json.h"
#include "cli/render.h"
#include "cli/run.h"

namespace warren::cli {

namespace {

constexpr std::chrono::seconds kLimit{30};

// Nothing is asked for that could not be kept.
base::Status check_directory(const std::string& directory) {
    std::error_code error;
    const bool there = std::filesystem::exists(directory, error);
    if (error) {
        return base::fail_errno(fmt::format("--out {}", directory), error.value());
    }
    if (there && (!std::filesystem::is_directory(directory) || !std::filesystem::is_empty(directory, error))) {
        return base::fail(base::Code::kConflict, "--out {}: must be a directory that is empty or not there yet",
                          directory);
    }
    return {};
}

base::Result<v1::CertIssueReply> issue(const Connection& connection, const CertIssue& command) {
    WARREN_TRY(check_directory(command.directory));
    WARREN_TRY_ASSIGN(auto key, certs::PrivateKey::generate());
    auto request = command.request;
    WARREN_TRY_ASSIGN(*request.mutable_csr_pem(), certs::make_request(key));
    WARREN_TRY_ASSIGN(auto reply, connection.call(&v1::Control::Stub::CertIssue, request, kLimit));
    WARREN_TRY_ASSIGN(auto roots, certs::Roots::parse("the cluster's roots", reply.roots_pem()));
    WARREN_TRY_ASSIGN(const auto identity,
                      certs::NodeIdentity::assemble(std::move(key), reply.certificate_pem(), std::move(roots)));
    if (auto saved = certs::save_identity(command.directory, identity); !saved) {
        return base::fail(saved.error().code(), "{}; revoke the certificate, which nobody has: warren cert revoke {}",
                          saved.error().message(), reply.certificate().id());
    }
    return reply;
}

}  // namespace

Exit issue_certificate(const Connection& connection, const CertIssue& command, Format format,
                       const Terminal& terminal) {
    const auto reply = issue(connection, command);
    if (!reply) {
        return refuse(terminal, reply.error());
    }
    terminal.out << (format == Format::kJson ? to_json(reply->certificate(), JsonStyle::kIndented)
                                             : render_issued(*reply, command.directory, terminal.view))
                 << std::flush;
    return Exit::kDone;
}

}  // namespace warren::cli
