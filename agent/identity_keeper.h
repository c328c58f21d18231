#pragma once

#include <asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/readmission.h"
#include "base/time.h"
#include "certs/node_identity.h"
#include "proto/bootstrap.pb.h"
#include "proto/local.pb.h"
#include "proto/session.pb.h"

namespace warren::agent {

// Keeps a node's certificate alive: asks for a new one over the session when its time has come, when the manager issues
// by another authority or when somebody wants it; takes the roots that the manager says; and where there can be no
// session, because the certificate has expired or nobody vouches for it any more, gets the node readmitted.
//
// Each new certificate is for a new key. What it gets is on disk before it is used or confirmed. A failed attempt
// changes nothing, and is repeated with backoff.
//
// Owner: the agent. Thread: the loop's.
class IdentityKeeper {
  public:
    struct Links {
        asio::io_context* loop = nullptr;
        std::function<std::filesystem::path()> directory;  // of the identity's files: where they are now
        base::Clock now;
        std::function<void(v1::FromAgent)> send;  // over the session; called only between its begin and its end
        // Called when the files have changed, which they have for good only if this does not fail; may be null.
        std::function<base::Status()> changed;
        // A manager in this very process, which can issue without a session; null where there is none.
        std::function<base::Result<v1::ReadmitReply>(const std::string& request_pem)> renew_own;
    };
    explicit IdentityKeeper(Links links) : links_(std::move(links)) {}

    // `identity` is the agent's; the keeper replaces it in place.
    void enter(certs::NodeIdentity& identity, std::string manager);
    // The node is in no cluster any more.
    void leave();
    // Counts the replacements: who has made TLS credentials of the identity makes new ones.
    [[nodiscard]] unsigned generation() const { return generation_; }

    void session_began();
    void session_ended();
    void take_trust(const v1::Trust& trust);
    void take_certificate(const v1::CertificateReply& reply);
    void tick();
    [[nodiscard]] bool expired() const;
    // What the manager is to know of the identity.
    [[nodiscard]] v1::CertificateUse use() const;

    // To be asked before a session is opened after so many failures. True: an attempt at readmission goes first; `then`
    // gets its outcome.
    [[nodiscard]] bool readmit_first(int failures, std::function<void(base::Status)> then);
    void stop();

    // The local API.
    using Respond = std::function<void(base::Result<v1::CertShowReply>)>;
    [[nodiscard]] v1::CertShowReply show() const;
    void renew(Respond respond);
    // What an operator should know: a renewal that does not come off for long.
    [[nodiscard]] std::optional<std::string> problem() const;

  private:
    struct Failure {
        int count = 0;
        std::string why;
        base::Time since;
        base::Time again;
    };
    struct Waiting {
        Respond respond;
        base::Time deadline;
    };

    Links links_;
    certs::NodeIdentity* identity_ = nullptr;
    std::string manager_;
    unsigned generation_ = 0;
    bool connected_ = false;
    std::string issuer_;  // key id of the authority that issues now; empty: not heard yet
    bool wanted_ = false;
    std::optional<certs::PrivateKey> asked_;  // the key of the request that is under way
    base::Time asked_at_;
    std::optional<Failure> failure_;
    std::vector<Waiting> waiting_;
    std::unique_ptr<Readmission> readmission_;

    [[nodiscard]] bool due(base::Time now) const;
    void ask(base::Time now);
    [[nodiscard]] base::Status send_request();
    void failed(const base::Error& why);
    void answer_waiting(const base::Status& outcome);
    base::Status replace(NewCertificate certificate);
    [[nodiscard]] base::Status tell_changed() const;
    void confirm();
    [[nodiscard]] base::Result<NewCertificate> ask_own_manager() const;
};

}  // namespace warren::agent
