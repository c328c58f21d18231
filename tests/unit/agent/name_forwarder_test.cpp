#include "agent/name_forwarder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <asio/read.hpp>
#include <asio/write.hpp>
#include <fstream>
#include <string>
#include <string_view>

#include "dns/resolvers.h"
#include "tests/own_network.h"

namespace warren::agent {
namespace {

using namespace std::string_view_literals;
using namespace std::chrono_literals;
using Bytes = std::vector<std::uint8_t>;

constexpr auto kQuery = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x03org\x00\x00\x01\x00\x01"sv;

Bytes query_bytes() {
    return {kQuery.begin(), kQuery.end()};
}

base::NetworkId network(std::uint8_t number) {
    base::NetworkId id;
    id.bytes[0] = number;
    return id;
}

// A resolver: answers every question with an answer that has this code and its own last byte behind it.
class Resolver {
  public:
    enum class Kind : std::uint8_t { kAnswers, kSilent, kFails, kLies };

    Resolver(asio::io_context& loop, const std::string& address, Kind kind)
        : kind_(kind),
          mark_(asio::ip::make_address_v4(address).to_bytes()[3]),
          udp_(loop, {asio::ip::make_address(address), 53}),
          tcp_(loop, {asio::ip::make_address(address), 53}) {
        hear();
        accept();
    }
    [[nodiscard]] int asked() const { return asked_; }
    [[nodiscard]] const std::vector<std::uint16_t>& numbers() const { return numbers_; }
    void become(Kind kind) { kind_ = kind; }

  private:
    Bytes reply_to(std::span<const std::uint8_t> query) {
        ++asked_;
        numbers_.push_back(static_cast<std::uint16_t>(query[0] << 8U | query[1]));
        Bytes reply(query.begin(), query.end());
        reply[2] |= 0x80;
        reply[3] = kind_ == Kind::kFails ? 2 : 0;
        reply.push_back(mark_);
        return reply;
    }
    void hear() {
        udp_.async_receive_from(asio::buffer(buffer_), from_, [this](const asio::error_code& error, std::size_t size) {
            if (error) {
                return;
            }
            auto reply = reply_to(std::span(buffer_).first(size));
            if (kind_ == Kind::kLies) {
                auto guess = reply;
                guess[1] ^= 1;
                guess.back() = 99;
                udp_.send_to(asio::buffer(guess), from_);
            }
            if (kind_ != Kind::kSilent) {
                udp_.send_to(asio::buffer(reply), from_);
            }
            hear();
        });
    }
    void accept() {
        tcp_.async_accept([this](const asio::error_code& error, asio::ip::tcp::socket accepted) {
            if (error) {
                return;
            }
            const auto socket = std::make_shared<asio::ip::tcp::socket>(std::move(accepted));
            const auto query = std::make_shared<Bytes>(2 + kQuery.size());
            asio::async_read(*socket, asio::buffer(*query),
                             [this, socket, query](const asio::error_code& failed, auto) {
                                 EXPECT_FALSE(failed);
                                 auto reply = reply_to(std::span(*query).subspan(2));
                                 reply.insert(reply.end(), 5000, 7);
                                 reply.insert(reply.begin(), {static_cast<std::uint8_t>(reply.size() >> 8U),
                                                              static_cast<std::uint8_t>(reply.size())});
                                 asio::write(*socket, asio::buffer(reply));
                             });
            accept();
        });
    }

    Kind kind_;
    std::uint8_t mark_;
    int asked_ = 0;
    std::vector<std::uint16_t> numbers_;
    asio::ip::udp::socket udp_;
    asio::ip::tcp::acceptor tcp_;
    asio::ip::udp::endpoint from_;
    std::array<std::uint8_t, 512> buffer_{};
};

class NameForwarderTest : public testing::Test {
  protected:
    using Kind = Resolver::Kind;

