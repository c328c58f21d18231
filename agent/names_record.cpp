#include "agent/names_record.h"

#include "base/files.h"
#include "base/log.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr std::size_t kMostBytes = 64U << 20U;  // a network of 60,000 endpoints, with some aliases each, has 10 MB

}  // namespace

std::filesystem::path NamesRecord::file_of(const base::NetworkId& network) const {
    return directory_ / network.text();
}

std::vector<base::NetworkId> NamesRecord::list() const {
    std::vector<base::NetworkId> networks;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error)) {
        if (const auto id = base::parse_id<base::NetworkId>("network id", entry->path().filename().string())) {
            networks.push_back(*id);
        }
    }
    return networks;
}

base::Status NamesRecord::write(const NetworkNames& names) const {
    WARREN_TRY(base::make_directory(directory_, 0700));
    return base::write_file_atomic(file_of(names.id), encode(names), 0600);
}

std::vector<NetworkNames> NamesRecord::read() const {
    std::vector<NetworkNames> all;
    for (const auto& id : list()) {
        auto names = base::read_file(file_of(id), kMostBytes).and_then(decode_names);
        if (names && names->id == id) {
            all.push_back(*std::move(names));
        } else {
            kLog.warn("names: {}: {}", file_of(id).string(), names ? "of another network" : names.error().message());
        }
    }
    return all;
}

void NamesRecord::remove(const base::NetworkId& network) const {
    std::error_code ignored;
    std::filesystem::remove(file_of(network), ignored);
}

void NamesRecord::remove_all_but(const std::set<base::NetworkId>& networks) const {
    for (const auto& id : list()) {
        if (!networks.contains(id)) {
            remove(id);
        }
    }
}

}  // namespace warren::agent
