#include "agent/key_counters.h"

#include <algorithm>

#include "proto/wire.h"

namespace warren::agent {

namespace {

// As many as a manager counts.
constexpr std::uint32_t kEpochsTold = 8;

}  // namespace

void KeyCounters::Sum::add(const xfrm::SentUnder& sent) {
    packets += sent.packets;
    bytes += sent.bytes;
    most_packets = std::max(most_packets, sent.packets);
    most_bytes = std::max(most_bytes, sent.bytes);
}

void KeyCounters::add_closed(std::span<const xfrm::SentUnder> closed) {
    for (const auto& sent : closed) {
        const Key key{sent.network, sent.epoch};
        closed_[key].add(sent);
        // What was seen of it open must not count twice; the others of its epoch are seen again soon.
        open_.erase(key);
        news_ = true;
    }
}

void KeyCounters::see(std::span<const xfrm::SentUnder> open) {
    open_.clear();
    for (const auto& sent : open) {
        open_[{sent.network, sent.epoch}].add(sent);
        news_ = true;
    }
}

v1::KeyCounters KeyCounters::tell(const std::map<base::NetworkIndex, base::NetworkId>& ids) {
    std::map<Key, Sum> all = open_;
    for (const auto& [key, sum] : closed_) {
        auto& total = all[key];
        total.packets += sum.packets;
        total.bytes += sum.bytes;
        total.most_packets = std::max(total.most_packets, sum.most_packets);
        total.most_bytes = std::max(total.most_bytes, sum.most_bytes);
    }
    std::map<base::NetworkIndex, base::Epoch> newest;
    for (const auto& [key, sum] : all) {
        newest[key.first] = key.second;  // in order
    }
    const auto over = [&](const auto& entry) {
        const auto last = newest.find(entry.first.first);
        return !ids.contains(entry.first.first) ||
               (last != newest.end() && entry.first.second.value + kEpochsTold < last->second.value);
    };
    std::erase_if(closed_, over);
    std::erase_if(all, over);
    v1::KeyCounters message;
    for (const auto& [key, sum] : all) {
        auto& told = *message.add_epochs();
        told.set_network_id(proto::raw(ids.at(key.first)));
        told.set_epoch(key.second.value);
        told.set_packets(sum.packets);
        told.set_bytes(sum.bytes);
        told.set_most_packets(sum.most_packets);
        told.set_most_bytes(sum.most_bytes);
    }
    news_ = false;
    return message;
}

}  // namespace warren::agent
