#include "keymgr/sealing.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/files.h"
#include "base/free.h"
#include "base/random.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace warren::keymgr {
namespace {

using base::Code;
using base::fail;
using CipherContext = base::Handle<EVP_CIPHER_CTX, &EVP_CIPHER_CTX_free>;  // clears its key schedule

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kIdLength = KeyEncryptionKey::Id{}.size();
constexpr std::size_t kNonceLength = 12;
constexpr std::size_t kTagLength = 16;
constexpr std::size_t kHeaderLength = 1 + kIdLength;
constexpr std::size_t kOverhead = kHeaderLength + kNonceLength + kTagLength;
constexpr std::size_t kMaxPlaintext = 1U << 20U;  // what is sealed is small; keeps lengths in int

// The name of the key in sealed bytes: HMAC-SHA256(key, label), cut.
constexpr std::string_view kIdLabel = "warren kek id 1";

std::span<const std::uint8_t> as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::uint8_t* as_bytes(char* text) {
    return reinterpret_cast<std::uint8_t*>(text);
}
int length_of(std::span<const std::uint8_t> bytes) {
    return static_cast<int>(bytes.size());
}

tl::unexpected<base::Error> library_failed(std::string_view what) {
    const char* reason = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    return fail(Code::kInternal, "{}: libcrypto: {}", what, reason != nullptr ? reason : "failed");
}

// The header and the context are authenticated with the plaintext.
bool add_associated(EVP_CIPHER_CTX* context, std::string_view header, std::string_view purpose, bool sealing) {
    const auto update = sealing ? &EVP_EncryptUpdate : &EVP_DecryptUpdate;
    int written = 0;
    return update(context, nullptr, &written, as_bytes(header).data(), length_of(as_bytes(header))) == 1 &&
           update(context, nullptr, &written, as_bytes(purpose).data(), length_of(as_bytes(purpose))) == 1;
}

base::Result<base::Secret<32>> read_key_file(const std::filesystem::path& path) {
    const base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) {
        const int error = errno;
        return tl::unexpected<base::Error>(base::Error(error == ENOENT ? Code::kNotFound : Code::kInternal,
                                                       base::Error::from_errno(path.native(), error).message(), error));
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        return base::fail_errno(path.native(), errno);
    }
    if (!S_ISREG(status.st_mode) || (status.st_mode & 077U) != 0) {
        return fail(Code::kPrecondition, "{}: mode {:04o}: must be a file that only its owner may read: chmod 600 {}",
                    path.native(), status.st_mode & 07777U, path.native());
    }
    base::Secret<32> key;
    const auto bytes = key.reveal_mutable();
    const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
    if (got < 0) {
        return base::fail_errno(path.native(), errno);
    }
    if (static_cast<std::size_t>(got) != bytes.size() || status.st_size != static_cast<off_t>(bytes.size())) {
        return fail(Code::kPrecondition, "{}: {} bytes: must be 32; restore the file from a backup", path.native(),
                    status.st_size);
    }
    return key;
}

}  // namespace

base::Result<KeyEncryptionKey> KeyEncryptionKey::from(base::Secret<32> bytes) {
    std::array<std::uint8_t, 32> code{};
    std::size_t length = 0;
    if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, bytes.reveal().data(), bytes.size(),
                  as_bytes(kIdLabel).data(), kIdLabel.size(), code.data(), code.size(), &length) == nullptr) {
        return library_failed("name the key-encryption key");
    }
    Id id{};
    std::copy_n(code.begin(), id.size(), id.begin());
    return KeyEncryptionKey(std::move(bytes), id);
}

base::Result<KeyEncryptionKey> KeyEncryptionKey::random() {
    base::Secret<32> bytes;
    base::random_bytes(bytes.reveal_mutable());
    return from(std::move(bytes));
}

bool sealed_under(const KeyEncryptionKey& kek, std::string_view sealed) {
    return sealed.size() >= kOverhead && std::ranges::equal(as_bytes(sealed).subspan(1, kIdLength), kek.id());
}

