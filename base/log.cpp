#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace warren::base {

namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug:
            return spdlog::level::debug;
        case LogLevel::kInfo:
            return spdlog::level::info;
        case LogLevel::kWarn:
            return spdlog::level::warn;
        case LogLevel::kError:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

// Made on first use and then for the life of the process: static destructors must not log into a dead logger.
spdlog::logger& logger() {
    static spdlog::logger* instance = [] {
        auto* made = new spdlog::logger("warren", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_formatter(
            std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
        made->set_level(spdlog::level::off);
        return made;
    }();
    return *instance;
}

std::string one_line(std::string_view text) {
    std::string line;
    line.reserve(text.size());
    for (const char c : text) {
        if (c == '\n') {
            line += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            line += '?';
        } else {
            line += c;
        }
    }
    return line;
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
    if (text == "debug") {
        return LogLevel::kDebug;
    }
    if (text == "info") {
        return LogLevel::kInfo;
    }
    if (text == "warn") {
        return LogLevel::kWarn;
    }
    if (text == "error") {
        return LogLevel::kError;
    }
    return fail(Code::kInvalid, "--log-level '{}': must be debug, info, warn or error", text);
}

void start_logging(LogLevel level) {
    logger().set_level(spdlog_level(level));
}

bool log_enabled(LogLevel level) {
    return logger().should_log(spdlog_level(level));
}

void log_line(LogLevel level, std::string_view room, std::string_view text) {
    logger().log(spdlog_level(level), "{}: {}", room, one_line(text));
}

}  // namespace warren::base
