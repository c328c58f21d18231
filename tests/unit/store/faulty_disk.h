#pragma once

#include <cstdint>
#include <functional>

namespace warren::store {

// While it lives, SQLite's files go through it: a disk whose n-th change (write, truncate, sync, removal) fails or
// kills the process, and that knows what is not synced yet. One at a time, one thread.
class FaultyDisk {
  public:
    enum class Fault : std::uint8_t { kFull, kBroken, kKill };

    FaultyDisk();
    FaultyDisk(const FaultyDisk&) = delete;
    FaultyDisk& operator=(const FaultyDisk&) = delete;
    ~FaultyDisk();

    // The `count`-th change from now (from 1), or with `for_ever` each from then on.
    void fail_at(int count, Fault fault, bool for_ever = false);
    void heal();

    [[nodiscard]] int changes() const;        // so far
    [[nodiscard]] bool has_unsynced() const;  // a file that was written and not synced since
};

}  // namespace warren::store