    void SetUp() override {
        enter_own_network();
        write("nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
        forwarder_.emplace(loop_, file_);
    }
    void TearDown() override { std::filesystem::remove(file_); }

    void write(std::string_view text) const { std::ofstream(file_) << text; }

    struct Heard {
        bool done = false;
        Bytes reply;
    };
    std::shared_ptr<Heard> ask(std::uint8_t of = 1, bool tcp = false) {
        auto heard = std::make_shared<Heard>();
        forwarder_->ask(network(of), *dns::parse_query(query_bytes()), query_bytes(), tcp, [heard](Bytes reply) {
            EXPECT_FALSE(heard->done) << "told twice";
            *heard = {.done = true, .reply = std::move(reply)};
        });
        return heard;
    }
    void run_until(const std::shared_ptr<Heard>& heard, std::chrono::milliseconds limit = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (!heard->done && std::chrono::steady_clock::now() < deadline) {
            loop_.restart();
            loop_.run_for(5ms);
        }
    }
    // Who answered, by the last number of its address; 0: nobody.
    int answered_by(std::uint8_t of = 1) {
        const auto heard = ask(of);
        run_until(heard);
        EXPECT_TRUE(heard->done);
        return heard->reply.empty() ? 0 : heard->reply.back();
    }

    asio::io_context loop_;
    std::filesystem::path file_ =
        std::filesystem::temp_directory_path() / ("warren-resolv-" + std::to_string(::getpid()));
    std::optional<NameForwarder> forwarder_;
};

TEST_F(NameForwarderTest, TheAnswerComesBackUnderTheAskersNumber) {
    const Resolver first(loop_, "127.0.0.1", Kind::kAnswers);
    const auto heard = ask();
    run_until(heard);
    ASSERT_EQ(heard->reply.size(), kQuery.size() + 1);
    EXPECT_EQ(heard->reply[0], 0x12);
    EXPECT_EQ(heard->reply[1], 0x34);
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(answered_by(), 1);
    }
    const std::set<std::uint16_t> numbers(first.numbers().begin(), first.numbers().end());
    EXPECT_GT(numbers.size(), 15U) << "numbers that anybody can guess";
}

TEST_F(NameForwarderTest, WhoGuessesIsNotHeard) {
    const Resolver first(loop_, "127.0.0.1", Kind::kLies);
    EXPECT_EQ(answered_by(), 1);
}

TEST_F(NameForwarderTest, ASilentResolverIsLeftForTheNextAndAskedLast) {
    const Resolver first(loop_, "127.0.0.1", Kind::kSilent);
    const Resolver second(loop_, "127.0.0.2", Kind::kAnswers);
    EXPECT_EQ(answered_by(), 2);
    EXPECT_EQ(first.asked(), 1);
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(answered_by(), 2);
    EXPECT_EQ(first.asked(), 1) << "it is asked again, and every question waits for it";
    EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
}

TEST_F(NameForwarderTest, AResolverThatIsNotThereIsLeftAtOnce) {
    const Resolver second(loop_, "127.0.0.2", Kind::kAnswers);
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(answered_by(), 2);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
}

TEST_F(NameForwarderTest, AFailureOfOneIsNotTheAnswerWhileThereIsAnother) {
    Resolver first(loop_, "127.0.0.1", Kind::kFails);
    Resolver second(loop_, "127.0.0.2", Kind::kAnswers);
    EXPECT_EQ(answered_by(), 2);
    second.become(Kind::kFails);
    const auto heard = ask();
    run_until(heard);
    ASSERT_FALSE(heard->reply.empty());
    EXPECT_EQ(heard->reply[3] & 0xf, 2) << "what they say is passed on";
}

TEST_F(NameForwarderTest, WhenNobodyAnswersTheAskerIsTold) {
    EXPECT_EQ(answered_by(), 0);
    write("");
    forwarder_.emplace(loop_, file_);
    EXPECT_EQ(answered_by(), 0) << "no resolver at all";
    forwarder_.emplace(loop_, "/nowhere");
    EXPECT_EQ(answered_by(), 0);
}

TEST_F(NameForwarderTest, WhatComesByTcpGoesByTcp) {
    const Resolver first(loop_, "127.0.0.1", Kind::kAnswers);
    const auto heard = ask(1, true);
    run_until(heard);
    EXPECT_EQ(heard->reply.size(), kQuery.size() + 5001);
}

TEST_F(NameForwarderTest, TheFileIsReadAgainWhenItChanges) {
    const Resolver first(loop_, "127.0.0.1", Kind::kAnswers);
    const Resolver third(loop_, "127.0.0.3", Kind::kAnswers);
    EXPECT_EQ(answered_by(), 1);
    write("nameserver 127.0.0.3\n");
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    int by = 1;
    while (by != 3 && std::chrono::steady_clock::now() < deadline) {
        by = answered_by();
    }
    EXPECT_EQ(by, 3);
}

TEST_F(NameForwarderTest, OneNetworksFloodLeavesTheOthersTheirShare) {
    Resolver first(loop_, "127.0.0.1", Kind::kSilent);
    std::vector<std::shared_ptr<Heard>> flood;
    std::size_t refused = 0;
    for (int i = 0; i < 400; ++i) {
        flood.push_back(ask(1));
        refused += flood.back()->done ? 1U : 0U;
    }
    EXPECT_EQ(refused, 150U);
    first.become(Kind::kAnswers);
    const auto other = ask(2);
    run_until(other, 1s);
    EXPECT_FALSE(other->reply.empty());
    forwarder_->forget(network(1));
    EXPECT_EQ(answered_by(1), 1) << "what was forgotten counts no more";
}

TEST_F(NameForwarderTest, WhoIsForgottenHearsNothing) {
    const Resolver first(loop_, "127.0.0.1", Kind::kAnswers);
    const auto heard = ask();
    forwarder_->forget(network(1));
    run_until(heard, 200ms);
    EXPECT_FALSE(heard->done);
    const auto late = ask();
    forwarder_.reset();
    run_until(late, 200ms);
    EXPECT_FALSE(late->done);
}

}  // namespace
}  // namespace warren::agent
