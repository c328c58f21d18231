#include "agent/join.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "base/fault_point.h"
#include "base/log.h"
#include "base/text.h"
#include "certs/grpc_credentials.h"
#include "certs/token.h"
#include "overlay/underlay.h"
#include "proto/bootstrap.grpc.pb.h"
#include "proto/status.h"
#include "proto/wire.h"

namespace warren::agent {

namespace {

using base::Code;

constexpr base::Log kLog{"agent"};
constexpr std::uint16_t kManagerPort = 7443;
constexpr std::chrono::seconds kPatience{15};

base::Error failed_call(const std::string& manager, const grpc::Status& status) {
    // OpenSSL's words. The roots are right by now, as the token's hash shows, so it is about times or about who
    // answers.
    if (status.error_message().find("certificate verify failed") != std::string::npos) {
        return {Code::kDenied,
                fmt::format("manager {}: its certificate is not valid by this host's clock, or somebody else answers "
                            "there: compare the clocks of both hosts",
                            manager)};
    }
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
        return {Code::kUnavailable,
                fmt::format("manager {} can't be reached: {}; does warrend run there, and is its port open?", manager,
                            proto::plain_reason(status.error_message()))};
    }
    return proto::from_grpc(status).in(fmt::format("manager {}", manager));
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

base::Result<certs::Roots> fetch_roots(const std::string& manager, const certs::JoinToken& token) {
    WARREN_TRY_ASSIGN(auto credentials, certs::unverified_credentials());
    const auto stub = v1::Bootstrap::NewStub(grpc::CreateChannel(manager, credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::GetRootsReply reply;
    const auto status = stub->GetRoots(&context, v1::GetRootsRequest(), &reply);
    if (!status.ok()) {
        return tl::unexpected<base::Error>(failed_call(manager, status));
    }
    WARREN_TRY_ASSIGN(const auto roots, certs::Roots::parse("the manager's roots", reply.roots_pem()));
    return token.trusted(roots);
}

base::Result<v1::IssueCertificateReply> fetch_certificate(const std::string& manager, const certs::JoinToken& token,
                                                          const certs::Roots& roots,
                                                          v1::IssueCertificateRequest request) {
    WARREN_TRY_ASSIGN(auto credentials, certs::joiner_credentials(roots));
    const auto secret = token.secret.reveal();
    request.set_token_secret(std::string(secret.begin(), secret.end()));
    const auto stub = v1::Bootstrap::NewStub(grpc::CreateChannel(manager, credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::IssueCertificateReply reply;
    const auto status = stub->IssueCertificate(&context, request, &reply);
    if (!status.ok()) {
        return tl::unexpected<base::Error>(failed_call(manager, status));
    }
    return reply;
}

}  // namespace

base::Result<NodeAddresses> choose_addresses(const std::string& data_addr, const std::string& advertise_addr,
                                             const std::string& node_name) {
    NodeAddresses chosen;
    WARREN_TRY_ASSIGN(const auto underlay, data_addr.empty() ? overlay::default_underlay()
                                                             : overlay::resolve_underlay("--data-addr", data_addr));
    chosen.data = underlay.address;
    chosen.advertise = underlay.address;
    if (!advertise_addr.empty()) {
        WARREN_TRY_ASSIGN(chosen.advertise, base::parse_ip("--advertise-addr", advertise_addr));
    }
    chosen.name = node_name.empty() ? host_name() : node_name;
    WARREN_TRY(base::check_name("--node-name", chosen.name));
    return chosen;
}

base::Result<Membership> join_cluster(const v1::ClusterJoinRequest& request, const MembershipFiles& files,
                                      base::Time now) {
    WARREN_TRY_ASSIGN(const auto token, certs::parse_join_token("--token", request.token()));
    WARREN_TRY_ASSIGN(const auto address, base::parse_socket_address("MANAGER", request.manager(), kManagerPort));
    WARREN_TRY_ASSIGN(const auto addresses,
                      choose_addresses(request.data_addr(), request.advertise_addr(), request.node_name()));
    WARREN_TRY(files.prepare());
    base::fault_point(base::FaultPoint::kJoinPrepared);
    const auto manager = address.text();
    WARREN_TRY_ASSIGN(auto roots, fetch_roots(manager, token));
    WARREN_TRY(roots.check_validity(now));
    WARREN_TRY_ASSIGN(auto key, certs::PrivateKey::generate());
    v1::IssueCertificateRequest asked;
    WARREN_TRY_ASSIGN(*asked.mutable_csr_pem(), certs::make_request(key));
    asked.set_node_name(addresses.name);
    asked.set_data_address(proto::raw(addresses.data));
    asked.set_advertise_address(proto::raw(addresses.advertise));
    WARREN_TRY_ASSIGN(const auto issued, fetch_certificate(manager, token, roots, std::move(asked)));
    base::fault_point(base::FaultPoint::kJoinIssued);
    WARREN_TRY_ASSIGN(auto identity, certs::NodeIdentity::assemble(std::move(key), issued.certificate_pem(), roots));
    WARREN_TRY(certs::check_validity(identity.leaf(), now));
    Membership membership{.identity = std::move(identity), .config = {}};
    const auto& who = membership.identity.identity();
    membership.config.set_cluster_id(who.cluster.text());
    membership.config.set_cluster_name(issued.cluster_name());
    membership.config.set_node_id(who.node.text());
    membership.config.set_node_name(addresses.name);
    membership.config.set_role(std::string(certs::name(who.role)));
    membership.config.add_managers(manager);
    membership.config.set_data_address(addresses.data.text());
    membership.config.set_advertise_address(addresses.advertise.text());
    WARREN_TRY(files.commit(membership));
    kLog.info("joined cluster {} ({}) as {}", issued.cluster_name(), who.cluster, who.text());
    return membership;
}

}  // namespace warren::agent
