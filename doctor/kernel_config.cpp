#include "doctor/kernel_config.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <zlib.h>

#include <array>
#include <memory>

#include "base/text.h"

namespace warren::doctor {

namespace {

struct Option {
    std::string_view name;
    std::string_view purpose;
    Verdict without = Verdict::kWrong;
    std::optional<base::Family> only{};  // for VTEPs of this family
};

constexpr std::array<Option, 13> kOptions{{
    {"CONFIG_NET_NS", "every network lives in a network namespace"},
    {"CONFIG_VXLAN", "it carries the frames"},
    {"CONFIG_BRIDGE", "containers of a host are joined by it"},
    {"CONFIG_VETH", "containers are connected by it"},
    {"CONFIG_XFRM_USER", "keys are given to the kernel through it"},
    {"CONFIG_INET_ESP", "it encrypts", Verdict::kWrong, base::Family::kIpv4},
    {"CONFIG_INET6_ESP", "it encrypts", Verdict::kWrong, base::Family::kIpv6},
    {"CONFIG_CRYPTO_GCM", "the ciphers aes-128-gcm and aes-256-gcm need it"},
    {"CONFIG_CRYPTO_CHACHA20POLY1305", "the cipher chacha20-poly1305 needs it", Verdict::kWarning},
    {"CONFIG_NF_TABLES", "the second barrier against clear text is made of it"},
    {"CONFIG_NF_TABLES_INET", "the second barrier is for both families"},
    {"CONFIG_NFT_XFRM", "the second barrier sees by it what was decrypted"},
    {"CONFIG_XFRM_STATISTICS", "without it nobody counts why packets were refused", Verdict::kWarning},
}};

struct CloseGz {
    void operator()(gzFile_s* file) const { gzclose(file); }
};

// Also of what is not compressed.
std::optional<std::string> read_gz(const std::string& path) {
    const std::unique_ptr<gzFile_s, CloseGz> file(gzopen(path.c_str(), "re"));
    if (!file) {
        return std::nullopt;
    }
    std::string text;
    std::array<char, 65536> part{};
    int size = 0;
    while ((size = gzread(file.get(), part.data(), part.size())) > 0) {
        text.append(part.data(), static_cast<std::size_t>(size));
    }
    return size == 0 ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace

KernelConfig parse_kernel_config(std::string_view text) {
    KernelConfig config;
    for (const auto line : base::split(text, '\n')) {
        const auto equals = line.find('=');
        if (line.starts_with("CONFIG_") && equals != std::string_view::npos) {
            config.emplace(line.substr(0, equals), line.substr(equals + 1));
        }
    }
    return config;
}

std::optional<KernelConfig> read_kernel_config() {
    utsname system{};
    auto text = read_gz("/proc/config.gz");
    if (!text && ::uname(&system) == 0) {
        text = read_gz(fmt::format("/boot/config-{}", static_cast<const char*>(system.release)));
    }
    if (!text) {
        return std::nullopt;
    }
    auto config = parse_kernel_config(*text);
    return config.empty() ? std::nullopt : std::optional(std::move(config));
}

std::vector<Finding> check_kernel(const std::optional<KernelConfig>& config, base::Family underlay) {
    constexpr std::string_view kCheck = "kernel options";
    if (!config) {
        return {{.check = std::string(kCheck),
                 .verdict = Verdict::kUnknown,
                 .detail = "the kernel's configuration is neither in /proc/config.gz nor in /boot",
                 .remedy = {}}};
    }
    std::vector<Finding> findings;
    std::size_t there = 0;
    for (const auto& option : kOptions) {
        if (option.only && *option.only != underlay) {
            continue;
        }
        const auto set = config->find(option.name);
        if (set != config->end() && (set->second == "y" || set->second == "m")) {
            ++there;
            continue;
        }
        findings.push_back({.check = std::string(kCheck),
                            .verdict = option.without,
                            .detail = fmt::format("{} is not set: {}", option.name, option.purpose),
                            .remedy = "use a kernel that has it, as those of the distributions do"});
    }
    if (findings.empty()) {
        findings.push_back({.check = std::string(kCheck),
                            .verdict = Verdict::kOk,
                            .detail = fmt::format("all {} that are needed are there", there),
                            .remedy = {}});
    }
    return findings;
}

}  // namespace warren::doctor
