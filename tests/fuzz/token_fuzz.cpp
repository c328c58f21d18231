#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/ip.h"
#include "base/text.h"
#include "base/time.h"
#include "certs/leaf.h"
#include "certs/roots.h"
#include "certs/token.h"

// What people and joiners type and send: tokens, addresses, durations, certificates.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)warren::certs::parse_join_token("token", text);
    (void)warren::certs::Roots::parse("roots", text);
    (void)warren::certs::parse_leaf("certificate", text);
    (void)warren::base::parse_prefix("prefix", text);
    (void)warren::base::parse_socket_address("address", text, 1);
    (void)warren::base::parse_mac("mac", text);
    (void)warren::base::parse_duration("duration", text);
    (void)warren::base::check_name("name", text);
    (void)warren::base::from_base32(text);
    return 0;
}
