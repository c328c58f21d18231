#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// PROGRAM COUNT: so many random inputs, always the same ones. No coverage guides it: it finds what is near the surface,
// at every run of the tests; the fuzz preset finds the rest.
int main(int argc, char** argv) {
    constexpr std::size_t kLongest = 512;
    const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1000;
    std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same inputs every time
    std::vector<std::uint8_t> input;
    for (long i = 0; i < count; ++i) {
        input.resize(random() % kLongest);
        for (auto& byte : input) {
            // Mostly small numbers: lengths, types and counts are where decoders go wrong.
            byte = static_cast<std::uint8_t>(random() % 4 == 0 ? random() : random() % 24);
        }
        (void)LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%ld inputs\n", count);
    return 0;
}
