#pragma once

#include <memory>

#include "certs/key.h"
#include "manager/found.h"
#include "manager/vault.h"
#include "store/sqlite_store.h"
#include "tests/test_directory.h"

namespace warren::manager {

inline base::IpAddress ip(std::string_view text) {
    return base::parse_ip("ip", text).value();
}

inline keymgr::KeyEncryptionKey test_kek() {
    // A test vector: any 32 bytes.
    return keymgr::KeyEncryptionKey::from(base::Secret<32>()).value();
}

// The store of a cluster "test" that its manager m1, at 192.0.2.1, has just founded. It goes with the test.
struct FoundedCluster {
    explicit FoundedCluster(base::Time now, const v1::ClusterSettings& settings = {}) {
        store = store::SqliteStore::open(directory.path() / "state" / "store.db", {.mode = store::OpenMode::kCreate})
                    .value();
        founded = found_cluster(*store, Vault(test_kek()),
                                {.cluster_name = "test",
                                 .settings = settings,
                                 .node_name = "m1",
                                 .data_address = ip("192.0.2.1"),
                                 .advertise_address = ip("192.0.2.1"),
                                 .port = 7443,
                                 .request_pem = certs::make_request(key).value()},
                                now)
                      .value();
    }

    TestDirectory directory;
    std::unique_ptr<store::Store> store;
    certs::PrivateKey key = certs::PrivateKey::generate().value();  // of m1
    Founded founded;
};

}  // namespace warren::manager
