#include "agent/resolv_conf.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "dns/resolvers.h"

namespace warren::agent {

namespace {

namespace fs = std::filesystem;

constexpr base::Log kLog{"agent"};

std::string text_for(std::string text, const std::vector<base::IpAddress>& servers) {
    for (std::size_t i = 0; i < std::min(servers.size(), dns::kMostServers); ++i) {
        text += fmt::format("nameserver {}\n", servers[i]);
    }
    return text + "options ndots:0\n";
}

}  // namespace

std::string netns_name(const std::string& path) {
    for (const std::string_view directory : {"/run/netns/", "/var/run/netns/"}) {
        auto name = path.starts_with(directory) ? path.substr(directory.size()) : std::string();
        if (!name.empty() && name.find('/') == std::string::npos && !name.starts_with('.')) {
            return name;
        }
    }
    return {};
}

std::string ResolvConf::mark() const {
    return fmt::format("# Written by warrend in {}; goes with the container's last network.\n", run_dir_.string());
}

// A link is somebody else's, wherever it leads.
ResolvConf::There ResolvConf::look(const fs::path& file) const {
    std::error_code error;
    const auto status = fs::symlink_status(file, error);
    if (status.type() == fs::file_type::not_found) {
        return There::kNothing;
    }
    const bool ours = status.type() == fs::file_type::regular && base::read_file(file).value_or("").starts_with(mark());
    return ours ? There::kOurs : There::kForeign;
}

// In place: a program that `ip netns exec` has started sees this very file.
base::Status ResolvConf::put(const fs::path& file, std::string_view text) {
    const base::UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return base::fail_errno(fmt::format("write {}", file.string()), errno);
    }
    return {};
}

void ResolvConf::write(const std::string& container, const std::vector<base::IpAddress>& servers) const {
    const auto file = directory_ / container / "resolv.conf";
    const auto text = text_for(mark(), servers);
    const auto there = look(file);
    if (there == There::kForeign || (there == There::kOurs && base::read_file(file).value_or("") == text)) {
        return;
    }
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (const auto written = put(file, text); !written) {
        kLog.warn("names: {}", written.error().message());
    }
}

void ResolvConf::remove(const fs::path& container) const {
    const auto file = container / "resolv.conf";
    std::error_code ignored;
    if (!fs::is_symlink(container, ignored) && look(file) == There::kOurs) {
        fs::remove(file, ignored);
        fs::remove(container, ignored);  // unless somebody else has something in it
    }
}

void ResolvConf::remove_all_but(const Servers& containers) const {
    std::error_code error;
    for (fs::directory_iterator entry(directory_, error), end; !error && entry != end; entry.increment(error)) {
        if (!containers.contains(entry->path().filename().string())) {
            remove(entry->path());
        }
    }
}

void ResolvConf::want(Servers containers, bool complete) {
    for (const auto& [name, servers] : containers) {
        const auto known = told_.find(name);
        if (known == told_.end() || known->second != servers) {
            write(name, servers);
        }
    }
    if (complete && !complete_) {
        remove_all_but(containers);
    } else if (complete) {
        for (const auto& [name, servers] : told_) {
            if (!containers.contains(name)) {
                remove(directory_ / name);
            }
        }
    }
    told_ = std::move(containers);
    complete_ = complete;
}

}  // namespace warren::agent
