#include "agent/membership_files.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <system_error>

#include "base/fault_point.h"
#include "base/files.h"

namespace warren::agent {

namespace {

using base::Code;
using base::fail;

constexpr std::string_view kConfigFile = "node.json";

base::Result<v1::NodeConfig> read_config(const std::filesystem::path& path) {
    WARREN_TRY_ASSIGN(const auto text, base::read_file(path));
    v1::NodeConfig config;
    const auto parsed = google::protobuf::util::JsonStringToMessage(text, &config);
    if (!parsed.ok() || config.managers().empty() || config.data_address().empty()) {
        return fail(Code::kInternal,
                    "{}: damaged or not of this program; put back the file, or move {} away to leave the cluster",
                    path.native(), path.parent_path().native());
    }
    return config;
}

std::string config_text(const v1::NodeConfig& config) {
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    options.preserve_proto_field_names = true;
    std::string text;
    (void)google::protobuf::util::MessageToJsonString(config, &text, options);
    return text;
}

base::Status remove_tree(const std::filesystem::path& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    return error ? base::Status(base::fail_errno(fmt::format("remove {}", path.native()), error.value()))
                 : base::Status{};
}

base::Status rename_and_sync(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) {
        return base::fail_errno(fmt::format("rename {} to {}", from.native(), to.native()), errno);
    }
    const base::UniqueFd parent(::open(to.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent || ::fsync(parent.get()) != 0) {
        return base::fail_errno(fmt::format("sync {}", to.parent_path().native()), errno);
    }
    return {};
}

}  // namespace

base::Result<std::optional<Membership>> MembershipFiles::load(const std::filesystem::path& files_of_identity) const {
    if (!std::filesystem::exists(directory())) {
        return std::optional<Membership>();
    }
    WARREN_TRY_ASSIGN(auto identity, certs::load_identity(files_of_identity));
    if (!identity) {
        return fail(Code::kInternal, "{}: has no certificate; put back its files, or move it away to leave the cluster",
                    directory().native());
    }
    WARREN_TRY_ASSIGN(auto config, load_config());
    if (config.node_id() != identity->identity().node.text() ||
        config.cluster_id() != identity->identity().cluster.text()) {
        return fail(Code::kInternal, "{} and the certificate beside it are of different nodes: put back the right ones",
                    (directory() / kConfigFile).native());
    }
    return Membership{.identity = *std::move(identity), .config = std::move(config)};
}

base::Result<v1::NodeConfig> MembershipFiles::load_config() const {
    return read_config(directory() / kConfigFile);
}

base::Status MembershipFiles::prepare() const {
    if (std::filesystem::exists(directory())) {
        return fail(Code::kConflict, "this host is in a cluster already ({}); see warren cluster info",
                    directory().native());
    }
    WARREN_TRY(discard());
    return base::make_directory(staging(), 0700);
}

base::Status MembershipFiles::discard() const {
    const auto manager = staging() / "manager";
    for (const auto& secret :
         {staging() / "certs" / "node.pem", manager / "kek", manager / "kek.next", manager / "locked"}) {
        WARREN_TRY(base::overwrite_file(secret));
    }
    return remove_tree(staging());
}

base::Status MembershipFiles::commit(const Membership& membership) const {
    WARREN_TRY(certs::save_identity(staging() / "certs", membership.identity));
    WARREN_TRY(base::write_file_atomic(staging() / kConfigFile, config_text(membership.config), 0600));
    base::fault_point(base::FaultPoint::kJoinWritten);
    WARREN_TRY(rename_and_sync(staging(), directory()));
    base::fault_point(base::FaultPoint::kJoinCommitted);
    return {};
}

base::Status MembershipFiles::wipe() const {
    WARREN_TRY(rename_and_sync(directory(), staging()));
    return discard();
}

}  // namespace warren::agent
