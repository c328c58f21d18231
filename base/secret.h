#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace warren::base {

// Overwrites memory in a way that the compiler may not drop.
void wipe(std::span<std::uint8_t> bytes);

// N bytes of key material: can be moved but not copied, has no formatter and no stream operator, compares in constant
// time, and wipes itself when it goes and when it is moved from.
template <std::size_t N>
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::span<const std::uint8_t, N> bytes) { std::copy(bytes.begin(), bytes.end(), bytes_.begin()); }
    Secret(Secret&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            bytes_ = other.bytes_;
            wipe(other.bytes_);
        }
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { wipe(bytes_); }

    // A second owner of the same bytes has to be asked for by name.
    [[nodiscard]] Secret clone() const { return Secret(std::span<const std::uint8_t, N>(bytes_)); }

    [[nodiscard]] static constexpr std::size_t size() { return N; }
    [[nodiscard]] std::span<const std::uint8_t, N> reveal() const { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t, N> reveal_mutable() { return bytes_; }

    [[nodiscard]] bool operator==(const Secret& other) const {
        std::uint8_t difference = 0;
        for (std::size_t i = 0; i < N; ++i) {
            difference = static_cast<std::uint8_t>(difference | (bytes_[i] ^ other.bytes_[i]));
        }
        return difference == 0;
    }

  private:
    std::array<std::uint8_t, N> bytes_{};
};

// Key material whose length only the running program knows, such as an encoded private key. The promises of Secret.
class SecretBytes {
  public:
    SecretBytes() = default;
    explicit SecretBytes(std::span<const std::uint8_t> bytes) : bytes_(bytes.begin(), bytes.end()) {}
    SecretBytes(SecretBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        if (this != &other) {
            wipe(bytes_);
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    ~SecretBytes() { wipe(bytes_); }

    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] std::span<const std::uint8_t> reveal() const { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t> reveal_mutable() { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_;
};

}  // namespace warren::base
