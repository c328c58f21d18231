#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/text.h"
#include "certs/authority.h"
#include "certs/external_authority.h"
#include "certs/node_identity.h"
#include "certs/token.h"
#include "tests/test_directory.h"

// What joiners and attackers send and what may be found on the disk: certificate requests, bundles, key files, tokens.
// Random bytes fail at the first character, so the input spoils what is right: a few bytes of a whole document, in its
// text or in the DER within.
namespace {

using namespace warren;

template <typename T>
T must(base::Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().message().c_str());
        std::abort();
    }
    return *std::move(result);
}

void check(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "%s\n", what);
        std::abort();
    }
}

std::string text_of(const certs::PrivateKey& key) {
    const auto pem = must(key.pem());
    return {pem.reveal().begin(), pem.reveal().end()};
}

// One cluster and one node of it, the same for all inputs.
struct Originals {
    base::Time now{std::chrono::hours(500'000)};
    base::ClusterId cluster = base::random_id<base::ClusterId>();
    certs::Authority authority = must(certs::Authority::make(cluster, "fuzz", now));
    certs::Identity identity{.cluster = cluster, .node = base::random_id<base::NodeId>()};
    certs::PrivateKey key = must(certs::PrivateKey::generate());
    std::string request = must(certs::make_request(key));
    std::string leaf = must(authority.issue(request, identity, std::chrono::hours(24), now));
    std::string key_pem = text_of(key);
    std::string authority_key_pem = text_of(authority.key());
    certs::Roots roots = must(certs::Roots::parse("roots", authority.root_pem()));
    std::string token = certs::JoinToken{.root_pin = roots.pin(), .secret = certs::random_token_secret()}.text();
};

// Pairs of position and value out of the input, written over the text.
std::string spoil(std::string text, std::string_view input) {
    for (std::size_t i = 0; i + 2 < input.size() && i < 12; i += 3) {
        const auto at = static_cast<std::uint8_t>(input[i]) * 256U + static_cast<std::uint8_t>(input[i + 1]);
        text[at % text.size()] = input[i + 2];
    }
    return text;
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The same within the base64 of a PEM document, so that it stays PEM and its DER is what changes.
std::string spoil_der(std::string pem, std::string_view input) {
    const auto begin = pem.find('\n') + 1;
    const auto end = pem.find("\n-----END");
    for (std::size_t i = 0; i + 2 < input.size() && i < 12; i += 3) {
        const auto at = static_cast<std::uint8_t>(input[i]) * 256U + static_cast<std::uint8_t>(input[i + 1]);
        auto& letter = pem[begin + at % (end - begin)];
        if (kBase64.find(letter) != std::string_view::npos) {
            letter = kBase64[static_cast<std::uint8_t>(input[i + 2]) % kBase64.size()];
        }
    }
    return pem;
}

// Whatever the request says, the certificate speaks for whom the issuer named, and chains to the root.
void try_request(const Originals& originals, const std::string& request) {
    const auto issued = originals.authority.issue(request, originals.identity, std::chrono::hours(24), originals.now);
    if (issued) {
        const auto leaf = must(originals.roots.verify("leaf", *issued, originals.now));
        check(leaf.identity == originals.identity, "a request chose whom its certificate is for");
    }
}

// A spoilt certificate is refused, or it is the one that it was.
void try_certificate(const Originals& originals, const std::string& pem) {
    (void)certs::parse_leaf("certificate", pem);
    const auto verified = originals.roots.verify("certificate", pem, originals.now);
    check(!verified || verified->identity == originals.identity, "a changed certificate is believed");
}

void try_key(const std::string& pem) {
    if (const auto key = certs::PrivateKey::from_pem("key", pem)) {
        (void)certs::make_request(*key);
    }
}

// What is taken for an authority is one: who trusts its roots believes what it signs.
void try_external_authority(const Originals& originals, const std::string& pem) {
    auto taken = certs::parse_external_authority("--external-root", pem, originals.now);
    if (!taken) {
        return;
    }
    const auto authority = must(certs::Authority::load(taken->certificate_pem, std::move(taken->key)));
    const auto leaf =
        must(authority.issue(originals.request, originals.identity, std::chrono::hours(24), originals.now));
    (void)must(must(certs::Roots::parse("roots", taken->roots_pem)).verify("leaf", leaf, originals.now));
}

// Base32 is read in either case.
void try_token(const Originals& originals, const std::string& text) {
    const auto lower = [](std::string mixed) {
        std::transform(mixed.begin(), mixed.end(), mixed.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        return mixed;
    };
    if (const auto token = certs::parse_join_token("token", text)) {
        check(lower(token->text()) == lower(text), "two texts for one token");
        const auto pin_of = [&](const std::string& whole) { return lower(whole.substr(0, whole.rfind('-'))); };
        check(!token->trusted(originals.roots) || pin_of(text) == pin_of(originals.token),
              "a token with another pin vouches for the same root");
    }
}

// node.pem and roots.pem as load_identity() finds them; files cost, so not with every input.
void try_files(const Originals& originals, const std::string& node, const std::string& roots) {
    static const TestDirectory place;
    const auto& directory = place.path();
    check(base::write_file_atomic(directory / "node.pem", node, 0600).has_value(), "write node.pem");
    check(base::write_file_atomic(directory / "roots.pem", roots, 0644).has_value(), "write roots.pem");
    const auto loaded = certs::load_identity(directory);
    check(!loaded || (loaded->has_value() && (*loaded)->identity() == originals.identity),
          "spoilt files are taken for another identity, or for none");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Originals originals;
    if (size < 4) {
        return 0;
    }
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto& root = originals.authority.root_pem();
    switch (data[0] % 9) {
        case 0:
            try_request(originals, spoil_der(originals.request, input));
            break;
        case 1:
            try_request(originals, spoil(originals.request, input));
            break;
        case 2:
            try_certificate(originals, spoil_der(originals.leaf, input));
            break;
        case 3:
            try_certificate(originals, spoil(originals.leaf, input));
            break;
        case 4:
            (void)certs::Roots::parse("roots", spoil_der(root, input));
            (void)certs::Roots::parse("roots", spoil(root + root, input));
            break;
        case 5:
            try_key(spoil_der(originals.key_pem, input));
            break;
        case 6:
            try_token(originals, spoil(originals.token, input));
            break;
        case 7:
            try_files(originals, spoil(originals.key_pem + originals.leaf, input), root);
            break;
        case 8:
            try_external_authority(originals, originals.authority_key_pem + spoil_der(root, input));
            try_external_authority(originals, spoil(originals.authority_key_pem + root, input));
            break;
    }
    return 0;
}
