#include "manager/network_options.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string_view>

#include "base/text.h"
#include "overlay/ipam.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;
using Value = std::optional<std::string_view>;

constexpr std::uint64_t kMinReplayWindow = 32;
constexpr std::uint64_t kMaxReplayWindow = 4096;  // the kernel's, net/xfrm/xfrm_user.c verify_replay()
constexpr std::uint64_t kMinMtu = 576;
constexpr std::uint64_t kMaxMtu = 65535;
constexpr std::uint64_t kMaxVni = 0xffffff;
// A rotation takes seconds, and up to a minute where a member does not answer.
constexpr base::Duration kMinRotation = std::chrono::minutes(1);
constexpr base::Duration kMaxRotation = std::chrono::hours(24 * 365);
// Below these a busy network would do little but rotate.
constexpr std::uint64_t kLeastPackets = 1000;
constexpr std::uint64_t kLeastBytes = 1'000'000;

base::Result<bool> parse_bool(std::string_view key, Value value) {
    if (!value || *value == "true") {
        return true;
    }
    if (*value == "false") {
        return false;
    }
    return fail(Code::kInvalid, "--opt {}={}: must be true or false", key, *value);
}

base::Result<std::uint64_t> parse_number(std::string_view key, Value value, std::uint64_t min, std::uint64_t max) {
    const auto number = value ? base::parse_unsigned(*value, max) : std::nullopt;
    if (!number || *number < min) {
        return fail(Code::kInvalid, "--opt {}={}: must be a number from {} to {}", key, value.value_or(""), min, max);
    }
    return *number;
}

base::Result<base::Duration> parse_interval(std::string_view key, Value value) {
    WARREN_TRY_ASSIGN(const auto interval,
                      base::parse_duration(fmt::format("--opt {}", key), value.value_or(std::string_view())));
    if (interval != base::Duration::zero() && (interval < kMinRotation || interval > kMaxRotation)) {
        return fail(Code::kInvalid, "--opt {}={}: must be from 1m to 365d, or 0 for never", key, *value);
    }
    return interval;
}

// One option: how its value is taken, and whether it can change while a network is in use.
struct Option {
    std::string_view key;
    base::Status (*take)(NetworkOptions& taken, std::string_view key, Value value);
    bool needs_encryption = false;
    std::string_view fixed{};  // why it can't be changed; empty: it can
};

template <auto Member, std::uint64_t Min, std::uint64_t Max>
base::Status take_number(NetworkOptions& taken, std::string_view key, Value value) {
    WARREN_TRY_ASSIGN(const auto number, parse_number(key, value, Min, Max));
    taken.*Member = static_cast<std::remove_reference_t<decltype(taken.*Member)>>(number);
    return {};
}
base::Status take_encrypted(NetworkOptions& taken, std::string_view key, Value value) {
    WARREN_TRY_ASSIGN(taken.encrypted, parse_bool(key, value));
    return {};
}
base::Status take_multicast(NetworkOptions& taken, std::string_view key, Value value) {
    WARREN_TRY_ASSIGN(taken.multicast, parse_bool(key, value));
    return {};
}
base::Status take_cipher(NetworkOptions& taken, std::string_view /*key*/, Value value) {
    taken.cipher_auto = value == "auto";
    if (!taken.cipher_auto) {
        auto cipher = keymgr::parse_cipher("--opt cipher", value.value_or(""));
        if (!cipher) {
            return fail(Code::kInvalid, "{}, or auto", cipher.error().message());
        }
        taken.cipher = *cipher;
    }
    return {};
}
base::Status take_encap(NetworkOptions& taken, std::string_view key, Value value) {
    constexpr std::string_view kUdp = "udp";
    if (value == "none") {
        taken.encap = base::UdpPort{};
        return {};
    }
    if (value == kUdp) {
        taken.encap = kEncapPort;
        return {};
    }
    const bool with_port = value && value->starts_with(kUdp) && value->substr(kUdp.size()).starts_with(':');
    const auto port = with_port ? base::parse_unsigned(value->substr(kUdp.size() + 1), UINT16_MAX) : std::nullopt;
    if (port.value_or(0) == 0) {
        return fail(Code::kInvalid, "--opt {}={}: must be none, udp, or udp:PORT with a port from 1 to 65535", key,
                    value.value_or(""));
    }
    taken.encap = base::UdpPort{static_cast<std::uint16_t>(*port)};
    return {};
}
base::Status take_rotation(NetworkOptions& taken, std::string_view key, Value value) {
    WARREN_TRY_ASSIGN(taken.key_rotation, parse_interval(key, value));
    return {};
}
base::Status take_mtu(NetworkOptions& taken, std::string_view key, Value value) {
    if (value == "auto") {
        taken.mtu.reset();
        return {};
    }
    const auto mtu = parse_number(key, value, kMinMtu, kMaxMtu);
    if (!mtu) {
        return fail(Code::kInvalid, "{}, or auto", mtu.error().message());
    }
    taken.mtu = base::Mtu{static_cast<std::uint32_t>(*mtu)};
    return {};
}

