#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace warren::base {

// What a caller can do about an error; the exit codes and gRPC codes derive from it.
enum class Code : std::uint8_t {
    kInvalid,       // the request breaks a rule that does not depend on state: field, value, rule
    kNotFound,      // what the request names does not exist
    kConflict,      // exists already, is taken, overlaps, is in use
    kDenied,        // who asks may not
    kPrecondition,  // fine in itself, but not in this state (not in a cluster, no ESP in this kernel)
    kExhausted,     // a pool or limit is used up
    kUnavailable,   // a peer or daemon does not answer; trying again may help
    kAborted,       // lost a race; trying again will help
    kInternal,      // the kernel, the disk or a library failed, or a bug
};

[[nodiscard]] std::string_view name(Code code);

// An error: what can be done about it, the system's number if there was one, and a text that grows on the way up:
// "connect web to net1: create vxlan vx0: netlink: EEXIST: <extack>". Never holds a secret.
class Error {
  public:
    Error(Code code, std::string message, int sys_errno = 0)
        : message_(std::move(message)), sys_errno_(sys_errno), code_(code) {}

    // From errno: "<what>: No such file or directory".
    [[nodiscard]] static Error from_errno(std::string_view what, int sys_errno);

    [[nodiscard]] Code code() const { return code_; }
    [[nodiscard]] int sys_errno() const { return sys_errno_; }
    [[nodiscard]] const std::string& message() const { return message_; }

    // The same error with "<context>: " in front.
    [[nodiscard]] Error in(std::string_view context) &&;

    bool operator==(const Error&) const = default;

  private:
    std::string message_;
    int sys_errno_;
    Code code_;
};

}  // namespace warren::base
