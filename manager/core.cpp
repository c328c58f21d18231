#include "manager/core.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "manager/changes.h"
#include "manager/key_record.h"
#include "manager/present.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
constexpr int kMissedHeartbeats = 3;
constexpr base::Rate kRepairs{.burst = 10, .refill = std::chrono::seconds(10)};

}  // namespace

base::Result<std::unique_ptr<Core>> Core::open(store::Store& store, Vault vault, CoreOptions options) {
    WARREN_TRY_ASSIGN(auto ledger, Ledger::open(store));
    // Found out now, with the way out, rather than at the first join or rotation.
    const auto& record = ledger->cluster().cluster().record;
    if (const auto opened = vault.open_authority(ledger->cluster().id(), record.sealed_ca_key()); !opened) {
        return base::fail(base::Code::kPrecondition,
                          "manager/kek does not open the secrets in manager/store.db: put back the two that belong "
                          "together: {}",
                          opened.error().message());
    }
    return std::unique_ptr<Core>(new Core(std::move(ledger), store, std::move(vault), std::move(options)));
}

Core::Core(std::unique_ptr<Ledger> ledger, store::Store& store, Vault vault, CoreOptions options)
    : options_(std::move(options)),
      store_(&store),
      vault_(std::move(vault)),
      ledger_(std::move(ledger)),
      hub_(
          ledger_->cluster(), [this](const auto& network, auto epoch) { return secret_of(network, epoch); },
          options_.now()),
      rotations_(*ledger_, hub_, vault_),
      mtus_(*ledger_, options_.mtu_patience),
      removals_(*ledger_, hub_, rotations_),
      events_(ledger_->cluster()),
      relay_(ledger_->cluster(), hub_),
      certificates_(*ledger_, vault_, options_.self, options_.shortest_leaf),
      authority_(*ledger_, hub_, vault_, options_.self) {
    ledger_->observe([this](const NetworkEvent& event) {
        hub_.tell(event, options_.now());
        mtus_.mark(event.id);
    });
    rotations_.resume(options_.now());
}

base::Time Core::look_at_clock() {
    const auto by = options_.clock_set_by ? options_.clock_set_by() : base::Duration::zero();
    if (by != base::Duration::zero()) {
        kLog.warn("the clock was set {} by {}: what waits goes on waiting as if it had not been",
                  by > base::Duration::zero() ? "forward" : "back",
                  base::format_age(std::max(by, base::Duration::zero() - by)));
        hub_.clock_set(by);
        removals_.clock_set(by);
        rotations_.clock_set(by);
        mtus_.clock_set(by);
    }
    return options_.now();
}

std::optional<std::string> Core::secret_of(const NetworkState& network, base::Epoch epoch) const {
    const auto* stored = find_epoch(network.keys.record, epoch);
    if (stored == nullptr || stored->sealed_secret().empty()) {
        return std::nullopt;
    }
    const auto id = id_of<base::NetworkId>(network.record().id());
    const auto secret = vault_.open_epoch(id, epoch, stored->sealed_secret());
    if (!secret) {
        kLog.error("network {}: the secret of epoch {} can't be opened: {}", network.record().name(), epoch,
                   secret.error().message());
        return std::nullopt;
    }
    const auto bytes = secret->reveal();
    return std::string(bytes.begin(), bytes.end());
}

base::Duration Core::run() {
    const auto now = look_at_clock();
    if (auto drained = ledger_->drain(); !drained) {
        kLog.error("the store's changes can't be read: {}", drained.error().message());
    }
    if (auto ticked = store_->tick(); !ticked) {
        kLog.error("the store: {}", ticked.error().message());
    }
    lasting_.check([this](const certs::Identity& caller) { return check_caller(caller); });
    hub_.close_silent(options_.heartbeat * kMissedHeartbeats, now);
    authority_.run(now);
    removals_.go_on(now);
    const auto fits = mtus_.run(now).value_or(base::Time::max());
    const auto next = std::min(rotations_.run(now).value_or(base::Time::max()), fits);
    removals_.report(now);
    hub_.tell_acks();
    if (const auto refusals = refusals_.due(now)) {
        tell_alone(*refusals);
    }
    events_.run();
    return std::clamp(next - now, base::Duration::zero(), options_.heartbeat);
}

