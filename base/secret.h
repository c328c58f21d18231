#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace warren::base {

// Overwrites memory in a way that the compiler may not drop.
void wipe(std::span<std::uint8_t> bytes);
void wipe(std::string& text);

// Memory for key material: in pages of its own that the kernel leaves out of core dumps (MADV_DONTDUMP) and, as far as
// the process may lock memory, does not swap out. Comes as zeros, and is wiped when it is given back. Any thread.
[[nodiscard]] std::uint8_t* allocate_secret(std::size_t size);
void free_secret(std::uint8_t* bytes, std::size_t size) noexcept;

template <typename T>
struct SecretAllocator {
    using value_type = T;
    static_assert(sizeof(T) == 1);

    SecretAllocator() = default;
    [[nodiscard]] T* allocate(std::size_t count) { return reinterpret_cast<T*>(allocate_secret(count)); }
    void deallocate(T* items, std::size_t count) noexcept {
        free_secret(reinterpret_cast<std::uint8_t*>(items), count);
    }
    bool operator==(const SecretAllocator&) const = default;
};

// N bytes of key material in such memory: can be moved but not copied, has no formatter and no stream operator,
// compares in constant time, and is wiped when it goes. What was moved from is all zeros, as what is new.
template <std::size_t N>
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::span<const std::uint8_t, N> bytes) : bytes_(allocate_secret(N)) {
        for (std::size_t i = 0; i < N; ++i) {
            bytes_[i] = bytes[i];
        }
    }
    Secret(Secret&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)) {}
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            clear();
            bytes_ = std::exchange(other.bytes_, nullptr);
        }
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { clear(); }

    // A second owner of the same bytes has to be asked for by name.
    [[nodiscard]] Secret clone() const { return Secret(reveal()); }

    [[nodiscard]] static constexpr std::size_t size() { return N; }
    [[nodiscard]] std::span<const std::uint8_t, N> reveal() const {
        return std::span<const std::uint8_t, N>(bytes_ == nullptr ? kZeros.data() : bytes_, N);
    }
    [[nodiscard]] std::span<std::uint8_t, N> reveal_mutable() {
        if (bytes_ == nullptr) {
            bytes_ = allocate_secret(N);
        }
        return std::span<std::uint8_t, N>(bytes_, N);
    }

    [[nodiscard]] bool operator==(const Secret& other) const {
        const auto mine = reveal();
        const auto theirs = other.reveal();
        std::uint8_t difference = 0;
        for (std::size_t i = 0; i < N; ++i) {
            difference = static_cast<std::uint8_t>(difference | (mine[i] ^ theirs[i]));
        }
        return difference == 0;
    }

  private:
    static constexpr std::array<std::uint8_t, N> kZeros{};
    std::uint8_t* bytes_ = nullptr;  // null: zeros

    void clear() noexcept {
        if (bytes_ != nullptr) {
            free_secret(std::exchange(bytes_, nullptr), N);
        }
    }
};

// Key material whose length only the running program knows, such as an encoded private key. The promises of Secret.
class SecretBytes {
  public:
    SecretBytes() = default;
    explicit SecretBytes(std::size_t size) : bytes_(size) {}
    explicit SecretBytes(std::span<const std::uint8_t> bytes) : bytes_(bytes.begin(), bytes.end()) {}
    SecretBytes(SecretBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        if (this != &other) {
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    ~SecretBytes() = default;  // its memory wipes itself

    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] std::span<const std::uint8_t> reveal() const { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t> reveal_mutable() { return bytes_; }

  private:
    std::vector<std::uint8_t, SecretAllocator<std::uint8_t>> bytes_;
};

}  // namespace warren::base
