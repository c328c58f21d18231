#pragma once

#include <map>
#include <string>
#include <utility>

#include "base/ids.h"
#include "proto/state.pb.h"

namespace warren::manager {

// The endpoints of one network. What only one of them may have (a name, an address, a MAC address, a container) leads
// to it without going through all, which may be tens of thousands. A value; addresses are raw, as in the records.
class EndpointTable {
  public:
    using Map = std::map<base::EndpointId, v1::StoredEndpoint>;
    using key_type = Map::key_type;

    // Replaces one of this id.
    void put(const base::EndpointId& id, v1::StoredEndpoint endpoint);
    void erase(const base::EndpointId& id);

    [[nodiscard]] Map::const_iterator begin() const { return endpoints_.begin(); }
    [[nodiscard]] Map::const_iterator end() const { return endpoints_.end(); }
    [[nodiscard]] Map::const_iterator find(const base::EndpointId& id) const { return endpoints_.find(id); }
    [[nodiscard]] const v1::StoredEndpoint& at(const base::EndpointId& id) const { return endpoints_.at(id); }
    [[nodiscard]] std::size_t size() const { return endpoints_.size(); }
    [[nodiscard]] bool empty() const { return endpoints_.empty(); }

    // end(): nobody has it.
    [[nodiscard]] Map::const_iterator with_name(const std::string& name) const { return lead(by_name_, name); }
    [[nodiscard]] Map::const_iterator with_ip(const std::string& raw) const { return lead(by_ip_, raw); }
    [[nodiscard]] Map::const_iterator with_mac(const std::string& raw) const { return lead(by_mac_, raw); }
    [[nodiscard]] Map::const_iterator in_container(const std::string& raw_node, const std::string& netns) const {
        return lead(by_container_, {raw_node, netns});
    }
    [[nodiscard]] std::size_t on_node(const std::string& raw_node) const;

  private:
    template <typename Key>
    using Index = std::map<Key, base::EndpointId>;

    template <typename Key>
    [[nodiscard]] Map::const_iterator lead(const Index<Key>& index, const Key& key) const {
        const auto found = index.find(key);
        return found == index.end() ? endpoints_.end() : endpoints_.find(found->second);
    }

    Map endpoints_;
    Index<std::string> by_name_;
    Index<std::string> by_ip_;
    Index<std::string> by_mac_;
    Index<std::pair<std::string, std::string>> by_container_;  // node, path of the namespace
    std::map<std::string, std::size_t> on_node_;
};

}  // namespace warren::manager
