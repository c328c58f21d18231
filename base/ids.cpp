#include "base/ids.h"

#include "base/random.h"
#include "base/text.h"

namespace warren::base {

std::string id_text(const IdBytes& bytes) {
    return to_hex(bytes);
}

Result<IdBytes> parse_id_bytes(std::string_view what, std::string_view text) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != std::tuple_size_v<IdBytes>) {
        return fail(Code::kInvalid, "{} '{}': must be 32 hex digits", what, text);
    }
    IdBytes id{};
    std::copy(bytes->begin(), bytes->end(), id.begin());
    return id;
}

IdBytes random_id_bytes() {
    IdBytes id{};
    random_bytes(id);
    return id;
}

}  // namespace warren::base