base::Status take_vnis(NetworkOptions& taken, std::string_view key, Value value) {
    for (const auto part : base::split(value.value_or(""), ',')) {
        const auto vni = base::parse_unsigned(part, kMaxVni);
        if (vni.value_or(0) == 0) {
            return fail(Code::kInvalid,
                        "--opt {}={}: must be a number from 1 to {}, or several with commas between them", key,
                        value.value_or(""), kMaxVni);
        }
        if (std::ranges::find(taken.vnis, *vni) != taken.vnis.end()) {
            return fail(Code::kInvalid, "--opt {}={}: {} is given twice; each subnet needs one of its own", key,
                        value.value_or(""), *vni);
        }
        taken.vnis.push_back(static_cast<std::uint32_t>(*vni));
    }
    return {};
}

constexpr std::array<Option, 10> kOptions{{
    {.key = "encrypted",
     .take = take_encrypted,
     .fixed = "a network is encrypted or plain from its beginning; make another network"},
    {.key = "cipher", .take = take_cipher, .needs_encryption = true},
    {.key = "encap", .take = take_encap, .needs_encryption = true},
    {.key = "replay-window",
     .take = take_number<&NetworkOptions::replay_window, kMinReplayWindow, kMaxReplayWindow>,
     .needs_encryption = true},
    {.key = "key-rotation", .take = take_rotation, .needs_encryption = true},
    {.key = "rekey-after-packets",
     .take = take_number<&NetworkOptions::rekey_after_packets, kLeastPackets, keymgr::kMostPackets>,
     .needs_encryption = true},
    {.key = "rekey-after-bytes",
     .take = take_number<&NetworkOptions::rekey_after_bytes, kLeastBytes, keymgr::kMostBytes>,
     .needs_encryption = true},
    {.key = "multicast", .take = take_multicast},
    {.key = "mtu", .take = take_mtu},
    {.key = "vni", .take = take_vnis, .fixed = "its VXLAN devices have the old one; make another network"},
}};

const Option* find_option(std::string_view key) {
    const auto* const found =
        std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& option) { return option.key == key; });
    return found == kOptions.end() ? nullptr : found;
}

std::string known_options(bool live_only) {
    std::string list;
    for (const Option& option : kOptions) {
        if (!live_only || option.fixed.empty()) {
            list += fmt::format("{}{}", list.empty() ? "" : ", ", option.key);
        }
    }
    return list;
}

using Given = std::map<const Option*, Value>;

base::Result<Given> read_options(std::span<const std::string> options, bool live_only) {
    Given given;
    for (const std::string_view text : options) {
        const auto equals = text.find('=');
        const std::string_view key = text.substr(0, equals);
        const Option* const option = find_option(key);
        if (option == nullptr) {
            return fail(Code::kInvalid, "--opt {}: unknown option; known are {}", key, known_options(live_only));
        }
        const Value value = equals == std::string_view::npos ? Value() : Value(text.substr(equals + 1));
        if (!given.emplace(option, value).second) {
            return fail(Code::kInvalid, "--opt {}: given twice", key);
        }
    }
    return given;
}

}  // namespace

base::Result<NetworkOptions> parse_network_options(std::span<const std::string> options) {
    NetworkOptions taken;
    WARREN_TRY_ASSIGN(const auto given, read_options(options, false));
    for (const auto& [option, value] : given) {
        WARREN_TRY(option->take(taken, option->key, value));
    }
    for (const auto& [option, value] : given) {
        if (option->needs_encryption && !taken.encrypted) {
            return fail(Code::kInvalid, "--opt {}: only for encrypted networks; add --opt encrypted", option->key);
        }
    }
    return taken;
}

