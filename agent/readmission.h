#pragma once

#include <asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "certs/node_identity.h"

namespace warren::agent {

// What a node makes of a new certificate for its new key: checks that it is for the same node, is valid and chains to
// the roots that come with it, and writes it to the files in `directory`. `present` is the identity that it replaces.
struct NewCertificate {
    certs::PrivateKey key;
    std::string chain_pem;
    std::string roots_pem;
};
[[nodiscard]] base::Result<certs::NodeIdentity> adopt(NewCertificate certificate, const certs::NodeIdentity& present,
                                                      const std::filesystem::path& directory, base::Time now);

// One attempt of a node to get a new certificate from a manager that TLS does not let it show its old one to: the old
// one has expired, or its root is gone. Proves that it holds the old one's key, see certs/possession.h. The manager
// must show a certificate that the node's own roots vouch for.
//
// Owner: the identity's keeper. Thread: the loop's; gRPC's threads only post. `done` is called once, on the loop, not
// within the constructor, and not after destruction.
class Readmission {
  public:
    using Done = std::function<void(base::Result<NewCertificate>)>;
    Readmission(asio::io_context& loop, const std::string& manager, const certs::NodeIdentity& present, Done done);
    ~Readmission();
    Readmission(const Readmission&) = delete;
    Readmission& operator=(const Readmission&) = delete;

  private:
    class Exchange;
    std::shared_ptr<Exchange> exchange_;
};

}  // namespace warren::agent
