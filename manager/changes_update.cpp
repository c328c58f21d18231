#include <algorithm>

#include "manager/changes.h"
#include "manager/key_history.h"
#include "manager/key_record.h"
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

}  // namespace

base::Status check_cipher(keymgr::Cipher cipher, const v1::NodeRecord& node) {
    const auto& ciphers = node.ciphers();
    if (std::find(ciphers.begin(), ciphers.end(), static_cast<std::uint32_t>(cipher)) == ciphers.end()) {
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
    const auto before = encryption_of(network->record());
    auto changed = update_network_options(before, options);
    if (!changed) {
        return base::fail_in(fmt::format("network '{}'", network->record().name()), std::move(changed));
    }
    if (*changed == before) {
        return store::Transaction{};
    }
    keymgr::Asked asked{.state = read_keys(network->keys.record), .target = {}};
    auto history = network->history;
    // Both are an epoch's: what is there keeps them, and the next one has others.
    if (changed->cipher != before.cipher || changed->replay_window != before.replay_window) {
        if (auto able = check_members(cluster, *network, changed->cipher); !able) {
            return base::fail_in(fmt::format("network '{}'", network->record().name()), std::move(able));
        }
        const auto settings = key_settings(cluster.settings(), *changed);
        asked = keymgr::request(std::move(asked.state), keymgr::Reason::kParameters, settings, now);
        note_request(history, asked.target, keymgr::Reason::kParameters, by, now);
    }
    if (changed->key_rotation != before.key_rotation) {
        asked.state.due.reset();  // drawn anew by the next step
    }
    auto record = network->record();
    set_encryption(record, *changed);
    // With a new revision: the members have to hear of the limits.
    WARREN_TRY_ASSIGN(auto change, save_keys(*network, write_keys(asked.state, network->keys.record)));
    change.compares.emplace_back(store::ModifiedAt{key::network(id), network->network.revision});
    change.compares.emplace_back(store::ModifiedAt{key::keys(id), network->keys.revision});
    change.puts.push_back({.key = key::network(id), .value = record.SerializeAsString()});
    change.puts.push_back({.key = key::history(id), .value = history.SerializeAsString()});
    if (asked.target != base::Epoch{}) {
        tell_request(cluster, change, id, {.reason = keymgr::Reason::kParameters, .by = by}, asked.target, now);
    }
    return change;
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
