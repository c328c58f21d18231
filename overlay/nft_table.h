#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/free.h"
#include "base/result.h"
#include "netlink/kernel_socket.h"

struct nft_ctx;

namespace warren::overlay {

void free_nft_context(nft_ctx* context) noexcept;

// The nftables tables of ours of one name, in one family or several, in the namespace of the thread that calls open():
// it knows whether they are as they were last put, and who changed them. No other table is touched.
//
// Owner: one object that knows what the table is for. Thread: one. Lifetime: the table stays when this object goes.
class NftTable {
  public:
    // kPrecondition: the kernel has no nf_tables.
    [[nodiscard]] static base::Result<NftTable> open(std::string name, std::vector<std::string> families);

    // Commands as nft takes them, in one transaction; what it printed, with these NFT_CTX_OUTPUT_* flags.
    [[nodiscard]] base::Result<std::string> run(const std::string& commands, unsigned output_flags = 0);
    // The same, but nothing is changed.
    [[nodiscard]] base::Status try_out(const std::string& commands);
    // As the kernel has them, without the numbers of counters; empty: there is none.
    [[nodiscard]] base::Result<std::string> listing();

    // Commands in one transaction, after which the tables are as this ruleset makes them, empty for none: what they are
    // compared with from now on. kAborted: another program changed them in the same moment, and nothing is right.
    [[nodiscard]] base::Status put(const std::string& commands, const std::string& ruleset);
    // As after the last put(). Before it: false.
    [[nodiscard]] base::Result<bool> intact();

    // Readable when somebody changed some table.
    [[nodiscard]] int event_fd() const { return events_.fd(); }
    // Who changed this one since the last look, ourselves included: "process 4711 (nft)", empty if nobody knows;
    // nullopt: nobody did.
    [[nodiscard]] base::Result<std::optional<std::string>> take_events();
    // Does nothing about what happened, for now: the next take_events() tells.
    void put_off_events();

  private:
    using Context = base::Handle<nft_ctx, &free_nft_context>;

    NftTable(std::string name, std::vector<std::string> families, Context context, netlink::Subscription events)
        : name_(std::move(name)),
          families_(std::move(families)),
          context_(std::move(context)),
          events_(std::move(events)) {}
    [[nodiscard]] base::Status read_events();

    std::string name_;
    std::vector<std::string> families_;
    Context context_;
    netlink::Subscription events_;
    std::optional<std::string> right_;
    bool seen_ = false;  // events of our table since the last look at it, or lost ones
    std::string seen_by_;
};

}  // namespace warren::overlay