base::Result<SessionId> Core::session_opened(const certs::Identity& peer, std::shared_ptr<SessionSink> sink) {
    if (auto known = check_caller(peer); !known) {
        note_refusal(Refusal::kStranger, peer.text() + located(*sink), known.error());
        return base::fail_with(std::move(known));
    }
    return hub_.open(peer.node, std::move(sink), look_at_clock());
}

void Core::session_message(SessionId session, const v1::FromAgent& message) {
    const auto now = look_at_clock();
    const auto node = hub_.node_of(session);
    if (!node) {
        return;
    }
    hub_.heard(session, now);
    switch (message.message_case()) {
        case v1::FromAgent::kHello:
            if (auto done = hello(*node, session, message.hello()); !done) {
                if (done.error().code() == base::Code::kDenied) {
                    note_refusal(Refusal::kOtherNode, hub_.caller(*node), done.error());
                } else {
                    kLog.warn("{}: hello refused: {}", hub_.caller(*node), done.error().message());
                }
                hub_.refuse(session, done.error(), now);
            }
            break;
        case v1::FromAgent::kAcks:
            for (const auto& applied : message.acks().applied()) {
                acknowledge(*node, applied, now);
            }
            break;
        case v1::FromAgent::kEndpointRequest:
            endpoint_request(*node, message.endpoint_request());
            break;
        case v1::FromAgent::kRotationRequest: {
            const auto id = id_of<base::NetworkId>(message.rotation_request().network_id());
            const auto* network = cluster().network(id);
            if (network != nullptr && network->member(*node) != nullptr) {
                ask_rotation(id, {.reason = message.rotation_request().limit() ? keymgr::Reason::kLimit
                                                                               : keymgr::Reason::kSaLost,
                                  .about = base::Epoch{message.rotation_request().epoch()},
                                  .node = *node});
            }
            break;
        }
        case v1::FromAgent::kCertificateRequest: {
            v1::FromManager answer;
            *answer.mutable_certificate() = certificates_.renew(*node, message.certificate_request(), now);
            hub_.reply(*node, std::move(answer));
            break;
        }
        case v1::FromAgent::kCertificateUse:
            certificates_.note_use(*node, message.certificate_use());
            break;
        case v1::FromAgent::kKeyCounters:
            rotations_.take_counters(*node, message.key_counters());
            break;
        case v1::FromAgent::kUnderlayMtu:
            if (const auto taken = take_underlay(*node, message.underlay_mtu()); !taken) {
                kLog.warn("the underlay of node {}: {}", cluster().node_name(*node), taken.error().message());
            }
            break;
        case v1::FromAgent::kHostNetworks:
            if (const auto taken = take_host_networks(*node, message.host_networks()); !taken) {
                kLog.warn("the routes of node {}: {}", cluster().node_name(*node), taken.error().message());
            }
            break;
        case v1::FromAgent::kRepaired:
            note_repair(*node, message.repaired(), now);
            break;
        case v1::FromAgent::kPeerQuestion:
            relay_.question(*node, message.peer_question(), now);
            break;
        case v1::FromAgent::kPeerAnswer:
            relay_.answer(*node, message.peer_answer(), now);
            break;
        case v1::FromAgent::kHeartbeat: {
            v1::FromManager answer;
            answer.mutable_heartbeat()->set_now_unix_ms(proto::unix_ms(now));
            hub_.reply(*node, std::move(answer));
            break;
        }
        case v1::FromAgent::MESSAGE_NOT_SET:
            break;
    }
}

void Core::session_closed(SessionId session) {
    if (const auto node = hub_.node_of(session)) {
        kLog.info("node {}: session ended", cluster().node_name(*node));
    }
    hub_.close(session, look_at_clock());
}

