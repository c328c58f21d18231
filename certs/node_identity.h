#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "certs/key.h"
#include "certs/leaf.h"
#include "certs/roots.h"

namespace warren::certs {

// A node's own key, certificate and trusted roots, known to belong together. Its certificate may have expired: see
// check_validity().
class NodeIdentity {
  public:
    // Fails unless the certificate is for the key and chains to the roots (at whatever time).
    [[nodiscard]] static base::Result<NodeIdentity> assemble(PrivateKey key, std::string_view chain_pem, Roots roots);

    [[nodiscard]] const PrivateKey& key() const { return key_; }
    [[nodiscard]] const std::string& chain_pem() const { return chain_pem_; }  // leaf first
    [[nodiscard]] const Roots& roots() const { return roots_; }
    [[nodiscard]] const Leaf& leaf() const { return leaf_; }
    [[nodiscard]] const Identity& identity() const { return leaf_.identity; }

    // Trusts these roots from now on. kDenied, and nothing changes, when its own certificate does not chain to them.
    [[nodiscard]] base::Status trust(Roots roots);

  private:
    NodeIdentity(PrivateKey key, std::string chain_pem, Roots roots, Leaf leaf)
        : key_(std::move(key)), chain_pem_(std::move(chain_pem)), roots_(std::move(roots)), leaf_(std::move(leaf)) {}

    PrivateKey key_;
    std::string chain_pem_;
    Roots roots_;
    Leaf leaf_;
};

// The files of a node's identity, in a directory of their own (0700):
//   roots.pem  0644  the trusted roots
//   node.pem   0600  private key and certificate, in one file: renewing them is one rename, so a crash leaves the old
//                    pair or the new, never one half of each; gRPC and openssl read both from it
// roots.pem is written first: a node.pem says that the set is whole.

[[nodiscard]] std::filesystem::path node_file_path(const std::filesystem::path& directory);
[[nodiscard]] std::filesystem::path roots_file_path(const std::filesystem::path& directory);

// Nothing when there is no node.pem: this host has no identity. Files that are torn, foreign, open to others or do not
// belong together are an error that names the file and the way out; they are never replaced or ignored.
[[nodiscard]] base::Result<std::optional<NodeIdentity>> load_identity(const std::filesystem::path& directory);

// Writes the set. Replaces an earlier one only when it is whole and of the same node (kConflict). Whatever moment a
// crash comes at, what it leaves loads: where the earlier certificate does not chain to the new roots, the roots of
// both are there in between.
[[nodiscard]] base::Status save_identity(const std::filesystem::path& directory, const NodeIdentity& identity);

}  // namespace warren::certs
