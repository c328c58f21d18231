#pragma once

#include <cstdint>
#include <optional>
#include <string>

// Other processes of this host, as /proc shows them; for people.
namespace warren::base {

// "process 812 (charon)"; nullopt: it is gone.
[[nodiscard]] std::optional<std::string> describe_process(std::uint64_t pid);
// Whoever has the socket open. nullopt: nobody, as with sockets of the kernel's own. Reads all of /proc: some
// milliseconds.
[[nodiscard]] std::optional<std::string> find_socket_holder(std::uint64_t inode);

}  // namespace warren::base
