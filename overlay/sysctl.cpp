#include "overlay/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "base/unique_fd.h"

namespace warren::overlay {

namespace {

std::string path_of(std::string_view name) {
    return fmt::format("/proc/sys/net/{}", name);
}

}  // namespace

base::Result<std::optional<std::string>> read_sysctl(std::string_view name) {
    auto text = base::read_file(path_of(name));
    if (!text && text.error().sys_errno() == ENOENT) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(auto value, std::move(text));
    if (value.ends_with('\n')) {
        value.pop_back();
    }
    return value;
}

base::Result<bool> set_sysctl(std::string_view name, std::string_view value) {
    WARREN_TRY_ASSIGN(const auto now, read_sysctl(name));
    if (!now) {
        return base::fail(base::Code::kNotFound, "the kernel has no sysctl net/{}", name);
    }
    if (*now == value) {
        return false;
    }
    const base::UniqueFd file(::open(path_of(name).c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
        return base::fail_errno(fmt::format("set net/{} to {}", name, value), errno);
    }
    return true;
}

}  // namespace warren::overlay
