#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/view.h"
#include "dns/zone.h"

// What the names of one network are answered from, as values and as bytes on disk. Pure.
namespace warren::agent {

struct NetworkNames {
    struct Subnet {
        base::Prefix prefix;
        base::IpAddress gateway;  // where its containers ask

        bool operator==(const Subnet&) const = default;
    };

    struct Container {
        std::string netns;
        std::uint64_t inode = 0;  // as in AttachmentView

        bool operator==(const Container&) const = default;
    };

    base::NetworkId id;
    std::string network;    // name
    bool internal = false;  // nobody else is asked for its containers
    std::vector<Subnet> subnets;
    std::vector<dns::Host> hosts;
    std::map<std::size_t, Container> local;  // those of `hosts` that are on this node

    bool operator==(const NetworkNames&) const = default;
};

// As node `self` is to answer.
[[nodiscard]] NetworkNames names_of(const NetworkView& view, const base::NodeId& self);

[[nodiscard]] std::string encode(const NetworkNames& names);
// kInvalid: these are not the bytes of encode().
[[nodiscard]] base::Result<NetworkNames> decode_names(std::string_view bytes);

}  // namespace warren::agent
