#include <gmock/gmock.h>

#include <set>

#include "tests/unit/store/conformance.h"

namespace warren::store {
namespace {

using base::Code;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr seconds kTtl(10);

// Where a server ends leases, it does so in its own time: wait for the event, which every backend sends.
std::string ended(Reader& reader, std::string_view key) {
    return shown(reader.until(key));
}

TEST_P(Conformance, RevokedLeaseTakesItsKeysInOneRevision) {
    const LeaseId lease = must(store().grant(kTtl));
    put(store(), "own", "x");
    put(store(), "a", "1", lease);
    const StoreRevision before = put(store(), "b", "2", lease);
    EXPECT_EQ(must(store().get("a"))->lease, lease);
    const auto watch = must(store().watch("", {}));
    must(store().revoke(lease));
    EXPECT_THAT(listed(store()), ElementsAre("own=x"));
    EXPECT_EQ(must(store().revision()), StoreRevision(before.value + 1));
    put(store(), "end", "");
    EXPECT_EQ(shown(Reader(store(), "", StoreRevision(before.value + 1)).until("end")), "-a -b | +end=");
}

TEST_P(Conformance, LeaseEndsAfterItsTimeAndNotBefore) {
    const LeaseId lease = must(store().grant(kTtl));
    put(store(), "k", "v", lease);
    Reader reader(store(), "", {});
    backend().let_pass(kTtl - seconds(3));
    EXPECT_THAT(listed(store()), ElementsAre("k=v"));
    backend().let_pass(seconds(4));
    EXPECT_EQ(ended(reader, "k"), "-k");
    EXPECT_EQ(must(store().get("k")), std::nullopt);
    EXPECT_EQ(store().keep_alive(lease).error().code(), Code::kNotFound);
}

TEST_P(Conformance, LeaseThatIsKeptAliveLasts) {
    const LeaseId lease = must(store().grant(kTtl));
    put(store(), "k", "v", lease);
    for (int i = 0; i < 3; ++i) {
        backend().let_pass(kTtl - seconds(3));
        must(store().keep_alive(lease));
    }
    EXPECT_THAT(listed(store()), ElementsAre("k=v"));
}

TEST_P(Conformance, PutDecidesAgainWhichLeaseHoldsTheKey) {
    const LeaseId first = must(store().grant(kTtl));
    const LeaseId second = must(store().grant(kTtl));
    put(store(), "freed", "x", first);
    put(store(), "moved", "x", first);
    put(store(), "freed", "x");
    put(store(), "moved", "x", second);
    const StoreRevision before = must(store().revision());
    must(store().revoke(first));
    EXPECT_EQ(must(store().revision()), before) << "a lease without keys changes nothing when it goes";
    EXPECT_THAT(listed(store()), ElementsAre("freed=x", "moved=x"));
    must(store().revoke(second));
    EXPECT_THAT(listed(store()), ElementsAre("freed=x"));
}

TEST_P(Conformance, DeletedKeyIsNoLongerTheLeases) {
    const LeaseId lease = must(store().grant(kTtl));
    put(store(), "k", "leased", lease);
    erase(store(), "k");
    put(store(), "k", "free");
    must(store().revoke(lease));
    EXPECT_THAT(listed(store()), ElementsAre("k=free"));
}

TEST_P(Conformance, LeaseThatIsNotThereIsAnError) {
    const LeaseId gone = must(store().grant(kTtl));
    must(store().revoke(gone));
    put(store(), "k", "v");
    const RangeResult before = must(store().range(""));
    EXPECT_EQ(store().commit({.puts = {{"a", "1"}, {"b", "2", gone}}, .deletes = {"k"}}).error().code(),
              Code::kNotFound);
    EXPECT_EQ(must(store().range("")), before);
    EXPECT_EQ(store().keep_alive(gone).error().code(), Code::kNotFound);
    EXPECT_EQ(store().revoke(gone).error().code(), Code::kNotFound);
    EXPECT_EQ(store().revoke(LeaseId{}).error().code(), Code::kNotFound);
}

TEST_P(Conformance, LeaseSurvivesARestartWithItsFullTime) {
    const LeaseId lease = must(store().grant(kTtl));
    put(store(), "k", "v", lease);
    backend().let_pass(kTtl - seconds(3));
    backend().restart();
    backend().let_pass(kTtl - seconds(3));
    EXPECT_THAT(listed(store()), ElementsAre("k=v"));
    must(store().keep_alive(lease));
    EXPECT_NE(must(store().grant(kTtl)), lease);
    Reader reader(store(), "", {});
    backend().let_pass(kTtl + seconds(1));
    EXPECT_EQ(ended(reader, "k"), "-k");
}

TEST_P(Conformance, LeaseIdIsNeverGivenOutTwice) {
    std::set<LeaseId> ids;
    for (int i = 0; i < 4; ++i) {
        const LeaseId lease = must(store().grant(kTtl));
        EXPECT_TRUE(ids.insert(lease).second);
        must(store().revoke(lease));
        backend().restart();
    }
}

TEST_P(Conformance, LeaseTimesHaveLimits) {
    for (const base::Duration ttl : {base::Duration(0), base::Duration(-1), kMinLeaseTtl - base::Duration(1),
                                     kMaxLeaseTtl + base::Duration(1), base::Duration::max()}) {
        EXPECT_EQ(store().grant(ttl).error().code(), Code::kInvalid) << ttl.count();
    }
    EXPECT_TRUE(store().grant(kMinLeaseTtl));
    EXPECT_TRUE(store().grant(kMaxLeaseTtl));
}

}  // namespace
}  // namespace warren::store
