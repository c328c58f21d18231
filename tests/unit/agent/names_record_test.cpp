#include "agent/names_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/files.h"

namespace warren::agent {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

template <typename IdType>
IdType id(std::uint8_t number) {
    IdType made;
    made.bytes[0] = number;
    return made;
}
base::IpAddress ip(const char* text) {
    return base::parse_ip("ip", text).value();
}

const auto kSelf = id<base::NodeId>(1);
const auto kPeer = id<base::NodeId>(2);

NetworkView network(std::uint8_t number) {
    NetworkView view;
    view.id = id<base::NetworkId>(number);
    view.name = "net1";
    view.internal = true;
    view.subnets = {
        {.prefix = {.address = ip("10.1.0.0"), .length = 24}, .gateway = ip("10.1.0.1"), .vni = base::Vni{1}},
        {.prefix = {.address = ip("fd00::"), .length = 64}, .gateway = ip("fd00::1"), .vni = base::Vni{1}}};
    view.endpoints = {{id<base::EndpointId>(1),
                       {.name = "here",
                        .ips = {ip("10.1.0.2"), ip("fd00::2")},
                        .mac = {},
                        .node = kSelf,
                        .aliases = {"web"},
                        .services = {{.name = "http", .transport = overlay::Transport::kTcp, .port = 65535}}}},
                      {id<base::EndpointId>(2), {.name = "there", .ips = {ip("10.1.0.3")}, .mac = {}, .node = kPeer}},
                      {id<base::EndpointId>(3), {.name = "moved", .ips = {ip("10.1.0.4")}, .mac = {}, .node = kPeer}}};
    view.attachments = {{id<base::EndpointId>(1), {.netns = "/proc/12/ns/net", .ifname = "eth0", .inode = 4026532000}},
                        {id<base::EndpointId>(3), {.netns = "/run/netns/moved", .ifname = "eth0"}}};
    return view;
}

TEST(NetworkNames, AreThoseOfTheView) {
    const auto names = names_of(network(7), kSelf);
    EXPECT_EQ(names.id, id<base::NetworkId>(7));
    EXPECT_TRUE(names.internal);
    ASSERT_EQ(names.hosts.size(), 3U);
    EXPECT_EQ(names.hosts[0], (dns::Host{.name = "here",
                                         .aliases = {"web"},
                                         .ips = {ip("10.1.0.2"), ip("fd00::2")},
                                         .services = {{.name = "_http._tcp", .port = 65535}}}));
    EXPECT_THAT(names.local,
                ElementsAre(testing::Pair(0, NetworkNames::Container{.netns = "/proc/12/ns/net", .inode = 4026532000})))
        << "the one that moved is a peer's";
    auto view = network(7);
    view.attachments.begin()->second.replaced = true;
    EXPECT_THAT(names_of(view, kSelf).local, IsEmpty()) << "who is there now asks for himself";
}

TEST(NetworkNames, ComeBackFromTheirBytes) {
    const auto names = names_of(network(7), kSelf);
    const auto bytes = encode(names);
    EXPECT_EQ(decode_names(bytes).value(), names);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto cut = decode_names(bytes.substr(0, size));
        EXPECT_TRUE(!cut || *cut != names) << size;
    }
}

class NamesRecordTest : public testing::Test {
  protected:
    void TearDown() override { fs::remove_all(directory_); }
    void spoil(const base::NetworkId& network, std::string_view content) const {
        ASSERT_TRUE(base::write_file_atomic(directory_ / network.text(), content, 0600));
    }

    fs::path directory_ = fs::path(testing::TempDir()) / ("names-" + std::to_string(::getpid()));
    NamesRecord record_{directory_};
};

TEST_F(NamesRecordTest, HasWhatWasWrittenLast) {
    EXPECT_THAT(record_.read(), IsEmpty());
    auto one = names_of(network(1), kSelf);
    const auto two = names_of(network(2), kSelf);
    ASSERT_TRUE(record_.write(one));
    ASSERT_TRUE(record_.write(two));
    one.hosts.pop_back();
    ASSERT_TRUE(record_.write(one));
    EXPECT_THAT(record_.read(), testing::UnorderedElementsAre(one, two));
    record_.remove(one.id);
    EXPECT_THAT(record_.read(), ElementsAre(two));
    record_.remove_all_but({one.id});
    EXPECT_THAT(record_.read(), IsEmpty());
}

TEST_F(NamesRecordTest, LeavesOutWhatIsDamaged) {
    const auto good = names_of(network(1), kSelf);
    ASSERT_TRUE(record_.write(good));
    spoil(id<base::NetworkId>(2), "");
    spoil(id<base::NetworkId>(3), encode(good).substr(0, 30));
    spoil(id<base::NetworkId>(4), encode(good));  // of another network
    auto port = names_of(network(5), kSelf);
    port.subnets[0].prefix.length = 33;
    spoil(port.id, encode(port));
    EXPECT_THAT(record_.read(), ElementsAre(good));
}

TEST_F(NamesRecordTest, SaysWhyItCannotBeWritten) {
    ASSERT_TRUE(base::write_file_atomic(directory_, "in the way", 0600));
    const auto written = record_.write(names_of(network(1), kSelf));
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error().message(), testing::HasSubstr(directory_.string()));
    EXPECT_THAT(record_.read(), IsEmpty());
}

}  // namespace
}  // namespace warren::agent
