#include "manager/network_options.h"

#include <set>
#include <string_view>

#include "base/text.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr std::uint64_t kMinReplayWindow = 32;
constexpr std::uint64_t kMaxReplayWindow = 4096;  // the kernel's, net/xfrm/xfrm_user.c verify_replay()
constexpr std::uint64_t kMinMtu = 576;
constexpr std::uint64_t kMaxMtu = 65535;

base::Result<bool> parse_bool(std::string_view key, std::optional<std::string_view> value) {
    if (!value || *value == "true") {
        return true;
    }
    if (*value == "false") {
        return false;
    }
    return fail(Code::kInvalid, "--opt {}={}: must be true or false", key, *value);
}

base::Result<std::uint32_t> parse_number(std::string_view key, std::optional<std::string_view> value, std::uint64_t min,
                                         std::uint64_t max) {
    const auto number = value ? base::parse_unsigned(*value, max) : std::nullopt;
    if (!number || *number < min) {
        return fail(Code::kInvalid, "--opt {}={}: must be a number from {} to {}", key, value.value_or(""), min, max);
    }
    return static_cast<std::uint32_t>(*number);
}

base::Status take_option(NetworkOptions& taken, std::string_view key, std::optional<std::string_view> value) {
    if (key == "encrypted") {
        WARREN_TRY_ASSIGN(taken.encrypted, parse_bool(key, value));
    } else if (key == "cipher") {
        WARREN_TRY_ASSIGN(taken.cipher, keymgr::parse_cipher("--opt cipher", value.value_or("")));
    } else if (key == "replay-window") {
        WARREN_TRY_ASSIGN(taken.replay_window, parse_number(key, value, kMinReplayWindow, kMaxReplayWindow));
    } else if (key == "mtu") {
        WARREN_TRY_ASSIGN(const auto mtu, parse_number(key, value, kMinMtu, kMaxMtu));
        taken.mtu = base::Mtu{mtu};
    } else {
        return fail(Code::kInvalid, "--opt {}: unknown option; known are encrypted, cipher, replay-window and mtu",
                    key);
    }
    return {};
}

}  // namespace

base::Result<NetworkOptions> parse_network_options(std::span<const std::string> options) {
    NetworkOptions taken;
    std::set<std::string_view> seen;
    for (const std::string_view option : options) {
        const auto equals = option.find('=');
        const std::string_view key = option.substr(0, equals);
        std::optional<std::string_view> value;
        if (equals != std::string_view::npos) {
            value = option.substr(equals + 1);
        }
        if (!seen.insert(key).second) {
            return fail(Code::kInvalid, "--opt {}: given twice", key);
        }
        WARREN_TRY(take_option(taken, key, value));
    }
    for (const std::string_view key : {"cipher", "replay-window"}) {
        if (!taken.encrypted && seen.contains(key)) {
            return fail(Code::kInvalid, "--opt {}: only for encrypted networks; add --opt encrypted", key);
        }
    }
    return taken;
}

}  // namespace warren::manager
