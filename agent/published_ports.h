#pragma once

#include <map>
#include <set>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "overlay/publication.h"

namespace warren::agent {

// Keeps the host's ports that are published for containers from everybody else: what comes for one goes to its
// container, so a program that listened there would get nothing, and would not know. A socket has each and does nothing
// else.
//
// Owner: the agent. Thread: one, whose network namespace it is.
class PublishedPorts {
  public:
    // kConflict: another program has it; the error says which, and what to do. It is kept until `until` even if
    // keep_only() does not name it: somebody is asking for it. One that collides with a port that is held is not taken.
    [[nodiscard]] base::Status hold(const overlay::Publication& wanted, base::Moment until);
    // Lets go of all others, and takes those that it has not got; what can't be had.
    [[nodiscard]] std::map<overlay::Publication, base::Error> keep_only(const std::set<overlay::Publication>& wanted,
                                                                        base::Moment now);

  private:
    struct Held {
        base::UniqueFd socket;
        base::Moment until;
    };
    std::map<overlay::Publication, Held> held_;
};

}  // namespace warren::agent
