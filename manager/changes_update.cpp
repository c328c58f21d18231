#include <algorithm>

#include "keymgr/shown.h"
#include "manager/changes.h"
#include "manager/cipher_choice.h"
#include "manager/key_history.h"
#include "manager/key_record.h"
#include "manager/network_mtu.h"
#include "manager/rotation_events.h"

// Changes of a network in use and of what its rotation goes by.
namespace warren::manager {

namespace {

using base::Code;
using base::fail;

base::Status check_members(const Cluster& cluster, const NetworkState& network, keymgr::Cipher cipher) {
    for (const auto& member : network.members.record.members()) {
        const auto* node = cluster.node(id_of<base::NodeId>(member.node_id()));
        if (node != nullptr) {
            WARREN_TRY(check_cipher(cipher, node->record));
        }
    }
    return {};
}

// The MTU of a network whose option or encapsulation changed. What is asked for is there at once; otherwise it does not
// grow before MtuFollower says so.
base::Status change_mtu(const Cluster& cluster, const NetworkState& network, v1::NetworkRecord& record,
                        const NetworkOptions& changed) {
    const auto before = options_of(record);
    const bool asked = changed.mtu != before.mtu;
    const auto wrapped = std::max(protection(changed), live_protection(network));
    auto carry = members_carry(cluster, network, wrapped);
    if (carry.unfit && changed.encap != before.encap) {
        return fail(Code::kPrecondition, "--opt encap={}: {}: too little for an overlay network",
                    keymgr::encap_text(changed.encap), carry.unfit->text());
    }
    if (!carry.least) {
        carry = nodes_carry(cluster, wrapped, smallest_mtu(record));
    }
    if (asked) {
        WARREN_TRY(check_asked_mtu(record, changed));
    }
    if (asked && changed.mtu && carry.least && *changed.mtu > *carry.least) {
        return fail(Code::kInvalid, "--opt mtu={}: the underlay of node '{}' carries at most {}", *changed.mtu,
                    carry.narrowest->name, *carry.least);
    }
    const auto least = carry.least.value_or(base::Mtu{record.mtu()});
    if (asked) {
        record.set_mtu_fixed(changed.mtu.has_value());
        record.set_chosen_mtu(changed.mtu.value_or(least).value);
        record.set_mtu(record.chosen_mtu());
    }
    record.set_mtu(std::min(record.mtu(), least.value));
    return {};
}

// An epoch whose parameters are not wanted any more before it is active: it may be just they that hold it up. Empty
// when there is none, or it has to go on for another reason.
keymgr::Decision take_back_installing(const NetworkState& network, const keymgr::KeyState& keys,
                                      const keymgr::Settings& settings, base::Time now) {
    if (std::ranges::find(keys.epochs, keymgr::Stage::kInstalling, &keymgr::EpochState::stage) == keys.epochs.end()) {
        return {};
    }
    return keymgr::abort(keys, settings, now, base::Revision{network.revision().value + 1})
        .value_or(keymgr::Decision{});
}

void tell_changed_mtu(const Cluster& cluster, store::Transaction& change, const NetworkState& network,
                      const v1::NetworkRecord& record, const std::string& by, base::Time now) {
    if (record.mtu() != network.record().mtu()) {
        tell_mtu(cluster, change, id_of<base::NetworkId>(record.id()), base::Mtu{network.record().mtu()},
                 base::Mtu{record.mtu()}, {}, by, now);
    }
}

// Without keys there is nothing but the record; members hear of it by a new revision.
store::Transaction change_plain(const Cluster& cluster, const NetworkState& network, const v1::NetworkRecord& record,
                                const std::string& by, base::Time now) {
    const auto id = id_of<base::NetworkId>(record.id());
    auto change = next_revision(network);
    change.compares.emplace_back(store::ModifiedAt{key::network(id), network.network.revision});
    change.puts.push_back({.key = key::network(id), .value = record.SerializeAsString()});
    tell_changed_mtu(cluster, change, network, record, by, now);
    return change;
}

base::Result<store::Transaction> change_options(const Cluster& cluster, const NetworkState& network,
                                                const NetworkOptions& changed, const std::string& by, base::Time now) {
    const bool asked_for = !by.empty();
    const auto id = id_of<base::NetworkId>(network.record().id());
    const auto before = options_of(network.record());
    if (changed == before) {
        return store::Transaction{};
    }
    auto record = network.record();
    if (changed.encap != before.encap || changed.mtu != before.mtu) {
        WARREN_TRY(change_mtu(cluster, network, record, changed));
    }
    set_options(record, changed);
    if (!changed.encrypted) {
        return change_plain(cluster, network, record, by, now);
    }
    auto keys = network.keys.record;
    keymgr::Asked asked{.state = read_keys(keys), .target = {}};
    auto history = network.history;
    keymgr::Decision taken_back;
    // An epoch that is there keeps its parameters, and the next one has others.
    if (epoch_parameters(changed) != epoch_parameters(before)) {
        WARREN_TRY(check_members(cluster, network, changed.cipher));
        const auto settings = key_settings(cluster.settings(), changed);
        if (asked_for) {
            taken_back = take_back_installing(network, asked.state, settings, now);
        }
        if (taken_back.state) {
            asked.state = *taken_back.state;
            for (const auto epoch : taken_back.forget) {
                find_epoch(keys, epoch)->clear_sealed_secret();
            }
            note_step(history, asked.state, {.events = taken_back.events, .name_of = {}, .by = by}, now);
        }
        asked = keymgr::request(std::move(asked.state), keymgr::Reason::kParameters, settings, now);
        note_request(history, asked.target, keymgr::Reason::kParameters, by, now);
    }
    if (changed.key_rotation != before.key_rotation) {
        asked.state.due.reset();  // drawn anew by the next step
    }
    // With a new revision: the members have to hear of the limits.
    WARREN_TRY_ASSIGN(auto change, save_keys(network, write_keys(asked.state, keys)));
    change.compares.emplace_back(store::ModifiedAt{key::network(id), network.network.revision});
    change.compares.emplace_back(store::ModifiedAt{key::keys(id), network.keys.revision});
    change.puts.push_back({.key = key::network(id), .value = record.SerializeAsString()});
    change.puts.push_back({.key = key::history(id), .value = history.SerializeAsString()});
    tell_changed_mtu(cluster, change, network, record, by, now);
    if (taken_back.state) {
        tell_step(cluster, change, network, taken_back, now);
    }
    if (asked.target != base::Epoch{}) {
        tell_request(cluster, change, id, {.reason = keymgr::Reason::kParameters, .by = by}, asked.target, now);
    }
    return change;
}

}  // namespace

base::Status check_cipher(keymgr::Cipher cipher, const v1::NodeRecord& node) {
    if (!has_cipher(node, cipher)) {
        return fail(Code::kPrecondition, "node '{}' can't encrypt with {}: {}", node.name(), keymgr::name(cipher),
                    node.esp_problem().empty() ? "its kernel lacks the cipher" : node.esp_problem());
    }
    return {};
}

base::Result<store::Transaction> update_network(const Cluster& cluster, const base::NetworkId& id,
                                                std::span<const std::string> options, const std::string& by,
                                                base::Time now) {
    const auto* network = cluster.network(id);
    if (network == nullptr) {
        return fail(Code::kNotFound, "network {}: not found", id);
    }
    const auto change = [&]() -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(const auto changed, update_network_options(options_of(network->record()), options));
        WARREN_TRY(check_encap(cluster.settings(), changed));
        WARREN_TRY(check_multicast(changed, vnis_of(network->record()).size()));
        return change_options(cluster, *network, with_choice(cluster, changed), by, now);
    };
    auto changed = change();
    if (!changed) {
        return base::fail_in(fmt::format("network '{}'", network->record().name()), std::move(changed));
    }
    return changed;
}

base::Result<store::Transaction> adapt_cipher(const Cluster& cluster, const base::NetworkId& id, base::Time now) {
    const auto* network = cluster.network(id);
    if (network == nullptr) {
        return store::Transaction{};
    }
    return change_options(cluster, *network, with_choice(cluster, options_of(network->record())), {}, now);
}

base::Result<store::Transaction> save_request(const NetworkState& network, const keymgr::KeyState& keys,
                                              const v1::KeyHistoryRecord& history) {
    const auto id = id_of<base::NetworkId>(network.record().id());
    store::Transaction change;
    if (keys != read_keys(network.keys.record)) {
        change.puts.push_back(
            {.key = key::keys(id), .value = write_keys(keys, network.keys.record).SerializeAsString()});
    }
    if (auto written = history.SerializeAsString(); written != network.history.SerializeAsString()) {
        change.puts.push_back({.key = key::history(id), .value = std::move(written)});
    }
    if (!change.puts.empty()) {
        change.compares.emplace_back(store::ModifiedAt{key::keys(id), network.keys.revision});
    }
    return change;
}

}  // namespace warren::manager
