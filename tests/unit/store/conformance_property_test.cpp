#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <map>
#include <ostream>

#include "tests/unit/store/conformance.h"

namespace warren::store {

namespace {

constexpr std::size_t kLeases = 2;
constexpr std::array<const char*, 7> kKeys{"a", "a/", "a/1", "a/2", "b", "b/1", "\xff"};
constexpr std::array<const char*, 4> kPrefixes{"a", "a/", "b/", "\xff"};

enum class StepKind : std::uint8_t { kCommit, kRevoke, kCompact, kRestart };
// One thing done to a store. Leases are named by their place in the list of those that live: 0 = none.
struct Step {
    StepKind kind = StepKind::kCommit;
    Transaction transaction;
    std::size_t lease = 0;
};

std::string text(const Compare& compare) {
    struct Text {
        std::string operator()(const Absent& one) const { return "absent " + one.key; }
        std::string operator()(const Exists& one) const { return "exists " + one.key; }
        std::string operator()(const ModifiedAt& one) const {
            return fmt::format("{} modified {} ago", one.key, one.revision);
        }
        std::string operator()(const ValueIs& one) const { return one.key + " is " + one.value; }
    };
    return std::visit(Text{}, compare);
}

std::ostream& operator<<(std::ostream& out, const Step& step) {
    switch (step.kind) {
        case StepKind::kCommit:
            break;
        case StepKind::kRevoke:
            return out << "revoke " << step.lease;
        case StepKind::kCompact:
            return out << "compact";
        case StepKind::kRestart:
            return out << "restart";
    }
    out << "commit(";
    for (const Compare& compare : step.transaction.compares) {
        out << "if " << text(compare) << "; ";
    }
    for (const Put& put : step.transaction.puts) {
        out << "put " << put.key << "=" << put.value << " lease " << put.lease.value << "; ";
    }
    for (const std::string& key : step.transaction.deletes) {
        out << "delete " << key << "; ";
    }
    for (const std::string& prefix : step.transaction.delete_prefixes) {
        out << "delete " << prefix << "*; ";
    }
    return out << ")";
}

rc::Gen<std::string> any_key() {
    return rc::gen::map(rc::gen::inRange<std::size_t>(0, kKeys.size()),
                        [](std::size_t i) { return std::string(kKeys[i]); });
}
rc::Gen<std::string> any_value() {
    return rc::gen::map(rc::gen::inRange(0, 3), [](int i) { return i == 0 ? std::string() : std::to_string(i); });
}
rc::Gen<Compare> any_compare() {
    // The revision of a ModifiedAt is a distance from the store's, since the generator does not know that one.
    return rc::gen::mapcat(rc::gen::inRange(0, 4), [](int kind) {
        return rc::gen::apply(
            [kind](std::string key, std::string value, std::uint64_t ago) -> Compare {
                switch (kind) {
                    case 0:
                        return Absent{std::move(key)};
                    case 1:
                        return Exists{std::move(key)};
                    case 2:
                        return ModifiedAt{std::move(key), StoreRevision(ago)};
                    default:
                        return ValueIs{std::move(key), std::move(value)};
                }
            },
            any_key(), any_value(), rc::gen::inRange<std::uint64_t>(0, 4));
    });
}
rc::Gen<Put> any_put() {
    return rc::gen::apply(
        [](std::string key, std::string value, std::uint64_t lease) {
            return Put{.key = std::move(key), .value = std::move(value), .lease = LeaseId(lease)};
        },
        any_key(), any_value(), rc::gen::inRange<std::uint64_t>(0, kLeases + 1));
}
template <typename T>
rc::Gen<std::vector<T>> few(int most, rc::Gen<T> one) {
    return rc::gen::mapcat(rc::gen::inRange(0, most + 1), [one](int count) {
        return rc::gen::container<std::vector<T>>(static_cast<std::size_t>(count), one);
    });
}
rc::Gen<Step> any_step() {
    const auto prefix = rc::gen::map(rc::gen::inRange<std::size_t>(0, kPrefixes.size()),
                                     [](std::size_t i) { return std::string(kPrefixes[i]); });
    return rc::gen::apply(
        [](int kind, std::vector<Compare> compares, std::vector<Put> puts, std::vector<std::string> deletes,
           std::vector<std::string> prefixes, std::size_t lease) {
            return Step{.kind = kind < 20    ? StepKind::kCommit
                                : kind == 20 ? StepKind::kRestart
                                : kind == 21 ? StepKind::kCompact
                                             : StepKind::kRevoke,
                        .transaction = {.compares = std::move(compares),
                                        .puts = std::move(puts),
                                        .deletes = std::move(deletes),
                                        .delete_prefixes = std::move(prefixes)},
                        .lease = lease};
        },
        rc::gen::inRange(0, 24), few(2, any_compare()), few(3, any_put()), few(2, any_key()), few(1, prefix),
        rc::gen::inRange<std::size_t>(0, kLeases));
}

// What a store is, without anything that makes it a good one.
struct Model {
    std::map<std::string, KeyValue> items;
    StoreRevision revision;
    std::vector<Event> events;
    StoreRevision readable_from;

