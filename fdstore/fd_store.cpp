#include "fdstore/fd_store.h"

#include <cstdlib>

namespace warren::fdstore {

std::unique_ptr<FdStore> open_store(const std::filesystem::path& run_dir) {
    if (std::getenv("NOTIFY_SOCKET") != nullptr) {
        return systemd_store();
    }
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    return process_store(run_dir, self.parent_path() / "warren-hold");
}

}  // namespace warren::fdstore
