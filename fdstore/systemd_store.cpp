#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <set>
#include <string>

#include "base/log.h"
#include "fdstore/fd_store.h"

namespace warren::fdstore {

namespace {

constexpr base::Log kLog{"fdstore"};

class SystemdStore final : public FdStore {
  public:
    explicit SystemdStore(std::unique_ptr<FdStore> former) : former_(std::move(former)) {}

    std::vector<StoredFd> take() override {
        char** names = nullptr;
        const int count = ::sd_listen_fds_with_names(1, &names);
        std::vector<StoredFd> stored;
        for (int i = 0; i < count; ++i) {
            given_.insert(names[i]);
            stored.push_back({.name = names[i], .fd = base::UniqueFd(SD_LISTEN_FDS_START + i)});
            std::free(names[i]);
        }
        std::free(names);
        move_over(stored);
        return stored;
    }

    // FDPOLL=0: else systemd drops a descriptor that has an error waiting.
    base::Status put(const std::string& name, int fd) override {
        const auto message = fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name);
        const int sent = ::sd_pid_notify_with_fds(0, 0, message.c_str(), &fd, 1);
        if (sent <= 0) {
            return base::fail_errno(fmt::format("give {} to systemd's store", name), sent < 0 ? -sent : ENOTCONN);
        }
        given_.insert(name);
        return {};
    }

    // As far as we know: it does not tell.
    bool holds(const std::string& name) override { return given_.contains(name); }

    void drop(const std::string& name) override {
        given_.erase(name);
        const auto message = fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name);
        // It is closed when this returns: somebody may want its port again.
        if (::sd_notify(0, message.c_str()) < 0 || ::sd_notify_barrier(0, kPatience) < 0) {
            kLog.warn("systemd's store may still have {}", name);
        }
    }

  private:
    static constexpr std::uint64_t kPatience = 1'000'000;  // microseconds
    std::unique_ptr<FdStore> former_;
    std::set<std::string> given_;

    void move_over(std::vector<StoredFd>& stored) {
        if (!former_) {
            return;
        }
        for (auto& left : former_->take()) {
            if (auto moved = put(left.name, left.fd.get()); !moved) {
                kLog.warn("{}", moved.error().message());
            }
            former_->drop(left.name);
            stored.push_back(std::move(left));
        }
    }
};

}  // namespace

std::unique_ptr<FdStore> systemd_store(std::unique_ptr<FdStore> former) {
    return std::make_unique<SystemdStore>(std::move(former));
}

void notify_ready() {
    ::sd_notify(0, "READY=1");
}

}  // namespace warren::fdstore