    [[nodiscard]] static bool overlaps(const Transaction& transaction) {
        for (const Put& put : transaction.puts) {
            const auto same = [&](const Put& other) { return other.key == put.key; };
            const auto begins = [&](const std::string& prefix) { return put.key.starts_with(prefix); };
            if (std::count_if(transaction.puts.begin(), transaction.puts.end(), same) > 1 ||
                std::count(transaction.deletes.begin(), transaction.deletes.end(), put.key) > 0 ||
                std::any_of(transaction.delete_prefixes.begin(), transaction.delete_prefixes.end(), begins)) {
                return true;
            }
        }
        return false;
    }

    [[nodiscard]] bool holds(const Compare& compare) const {
        struct Holds {
            const Model& model;
            bool operator()(const Absent& one) const { return !model.items.contains(one.key); }
            bool operator()(const Exists& one) const { return model.items.contains(one.key); }
            bool operator()(const ModifiedAt& one) const {
                const auto found = model.items.find(one.key);
                return one.revision.value == (found == model.items.end() ? 0 : found->second.mod_revision.value);
            }
            bool operator()(const ValueIs& one) const {
                const auto found = model.items.find(one.key);
                return found != model.items.end() && found->second.value == one.value;
            }
        };
        return std::visit(Holds{*this}, compare);
    }

    [[nodiscard]] std::optional<std::size_t> failed(const std::vector<Compare>& compares) const {
        for (std::size_t i = 0; i < compares.size(); ++i) {
            if (!holds(compares[i])) {
                return i;
            }
        }
        return std::nullopt;
    }

    template <typename Predicate>
    void change(const std::vector<Put>& puts, Predicate goes) {
        const StoreRevision next(revision.value + 1);
        std::vector<Event> made;
        for (auto item = items.begin(); item != items.end();) {
            if (goes(item->second)) {
                made.push_back({.kind = EventKind::kDelete, .item = {.key = item->first, .mod_revision = next}});
                item = items.erase(item);
            } else {
                ++item;
            }
        }
        for (const Put& put : puts) {
            KeyValue& item = items[put.key];
            item = {.key = put.key,
                    .value = put.value,
                    .create_revision = item.version == 0 ? next : item.create_revision,
                    .mod_revision = next,
                    .version = item.version + 1,
                    .lease = put.lease};
            made.push_back({.kind = EventKind::kPut, .item = item});
        }
        if (!made.empty()) {
            revision = next;
            events.insert(events.end(), made.begin(), made.end());
        }
    }

