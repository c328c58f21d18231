#pragma once

#include <array>
#include <cstdio>
#include <string>

namespace warren {

// What a shell command says, on standard output and standard error: for programs that share no code with ours.
inline std::string run_shell(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
    std::string output;
    std::array<char, 4096> chunk{};
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
        output.append(chunk.data(), got);
    }
    ::pclose(pipe);
    return output;
}

}  // namespace warren
