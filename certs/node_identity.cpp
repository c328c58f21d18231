#include "certs/node_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <vector>

#include "base/fault_point.h"
#include "base/files.h"
#include "certs/handle.h"

namespace warren::certs {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFile = 64U << 10U;
constexpr std::size_t kMaxChain = 4;
constexpr mode_t kOpenToOthers = 077;
constexpr mode_t kWritableByOthers = 022;
constexpr std::string_view kFirstCertificate = "-----BEGIN CERTIFICATE-----";

struct FileRule {
    mode_t type;
    mode_t forbidden;
    std::string_view remedy;  // of a wrong mode
};
constexpr std::string_view kRootsFile = "roots.pem";
constexpr FileRule kDirectoryRule{.type = S_IFDIR, .forbidden = kOpenToOthers, .remedy = "chmod 0700"};
constexpr FileRule kNodeRule{.type = S_IFREG, .forbidden = kOpenToOthers, .remedy = "chmod 0600"};
constexpr FileRule kRootsRule{.type = S_IFREG, .forbidden = kWritableByOthers, .remedy = "chmod 0644"};

// False when there is nothing at `path`. A link is not followed: nobody but us places files here.
base::Result<bool> check_file(const fs::path& path, const FileRule& rule) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno == ENOENT) {
            return false;
        }
        return base::fail_errno(path.native(), errno);
    }
    if ((info.st_mode & S_IFMT) != rule.type) {
        return base::fail(base::Code::kPrecondition, "{}: must be a {}, not something else or a link to one",
                          path.native(), rule.type == S_IFDIR ? "directory" : "file");
    }
    if (info.st_uid != ::geteuid()) {
        return base::fail(base::Code::kPrecondition, "{}: belongs to user {}, must belong to user {}: chown it",
                          path.native(), info.st_uid, ::geteuid());
    }
    if ((info.st_mode & rule.forbidden) != 0) {
        return base::fail(base::Code::kPrecondition, "{}: mode {:04o} is open to others: {} it if nobody else saw it",
                          path.native(), info.st_mode & 07777U, rule.remedy);
    }
    return true;
}

base::Error with_remedy(const base::Error& error, const fs::path& directory) {
    return {base::Code::kPrecondition,
            fmt::format("{}; restore {} from a backup, or remove it and join the cluster again", error.message(),
                        directory.native())};
}

// Moves the text into a type that wipes itself, and wipes what is left.
base::SecretBytes take_secret(std::string text) {
    base::SecretBytes taken(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
    base::wipe(text);
    return taken;
}

base::Result<base::SecretBytes> read_secret(const fs::path& path) {
    WARREN_TRY_ASSIGN(std::string content, base::read_file(path, kMaxFile));
    return take_secret(std::move(content));
}

std::string_view text_of(const base::SecretBytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.reveal().data()), bytes.size()};
}

base::Result<base::SecretBytes> node_file(const NodeIdentity& identity) {
    WARREN_TRY_ASSIGN(const base::SecretBytes key, identity.key().pem());
    std::string text;
    text.reserve(key.size() + identity.chain_pem().size());  // growing would leave a copy of the key behind
    text += text_of(key);
    text += identity.chain_pem();
    return take_secret(std::move(text));
}

base::Result<NodeIdentity> parse_node_file(const fs::path& path, std::string_view text, Roots roots) {
    const auto certificate_at = text.find(kFirstCertificate);
    if (certificate_at == std::string_view::npos) {
        return base::fail(base::Code::kInvalid, "{}: no certificate in PEM form in it", path.native());
    }
    WARREN_TRY_ASSIGN(PrivateKey key, PrivateKey::from_pem(path.native(), text.substr(0, certificate_at)));
    auto identity = NodeIdentity::assemble(std::move(key), text.substr(certificate_at), std::move(roots));
    if (!identity) {
        return base::fail_in(fmt::format("{} beside {}", path.native(), kRootsFile), std::move(identity));
    }
    WARREN_TRY_ASSIGN(const base::SecretBytes canonical, node_file(*identity));
    if (text_of(canonical) != text) {
        return base::fail(base::Code::kInvalid, "{}: must be a private key and its certificate and nothing else",
                          path.native());
    }
    return identity;
}

