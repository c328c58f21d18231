#include "store/sqlite_connection.h"

#include <cassert>
#include <cstring>

namespace warren::store::sqlite {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

int Parameter::bind(sqlite3_stmt* statement, int index) const {
    switch (kind_) {
        case Kind::kNull:
            return sqlite3_bind_null(statement, index);
        case Kind::kBytes:
            // A null pointer would bind NULL, which is not the empty string. No destructor: the bytes are the caller's.
            return sqlite3_bind_blob64(statement, index, bytes_.empty() ? "" : bytes_.data(), bytes_.size(), nullptr);
        case Kind::kInteger:
            return sqlite3_bind_int64(statement, index, integer_);
    }
    return SQLITE_MISUSE;
}

Result<bool> Query::step() {
    const int code = sqlite3_step(run_.get());
    if (code == SQLITE_ROW) {
        return true;
    }
    if (code == SQLITE_DONE) {
        return false;
    }
    return tl::unexpected<Error>(connection_->error(code));
}

std::uint64_t Query::integer(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(run_.get(), column));
}

std::string Query::bytes(int column) const {
    const void* data = sqlite3_column_blob(run_.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(run_.get(), column));
    std::string copy(size, '\0');
    if (size != 0) {
        std::memcpy(copy.data(), data, size);
    }
    return copy;
}

bool Query::is_null(int column) const {
    return sqlite3_column_type(run_.get(), column) == SQLITE_NULL;
}

void Query::rewind(sqlite3_stmt* statement) {
    // Says again how the last step ended, which its caller knows.
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

void Connection::finalize(sqlite3_stmt* statement) {
    sqlite3_finalize(statement);
}

void Connection::close(sqlite3* database) {
    sqlite3_close_v2(database);
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path) {
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    // There is a handle to be closed after a failure too.
    std::unique_ptr<Connection> connection(new Connection(path, Database(raw)));
    if (code != SQLITE_OK) {
        return tl::unexpected<Error>(connection->error(code));
    }
    // SQLite falls back to reading when it may not write.
    if (sqlite3_db_readonly(raw, "main") != 0) {
        return tl::unexpected<Error>(connection->error(SQLITE_READONLY));
    }
    sqlite3_extended_result_codes(raw, 1);
    return connection;
}

Result<Query> Connection::query(std::string_view sql, std::initializer_list<Parameter> parameters) {
    auto& statement = statements_[sql];
    if (!statement) {
        sqlite3_stmt* raw = nullptr;
        const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                            SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
        statement.reset(raw);
        if (code != SQLITE_OK) {
            return tl::unexpected<Error>(error(code));
        }
    }
    assert(sqlite3_stmt_busy(statement.get()) == 0);
    Query query(*this, statement.get());
    int index = 0;
    for (const Parameter& parameter : parameters) {
        if (const int code = parameter.bind(statement.get(), ++index); code != SQLITE_OK) {
            return tl::unexpected<Error>(error(code));
        }
    }
    return query;
}

Status Connection::run(std::string_view sql, std::initializer_list<Parameter> parameters) {
    WARREN_TRY_ASSIGN(Query started, query(sql, parameters));
    while (true) {
        WARREN_TRY_ASSIGN(const bool row, started.step());
        if (!row) {
            return {};
        }
    }
}

Status Connection::script(const std::string& sql) {
    if (const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK) {
        return tl::unexpected<Error>(error(code));
    }
    return {};
}

Result<std::uint64_t> Connection::number(std::string_view sql) {
    WARREN_TRY_ASSIGN(Query started, query(sql));
    WARREN_TRY_ASSIGN(const bool row, started.step());
    return row ? Result<std::uint64_t>(started.integer(0)) : tl::unexpected<Error>(error(SQLITE_CORRUPT));
}

Result<std::string> Connection::text(std::string_view sql) {
    WARREN_TRY_ASSIGN(Query started, query(sql));
    WARREN_TRY_ASSIGN(const bool row, started.step());
    return row ? Result<std::string>(started.bytes(0)) : tl::unexpected<Error>(error(SQLITE_CORRUPT));
}

Error Connection::error(int code) const {
    const auto make = [&](Code kind, std::string_view text) {
        return Error(kind, fmt::format("store {}: {}", path_, text));
    };
    switch (code & 0xff) {
        case SQLITE_FULL:
            return make(Code::kExhausted, "no space left: free some on its disk, or raise the store's size limit");
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return make(Code::kConflict, "another process has it open: stop that first");
        case SQLITE_NOTADB:
            return make(Code::kPrecondition, "not a store (no SQLite header): move it away, or restore a backup");
        case SQLITE_CORRUPT:
            return make(Code::kInternal,
                        "damaged: move it away and restore a backup, or save what is readable with sqlite3's .recover");
        case SQLITE_READONLY:
            return make(Code::kDenied,
                        "cannot be written: check its owner and mode, and whether its disk is read-only");
        default:
            break;
    }
    // The text for the code, not the connection's last message, which may be an earlier failure's.
    const auto failed = fmt::format("store {}: {} (SQLite code {}): check its disk", path_, sqlite3_errstr(code), code);
    const int sys_errno = database_ ? sqlite3_system_errno(database_.get()) : 0;
    const bool of_system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
    return of_system && sys_errno != 0 ? Error::from_errno(failed, sys_errno) : Error(Code::kInternal, failed);
}

Result<WriteTransaction> WriteTransaction::begin(Connection& connection) {
    WARREN_TRY(connection.run("BEGIN IMMEDIATE"));
    return WriteTransaction(connection);
}

Status WriteTransaction::commit() {
    WARREN_TRY(open_->run("COMMIT"));
    static_cast<void>(open_.release());
    return {};
}

void WriteTransaction::roll_back(Connection* connection) {
    // Some failures (disk full) have rolled back already. If this one fails, the next BEGIN fails too and says why.
    if (sqlite3_get_autocommit(connection->database_.get()) == 0) {
        static_cast<void>(connection->run("ROLLBACK"));
    }
}

}  // namespace warren::store::sqlite
