#include "base/secret.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>

namespace warren::base {

namespace {

constexpr std::size_t kSmallest = 32;
constexpr std::size_t kLargest = 4096;  // larger ones get a mapping each
constexpr std::size_t kClasses = std::countr_zero(kLargest) - std::countr_zero(kSmallest) + 1;
constexpr std::size_t kArena = 64U << 10U;

std::size_t whole_pages(std::size_t size) {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
}

std::uint8_t* map(std::size_t size) {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::bad_alloc();
    }
    ::madvise(memory, size, MADV_DONTDUMP);
    ::mlock(memory, size);  // beyond RLIMIT_MEMLOCK it stays swappable, and works
    return static_cast<std::uint8_t*>(memory);
}

// Pieces of a power of two, cut from arenas that are kept for ever. What is free is known outside of the pieces: they
// hold nothing but secrets and zeros.
class Pool {
  public:
    std::uint8_t* take(std::size_t index) {
        const std::lock_guard guard(mutex_);
        auto& free = free_[index];
        if (free.empty()) {
            const std::size_t size = kSmallest << index;
            std::uint8_t* const arena = map(kArena);
            free.reserve(free.capacity() + kArena / size);  // so that putting back needs no memory
            for (std::size_t offset = kArena; offset != 0; offset -= size) {
                free.push_back(arena + offset - size);
            }
        }
        std::uint8_t* const piece = free.back();
        free.pop_back();
        return piece;
    }
    void put(std::size_t index, std::uint8_t* piece) noexcept {
        const std::lock_guard guard(mutex_);
        free_[index].push_back(piece);
    }

  private:
    std::mutex mutex_;
    std::array<std::vector<std::uint8_t*>, kClasses> free_;
};

// Outlives every secret, those of static objects included.
Pool& pool() {
    static auto* const the_pool = new Pool;
    return *the_pool;
}

std::size_t class_of(std::size_t size) {
    return static_cast<std::size_t>(std::countr_zero(std::bit_ceil(std::max(size, kSmallest))) -
                                    std::countr_zero(kSmallest));
}

}  // namespace

void wipe(std::span<std::uint8_t> bytes) {
    if (!bytes.empty()) {
        ::explicit_bzero(bytes.data(), bytes.size());
    }
}

void wipe(std::string& text) {
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

std::uint8_t* allocate_secret(std::size_t size) {
    return size > kLargest ? map(whole_pages(size)) : pool().take(class_of(size));
}

void free_secret(std::uint8_t* bytes, std::size_t size) noexcept {
    wipe({bytes, size});
    if (size > kLargest) {
        ::munmap(bytes, whole_pages(size));
    } else {
        pool().put(class_of(size), bytes);
    }
}

}  // namespace warren::base
