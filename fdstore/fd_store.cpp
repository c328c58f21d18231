#include "fdstore/fd_store.h"

#include <cstdlib>

namespace warren::fdstore {

std::unique_ptr<FdStore> open_store(const std::filesystem::path& run_dir) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    auto processes = process_store(run_dir, self.parent_path() / "warren-hold");
    return std::getenv("NOTIFY_SOCKET") == nullptr ? std::move(processes) : systemd_store(std::move(processes));
}

}  // namespace warren::fdstore
