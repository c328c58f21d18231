#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "base/result.h"
#include "base/strong.h"
#include "certs/identity.h"

namespace warren::manager {

using LastingCallId = base::Strong<struct LastingCallIdTag, std::uint64_t>;

// Calls that go on, such as `events --follow`: whose they are, and how to end them when their caller may call no more.
//
// Owner: the manager's core. Thread: the manager's.
class LastingCalls {
  public:
    // How to end the call; not called again then.
    using Refuse = std::function<void(const base::Error& why)>;

    [[nodiscard]] LastingCallId add(const certs::Identity& caller, Refuse refuse) {
        const LastingCallId id{next_++};
        calls_.emplace(id, Call{.caller = caller, .refuse = std::move(refuse)});
        return id;
    }
    void end(LastingCallId call) { calls_.erase(call); }

    // Ends those whose caller is refused by `check`, (const Identity&) -> Status.
    template <typename Check>
    void check(const Check& check) {
        for (auto entry = calls_.begin(); entry != calls_.end();) {
            if (const base::Status allowed = check(entry->second.caller); !allowed) {
                entry->second.refuse(allowed.error());
                entry = calls_.erase(entry);
            } else {
                ++entry;
            }
        }
    }

  private:
    struct Call {
        certs::Identity caller;
        Refuse refuse;
    };
    std::map<LastingCallId, Call> calls_;
    std::uint64_t next_ = 1;
};

}  // namespace warren::manager
