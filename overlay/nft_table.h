#pragma once

#include <optional>
#include <string>

#include "base/free.h"
#include "base/result.h"
#include "netlink/kernel_socket.h"

struct nft_ctx;

namespace warren::overlay {

void free_nft_context(nft_ctx* context) noexcept;

// One nftables table of ours, `inet <name>`, in the namespace of the thread that calls open(): it knows whether the
// table is as it was last accepted, and who changed it. No other table is touched.
//
// Owner: one object that knows what the table is for. Thread: one. Lifetime: the table stays when this object goes.
class NftTable {
  public:
    // kPrecondition: the kernel has no nf_tables.
    [[nodiscard]] static base::Result<NftTable> open(std::string name);

    // Commands as nft takes them, in one transaction; what it printed, with these NFT_CTX_OUTPUT_* flags.
    [[nodiscard]] base::Result<std::string> run(const std::string& commands, unsigned output_flags = 0);
    // The same, but nothing is changed.
    [[nodiscard]] base::Status try_out(const std::string& commands);
    // As the kernel has it, without the numbers of counters; nullopt: there is no table.
    [[nodiscard]] base::Result<std::optional<std::string>> listing();

    // What it is compared with from now on. Before: nothing is right.
    void accept(std::optional<std::string> listing) { accepted_ = listing.value_or(""); }
    void accept_nothing() { accepted_.reset(); }
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

    NftTable(std::string name, Context context, netlink::Subscription events)
        : name_(std::move(name)), context_(std::move(context)), events_(std::move(events)) {}
    [[nodiscard]] base::Status read_events();

    std::string name_;
    Context context_;
    netlink::Subscription events_;
    std::optional<std::string> accepted_;
    bool seen_ = false;  // events of our table since the last look at it, or lost ones
    std::string seen_by_;
};

}  // namespace warren::overlay
