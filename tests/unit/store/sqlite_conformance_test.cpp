#include "tests/unit/store/sqlite_fixture.h"

namespace warren::store {
namespace {

INSTANTIATE_TEST_SUITE_P(Sqlite, Conformance,
                         testing::Values(BackendKind{"default", [] { return std::make_unique<SqliteBackend>(); }}),
                         shown_backend);

}  // namespace
}  // namespace warren::store
