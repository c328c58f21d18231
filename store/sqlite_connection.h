#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/free.h"
#include "base/result.h"
#include "base/strong.h"

// The part of SQLite's C API that the store needs, with results and owners. Internal to the room.
namespace warren::store::sqlite {

// A value for a placeholder. Bytes are not copied: they must live as long as the query.
class Parameter {
  public:
    // NOLINTBEGIN(google-explicit-constructor): a list of values is the whole point
    Parameter(std::nullptr_t) : kind_(Kind::kNull) {}
    Parameter(std::string_view bytes) : kind_(Kind::kBytes), bytes_(bytes) {}
    Parameter(const std::string& bytes) : Parameter(std::string_view(bytes)) {}
    Parameter(std::int64_t number) : kind_(Kind::kInteger), integer_(number) {}
    Parameter(std::uint64_t number) : Parameter(static_cast<std::int64_t>(number)) {}
    template <typename Tag>
    Parameter(base::Strong<Tag, std::uint64_t> number) : Parameter(number.value) {}
    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] int bind(sqlite3_stmt* statement, int index) const;

  private:
    enum class Kind : std::uint8_t { kNull, kBytes, kInteger };
    Kind kind_;
    std::string_view bytes_;
    std::int64_t integer_ = 0;
};

class Connection;

// One run of a statement; the statement is free for the next run when this goes. Not two of the same statement at a
// time.
class Query {
  public:
    // True when there is a row.
    [[nodiscard]] base::Result<bool> step();

    // Of the row that step() came to.
    [[nodiscard]] std::uint64_t integer(int column) const;
    [[nodiscard]] std::string bytes(int column) const;
    [[nodiscard]] bool is_null(int column) const;

  private:
    friend class Connection;
    static void rewind(sqlite3_stmt* statement);
    using Run = base::Handle<sqlite3_stmt, &Query::rewind>;

    Query(const Connection& connection, sqlite3_stmt* statement) : connection_(&connection), run_(statement) {}

    const Connection* connection_;
    Run run_;
};

// One database file, opened to read and write; used under the owner's lock.
class Connection {
  public:
    // The file must exist.
    [[nodiscard]] static base::Result<std::unique_ptr<Connection>> open(const std::string& path);

    // Starts a statement, prepared once for each `sql`, which must be a literal.
    [[nodiscard]] base::Result<Query> query(std::string_view sql, std::initializer_list<Parameter> parameters = {});
    // Runs a statement to its end.
    [[nodiscard]] base::Status run(std::string_view sql, std::initializer_list<Parameter> parameters = {});
    // Runs statements that are not worth keeping.
    [[nodiscard]] base::Status script(const std::string& sql);
    // The only value of the only row.
    [[nodiscard]] base::Result<std::uint64_t> number(std::string_view sql);
    [[nodiscard]] base::Result<std::string> text(std::string_view sql);

    [[nodiscard]] const std::string& path() const { return path_; }
    // What the library's last failure means for this file, and what to do about it.
    [[nodiscard]] base::Error error(int code) const;

  private:
    friend class WriteTransaction;
    static void finalize(sqlite3_stmt* statement);
    static void close(sqlite3* database);
    using Statement = base::Handle<sqlite3_stmt, &Connection::finalize>;
    using Database = base::Handle<sqlite3, &Connection::close>;

    Connection(std::string path, Database database) : path_(std::move(path)), database_(std::move(database)) {}

    std::string path_;
    Database database_;
    std::map<std::string_view, Statement> statements_;  // closed before the database
};

// A write transaction: undone unless commit() succeeds.
class WriteTransaction {
  public:
    [[nodiscard]] static base::Result<WriteTransaction> begin(Connection& connection);
    [[nodiscard]] base::Status commit();

  private:
    static void roll_back(Connection* connection);
    explicit WriteTransaction(Connection& connection) : open_(&connection) {}

    base::Handle<Connection, &WriteTransaction::roll_back> open_;
};

}  // namespace warren::store::sqlite
