#include "manager/endpoint_table.h"

namespace warren::manager {

namespace {

// Only if it is this one's: another may have come to have it since.
template <typename Index, typename Key>
void forget(Index& index, const Key& key, const base::EndpointId& id) {
    if (const auto found = index.find(key); found != index.end() && found->second == id) {
        index.erase(found);
    }
}

}  // namespace

void EndpointTable::put(const base::EndpointId& id, v1::StoredEndpoint endpoint) {
    erase(id);
    by_name_.insert_or_assign(endpoint.name(), id);
    for (const auto& ip : endpoint.ips()) {
        by_ip_.insert_or_assign(ip, id);
    }
    by_mac_.insert_or_assign(endpoint.mac(), id);
    by_container_.insert_or_assign({endpoint.node_id(), endpoint.netns()}, id);
    ++on_node_[endpoint.node_id()];
    endpoints_.emplace(id, std::move(endpoint));
}

void EndpointTable::erase(const base::EndpointId& id) {
    const auto found = endpoints_.find(id);
    if (found == endpoints_.end()) {
        return;
    }
    const auto& endpoint = found->second;
    forget(by_name_, endpoint.name(), id);
    for (const auto& ip : endpoint.ips()) {
        forget(by_ip_, ip, id);
    }
    forget(by_mac_, endpoint.mac(), id);
    forget(by_container_, std::pair(endpoint.node_id(), endpoint.netns()), id);
    if (const auto count = on_node_.find(endpoint.node_id()); --count->second == 0) {
        on_node_.erase(count);
    }
    endpoints_.erase(found);
}

std::size_t EndpointTable::on_node(const std::string& raw_node) const {
    const auto count = on_node_.find(raw_node);
    return count == on_node_.end() ? 0 : count->second;
}

}  // namespace warren::manager
