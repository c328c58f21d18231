#include "store/sqlite_connection.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/store/sqlite_fixture.h"

namespace warren::store::sqlite {
namespace {

TEST(SqliteConnection, TransactionThatIsNotCommittedIsUndone) {
    const TestDirectory directory;
    const auto file = directory.path() / "db";
    const std::ofstream empty(file);
    const auto connection = must(Connection::open(file.native()));
    must(connection->script("CREATE TABLE t (x)"));
    {
        const auto transaction = must(WriteTransaction::begin(*connection));
        must(connection->run("INSERT INTO t VALUES (?1)", {std::uint64_t{1}}));
    }
    EXPECT_EQ(must(connection->number("SELECT count(*) FROM t")), 0U);
    auto transaction = must(WriteTransaction::begin(*connection));
    must(connection->run("INSERT INTO t VALUES (?1)", {std::uint64_t{2}}));
    must(transaction.commit());
    EXPECT_EQ(must(connection->number("SELECT x FROM t")), 2U);
}

TEST(SqliteConnection, FileThatIsNotThereIsNotMade) {
    const TestDirectory directory;
    const auto file = directory.path() / "db";
    const auto opened = Connection::open(file.native());
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message().find(file.native()), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace warren::store::sqlite
