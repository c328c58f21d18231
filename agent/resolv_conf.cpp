#include "agent/resolv_conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/files.h"
#include "base/log.h"

namespace warren::agent {

namespace {

namespace fs = std::filesystem;

constexpr base::Log kLog{"agent"};
constexpr std::size_t kServers = 3;  // resolv.conf(5), MAXNS

std::string text_for(std::string text, const std::vector<base::IpAddress>& servers) {
    for (std::size_t i = 0; i < std::min(servers.size(), kServers); ++i) {
        text += fmt::format("nameserver {}\n", servers[i]);
    }
    return text + "options ndots:0\n";
}

}  // namespace

std::string netns_name(const std::string& path) {
    for (const std::string_view directory : {"/run/netns/", "/var/run/netns/"}) {
        const auto name = path.starts_with(directory) ? path.substr(directory.size()) : std::string();
        if (!name.empty() && name.find('/') == std::string::npos && !name.starts_with('.')) {
            return name;
        }
    }
    return {};
}

std::string ResolvConf::mark() const {
    return fmt::format("# Written by warrend in {}; goes with the container's last network.\n", run_dir_.string());
}

bool ResolvConf::is_ours(const fs::path& file) const {
    return base::read_file(file).value_or("").starts_with(mark());
}

void ResolvConf::write(const Servers& containers) const {
    for (const auto& [path, servers] : containers) {
        const auto name = netns_name(path);
        if (name.empty()) {
            continue;
        }
        const auto file = directory_ / name / "resolv.conf";
        const auto text = text_for(mark(), servers);
        const auto there = base::read_file(file);
        if (there && (*there == text || !there->starts_with(mark()))) {
            continue;
        }
        std::error_code error;
        fs::create_directories(file.parent_path(), error);
        if (auto written = base::write_file_atomic(file, text, 0644); !written) {
            kLog.warn("names: {}", written.error().message());
        }
    }
}

void ResolvConf::remove_all_but(const Servers& containers) const {
    std::set<std::string> wanted;
    for (const auto& [path, servers] : containers) {
        wanted.insert(netns_name(path));
    }
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory_, error)) {
        const auto file = entry.path() / "resolv.conf";
        if (!wanted.contains(entry.path().filename().string()) && is_ours(file)) {
            fs::remove(file, error);
            fs::remove(entry.path(), error);  // unless somebody else has something in it
        }
    }
}

}  // namespace warren::agent