base::Result<NetworkOptions> update_network_options(const NetworkOptions& now, std::span<const std::string> changes) {
    if (changes.empty()) {
        return fail(Code::kInvalid, "nothing to change: give --opt KEY=VALUE with one of {}", known_options(true));
    }
    NetworkOptions changed = now;
    WARREN_TRY_ASSIGN(const auto given, read_options(changes, true));
    for (const auto& [option, value] : given) {
        if (!option->fixed.empty()) {
            return fail(Code::kInvalid, "--opt {}: can't be changed: {}", option->key, option->fixed);
        }
        if (option->needs_encryption && !now.encrypted) {
            return fail(Code::kInvalid, "--opt {}: only for encrypted networks", option->key);
        }
        WARREN_TRY(option->take(changed, option->key, value));
    }
    return changed;
}

NetworkOptions encryption_of(const v1::NetworkRecord& record) {
    if (!record.encrypted()) {
        return {};
    }
    return {.encrypted = true,
            .cipher = static_cast<keymgr::Cipher>(record.cipher()),
            .cipher_auto = record.cipher_auto(),
            .encap = base::UdpPort{static_cast<std::uint16_t>(record.encap_port())},
            .replay_window = record.replay_window(),
            .key_rotation = base::Duration(record.key_rotation_ms()),
            .rekey_after_packets = record.rekey_after_packets(),
            .rekey_after_bytes = record.rekey_after_bytes()};
}

NetworkOptions options_of(const v1::NetworkRecord& record) {
    auto options = encryption_of(record);
    options.multicast = record.multicast();
    if (record.mtu_fixed()) {
        options.mtu = base::Mtu{record.chosen_mtu()};
    }
    return options;
}

void set_encryption(v1::NetworkRecord& record, const NetworkOptions& options) {
    record.set_cipher(static_cast<std::uint32_t>(options.cipher));
    record.set_cipher_auto(options.cipher_auto);
    record.set_encap_port(options.encap.value);
    record.set_replay_window(options.replay_window);
    record.set_key_rotation_ms(options.key_rotation.count());
    record.set_rekey_after_packets(options.rekey_after_packets);
    record.set_rekey_after_bytes(options.rekey_after_bytes);
}

void set_options(v1::NetworkRecord& record, const NetworkOptions& options) {
    record.set_multicast(options.multicast);
    if (options.encrypted) {
        set_encryption(record, options);
    }
}

base::Status check_free_udp_port(std::string_view what, const v1::ClusterSettings& cluster, base::UdpPort port) {
    const auto last = cluster.port_base() + overlay::kNetworkIndexes.last;
    if (port.value == cluster.plain_port() || (port.value >= cluster.port_base() && port.value <= last)) {
        return fail(Code::kInvalid,
                    "{}: UDP ports {}, and {} to {} belong to networks of this cluster; choose another port", what,
                    cluster.plain_port(), cluster.port_base(), last);
    }
    return {};
}

base::Status check_multicast(const NetworkOptions& options, std::size_t parts) {
    if (options.multicast && parts > 1) {
        return fail(Code::kInvalid, "--opt multicast: is for networks of one IPv4 subnet; this one has {}", parts);
    }
    return {};
}

base::Status check_encap(const v1::ClusterSettings& cluster, const NetworkOptions& options) {
    return check_free_udp_port(fmt::format("--opt encap=udp:{}", options.encap), cluster, options.encap);
}

overlay::Protection protection(const NetworkOptions& options) {
    return options.encrypted ? overlay::esp_protection(options.encap) : overlay::Protection::kPlain;
}

keymgr::EpochParameters epoch_parameters(const NetworkOptions& options) {
    return {.cipher = options.cipher, .replay_window = options.replay_window, .encap = options.encap};
}

keymgr::Settings key_settings(const v1::ClusterSettings& cluster, const NetworkOptions& options) {
    keymgr::Settings settings;
    settings.parameters = epoch_parameters(options);
    settings.interval = options.key_rotation;
    settings.grace = base::Duration(cluster.rotation_grace_ms());
    settings.straggler_limit = base::Duration(cluster.straggler_limit_ms());
    if (options.key_rotation != base::Duration::zero()) {
        settings.straggler_limit = std::min(settings.straggler_limit, options.key_rotation);
    }
    return settings;
}

}  // namespace warren::manager
