#include "cli/network_filter.h"

#include <algorithm>
#include <string_view>

namespace warren::cli {

namespace {

using base::Code;
using base::fail;

base::Status take_bool(std::string_view key, std::string_view value, std::optional<bool>& out) {
    if (value != "true" && value != "false") {
        return fail(Code::kInvalid, "--filter {}={}: must be true or false", key, value);
    }
    const bool wanted = value == "true";
    if (out && *out != wanted) {
        return fail(Code::kInvalid, "--filter {}: given as true and as false", key);
    }
    out = wanted;
    return {};
}

template <typename Holds>
bool any_of(const std::vector<std::string>& values, Holds holds) {
    return values.empty() || std::ranges::any_of(values, holds);
}

bool has_label(const v1::Network& network, std::string_view label) {
    const auto equals = label.find('=');
    const auto found = network.labels().find(std::string(label.substr(0, equals)));
    return found != network.labels().end() &&
           (equals == std::string_view::npos || found->second == label.substr(equals + 1));
}

}  // namespace

base::Result<NetworkFilter> NetworkFilter::parse(const std::vector<std::string>& filters) {
    NetworkFilter taken;
    for (const std::string_view filter : filters) {
        const auto equals = filter.find('=');
        const auto key = filter.substr(0, equals);
        const std::string value(equals == std::string_view::npos ? "" : filter.substr(equals + 1));
        if (value.empty()) {
            return fail(Code::kInvalid, "--filter {}: must be KEY=VALUE", filter);
        }
        if (key == "name") {
            taken.names_.push_back(value);
        } else if (key == "id") {
            taken.ids_.push_back(value);
        } else if (key == "driver") {
            taken.drivers_.push_back(value);
        } else if (key == "label") {
            taken.labels_.push_back(value);
        } else if (key == "encrypted") {
            WARREN_TRY(take_bool(key, value, taken.encrypted_));
        } else if (key == "dangling") {
            WARREN_TRY(take_bool(key, value, taken.unused_));
        } else {
            return fail(Code::kInvalid,
                        "--filter {}: unknown key; known are name, id, driver, label, encrypted, dangling", filter);
        }
    }
    return taken;
}

bool NetworkFilter::takes(const v1::Network& network) const {
    return any_of(names_, [&](const auto& name) { return network.name().find(name) != std::string::npos; }) &&
           any_of(ids_, [&](const auto& id) { return network.id().starts_with(id); }) &&
           any_of(drivers_, [&](const auto& driver) { return network.driver() == driver; }) &&
           std::ranges::all_of(labels_, [&](const auto& label) { return has_label(network, label); }) &&
           encrypted_.value_or(network.encrypted()) == network.encrypted() &&
           (!unused_ || *unused_ == (network.endpoint_count() == 0));
}

}  // namespace warren::cli
