#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Other processes of this host, as /proc shows them; for people.
namespace warren::base {

// "process 812 (charon)".
[[nodiscard]] std::string process_text(std::uint64_t pid, std::string_view name);
// Whoever has the socket open, in these words. nullopt: nobody, as with sockets of the kernel's own. Reads all of
// /proc: some milliseconds.
[[nodiscard]] std::optional<std::string> find_socket_holder(std::uint64_t inode);

}  // namespace warren::base
