#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/time.h"

namespace warren::agent {

// How often something of ours was found changed by others and was put right. Once is an accident, and repaired at once.
// Over and over is a fight with another program: then repairs are spaced out, more and more, since neither side would
// ever rest. A value.
class Repairs {
  public:
    // It was put right, what the process `by` had done (for people; empty: nobody knows which). The next one is not
    // before the returned time; nullopt: at once.
    std::optional<base::Moment> note(base::Moment now, std::string by);

    // In a fight: how many times in a row it was put right. 0: there is none, or none any more.
    [[nodiscard]] std::size_t fought(base::Moment now) const;
    // Who did the last thing that was put right; empty: nobody knows.
    [[nodiscard]] const std::string& last_by() const { return last_by_; }

  private:
    // As many within such a time are no accident, and after so long without one a fight is over.
    static constexpr std::size_t kAccidents = 10;
    static constexpr base::Duration kSpan = std::chrono::seconds(10);
    static constexpr base::Duration kOver = std::chrono::minutes(2);

    std::size_t row_ = 0;  // with less than kSpan, in a fight kOver, between the first and the last
    base::Moment first_;   // of the row
    base::Moment last_;
    std::string last_by_;

    [[nodiscard]] bool fights() const { return row_ >= kAccidents; }
};

}  // namespace warren::agent