base::Status write_roots(const fs::path& directory, const std::string& pem) {
    return base::write_file_atomic(roots_file_path(directory), pem, 0644);
}

base::Result<NodeIdentity> read_set(const fs::path& node_path, const fs::path& roots_path) {
    WARREN_TRY_ASSIGN(const base::SecretBytes roots_bytes, read_secret(roots_path));
    WARREN_TRY_ASSIGN(Roots roots, Roots::parse(roots_path.native(), text_of(roots_bytes)));
    WARREN_TRY_ASSIGN(const base::SecretBytes node_bytes, read_secret(node_path));
    return parse_node_file(node_path, text_of(node_bytes), std::move(roots));
}

}  // namespace

base::Result<NodeIdentity> NodeIdentity::assemble(PrivateKey key, std::string_view chain_pem, Roots roots) {
    constexpr std::string_view kWhat = "node certificate";
    WARREN_TRY_ASSIGN(Leaf leaf, roots.verify_at_any_time(kWhat, chain_pem));
    WARREN_TRY_ASSIGN(const std::vector<Certificate> chain, read_certificates(kWhat, chain_pem, kMaxChain));
    if (EVP_PKEY_eq(X509_get0_pubkey(chain.front().get()), key.impl().key.get()) != 1) {
        return base::fail(base::Code::kInvalid, "{}: is not for this private key", kWhat);
    }
    return NodeIdentity(std::move(key), std::string(chain_pem), std::move(roots), std::move(leaf));
}

fs::path node_file_path(const fs::path& directory) {
    return directory / "node.pem";
}

fs::path roots_file_path(const fs::path& directory) {
    return directory / kRootsFile;
}

base::Status NodeIdentity::trust(Roots roots) {
    WARREN_TRY(roots.verify_at_any_time("node certificate", chain_pem_));
    roots_ = std::move(roots);
    return {};
}

base::Result<std::optional<NodeIdentity>> load_identity(const fs::path& directory) {
    WARREN_TRY_ASSIGN(const bool exists, check_file(directory, kDirectoryRule));
    if (!exists) {
        return std::nullopt;
    }
    const fs::path node_path = node_file_path(directory);
    WARREN_TRY_ASSIGN(const bool has_node, check_file(node_path, kNodeRule));
    if (!has_node) {
        // Roots alone are what a crash in the middle of the first save leaves.
        return std::nullopt;
    }
    const fs::path roots_path = roots_file_path(directory);
    WARREN_TRY(check_file(roots_path, kRootsRule));  // a missing one is read_set's to report
    auto identity = read_set(node_path, roots_path);
    if (!identity) {
        return tl::unexpected(with_remedy(identity.error(), directory));
    }
    return std::optional(*std::move(identity));
}

base::Status save_identity(const fs::path& directory, const NodeIdentity& identity) {
    WARREN_TRY_ASSIGN(const std::optional<NodeIdentity> before, load_identity(directory));
    if (before && (before->identity().cluster != identity.identity().cluster ||
                   before->identity().node != identity.identity().node)) {
        return base::fail(base::Code::kConflict, "{}: holds the identity of {}; leave that cluster first",
                          directory.native(), before->identity().text());
    }
    WARREN_TRY(base::make_directory(directory, 0700));
    const bool both =
        before && !identity.roots().verify_at_any_time("earlier certificate", before->chain_pem()).has_value();
    const std::string& roots = identity.roots().pem();
    WARREN_TRY(write_roots(directory, both ? before->roots().pem() + roots : roots));
    base::fault_point(base::FaultPoint::kRenewalRootsWritten);
    WARREN_TRY_ASSIGN(const base::SecretBytes file, node_file(identity));
    WARREN_TRY(base::write_file_atomic(node_file_path(directory), text_of(file), 0600));
    base::fault_point(base::FaultPoint::kRenewalNodeWritten);
    return both ? write_roots(directory, roots) : base::Status();
}

}  // namespace warren::certs
