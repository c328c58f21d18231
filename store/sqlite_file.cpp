#include "store/sqlite_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/files.h"

namespace warren::store::sqlite {

using base::Code;
using base::fail;
using base::fail_errno;
using base::Result;
using base::Status;
using base::UniqueFd;
using std::filesystem::path;

namespace {

constexpr std::uint64_t kApplicationId = 0x5752'4e53;  // "WRNS"
constexpr std::uint64_t kSchemaVersion = 1;

// history.value is NULL for a deletion. Its rows are inserted in order, so rowid orders the events of one revision.
// committed_at: milliseconds that the store was open before.
constexpr std::string_view kSchema = R"sql(
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    last_lease INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 1, 1, 0);
CREATE TABLE kv (
    key BLOB NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lease INTEGER NOT NULL
) STRICT;
CREATE INDEX kv_lease ON kv (lease) WHERE lease <> 0;
CREATE TABLE history (
    revision INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB,
    create_revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    committed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX history_revision ON history (revision);
CREATE INDEX history_committed_at ON history (committed_at, revision);
CREATE TABLE lease (
    id INTEGER PRIMARY KEY,
    ttl INTEGER NOT NULL
) STRICT;
)sql";

path beside(const path& file, std::string_view suffix) {
    path result = file;
    result += suffix;
    return result;
}

// A directory that others can write is one where they can swap the file; it is not ours to close either.
Status check_directory(const path& directory) {
    struct stat info {};
    if (::stat(directory.c_str(), &info) != 0) {
        if (errno == ENOENT) {
            return base::make_directory(directory, 0700);
        }
        return fail_errno(fmt::format("directory {}", directory.native()), errno);
    }
    if (!S_ISDIR(info.st_mode)) {
        return fail(Code::kInvalid, "{}: not a directory: name another place for the store", directory.native());
    }
    if (info.st_uid != ::geteuid() || (info.st_mode & 077U) != 0) {
        return fail(Code::kDenied,
                    "directory {}: has owner {} and mode {:04o}, must be owned by {} with mode 0700: "
                    "run chown and chmod on it",
                    directory.native(), info.st_uid, info.st_mode & 07777U, ::geteuid());
    }
    return {};
}

Result<UniqueFd> take_lock(const path& file) {
    auto lock = base::lock_file(beside(file, ".lock"));
    if (!lock && lock.error().code() == Code::kConflict) {
        return fail(Code::kConflict, "store {}: another process has it open: stop that first", file.native());
    }
    if (!lock) {
        return base::fail_in(fmt::format("store {}", file.native()), std::move(lock));
    }
    return lock;
}

// Whether there is a file; what is there must be a regular one, and becomes 0600.
Result<bool> check_file(const path& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ENOENT) {
        return false;
    }
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) {
        return fail_errno(fmt::format("store {}", file.native()), errno);
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(Code::kInvalid, "store {}: not a regular file: move it away", file.native());
    }
    if (::fchmod(fd.get(), 0600) != 0) {
        return fail_errno(fmt::format("store {}: chmod 0600", file.native()), errno);
    }
    return true;
}

// Writes a whole store under another name. Until the rename there is no store.
Status write_new(const path& temp) {
    const UniqueFd fd(::open(temp.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
        return fail_errno(fmt::format("create {}", temp.native()), errno);
    }
    WARREN_TRY_ASSIGN(const auto connection, Connection::open(temp.native()));
    WARREN_TRY(connection->script("PRAGMA synchronous = FULL"));
    WARREN_TRY_ASSIGN(WriteTransaction transaction, WriteTransaction::begin(*connection));
    WARREN_TRY(connection->script(std::string(kSchema)));
    WARREN_TRY(connection->script(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion)));
    return transaction.commit();
}

