#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kLongest = 512;

// Mostly small numbers: lengths, types and counts are where decoders go wrong.
std::uint8_t any_byte(std::mt19937& random) {
    return static_cast<std::uint8_t>(random() % 4 == 0 ? random() : random() % 24);
}

Input any_input(std::mt19937& random) {
    Input input(random() % kLongest);
    std::generate(input.begin(), input.end(), [&] { return any_byte(random); });
    return input;
}

// One to eight changes, each of a kind that a broken sender or an attacker would make.
Input mutated(Input input, std::mt19937& random) {
    const auto place = [&] { return static_cast<std::ptrdiff_t>(random() % input.size()); };
    for (auto changes = 1 + random() % 8; changes > 0 && !input.empty(); --changes) {
        const auto at = input.begin() + place();
        switch (random() % 5) {
            case 0:
                *at ^= static_cast<std::uint8_t>(1U << (random() % 8));
                break;
            case 1:
                *at = any_byte(random);
                break;
            case 2:
                input.erase(at, input.end());
                break;
            case 3:
                input.erase(at);
                break;
            default:
                input.insert(at, 1 + random() % 4, any_byte(random));
        }
    }
    return input;
}

// In the order of their names, so that every machine does the same.
std::vector<Input> read_corpus(const char* directory) {
    std::set<std::filesystem::path> names;
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
        names.insert(file.path());
    }
    std::vector<Input> corpus;
    for (const auto& name : names) {
        std::ifstream file(name, std::ios::binary);
        corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return corpus;
}

void run(const Input& input) {
    (void)LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

// PROGRAM COUNT [CORPUS]: so many random inputs, always the same ones; then every file of the directory CORPUS, and as
// many of these with changes. No coverage guides it: it finds what is near the surface, at every run of the tests; the
// fuzz preset finds the rest.
int main(int argc, char** argv) {
    const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1000;
    std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same inputs every time
    for (long i = 0; i < count; ++i) {
        run(any_input(random));
    }
    if (argc > 2) {
        const auto corpus = read_corpus(argv[2]);
        if (corpus.empty()) {
            std::fprintf(stderr, "%s is empty\n", argv[2]);
            return 1;
        }
        std::for_each(corpus.begin(), corpus.end(), run);
        for (long i = 0; i < count; ++i) {
            run(mutated(corpus[random() % corpus.size()], random));
        }
        std::printf("%zu files, and %ld that were made of them\n", corpus.size(), count);
    }
    std::printf("%ld random inputs\n", count);
    return 0;
}
