#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "xfrm/engine.h"
#include "xfrm/fake_kernel.h"

// A small cluster for the tests of this room: members with numbers, networks with epochs, what each member wants of its
// kernel.
namespace warren::xfrm {

template <typename IdType>
IdType test_id(std::uint8_t number) {
    IdType id;
    id.bytes.fill(number);
    return id;
}

// Not random: an epoch's secret follows from its number, as if a manager had handed it out.
inline const keymgr::EpochSecret& test_secret(std::uint32_t epoch) {
    static std::map<std::uint32_t, keymgr::EpochSecret> secrets;
    const auto [place, fresh] = secrets.try_emplace(epoch);
    if (fresh) {
        std::fill(place->second.reveal_mutable().begin(), place->second.reveal_mutable().end(),
                  static_cast<std::uint8_t>(epoch));
    }
    return place->second;
}

inline Member test_member(std::uint16_t index, std::uint64_t membership = 0) {
    return {.node = test_id<base::NodeId>(static_cast<std::uint8_t>(index)),
            .index = base::NodeIndex{index},
            .vtep = base::IpAddress::v4(0x0a000000U + index),
            .membership = base::MembershipId{membership != 0 ? membership : 0x1000U + index}};
}

inline EpochView test_epoch(std::uint32_t number) {
    return {.number = base::Epoch{number},
            .slot = base::EpochSlot{static_cast<std::uint8_t>(number % 4)},
            .secret = &test_secret(number)};
}

inline Peer test_peer(const Member& member, std::uint32_t send, const std::vector<std::uint32_t>& receive) {
    Peer peer{.member = member, .send = base::Epoch{send}};
    for (const std::uint32_t epoch : receive) {
        peer.receive.emplace_back(epoch);
    }
    return peer;
}

// Network `index` as member 1 sees it, alone and without an epoch.
inline Network test_network(std::uint16_t index = 7, std::uint16_t self = 1) {
    return {.cluster = test_id<base::ClusterId>(0xcc),
            .id = test_id<base::NetworkId>(static_cast<std::uint8_t>(index)),
            .index = base::NetworkIndex{index},
            .port = base::UdpPort{static_cast<std::uint16_t>(10000 + index)},
            .self = test_member(self)};
}

// With peers 2 and 3, sending in the newest of `epochs` and receiving all.
inline Network test_network_of_three(const std::vector<std::uint32_t>& epochs = {1}, std::uint16_t index = 7,
                                     std::uint16_t self = 1) {
    Network network = test_network(index, self);
    for (const std::uint32_t epoch : epochs) {
        network.epochs.push_back(test_epoch(epoch));
    }
    for (const std::uint16_t peer : std::initializer_list<std::uint16_t>{1, 2, 3}) {
        if (peer != self) {
            network.peers.push_back(test_peer(test_member(peer), epochs.back(), epochs));
        }
    }
    return network;
}

// In memory where there is such a place, as a run directory is.
class ScratchDirectory {
  public:
    ScratchDirectory() {
        std::error_code none;
        const std::filesystem::path memory = "/dev/shm";
        const auto above =
            std::filesystem::is_directory(memory, none) ? memory : std::filesystem::temp_directory_path();
        path_ = above / fmt::format("warren-xfrm-{:016x}", base::random_u64());
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

// The value, or the end of the test program with the error.
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

// What failed, for messages.
inline std::string errors(const Outcome& outcome) {
    std::string text = fmt::format("{} lost", outcome.lost.size());
    for (const base::Error& error : outcome.failed) {
        text += "; " + error.message();
    }
    return text;
}
inline ::testing::AssertionResult complete(const Outcome& outcome) {
    return outcome.complete() ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << errors(outcome);
}

// A host: a kernel that outlives the engine, and the engine's directory.
struct Host {
    FakeKernel kernel;
    ScratchDirectory directory;
    std::unique_ptr<Engine> engine;

    Host() { restart(); }

    void restart() {
        engine.reset();
        engine = must(Engine::open({.run_dir = directory.path()}, kernel));
    }
};

}  // namespace warren::xfrm
