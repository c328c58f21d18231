#pragma once

#include <fmt/format.h>

#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace warren::base {

// A value or the reason why there is none.
template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// Makes an error result: `return fail(Code::kInvalid, "--subnet {}: {}", value, rule);`
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
    return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

// Makes an error result from errno (read it before anything else can change it).
[[nodiscard]] inline tl::unexpected<Error> fail_errno(std::string_view what, int sys_errno) {
    return tl::unexpected<Error>(Error::from_errno(what, sys_errno));
}

// Takes the error out of a failed result and puts "<context>: " before it, to return it from a function of another
// type.
template <typename T>
[[nodiscard]] tl::unexpected<Error> fail_in(std::string_view context, Result<T>&& failed) {
    return tl::unexpected<Error>(std::move(failed).error().in(context));
}
template <typename T>
[[nodiscard]] tl::unexpected<Error> fail_with(Result<T>&& failed) {
    return tl::unexpected<Error>(std::move(failed).error());
}

}  // namespace warren::base

#define WARREN_CONCAT_(a, b) a##b
#define WARREN_CONCAT(a, b) WARREN_CONCAT_(a, b)

// Returns the error of a Result expression from the calling function; the value is dropped.
#define WARREN_TRY(expression)                                                               \
    do {                                                                                     \
        if (auto warren_tried = (expression); !warren_tried) {                               \
            return ::tl::unexpected<::warren::base::Error>(std::move(warren_tried).error()); \
        }                                                                                    \
    } while (false)

// Declares `variable` with the value of a Result expression, or returns its error from the calling function.
#define WARREN_TRY_ASSIGN(variable, expression) \
    WARREN_TRY_ASSIGN_(WARREN_CONCAT(warren_result_, __LINE__), variable, expression)
#define WARREN_TRY_ASSIGN_(result, variable, expression)                           \
    auto result = (expression);                                                    \
    if (!result) {                                                                 \
        return ::tl::unexpected<::warren::base::Error>(std::move(result).error()); \
    }                                                                              \
    variable = *std::move(result)
