#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace warren::base {

// Who must act: error = the operator now, warn = the operator some time, info = nobody, a change of state worth
// keeping, debug = the developer.
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view text);

// Call once in main. Lines go to stderr, "2026-01-31T12:00:00.123Z info agent: text". Before it everything is dropped,
// so tests are quiet.
void start_logging(LogLevel level);

// Writes one line; `room` says who speaks. Any thread. Line breaks in `text` are shown as \n, so that nobody can forge
// a line.
void log_line(LogLevel level, std::string_view room, std::string_view text);
[[nodiscard]] bool log_enabled(LogLevel level);

// A named source of lines: `constexpr Log kLog{"agent"}; kLog.info("joined {}", id);`
struct Log {
    std::string_view room;

    template <typename... Args>
    void debug(fmt::format_string<Args...> format, Args&&... args) const {
        write(LogLevel::kDebug, format, std::forward<Args>(args)...);
    }
    template <typename... Args>
    void info(fmt::format_string<Args...> format, Args&&... args) const {
        write(LogLevel::kInfo, format, std::forward<Args>(args)...);
    }
    template <typename... Args>
    void warn(fmt::format_string<Args...> format, Args&&... args) const {
        write(LogLevel::kWarn, format, std::forward<Args>(args)...);
    }
    template <typename... Args>
    void error(fmt::format_string<Args...> format, Args&&... args) const {
        write(LogLevel::kError, format, std::forward<Args>(args)...);
    }

  private:
    template <typename... Args>
    void write(LogLevel level, fmt::format_string<Args...> format, Args&&... args) const {
        if (log_enabled(level)) {
            log_line(level, room, fmt::format(format, std::forward<Args>(args)...));
        }
    }
};

}  // namespace warren::base
