#include "base/process.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"

namespace warren::base {

namespace {

namespace fs = std::filesystem;

bool holds(const fs::path& process, const std::string& socket) {
    std::error_code ignored;
    for (const auto& fd : fs::directory_iterator(process / "fd", ignored)) {
        if (fs::read_symlink(fd.path(), ignored) == socket) {
            return true;
        }
    }
    return false;
}

// nullopt: it is gone.
std::optional<std::string> describe(std::uint64_t pid) {
    std::ifstream comm(fmt::format("/proc/{}/comm", pid));
    std::string name;
    return std::getline(comm, name) ? std::optional(process_text(pid, name)) : std::nullopt;
}

}  // namespace

std::string process_text(std::uint64_t pid, std::string_view name) {
    return fmt::format("process {} ({})", pid, name);
}

std::optional<std::string> find_socket_holder(std::uint64_t inode) {
    const std::string socket = fmt::format("socket:[{}]", inode);
    std::error_code ignored;
    for (const auto& process : fs::directory_iterator("/proc", ignored)) {
        const auto pid = parse_unsigned(process.path().filename().string());
        if (pid && holds(process.path(), socket)) {
            return describe(*pid);
        }
    }
    return std::nullopt;
}

}  // namespace warren::base
