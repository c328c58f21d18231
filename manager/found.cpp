#include "manager/found.h"

#include "base/text.h"
#include "manager/changes.h"
#include "manager/ledger.h"
#include "manager/tokens.h"
#include "overlay/ipam.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr std::string_view kDefaultPool = "10.128.0.0/9";
constexpr std::uint32_t kDefaultSubnetSize = 24;
constexpr std::uint32_t kVxlanPort = 4789;  // IANA's
constexpr std::uint32_t kDefaultPortBase = 10000;
constexpr base::Duration kDefaultGrace = std::chrono::seconds(5);
constexpr base::Duration kDefaultStragglerLimit = std::chrono::hours(1);
constexpr base::Duration kDefaultReadmissionLimit = std::chrono::hours(24) * 30;
constexpr base::Duration kLongestReadmissionLimit = std::chrono::hours(24) * 365;
// Below it no unprivileged process binds a port; above it there must be room for at least one network.
constexpr std::uint32_t kLowestPort = 1024;

base::Status check_readmission_limit(base::Duration limit) {
    if (limit > kLongestReadmissionLimit) {
        return fail(Code::kInvalid, "--readmission-limit {}: must be {} at most", base::format_age(limit),
                    base::format_age(kLongestReadmissionLimit));
    }
    return {};
}

base::Result<v1::ClusterSettings> complete(v1::ClusterSettings settings, base::Duration shortest_leaf) {
    if (settings.subnet_pool().empty()) {
        settings.set_subnet_pool(std::string(kDefaultPool));
    }
    if (settings.subnet_size() == 0) {
        settings.set_subnet_size(kDefaultSubnetSize);
    }
    if (settings.plain_port() == 0) {
        settings.set_plain_port(kVxlanPort);
    }
    if (settings.port_base() == 0) {
        settings.set_port_base(kDefaultPortBase);
    }
    if (settings.rotation_grace_ms() == 0) {
        settings.set_rotation_grace_ms(kDefaultGrace.count());
    }
    if (settings.straggler_limit_ms() == 0) {
        settings.set_straggler_limit_ms(kDefaultStragglerLimit.count());
    }
    if (settings.leaf_lifetime_ms() == 0) {
        settings.set_leaf_lifetime_ms(certs::kDefaultLeafLifetime.count());
    }
    if (settings.readmission_limit_ms() == 0) {
        settings.set_readmission_limit_ms(kDefaultReadmissionLimit.count());
    }
    WARREN_TRY_ASSIGN(const auto pool, base::parse_prefix("--subnet-pool", settings.subnet_pool()));
    if (pool.address.family != base::Family::kIpv4) {
        return fail(Code::kInvalid, "--subnet-pool {}: must be of IPv4; of IPv6 every cluster has one of its own",
                    pool);
    }
    const auto narrowest = overlay::subnet_lengths(base::Family::kIpv4).narrowest;
    if (settings.subnet_size() > narrowest) {
        return fail(Code::kInvalid, "--subnet-size {}: must be {} at most", settings.subnet_size(), narrowest);
    }
    WARREN_TRY(overlay::check_pool("--subnet-pool", pool, static_cast<std::uint8_t>(settings.subnet_size())));
    for (const auto& [what, port] :
         {std::pair{"--plain-port", settings.plain_port()}, std::pair{"--port-base", settings.port_base()}}) {
        if (port < kLowestPort || port >= UINT16_MAX) {
            return fail(Code::kInvalid, "{} {}: must be from {} to {}", what, port, kLowestPort, UINT16_MAX - 1);
        }
    }
    if (settings.plain_port() > settings.port_base() &&
        settings.plain_port() - settings.port_base() <= overlay::kNetworkIndexes.last) {
        return fail(Code::kInvalid, "--plain-port {}: must not be among the ports of encrypted networks, {} to {}",
                    settings.plain_port(), settings.port_base() + 1,
                    settings.port_base() + overlay::kNetworkIndexes.last);
    }
    WARREN_TRY(
        certs::check_leaf_lifetime("--leaf-lifetime", base::Duration(settings.leaf_lifetime_ms()), shortest_leaf));
    WARREN_TRY(check_readmission_limit(base::Duration(settings.readmission_limit_ms())));
    return settings;
}

base::Result<v1::ClusterRecord> make_cluster(const Vault& vault, const Founding& founding, const base::ClusterId& id,
                                             const certs::Authority& authority, base::Time now) {
    v1::ClusterRecord record;
    WARREN_TRY(base::check_name("--name", founding.cluster_name));
    WARREN_TRY_ASSIGN(*record.mutable_settings(), complete(founding.settings, founding.shortest_leaf));
    record.set_id(raw(id));
    record.set_name(founding.cluster_name);
    record.set_roots_pem(authority.root_pem());
    record.set_ca_certificate_pem(authority.root_pem());
    record.set_ca_roots_pem(authority.root_pem());
    record.set_ca_generation(1);
    WARREN_TRY_ASSIGN(*record.mutable_sealed_ca_key(), vault.seal_authority(id, authority.key()));
    for (const auto role : {certs::Role::kWorker, certs::Role::kManager}) {
        auto& token = token_of(record, role);
        WARREN_TRY_ASSIGN(*token.mutable_sealed_secret(), vault.seal_token(id, role, certs::random_token_secret()));
        token.set_created(unix_ms(now));
    }
    record.set_created(unix_ms(now));
    return record;
}

}  // namespace

base::Result<Founded> found_cluster(store::Store& store, const Vault& vault, const Founding& founding, base::Time now) {
    Founded founded{.cluster = base::random_id<base::ClusterId>(),
                    .node = base::random_id<base::NodeId>(),
                    .certificate_pem = {},
                    .roots_pem = {}};
    WARREN_TRY_ASSIGN(const auto authority, certs::Authority::make(founded.cluster, founding.cluster_name, now));
    WARREN_TRY_ASSIGN(const auto record, make_cluster(vault, founding, founded.cluster, authority, now));
    const base::Duration lifetime(record.settings().leaf_lifetime_ms());
    const certs::Identity identity{.cluster = founded.cluster, .node = founded.node, .role = certs::Role::kManager};
    WARREN_TRY_ASSIGN(founded.certificate_pem,
                      authority.issue(founding.request_pem, identity, lifetime, now, founding.shortest_leaf));
    WARREN_TRY_ASSIGN(const auto leaf, certs::parse_leaf("new certificate", founded.certificate_pem));
    founded.roots_pem = authority.root_pem();
    const NewNode node{.id = founded.node,
                       .name = founding.node_name,
                       .role = std::string(certs::name(certs::Role::kManager)),
                       .data_address = founding.data_address,
                       .advertise_address = founding.advertise_address,
                       .port = founding.port,
                       .certificate = leaf};
    WARREN_TRY_ASSIGN(auto change, admit_node(Cluster(), node, now));
    change.compares.emplace_back(store::Absent{std::string(key::kCluster)});
    change.puts.push_back({.key = std::string(key::kCluster), .value = record.SerializeAsString()});
    WARREN_TRY_ASSIGN(const auto committed, store.commit(change));
    if (!committed.succeeded()) {
        return fail(Code::kConflict, "the store holds a cluster already");
    }
    return founded;
}

}  // namespace warren::manager
