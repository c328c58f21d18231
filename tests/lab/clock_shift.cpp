#include <dlfcn.h>
#include <sys/time.h>

#include <cstdlib>
#include <ctime>

// A preloaded library: the wall clock of one process is wrong by $WARREN_LAB_CLOCK_SHIFT seconds. Clocks that only
// measure time go right.
namespace {

time_t shift() {
    static const time_t seconds = std::atol(std::getenv("WARREN_LAB_CLOCK_SHIFT"));
    return seconds;
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
