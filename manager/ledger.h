#pragma once

#include <functional>
#include <memory>
#include <set>

#include "base/result.h"
#include "manager/cluster.h"
#include "store/store.h"

namespace warren::manager {

// What a network was like before a change, as far as a change can be described with it.
struct NetworkBefore {
    v1::MembershipRecord members;
    v1::KeyStateRecord keys;
};

// One change of one network, as the watch reported it. A network that is new has no `before`, one that is gone no
// `after`.
struct NetworkEvent {
    base::NetworkId id;
    std::optional<NetworkBefore> before;
    const NetworkState* after = nullptr;   // in the cache; null when gone
    std::set<base::EndpointId> endpoints;  // that changed or went
};

// The cluster's state: the store behind it, the cache before it, and the one way to change it.
//
// Owner: the manager's core. Thread: the manager's. The cache is fed by the watch alone, so that a change by another
// manager arrives like one of our own; commit() drains the watch before it returns, so a caller reads what it wrote.
class Ledger {
  public:
    using Observer = std::function<void(const NetworkEvent&)>;

    // Reads the whole store. kPrecondition when it holds no cluster.
    [[nodiscard]] static base::Result<std::unique_ptr<Ledger>> open(store::Store& store);

    [[nodiscard]] const Cluster& cluster() const { return cluster_; }

    // Told of every change of a network, in order, after the cache has it. Must not commit: what follows would be told
    // out of order.
    void observe(Observer observer) { observer_ = std::move(observer); }

    // Makes a transaction from the present state and commits it; when another change came first, does so again from the
    // new state. The error of `build` is the caller's and changes nothing. kAborted after many lost races.
    using Build = std::function<base::Result<store::Transaction>(const Cluster&)>;
    [[nodiscard]] base::Status commit(const Build& build);

    // Takes in what the watch has.
    [[nodiscard]] base::Status drain();

    // `wake` is called, on any thread, when drain() has something to do.
    void on_ready(std::function<void()> wake) { watch_->on_ready(std::move(wake)); }

  private:
    explicit Ledger(store::Store& store) : store_(&store) {}

    store::Store* store_;
    Cluster cluster_;
    std::unique_ptr<store::Watch> watch_;
    Observer observer_;

    [[nodiscard]] base::Status take(const std::vector<store::Event>& events);
};

}  // namespace warren::manager