Status create_file(const path& file) {
    // SQLite would take these for the new file's own and play them back into it.
    for (const std::string_view suffix : {"-wal", "-journal"}) {
        if (const path left = beside(file, suffix); std::filesystem::exists(left)) {
            return fail(Code::kConflict, "store {}: {} is there without it: restore the store, or move that away",
                        file.native(), left.native());
        }
    }
    const path temp = beside(file, ".new");
    const auto clean = [&] {
        ::unlink(temp.c_str());
        ::unlink(beside(temp, "-journal").c_str());
    };
    clean();  // one that a crash left; we have the lock
    if (auto written = write_new(temp); !written) {
        clean();
        return base::fail_in(fmt::format("create store {}", file.native()), std::move(written));
    }
    if (::rename(temp.c_str(), file.c_str()) != 0) {
        const int error = errno;
        clean();
        return fail_errno(fmt::format("rename {} to {}", temp.native(), file.native()), error);
    }
    const UniqueFd directory(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0) {
        return fail_errno(fmt::format("sync directory {}", file.parent_path().native()), errno);
    }
    return {};
}

// Before anything is written to it, not even the journal mode.
Status check_identity(Connection& connection) {
    WARREN_TRY_ASSIGN(const std::uint64_t application, connection.number("PRAGMA application_id"));
    if (application != kApplicationId) {
        return fail(Code::kPrecondition,
                    "store {}: not a store (another program's file): move it away, or restore a backup",
                    connection.path());
    }
    WARREN_TRY_ASSIGN(const std::uint64_t version, connection.number("PRAGMA user_version"));
    if (version != kSchemaVersion) {
        return fail(Code::kPrecondition,
                    "store {}: has schema version {}, this program knows {}: run the version that wrote it, or a newer",
                    connection.path(), version, kSchemaVersion);
    }
    return {};
}

Status configure(Connection& connection, std::uint64_t max_bytes) {
    WARREN_TRY_ASSIGN(const std::string journal, connection.text("PRAGMA journal_mode = WAL"));
    if (journal != "wal") {
        return fail(Code::kInternal, "store {}: its file system has no write-ahead log (journal mode {}): move it",
                    connection.path(), journal);
    }
    // FULL: the log is synced at each commit. secure_delete: a sealed secret that was deleted is overwritten.
    WARREN_TRY(
        connection.script("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 4194304;"
                          "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY"));
    if (max_bytes != 0) {
        WARREN_TRY_ASSIGN(const std::uint64_t page_size, connection.number("PRAGMA page_size"));
        WARREN_TRY(connection.script(fmt::format("PRAGMA max_page_count = {}", max_bytes / page_size)));
    }
    return {};
}

Status check_whole(Connection& connection) {
    WARREN_TRY_ASSIGN(const std::string verdict, connection.text("PRAGMA quick_check(1)"));
    WARREN_TRY_ASSIGN(const std::uint64_t states, connection.number("SELECT count(*) FROM state"));
    if (verdict != "ok" || states != 1) {
        return tl::unexpected<base::Error>(connection.error(SQLITE_CORRUPT));
    }
    return {};
}

}  // namespace

Result<StoreFile> open_file(const path& file, OpenMode mode, std::uint64_t max_bytes) {
    if (!file.has_filename() || !file.has_parent_path()) {
        return fail(Code::kInvalid, "store path '{}': must name a directory and a file in it", file.native());
    }
    if (auto checked = check_directory(file.parent_path()); !checked) {
        return base::fail_in(fmt::format("store {}", file.native()), std::move(checked));
    }
    WARREN_TRY_ASSIGN(UniqueFd lock, take_lock(file));
    WARREN_TRY_ASSIGN(const bool exists, check_file(file));
    if (!exists && mode == OpenMode::kExisting) {
        return fail(Code::kNotFound, "store {}: no such file: restore a backup, or start a new cluster", file.native());
    }
    if (!exists) {
        WARREN_TRY(create_file(file));
    }
    WARREN_TRY_ASSIGN(auto connection, Connection::open(file.native()));
    // Exclusive: sqlite3 and its like cannot write behind our back, and no shared memory file is needed.
    WARREN_TRY(connection->script("PRAGMA locking_mode = EXCLUSIVE"));
    WARREN_TRY(check_identity(*connection));
    WARREN_TRY(configure(*connection, max_bytes));
    WARREN_TRY(check_whole(*connection));
    if (mode == OpenMode::kCreate) {
        WARREN_TRY_ASSIGN(const std::uint64_t revision, connection->number("SELECT revision FROM state"));
        if (revision != 1) {
            return fail(Code::kConflict, "store {}: exists and is in use: move it away to begin anew", file.native());
        }
    }
    return StoreFile{.lock = std::move(lock), .connection = std::move(connection)};
}

}  // namespace warren::store::sqlite
