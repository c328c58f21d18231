#include <gmock/gmock.h>

#include <thread>

#include "tests/unit/store/conformance.h"

namespace warren::store {
namespace {

using base::Code;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StoreRevision after(StoreRevision revision, std::uint64_t steps) {
    return StoreRevision(revision.value + steps);
}

TEST_P(Conformance, NewStoreHasARevisionAndNoKeys) {
    EXPECT_GE(must(store().revision()), StoreRevision(1));
    EXPECT_EQ(must(store().get("k")), std::nullopt);
    const RangeResult all = must(store().range(""));
    EXPECT_THAT(all.items, IsEmpty());
    EXPECT_EQ(all.revision, must(store().revision()));
    EXPECT_FALSE(all.more);
}

TEST_P(Conformance, KeyCarriesItsRevisionsAndVersion) {
    const StoreRevision start = must(store().revision());
    EXPECT_EQ(put(store(), "k", "one"), after(start, 1));
    EXPECT_EQ(put(store(), "other", "x"), after(start, 2));
    EXPECT_EQ(put(store(), "k", "two"), after(start, 3));
    EXPECT_EQ(must(store().get("k")), (KeyValue{.key = "k",
                                                .value = "two",
                                                .create_revision = after(start, 1),
                                                .mod_revision = after(start, 3),
                                                .version = 2}));
    EXPECT_EQ(erase(store(), "k"), after(start, 4));
    EXPECT_EQ(must(store().get("k")), std::nullopt);
    put(store(), "k", "again");
    EXPECT_EQ(must(store().get("k")), (KeyValue{.key = "k",
                                                .value = "again",
                                                .create_revision = after(start, 5),
                                                .mod_revision = after(start, 5),
                                                .version = 1}));
}

TEST_P(Conformance, AllChangesOfATransactionHaveOneRevision) {
    put(store(), "gone", "x");
    put(store(), "dir/a", "x");
    put(store(), "dir/b", "x");
    const StoreRevision before = must(store().revision());
    const CommitResult result = must(
        store().commit({.puts = {{"a", "1"}, {"b", "2"}}, .deletes = {"gone", "absent"}, .delete_prefixes = {"dir/"}}));
    EXPECT_TRUE(result.succeeded());
    EXPECT_EQ(result.revision, after(before, 1));
    EXPECT_THAT(listed(store()), ElementsAre("a=1", "b=2"));
    EXPECT_EQ(must(store().get("a"))->mod_revision, result.revision);
    EXPECT_EQ(must(store().get("b"))->mod_revision, result.revision);
}

TEST_P(Conformance, WhatChangesNothingHasNoRevision) {
    put(store(), "k", "v");
    const StoreRevision before = must(store().revision());
    const CommitResult unchanged{.revision = before};
    EXPECT_EQ(must(store().commit({})), unchanged);
    EXPECT_EQ(must(store().commit({.compares = {Exists{"k"}}})), unchanged);
    EXPECT_EQ(must(store().commit({.deletes = {"absent"}, .delete_prefixes = {"none/"}})), unchanged);
    EXPECT_EQ(must(store().revision()), before);
}

TEST_P(Conformance, PutOfTheSameValueIsAChange) {
    const StoreRevision first = put(store(), "k", "v");
    EXPECT_EQ(put(store(), "k", "v"), after(first, 1));
    EXPECT_EQ(must(store().get("k"))->version, 2U);
}

TEST_P(Conformance, ComparesDecideAndAreNamed) {
    const StoreRevision at = put(store(), "k", "v");
    put(store(), "empty", "");
    struct Case {
        Compare compare;
        bool holds;
    };
    const std::vector<Case> cases{
        {Absent{"none"}, true},
        {Absent{"k"}, false},
        {Exists{"k"}, true},
        {Exists{"none"}, false},
        {ModifiedAt{"k", at}, true},
        {ModifiedAt{"k", after(at, 1)}, false},
        {ModifiedAt{"k", StoreRevision{}}, false},
        {ModifiedAt{"none", StoreRevision{}}, true},
        {ModifiedAt{"none", at}, false},
        {ValueIs{"k", "v"}, true},
        {ValueIs{"k", "w"}, false},
        {ValueIs{"none", ""}, false},
        {ValueIs{"empty", ""}, true},
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        SCOPED_TRACE(i);
        const StoreRevision before = must(store().revision());
        const CommitResult result =
            must(store().commit({.compares = {Exists{"empty"}, cases[i].compare}, .puts = {{"mark", "x"}}}));
        EXPECT_EQ(result.failed_compare, cases[i].holds ? std::nullopt : std::optional<std::size_t>(1));
        EXPECT_EQ(result.revision, after(before, cases[i].holds ? 1 : 0));
        EXPECT_EQ(must(store().get("mark")).has_value(), cases[i].holds);
        erase(store(), "mark");
    }
}

TEST_P(Conformance, FailedCompareChangesNothing) {
    put(store(), "k", "v");
    const RangeResult before = must(store().range(""));
    const CommitResult result = must(store().commit({.compares = {Exists{"k"}, Absent{"k"}, Absent{"k"}},
                                                     .puts = {{"k", "w"}, {"new", "x"}},
                                                     .delete_prefixes = {"j"}}));
    EXPECT_EQ(result.failed_compare, 1U);
    EXPECT_EQ(must(store().range("")), before);
}

TEST_P(Conformance, RangeIsOrderedByBytesAndEndsWithThePrefix) {
    using namespace std::string_literals;
    for (const std::string& key : {"a"s, "a/"s, "a/\0"s, "a/\0b"s, "a/x"s, "a/\x80"s, "a/\xff"s, "a/\xff\xff"s, "a0"s,
                                   "b"s, "\xff"s, "\xff\xff"s}) {
        put(store(), key, "");
    }
    EXPECT_THAT(listed(store(), "a/"),
                ElementsAre("a/="s, "a/\0="s, "a/\0b="s, "a/x="s, "a/\x80="s, "a/\xff="s, "a/\xff\xff="s));
    EXPECT_THAT(listed(store(), "a/\xff"), ElementsAre("a/\xff="s, "a/\xff\xff="s));
    EXPECT_THAT(listed(store(), "\xff"), ElementsAre("\xff="s, "\xff\xff="s));
    EXPECT_EQ(listed(store()).size(), 12U);
    must(store().commit({.delete_prefixes = {"a/"}}));
    EXPECT_THAT(listed(store()), ElementsAre("a=", "a0=", "b=", "\xff=", "\xff\xff="));
}

TEST_P(Conformance, PagesTogetherAreTheWholeRange) {
    for (const char* key : {"p/a", "p/b", "p/b/c", "p/d", "p/e", "q"}) {
        put(store(), key, "");
    }
    std::vector<std::string> keys;
    RangeOptions options{.limit = 2};
    for (bool more = true; more;) {
        const RangeResult page = must(store().range("p/", options));
        ASSERT_LE(page.items.size(), 2U);
        for (const KeyValue& item : page.items) {
            keys.push_back(item.key);
        }
        more = page.more;
        options.after = keys.back();
    }
    EXPECT_THAT(keys, ElementsAre("p/a", "p/b", "p/b/c", "p/d", "p/e"));
    EXPECT_FALSE(must(store().range("p/", {.limit = 5})).more);
    EXPECT_EQ(must(store().range("p/", {.after = "a"})).items.size(), 5U);
    EXPECT_THAT(must(store().range("p/", {.after = "q"})).items, IsEmpty());
}

TEST_P(Conformance, ValuesAreBytes) {
    const std::string binary("\0\xff\n\0", 4);
    const std::string large(kMaxTransactionBytes - 5, '\x5a');
    put(store(), "empty", "");
    put(store(), "binary", binary);
    put(store(), "large", large);
    EXPECT_EQ(must(store().get("empty"))->value, "");
    EXPECT_EQ(must(store().get("binary"))->value, binary);
    EXPECT_EQ(must(store().get("large"))->value, large);
}

TEST_P(Conformance, LimitsAreInclusive) {
    Transaction most;
    for (std::size_t i = 0; i < kMaxChanges; ++i) {
        most.compares.emplace_back(Absent{"k" + std::to_string(i)});
        most.puts.push_back({.key = "k" + std::to_string(i), .value = "v"});
    }
    EXPECT_TRUE(must(store().commit(most)).succeeded());
    EXPECT_EQ(must(store().range("k")).items.size(), kMaxChanges);
    const std::string longest(kMaxKeyBytes, '\xff');
    put(store(), longest, "v");
    EXPECT_EQ(must(store().range(longest)).items.size(), 1U);
    EXPECT_EQ(must(store().range("\xff")).items.size(), 1U);
}

TEST_P(Conformance, BadInputIsNamedAndChangesNothing) {
    put(store(), "k", "v");
    const RangeResult before = must(store().range(""));
    const std::string too_long(kMaxKeyBytes + 1, 'x');
    Transaction many_changes;
    many_changes.deletes.assign(kMaxChanges + 1, "k");
    Transaction many_compares{.puts = {{"k", "w"}}};
    many_compares.compares.assign(kMaxCompares + 1, Exists{"k"});
    struct Case {
        Transaction transaction;
        std::string says;
    };
    const std::vector<Case> cases{
        {{.puts = {{"", "v"}}}, "put key: must not be empty"},
        {{.puts = {{"new", "v"}}, .deletes = {""}}, "deleted key: must not be empty"},
        {{.delete_prefixes = {""}}, "deleted prefix: must not be empty"},
        {{.compares = {Absent{""}}}, "compared key: must not be empty"},
        {{.puts = {{too_long, "v"}}}, "1025 bytes, at most 1024"},
        {{.puts = {{"new", std::string(kMaxTransactionBytes, 'x')}}}, "1048579 bytes of keys and values"},
        {{.compares = {ValueIs{"k", std::string(kMaxTransactionBytes, 'x')}}}, "bytes of keys and values"},
        {many_changes, "129 changes: at most 128"},
        {many_compares, "129 compares: at most 128"},
        {{.puts = {{"new", "1"}, {"a", "x"}, {"new", "2"}}}, "put key new: put twice"},
        {{.puts = {{"k", "w"}}, .deletes = {"k"}}, "deleted key k: also put"},
        {{.puts = {{"dir/k", "w"}}, .delete_prefixes = {"dir"}}, "deleted prefix dir: dir/k is also put"},
    };
    for (const Case& bad : cases) {
        SCOPED_TRACE(bad.says);
        const auto result = store().commit(bad.transaction);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code(), Code::kInvalid);
        EXPECT_THAT(result.error().message(), HasSubstr(bad.says));
        EXPECT_EQ(must(store().range("")), before);
    }
    EXPECT_EQ(store().get("").error().code(), Code::kInvalid);
    EXPECT_EQ(store().get(too_long).error().code(), Code::kInvalid);
    EXPECT_EQ(store().range(too_long).error().code(), Code::kInvalid);
    EXPECT_EQ(store().watch(too_long, {}).error().code(), Code::kInvalid);
}

TEST_P(Conformance, EverythingIsThereAfterARestart) {
    put(store(), "a", "1");
    put(store(), "a", "2");
    put(store(), "gone", "x");
    erase(store(), "gone");
    const RangeResult before = must(store().range(""));
    backend().restart();
    EXPECT_EQ(must(store().range("")), before);
    EXPECT_EQ(put(store(), "b", "3"), after(before.revision, 1));
}

TEST_P(Conformance, ManyWritersLoseNoUpdate) {
    constexpr int kWriters = 4;
    constexpr int kIncrements = 25;
    put(store(), "counter", "0");
    std::vector<std::thread> writers;
    writers.reserve(kWriters);
    for (int writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([this] {
            for (int done = 0; done < kIncrements;) {
                const KeyValue seen = must(store().get("counter")).value();
                const auto result =
                    must(store().commit({.compares = {ModifiedAt{"counter", seen.mod_revision}},
                                         .puts = {{"counter", std::to_string(std::stoi(seen.value) + 1)}}}));
                done += result.succeeded() ? 1 : 0;
            }
        });
    }
    for (std::thread& writer : writers) {
        writer.join();
    }
    EXPECT_EQ(must(store().get("counter"))->value, std::to_string(kWriters * kIncrements));
}

}  // namespace
}  // namespace warren::store
