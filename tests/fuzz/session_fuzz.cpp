#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <limits>

#include "agent/view.h"

// What a manager sends: a snapshot, and the same bytes as a change of it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        return 0;
    }
    // What protobuf thinks of bad input is not the question.
    static const auto quiet = google::protobuf::SetLogHandler(nullptr);
    (void)quiet;
    const int length = static_cast<int>(size);
    warren::v1::NetworkSnapshot snapshot;
    if (snapshot.ParseFromArray(data, length)) {
        auto view = warren::agent::take_snapshot(snapshot);
        if (view) {
            (void)warren::agent::take_delta(*view, snapshot.content());
        }
    }
    warren::v1::NetworkDelta delta;
    if (delta.ParseFromArray(data, length)) {
        warren::agent::NetworkView view;
        (void)warren::agent::take_delta(view, delta);
    }
    return 0;
}