base::Status Core::hello(const base::NodeId& node, SessionId session, const v1::Hello& hello) {
    const auto now = options_.now();
    const auto* known = cluster().node(node);
    if (known != nullptr && !hello.node_name().empty() && hello.node_name() != known->record.name()) {
        return base::fail(base::Code::kDenied, "hello of node '{}': names another node, '{:.64}'", known->record.name(),
                          hello.node_name());
    }
    WARREN_TRY(ledger_->commit([&](const Cluster& state) { return update_node(state, node, hello); }));
    v1::UnderlayMtu underlay;
    underlay.set_mtu(hello.underlay_mtu());
    *underlay.mutable_narrow_routes() = hello.narrow_routes();
    WARREN_TRY(take_underlay(node, underlay));
    std::vector<base::NetworkId> memberships;
    for (const auto& [id, network] : cluster().networks()) {
        if (network.member(node) != nullptr) {
            memberships.push_back(id);
        }
    }
    for (const auto& id : memberships) {
        WARREN_TRY(ledger_->commit([&](const Cluster& state) { return renew_membership(state, id, node, now); }));
    }
    for (const auto& applied : hello.applied()) {
        acknowledge(node, applied, now);
    }
    certificates_.note_use(node, hello.certificate());
    if (hub_.start(session, static_cast<std::uint32_t>(options_.heartbeat.count()), now)) {
        v1::FromManager message;
        *message.mutable_trust() = trust_of(cluster().cluster().record);
        hub_.reply(node, std::move(message));
        kLog.info("node {}: session begins, version {}, data address {}", cluster().node_name(node), hello.version(),
                  ip_of(hello.data_address())->text());
    }
    return {};
}

base::Status Core::take_underlay(const base::NodeId& node, const v1::UnderlayMtu& underlay) {
    return ledger_->commit(
        [&](const Cluster& state) { return update_underlay(state, node, underlay, options_.now()); });
}

base::Status Core::take_host_networks(const base::NodeId& node, const v1::HostNetworks& host) {
    return ledger_->commit([&](const Cluster& state) {
        return change_node(state, node, [&](auto& record) { *record.mutable_host_networks() = host.networks(); });
    });
}

void Core::ask_rotation(const base::NetworkId& network, const RotationRequest& request) {
    if (auto asked = rotations_.request(network, request, options_.now()); !asked) {
        kLog.warn("rotation of network {} for reason {}: {}", network, keymgr::name(request.reason),
                  asked.error().message());
    }
}

void Core::note_refusal(Refusal kind, const std::string& by, const base::Error& why) {
    counts_.note(kind, by, why.message(), options_.now());
    if (const auto event = refusals_.refused(by, why.message(), options_.now())) {
        tell_alone(*event);
    }
}

// One under an older membership of its own is late and says nothing; one under another node's is a lie.
void Core::acknowledge(const base::NodeId& node, const v1::Applied& applied, base::Time now) {
    const auto* network = cluster().network(id_of<base::NetworkId>(applied.network_id()));
    const auto* member = network == nullptr ? nullptr : network->member(base::MembershipId{applied.membership_id()});
    if (member != nullptr && id_of<base::NodeId>(member->node_id()) != node) {
        const auto owner = cluster().node_name(id_of<base::NodeId>(member->node_id()));
        note_refusal(
            Refusal::kOtherNode, hub_.caller(node),
            base::Error(base::Code::kDenied, fmt::format("an acknowledgement for network {} in the name of node {}",
                                                         network->record().name(), owner)));
        return;
    }
    hub_.acknowledge(node, applied, now);
}