base::Result<std::string> seal(const KeyEncryptionKey& kek, std::span<const std::uint8_t> plaintext,
                               std::string_view context) {
    if (plaintext.size() > kMaxPlaintext) {
        return fail(Code::kInvalid, "seal {}: {} bytes: must be at most {}", context, plaintext.size(), kMaxPlaintext);
    }
    std::string sealed(kOverhead + plaintext.size(), '\0');
    sealed[0] = static_cast<char>(kVersion);
    std::copy(kek.id().begin(), kek.id().end(), sealed.begin() + 1);
    std::uint8_t* const nonce = as_bytes(sealed.data()) + kHeaderLength;
    base::random_bytes({nonce, kNonceLength});
    std::uint8_t* const out = nonce + kNonceLength;
    std::uint8_t* const tag = out + plaintext.size();

    const CipherContext cipher(EVP_CIPHER_CTX_new());
    int written = 0;
    if (!cipher || EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, kek.reveal().data(), nonce) != 1 ||
        !add_associated(cipher.get(), std::string_view(sealed).substr(0, kHeaderLength), context, true) ||
        EVP_EncryptUpdate(cipher.get(), out, &written, plaintext.data(), length_of(plaintext)) != 1 ||
        EVP_EncryptFinal_ex(cipher.get(), tag, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTagLength, tag) != 1) {
        return library_failed(fmt::format("seal {}", context));
    }
    return sealed;
}

base::Result<Unsealed> open(const KeyEncryptionKey& kek, std::string_view sealed, std::string_view context) {
    if (sealed.size() < kOverhead) {
        return fail(Code::kInternal, "open {}: damaged: {} bytes are too few", context, sealed.size());
    }
    const auto bytes = as_bytes(sealed);
    if (bytes[0] != kVersion) {
        return fail(Code::kPrecondition, "open {}: sealed in format {}, this version knows format {}", context,
                    bytes[0], kVersion);
    }
    if (const auto id = bytes.subspan(1, kIdLength); !std::ranges::equal(id, kek.id())) {
        return fail(Code::kPrecondition, "open {}: sealed under key {}, but the key-encryption key here is {}", context,
                    base::to_hex(id), base::to_hex(kek.id()));
    }
    const auto nonce = bytes.subspan(kHeaderLength, kNonceLength);
    const auto text = bytes.subspan(kHeaderLength + kNonceLength, sealed.size() - kOverhead);
    std::array<std::uint8_t, kTagLength> tag{};
    std::ranges::copy(bytes.last(kTagLength), tag.begin());
    Unsealed opened(text.size());

    const CipherContext cipher(EVP_CIPHER_CTX_new());
    int written = 0;
    if (!cipher ||
        EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, kek.reveal().data(), nonce.data()) != 1 ||
        !add_associated(cipher.get(), sealed.substr(0, kHeaderLength), context, false) ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTagLength, tag.data()) != 1 ||
        EVP_DecryptUpdate(cipher.get(), opened.reveal_mutable().data(), &written, text.data(), length_of(text)) != 1) {
        return library_failed(fmt::format("open {}", context));
    }
    if (EVP_DecryptFinal_ex(cipher.get(), tag.data(), &written) != 1) {
        ERR_clear_error();
        return fail(Code::kInternal, "open {}: damaged, or sealed for something else", context);
    }
    return opened;
}

base::Result<KeyEncryptionKey> load_kek(const std::filesystem::path& path) {
    auto bytes = read_key_file(path);
    if (!bytes) {
        return base::fail_in("key-encryption key", std::move(bytes));
    }
    return KeyEncryptionKey::from(*std::move(bytes));
}

base::Result<KeyEncryptionKey> create_kek(const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
        return fail(Code::kConflict, "key-encryption key: {} exists: it is never replaced", path.native());
    }
    WARREN_TRY_ASSIGN(auto kek, KeyEncryptionKey::random());
    WARREN_TRY(save_kek(path, kek));
    return kek;
}

base::Status save_kek(const std::filesystem::path& path, const KeyEncryptionKey& kek) {
    const auto bytes = kek.reveal();
    auto written =
        base::replace_secret_file(path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    return written ? base::Status() : base::Status(base::fail_in("key-encryption key", std::move(written)));
}

base::Result<KeyEncryptionKey> load_or_create_kek(const std::filesystem::path& path, bool something_sealed) {
    auto loaded = load_kek(path);
    if (loaded || loaded.error().code() != Code::kNotFound) {
        return loaded;
    }
    if (something_sealed) {
        return fail(Code::kPrecondition,
                    "key-encryption key: {} is missing, but the store holds secrets sealed under it: restore the file",
                    path.native());
    }
    return create_kek(path);
}

}  // namespace warren::keymgr
