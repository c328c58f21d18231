#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "tests/lab/lab.h"

namespace warren::lab {

// A path below /proc that leads to one container's namespace, and to another's once flip() was called: what happens
// to a path of a process when that ends and another one gets its number.
class HeldNamespace {
  public:
    HeldNamespace(Lab& lab, const Container& first, const Container& then)
        : then_(then.name()),
          flip_(lab.artefacts() / ("flip-to-" + then_)),
          holder_({"bash", "-c",
                   "exec 9< /run/netns/$1; while [[ ! -e $0 ]]; do sleep 0.05; done; exec 9< /run/netns/$2; sleep 1000",
                   flip_.string(), first.name(), then_},
                  lab.host(1).where()) {
        if (!eventually(std::chrono::seconds(5), [&] { return leads_to(first.name()); })) {
            throw std::runtime_error("no process holds " + first.name());
        }
    }

    [[nodiscard]] std::string path() const { return "/proc/" + std::to_string(holder_.pid()) + "/fd/9"; }

    // When it returns, the path leads to the other one.
    void flip() {
        must({"touch", flip_.string()});
        if (!eventually(std::chrono::seconds(5), [&] { return leads_to(then_); })) {
            throw std::runtime_error("no process holds " + then_);
        }
    }

  private:
    std::string then_;
    std::filesystem::path flip_;  // is there: it has to
    Process holder_;

    [[nodiscard]] bool leads_to(const std::string& container) const {
        return run({"test", path(), "-ef", "/run/netns/" + container}).ok();
    }
};

}  // namespace warren::lab
