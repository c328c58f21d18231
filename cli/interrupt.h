#pragma once

#include <csignal>

namespace warren::cli {

// Notes SIGINT and SIGTERM instead of dying of them, while it lives. One at a time in a process.
class InterruptWatch {
  public:
    InterruptWatch();
    ~InterruptWatch();
    InterruptWatch(const InterruptWatch&) = delete;
    InterruptWatch& operator=(const InterruptWatch&) = delete;

    [[nodiscard]] bool interrupted() const;

  private:
    struct sigaction old_int_ {};
    struct sigaction old_term_ {};
};

}  // namespace warren::cli
