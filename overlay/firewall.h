#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "overlay/barrier.h"
#include "overlay/nft_table.h"

namespace warren::overlay {

// The second barrier around encrypted networks: the nftables table `inet warren`, in the namespace of the thread that
// calls open(). It knows only ports and reqids, so peers, epochs and rotations leave it alone, and it holds without any
// XFRM policy. No other table is touched.
//
// Why the table has no owner flag: an owned table goes away with the socket that made it, so it would open the barrier
// when the daemon dies; `persist`, which keeps it, is unknown to libnftables 1.0.6. Instead the table is watched:
// whoever flushes or changes it, it is put back as soon as the kernel has said so.
//
// Owner: the agent. Thread: the agent's, for every call. Lifetime: the table stays when this object goes; a new one
// takes it over. Failure: a change is one transaction, so the old rules hold when it fails.
class Firewall {
  public:
    // kPrecondition: the kernel has no nf_tables.
    [[nodiscard]] static base::Result<Firewall> open();

    // Whether the kernel can do what the table needs; changes nothing. kPrecondition: the error names the option
    // (CONFIG_NFT_XFRM, ...), and encrypted networks must be refused.
    [[nodiscard]] base::Status check_support();

    // The table with exactly these ports; with none, no table. Nothing is written if it is there and as it should be.
    // The counters go on counting.
    [[nodiscard]] base::Status apply(const ProtectedPorts& ports);
    [[nodiscard]] base::Status remove() { return apply({}); }

    // The table is as the last apply() left it. Before the first apply(): false.
    [[nodiscard]] base::Result<bool> intact();

    // Readable when somebody changed some table; then call handle_events(). Restored: it was ours, and it has been put
    // back.
    struct Restored {
        std::string by;  // "process 4711 (nft)"; empty: nobody knows
    };
    [[nodiscard]] int event_fd() const { return table_.event_fd(); }
    [[nodiscard]] base::Result<std::optional<Restored>> handle_events();
    // Does nothing about what happened, for now: the next handle_events() looks whether the table is as it should be.
    void put_off_events() { table_.put_off_events(); }

    // All rules of this namespace, ours and others', as `nft --json list ruleset` prints them.
    [[nodiscard]] base::Result<std::string> ruleset();

    // nullopt: there is no table. Restarted from zero only when somebody else removed the table.
    [[nodiscard]] base::Result<std::optional<DropCounters>> drop_counters();

  private:
    explicit Firewall(NftTable table) : table_(std::move(table)) {}
    [[nodiscard]] base::Status write(const ProtectedPorts& ports);

    NftTable table_;
    std::optional<ProtectedPorts> applied_;
};

}  // namespace warren::overlay
