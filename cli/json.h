#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace warren::cli {

enum class JsonStyle : std::uint8_t {
    kIndented,  // one answer
    kLine,      // one of several, each on a line of its own
};

// The message with its proto field names, fields at their default value included. Ends in a newline. 64-bit numbers are
// strings, as in all JSON of protobuf.
[[nodiscard]] std::string to_json(const google::protobuf::Message& message, JsonStyle style);

}  // namespace warren::cli
