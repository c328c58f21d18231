#include "base/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace warren::base {

namespace {

Code code_of(int sys_errno) {
    switch (sys_errno) {
        case ENOENT:
        case ESRCH:
        case ENODEV:
            return Code::kNotFound;
        case EEXIST:
        case EADDRINUSE:
        case EBUSY:
            return Code::kConflict;
        case EPERM:
        case EACCES:
            return Code::kDenied;
        case ECONNREFUSED:
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case ENETUNREACH:
            return Code::kUnavailable;
        default:
            return Code::kInternal;
    }
}

}  // namespace

std::string_view name(Code code) {
    switch (code) {
        case Code::kInvalid:
            return "invalid";
        case Code::kNotFound:
            return "not found";
        case Code::kConflict:
            return "conflict";
        case Code::kDenied:
            return "denied";
        case Code::kPrecondition:
            return "precondition";
        case Code::kExhausted:
            return "exhausted";
        case Code::kUnavailable:
            return "unavailable";
        case Code::kAborted:
            return "aborted";
        case Code::kInternal:
            return "internal";
    }
    return "internal";
}

Error Error::from_errno(std::string_view what, int sys_errno) {
    return {code_of(sys_errno), fmt::format("{}: {}", what, std::generic_category().message(sys_errno)), sys_errno};
}

Error Error::in(std::string_view context) && {
    message_ = fmt::format("{}: {}", context, message_);
    return std::move(*this);
}

}  // namespace warren::base