    [[nodiscard]] std::vector<KeyValue> listed() const {
        std::vector<KeyValue> all;
        for (const auto& [key, item] : items) {
            all.push_back(item);
        }
        return all;
    }
};

std::vector<Event> in_order(std::vector<Event> events, StoreRevision from) {
    events.erase(std::remove_if(events.begin(), events.end(), [&](const Event& e) { return e.revision() < from; }),
                 events.end());
    std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
        return std::pair(a.revision(), a.item.key) < std::pair(b.revision(), b.item.key);
    });
    return events;
}

// A store and its model, side by side.
class Pair {
  public:
    explicit Pair(Backend& backend) : backend_(backend) {
        must(store().commit({.delete_prefixes = {"a", "b", "\xff", "end"}}));
        model_.revision = must(store().revision());
        model_.readable_from = StoreRevision(model_.revision.value + 1);
        for (LeaseId& lease : leases_) {
            lease = must(store().grant(std::chrono::hours(1)));
        }
    }

    void run(const Step& step) {
        switch (step.kind) {
            case StepKind::kCommit:
                commit(step.transaction);
                break;
            case StepKind::kRevoke: {
                LeaseId& lease = leases_.at(step.lease);
                must(store().revoke(lease));
                model_.change({}, [&](const KeyValue& item) { return item.lease == lease; });
                lease = must(store().grant(std::chrono::hours(1)));
                break;
            }
            case StepKind::kCompact:
                must(store().compact(model_.revision));
                model_.readable_from = std::max(model_.readable_from, model_.revision);
                break;
            case StepKind::kRestart:
                backend_.restart();
                break;
        }
        const RangeResult all = must(store().range(""));
        RC_ASSERT(all.revision.value == model_.revision.value);
        RC_ASSERT(all.items == model_.listed());
    }

    void finish() {
        commit({.puts = {{"end", ""}}});
        const auto events = Reader(store(), "", model_.readable_from).until("end");
        RC_ASSERT(std::is_sorted(events.begin(), events.end(),
                                 [](const Event& a, const Event& b) { return a.revision() < b.revision(); }));
        RC_ASSERT(in_order(events, model_.readable_from) == in_order(model_.events, model_.readable_from));
    }

  private:
    Store& store() { return backend_.store(); }

    void commit(Transaction transaction) {
        for (Put& put : transaction.puts) {
            put.lease = put.lease == LeaseId{} ? LeaseId{} : leases_.at(put.lease.value - 1);
        }
        for (Compare& compare : transaction.compares) {
            if (auto* modified = std::get_if<ModifiedAt>(&compare)) {
                modified->revision = StoreRevision(model_.revision.value - modified->revision.value);
            }
        }
        const auto result = store().commit(transaction);
        if (Model::overlaps(transaction)) {
            RC_ASSERT(!result);
            RC_ASSERT(result.error().code() == base::Code::kInvalid);
            return;
        }
        const auto failed = model_.failed(transaction.compares);
        if (!failed) {
            model_.change(transaction.puts, [&](const KeyValue& item) {
                return std::count(transaction.deletes.begin(), transaction.deletes.end(), item.key) > 0 ||
                       std::any_of(transaction.delete_prefixes.begin(), transaction.delete_prefixes.end(),
                                   [&](const std::string& prefix) { return item.key.starts_with(prefix); });
            });
        }
        RC_ASSERT(must(result).failed_compare == failed);
        RC_ASSERT(result->revision.value == model_.revision.value);
    }

    Backend& backend_;
    Model model_;
    std::array<LeaseId, kLeases> leases_;
};

TEST_P(Conformance, AnyTransactionsDoWhatAMapWouldDo) {
    EXPECT_TRUE(rc::check([&] {
        const auto steps = *rc::gen::scale(0.4, rc::gen::container<std::vector<Step>>(any_step()));
        Pair pair(backend());
        for (const Step& step : steps) {
            pair.run(step);
        }
        pair.finish();
    }));
}

}  // namespace
}  // namespace warren::store
