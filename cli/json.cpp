#include "cli/json.h"

#include <google/protobuf/util/json_util.h>

namespace warren::cli {

std::string to_json(const google::protobuf::Message& message, JsonStyle style) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    options.always_print_primitive_fields = true;
    options.add_whitespace = style == JsonStyle::kIndented;
    std::string text;
    // Fails only for well-known types that hold nonsense; the API has none.
    const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
    if (!status.ok() || text.empty()) {
        return "{}\n";
    }
    return text.back() == '\n' ? text : text + "\n";
}

}  // namespace warren::cli
