#include <systemd/sd-daemon.h>

#include <cstdlib>

#include "base/log.h"
#include "fdstore/fd_store.h"

namespace warren::fdstore {

namespace {

constexpr base::Log kLog{"fdstore"};

class SystemdStore final : public FdStore {
  public:
    std::vector<StoredFd> take() override {
        char** names = nullptr;
        const int count = ::sd_listen_fds_with_names(1, &names);
        std::vector<StoredFd> stored;
        for (int i = 0; i < count; ++i) {
            stored.push_back({.name = names[i], .fd = base::UniqueFd(SD_LISTEN_FDS_START + i)});
            std::free(names[i]);
        }
        std::free(names);
        return stored;
    }

    // FDPOLL=0: else systemd drops a descriptor that has an error waiting.
    base::Status put(const std::string& name, int fd) override {
        const auto message = fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name);
        const int sent = ::sd_pid_notify_with_fds(0, 0, message.c_str(), &fd, 1);
        if (sent <= 0) {
            return base::fail_errno(fmt::format("give {} to systemd's store", name), sent < 0 ? -sent : ENOTCONN);
        }
        return {};
    }

    bool holds(const std::string& /*name*/) override { return true; }  // it does not tell

    void drop(const std::string& name) override {
        if (::sd_notify(0, fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name).c_str()) < 0) {
            kLog.warn("systemd's store may still have {}", name);
        }
    }
};

}  // namespace

std::unique_ptr<FdStore> systemd_store() {
    return std::make_unique<SystemdStore>();
}

void notify_ready() {
    ::sd_notify(0, "READY=1");
}

}  // namespace warren::fdstore
