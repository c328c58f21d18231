#include "manager/cipher_choice.h"

#include <algorithm>
#include <string_view>

namespace warren::manager {

namespace {

// Nodes that have something in common, for a line of text.
struct Some {
    std::size_t count = 0;
    std::string first;

    void add(const v1::NodeRecord& node) {
        if (count++ == 0) {
            first = node.name();
        }
    }
    [[nodiscard]] std::string text(std::string_view of_one, std::string_view of_many, std::string_view what) const {
        return count == 1 ? fmt::format("node '{}' {} {}", first, of_one, what)
                          : fmt::format("{} nodes {} {}, such as '{}'", count, of_many, what, first);
    }
};

}  // namespace

bool has_cipher(const v1::NodeRecord& node, keymgr::Cipher cipher) {
    return std::ranges::find(node.ciphers(), static_cast<std::uint32_t>(cipher)) != node.ciphers().end();
}

CipherChoice choose_cipher(const Cluster& cluster) {
    Some slow;
    Some without_aes;
    Some without_chacha;
    for (const auto& [id, node] : cluster.nodes()) {
        const auto& record = node.record;
        if (record.ciphers().empty()) {
            continue;
        }
        if (!has_cipher(record, keymgr::Cipher::kAes128Gcm)) {
            without_aes.add(record);
        } else if (!record.fast_aes()) {
            slow.add(record);
        }
        if (!has_cipher(record, keymgr::Cipher::kChaCha20Poly1305)) {
            without_chacha.add(record);
        }
    }
    if (slow.count + without_aes.count == 0) {
        return {.cipher = keymgr::Cipher::kAes128Gcm, .why = "every node has AES instructions"};
    }
    if (without_chacha.count > 0) {
        return {.cipher = keymgr::Cipher::kAes128Gcm, .why = without_chacha.text("lacks", "lack", "chacha20-poly1305")};
    }
    return {.cipher = keymgr::Cipher::kChaCha20Poly1305,
            .why = without_aes.count > 0 ? without_aes.text("lacks", "lack", "aes-128-gcm")
                                         : slow.text("has", "have", "no AES instructions")};
}

NetworkOptions with_choice(const Cluster& cluster, NetworkOptions options) {
    if (options.cipher_auto) {
        options.cipher = choose_cipher(cluster).cipher;
    }
    return options;
}

}  // namespace warren::manager
