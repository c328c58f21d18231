#pragma once

#include <string>

#include "keymgr/key_schedule.h"
#include "manager/cluster.h"
#include "manager/network_options.h"

// The cipher of networks that leave it to the cluster (--opt cipher=auto). Pure.
namespace warren::manager {

// The node's kernel takes SAs of it.
[[nodiscard]] bool has_cipher(const v1::NodeRecord& node, keymgr::Cipher cipher);

struct CipherChoice {
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::string why;  // for people: "node 'b' has no AES instructions"
};

// AES-128-GCM where every node's kernel does AES by instructions of the processor, else ChaCha20-Poly1305, which takes
// a processor without them about half as long: so by the weakest node of the cluster, a member of the network or not,
// and it is the same whoever joins. A cipher that a node's kernel lacks is no choice as long as the other is there.
// Nodes that can't encrypt at all, or have not said yet, do not count.
[[nodiscard]] CipherChoice choose_cipher(const Cluster& cluster);

// `options` with the cluster's choice in them, if they leave it the choice.
[[nodiscard]] NetworkOptions with_choice(const Cluster& cluster, NetworkOptions options);

}  // namespace warren::manager
