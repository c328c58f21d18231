#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/free.h"
#include "base/unique_fd.h"
#include "certs/node_identity.h"
#include "tests/unit/certs/test_cluster.h"

// A peer that keeps to no policy of ours: plain OpenSSL, of a TLS version that the test chooses.
namespace warren::certs {

using SslContext = base::Handle<SSL_CTX, &SSL_CTX_free>;
using Ssl = base::Handle<SSL, &SSL_free>;

inline SslContext raw_context(int version) {
    SslContext context(SSL_CTX_new(TLS_method()));
    // What the process-wide policy forbids.
    SSL_CTX_clear_options(context.get(), SSL_OP_NO_TLSv1_2);
    SSL_CTX_set_min_proto_version(context.get(), version);
    SSL_CTX_set_max_proto_version(context.get(), version);
    return context;
}

// "ok <version>" or OpenSSL's reason.
inline std::string outcome(const Ssl& ssl, int result) {
    if (result == 1) {
        return std::string("ok ") + SSL_get_version(ssl.get());
    }
    const char* reason = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    return reason != nullptr ? reason : "connection closed";
}

inline sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

struct RawHandshake {
    std::string outcome;
    bool resumable = false;  // the server handed out a session ticket
};

// Connects, shakes hands, waits for the first byte (session tickets come before it, RFC 8446 section 4.6.1), hangs up.
inline RawHandshake raw_connect(int port, int version) {
    const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return {.outcome = "no connection"};
    }
    const SslContext context = raw_context(version);
    constexpr std::string_view kAlpn = "\x02h2";
    SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(kAlpn.data()), kAlpn.size());
    const Ssl ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), fd.get());
    RawHandshake handshake{.outcome = outcome(ssl, SSL_connect(ssl.get()))};
    char first = 0;
    if (handshake.outcome.starts_with("ok") && SSL_read(ssl.get(), &first, 1) == 1) {
        handshake.resumable = SSL_SESSION_is_resumable(SSL_get0_session(ssl.get())) == 1;
    }
    return handshake;
}

// Listens at once; accept() takes one connection and tells how its handshake went.
class RawServer {
  public:
    RawServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address = loopback(0);
        socklen_t length = sizeof address;
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
        EXPECT_EQ(::listen(fd_.get(), 4), 0);
        EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
        port_ = ntohs(address.sin_port);
    }
    [[nodiscard]] int port() const { return port_; }

    [[nodiscard]] std::string accept(const NodeIdentity& self, int version) const {
        const base::SecretBytes key_pem = must(self.key().pem());
        const base::Handle<BIO, &BIO_free_all> key_bio(
            BIO_new_mem_buf(key_pem.reveal().data(), static_cast<int>(key_pem.size())));
        const base::Handle<BIO, &BIO_free_all> leaf_bio(BIO_new_mem_buf(self.chain_pem().c_str(), -1));
        const base::Handle<EVP_PKEY, &EVP_PKEY_free> key(
            PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
        const base::Handle<X509, &X509_free> leaf(PEM_read_bio_X509(leaf_bio.get(), nullptr, nullptr, nullptr));
        const SslContext context = raw_context(version);
        SSL_CTX_use_certificate(context.get(), leaf.get());
        SSL_CTX_use_PrivateKey(context.get(), key.get());
        SSL_CTX_set_alpn_select_cb(context.get(), &choose_h2, nullptr);
        const base::UniqueFd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const Ssl ssl(SSL_new(context.get()));
        SSL_set_fd(ssl.get(), peer.get());
        return outcome(ssl, SSL_accept(ssl.get()));
    }

  private:
    static int choose_h2(SSL* /*ssl*/, const unsigned char** out, unsigned char* length, const unsigned char* /*in*/,
                         unsigned int /*in_length*/, void* /*user*/) {
        static constexpr std::array<unsigned char, 2> kH2{'h', '2'};
        *out = kH2.data();
        *length = kH2.size();
        return SSL_TLSEXT_ERR_OK;
    }

    base::UniqueFd fd_;
    int port_ = 0;
};

}  // namespace warren::certs