// A node's own word, so a few at a time: it must not push what others told out of the log.
void Core::note_repair(const base::NodeId& node, const v1::Repaired& repaired, base::Time now) {
    const auto network = id_of<base::NetworkId>(repaired.network_id());
    const auto* known = cluster().network(network);
    if (!repaired.network_id().empty() && (known == nullptr || known->member(node) == nullptr)) {
        return;  // it has left meanwhile
    }
    if (const auto before = repairs_[node].pass(kRepairs, now)) {
        tell_alone({.kind = EventKind::kRepaired,
                    .network = network,
                    .node = node,
                    .text = *before == 0 ? repaired.what()
                                         : fmt::format("{} (and {} more before)", repaired.what(), *before)});
    }
}

void Core::tell_alone(const Event& event) {
    const auto told = ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
        store::Transaction change;
        tell(state, change, event, options_.now());
        return change;
    });
    if (!told) {
        kLog.warn("event {}: {}", name(event.kind), told.error().message());
    }
}

void Core::endpoint_request(const base::NodeId& node, const v1::EndpointRequest& request) {
    v1::FromManager answer;
    auto& reply = *answer.mutable_endpoint_reply();
    reply.set_request_id(request.request_id());
    const auto done =
        request.has_connect() ? connect(node, request.connect(), reply) : disconnect(node, request.disconnect(), reply);
    if (!done) {
        if (done.error().code() == base::Code::kDenied) {
            note_refusal(Refusal::kOtherNode, hub_.caller(node), done.error());
        }
        reply.set_error_code(static_cast<std::uint32_t>(done.error().code()) + 1);
        reply.set_error(done.error().message());
    }
    hub_.reply(node, std::move(answer));
}

base::Status Core::connect(const base::NodeId& node, const v1::ConnectEndpoint& request, v1::EndpointReply& reply) {
    const NewEndpoint endpoint{.id = base::random_id<base::EndpointId>(),
                               .node = node,
                               .membership = base::MembershipId{base::random_u64()},
                               .request = request,
                               .node_is_lost = [this](const base::NodeId& other) { return is_lost(other); }};
    std::optional<base::NodeId> left;
    base::NetworkId id;
    WARREN_TRY(ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(auto connection, connect_endpoint(state, endpoint, options_.now()));
        left = connection.left;
        id = connection.network;
        return std::move(connection.change);
    }));
    const auto& network = *cluster().network(id);
    const auto& stored = network.endpoints.at(endpoint.id);
    reply.set_network_id(raw(id));
    reply.set_endpoint_id(raw(endpoint.id));
    reply.set_revision(network.revision().value);
    kLog.info("network {}: endpoint {} ({}) connected on node {}", network.record().name(), stored.name(),
              addresses_text(stored), cluster().node_name(node));
    if (left && network.record().encrypted()) {
        ask_rotation(id, {.reason = keymgr::Reason::kMemberLeft, .node = *left});
    }
    return {};
}

// As long without a word of it, and others may be what its endpoints were. It is not taken out for that: whoever is cut
// off from the manager goes on as he was.
bool Core::is_lost(const base::NodeId& node) const {
    constexpr base::Duration kLease = std::chrono::minutes(10);
    return !hub_.reachable(node) && options_.now() - hub_.silent_since(node) > kLease;
}

base::Status Core::disconnect(const base::NodeId& node, const v1::DisconnectEndpoint& request,
                              v1::EndpointReply& reply) {
    Departure departure;
    WARREN_TRY(ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(departure, find_departure(state, node, request));
        return disconnect_endpoint(state, departure, options_.now());
    }));
    const auto& network = *cluster().network(departure.network);
    reply.set_network_id(raw(departure.network));
    reply.set_endpoint_id(raw(departure.endpoint));
    reply.set_revision(network.revision().value);
    kLog.info("network {}: endpoint {} disconnected on node {}", network.record().name(), request.endpoint(),
              cluster().node_name(node));
    // Whoever stays must not go on with keys that a former member knows.
    if (departure.last_of_node && network.record().encrypted() && network.members.record.members_size() > 0) {
        ask_rotation(departure.network, {.reason = keymgr::Reason::kMemberLeft, .node = node});
    }
    return {};
}

}  // namespace warren::manager
