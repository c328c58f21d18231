#include "base/log.h"
#include "manager/core.h"

// Who is in the cluster no more: the part of manager::Core that removes nodes and refuses removed ones.
namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"manager"};

}  // namespace

base::Status Core::check_caller(const std::optional<certs::Identity>& shown) const {
    if (!shown) {
        return {};
    }
    const auto& caller = *shown;
    if (caller.cluster != cluster().id()) {
        return fail(Code::kDenied, "{} is of another cluster", caller.text());
    }
    if (caller.role == certs::Role::kOperator) {
        return check_operator(caller);
    }
    if (const auto* removed = cluster().removed(caller.node)) {
        return fail(Code::kDenied,
                    "node '{}' was removed from the cluster on {}: run warren cluster leave on it; to have it back, "
                    "let it join anew with a token",
                    removed->record.name(), base::format_utc(time_of(removed->record.removed())));
    }
    const auto* node = cluster().node(caller.node);
    if (node == nullptr || node->record.role() != certs::name(caller.role)) {
        return fail(Code::kDenied, "{} is not in this cluster", caller.text());
    }
    return {};
}

base::Result<RemovalWatchId> Core::node_remove(const v1::NodeRemoveRequest& request, Removals::Report report) {
    const auto now = look_at_clock();
    auto node = cluster().find_node(request.node());
    if (node) {
        WARREN_TRY(
            removals_.remove({.node = *node, .asked_of = options_.self, .force = request.force(), .by = caller_}, now));
    } else if (node.error().code() == Code::kNotFound) {
        // One that was removed may be asked for again, to see whether all have confirmed.
        const auto removed = cluster().find_removed(request.node());
        if (!removed) {
            return base::fail_with(std::move(node));
        }
        node = *removed;
    } else {
        return base::fail_with(std::move(node));
    }
    return removals_.watch(*node, std::move(report), now);
}

base::Result<v1::LeaveReply> Core::leave(const certs::Identity& caller, const v1::LeaveRequest& request) {
    kLog.info("node {} asks to leave the cluster", cluster().node_name(caller.node));
    WARREN_TRY(
        removals_.remove({.node = caller.node, .asked_of = options_.self, .by_itself = true, .force = request.force()},
                         look_at_clock()));
    return v1::LeaveReply();
}

}  // namespace warren::manager
