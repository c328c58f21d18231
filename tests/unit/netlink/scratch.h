#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "netlink/attributes.h"
#include "netlink/kernel_socket.h"
#include "netlink/link.h"
#include "netlink/namespace.h"

// What the tests of this room share: namespaces of their own, iproute2 as a second opinion, recorded datagrams.
namespace warren::netlink {

// The value of a Result, or the end of the test binary with its error: for steps that must work for a test to mean
// anything.
template <typename T>
T must(base::Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "needed for this test: %s\n", result.error().message().c_str());
        std::abort();
    }
    if constexpr (!std::is_void_v<T>) {
        return *std::move(result);
    }
}

inline ::testing::AssertionResult ok(const base::Status& status) {
    return status ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << status.error().message();
}

inline ::testing::AssertionResult all_ok(const std::vector<base::Status>& results) {
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (!results[i]) {
            return ::testing::AssertionFailure() << "message " << i << ": " << results[i].error().message();
        }
    }
    return ::testing::AssertionSuccess();
}

// What `command` prints, run in `where`.
inline std::string shell(const Namespace& where, const std::string& command) {
    std::string out;
    must(run_in(where, [&]() -> base::Status {
        std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
        std::array<char, 4096> buffer{};
        while (pipe != nullptr && std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
            out += buffer.data();
        }
        if (pipe != nullptr) {
            ::pclose(pipe);
        }
        return {};
    }));
    return out;
}

// A network namespace of the test's own with a route socket in it.
struct Scratch {
    Namespace ns = must(Namespace::create_anonymous());
    Socket route = must(Socket::open_in(ns, Protocol::kRoute));

    Link link(const LinkRef& ref) { return must(read_link(route, ref)); }
    [[nodiscard]] std::string run(const std::string& command) const { return shell(ns, command); }
};

// A directory of the test's own, removed with it.
class ScratchDirectory {
  public:
    ScratchDirectory()
        : path_(std::filesystem::temp_directory_path() / fmt::format("warren-{:x}", base::random_u64())) {
        std::filesystem::create_directory(path_);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

using Datagram = std::vector<std::byte>;

inline Datagram unhex(std::string_view text) {
    const auto bytes = base::from_hex(text).value();
    const auto view = std::as_bytes(std::span(bytes));
    return {view.begin(), view.end()};
}

// The datagrams recorded in fixtures/<name>.hex.
inline std::vector<Datagram> fixture(const std::string& name) {
    std::vector<Datagram> out;
    std::ifstream file(std::string(WARREN_FIXTURES) + "/" + name + ".hex");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with('#')) {
            out.push_back(unhex(line));
        }
    }
    return out;
}

}  // namespace warren::netlink
