#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

// A preloaded library: the wall clock of one process is wrong by the seconds that the file $WARREN_LAB_CLOCK has, an
// std::int64_t, at any moment. Clocks that only measure time go right.
namespace {

const std::atomic<std::int64_t>* map_shift() {
    const int file = ::open(std::getenv("WARREN_LAB_CLOCK"), O_RDONLY | O_CLOEXEC);
    void* const mapped = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        std::abort();
    }
    ::close(file);
    return static_cast<const std::atomic<std::int64_t>*>(mapped);
}

time_t shift() {
    static const auto* const seconds = map_shift();
    return *seconds;
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
    using Function = int (*)(clockid_t, timespec*);
    static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "clock_gettime"));
    const int result = real(clock, now);
    if (clock == CLOCK_REALTIME && result == 0) {
        now->tv_sec += shift();
    }
    return result;
}

extern "C" time_t time(time_t* out) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != nullptr) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

extern "C" int gettimeofday(timeval* now, void* /*zone*/) noexcept {
    timespec precise{};
    const int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}
