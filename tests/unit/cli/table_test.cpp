#include "cli/table.h"

#include <gtest/gtest.h>

#include "cli/json.h"
#include "proto/control.pb.h"

namespace warren::cli {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::int64_t kNow = 1'800'000'000'000;  // 2027-01-15 08:00:00 UTC
const View kPlainView{.now = base::Time(base::Duration(kNow))};
const View kColourView{.now = kPlainView.now, .colour = true};

std::int64_t ago(base::Duration age) {
    return kNow - age.count();
}

TEST(Table, AlignsColumnsToTheirWidestCell) {
    Table table({"NAME", "MTU", "STATE"});
    table.row({"a", 1416, Cell("ok", Tone::kGood)});
    table.row({"a-longer-name", 9000U, Cell("bad", Tone::kBad)});
    EXPECT_EQ(table.text(kPlainView),
              "NAME            MTU    STATE\n"
              "a               1416   ok\n"
              "a-longer-name   9000   bad\n");
}

TEST(Table, WithoutRowsIsItsHeader) {
    EXPECT_EQ(Table({"NAME", "MTU"}).text(kPlainView), "NAME   MTU\n");
}

// awk '{print $3}' must not depend on what is there.
TEST(Table, ShowsNothingAsADash) {
    Table table({"A", "B", "C"});
    table.row({"", "x", ""});
    EXPECT_EQ(table.text(kPlainView), "A   B   C\n-   x   -\n");
}

TEST(Table, ColoursTakeNoColumns) {
    Table table({"STATE", "NAME"});
    table.row({Cell("ok", Tone::kGood), "a"});
    table.row({Cell("slow", Tone::kCaution), "b"});
    table.row({Cell("down", Tone::kBad), "c"});
    EXPECT_EQ(table.text(kColourView),
              "STATE   NAME\n"
              "\x1b[32mok\x1b[0m      a\n"
              "\x1b[33mslow\x1b[0m    b\n"
              "\x1b[31mdown\x1b[0m    c\n");
}

TEST(Table, CountsCodePointsNotBytes) {
    Table table({"LABEL", "X"});
    table.row({"Zürich-東", "1"});
    table.row({"plain", "2"});
    EXPECT_EQ(table.text(kPlainView), "LABEL      X\nZürich-東   1\nplain      2\n");
}

// A name in the daemon's answer must not move the cursor or forge a row.
TEST(Table, TextFromElsewhereCannotDriveTheTerminal) {
    Table table({"NAME"});
    table.row(
        {"a\x1b[2Jb\nc\rd\te\x7f\xc2\x9b"
         "f"});
    EXPECT_EQ(table.text(kColourView), "NAME\na [2Jb c d e  f\n");
}

TEST(Block, AlignsValues) {
    Block block;
    block.line("ID", "0123");
    block.line("Root expires", "");
    block.line("MTU", 1416);
    EXPECT_EQ(block.text(kPlainView),
              "ID:            0123\n"
              "Root expires:  -\n"
              "MTU:           1416\n");
}

TEST(Text, AgesHaveUnitsAndNeverIsNothing) {
    EXPECT_EQ(age(ago(seconds(125)), kPlainView), "2m 5s");
    EXPECT_EQ(age(ago(hours(76)), kPlainView), "3d 4h");
    EXPECT_EQ(age(0, kPlainView), "");
    EXPECT_EQ(age(kNow + 5000, kPlainView), "0 ms") << "clocks of two hosts differ";
    EXPECT_EQ(moment(ago(minutes(2)), kPlainView), "2027-01-15 07:58:00 UTC (2m 0s ago)");
    EXPECT_EQ(moment(0, kPlainView), "");
    EXPECT_EQ(expiry(kNow + 3'600'000, kPlainView), "2027-01-15 09:00:00 UTC (in 1h 0m)");
    EXPECT_EQ(expiry(ago(hours(1)), kPlainView), "2027-01-15 07:00:00 UTC (expired 1h 0m ago)");
    EXPECT_EQ(expiry(0, kPlainView), "");
}

TEST(Text, ShortIdsAreTwelveDigits) {
    EXPECT_EQ(short_id("0123456789abcdef0123456789abcdef"), "0123456789ab");
    EXPECT_EQ(short_id("0123"), "0123");
    EXPECT_EQ(short_id(""), "");
}

TEST(Text, ClipCutsBetweenCodePoints) {
    EXPECT_EQ(clip("abc", 5), "abc");
    EXPECT_EQ(clip("abc", 3), "abc");
    EXPECT_EQ(clip("abc", 2), "ab");
    EXPECT_EQ(clip("äöü", 2), "äö");
    EXPECT_EQ(clip("abc", 0), "");
}

TEST(Json, HasProtoNamesAndEveryField) {
    v1::Subnet subnet;
    subnet.set_subnet("10.9.0.0/24");
    EXPECT_EQ(to_json(subnet, JsonStyle::kLine),
              "{\"subnet\":\"10.9.0.0/24\",\"gateway\":\"\",\"ip_range\":\"\",\"aux_addresses\":{},\"vni\":0}\n");
    v1::KeyMember member;
    const std::string text = to_json(member, JsonStyle::kIndented);
    EXPECT_NE(text.find("\n \"installed_epoch\": 0,\n"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("}\n")) << text;
    EXPECT_FALSE(text.ends_with("\n\n")) << text;
}

}  // namespace
}  // namespace warren::cli
