#include "tests/unit/store/faulty_disk.h"

#include <sqlite3.h>

#include <csignal>
#include <cstddef>
#include <set>

namespace warren::store {

namespace {

struct State {
    sqlite3_vfs* real = nullptr;
    sqlite3_vfs shim{};
    sqlite3_io_methods methods{};
    int changes = 0;
    int fail_at = 0;  // 0 = never
    bool for_ever = false;
    FaultyDisk::Fault fault{};
    std::set<const sqlite3_file*> unsynced;
};
State g_disk;

// SQLite allocates szOsFile bytes; the real file lies behind ours.
struct File {
    sqlite3_file base;
    std::max_align_t real;
};
sqlite3_file* real_file(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<std::byte*>(file) + offsetof(File, real));
}

int next_change(int broken) {
    const int now = ++g_disk.changes;
    if (g_disk.fail_at == 0 || now < g_disk.fail_at || (now > g_disk.fail_at && !g_disk.for_ever)) {
        return SQLITE_OK;
    }
    switch (g_disk.fault) {
        case FaultyDisk::Fault::kFull:
            return SQLITE_FULL;
        case FaultyDisk::Fault::kBroken:
            return broken;
        case FaultyDisk::Fault::kKill:
            ::raise(SIGKILL);
    }
    return broken;
}

int do_close(sqlite3_file* file) {
    g_disk.unsynced.erase(file);
    return real_file(file)->pMethods->xClose(real_file(file));
}
int do_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
    return real_file(file)->pMethods->xRead(real_file(file), out, amount, offset);
}
int do_write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 offset) {
    if (const int code = next_change(SQLITE_IOERR_WRITE); code != SQLITE_OK) {
        // Half of it arrives: worse than nothing.
        real_file(file)->pMethods->xWrite(real_file(file), data, amount / 2, offset);
        return code;
    }
    g_disk.unsynced.insert(file);
    return real_file(file)->pMethods->xWrite(real_file(file), data, amount, offset);
}
int do_truncate(sqlite3_file* file, sqlite3_int64 size) {
    const int code = next_change(SQLITE_IOERR_TRUNCATE);
    return code != SQLITE_OK ? code : real_file(file)->pMethods->xTruncate(real_file(file), size);
}
int do_sync(sqlite3_file* file, int flags) {
    const int code = next_change(SQLITE_IOERR_FSYNC);
    if (code != SQLITE_OK) {
        return code;
    }
    g_disk.unsynced.erase(file);
    return real_file(file)->pMethods->xSync(real_file(file), flags);
}
int do_size(sqlite3_file* file, sqlite3_int64* size) {
    return real_file(file)->pMethods->xFileSize(real_file(file), size);
}
int do_lock(sqlite3_file* file, int level) {
    return real_file(file)->pMethods->xLock(real_file(file), level);
}
int do_unlock(sqlite3_file* file, int level) {
    return real_file(file)->pMethods->xUnlock(real_file(file), level);
}
int do_check_lock(sqlite3_file* file, int* locked) {
    return real_file(file)->pMethods->xCheckReservedLock(real_file(file), locked);
}
int do_control(sqlite3_file* file, int operation, void* argument) {
    return real_file(file)->pMethods->xFileControl(real_file(file), operation, argument);
}
int do_sector_size(sqlite3_file* file) {
    return real_file(file)->pMethods->xSectorSize(real_file(file));
}
int do_characteristics(sqlite3_file* file) {
    return real_file(file)->pMethods->xDeviceCharacteristics(real_file(file));
}
int do_delete(sqlite3_vfs* /*vfs*/, const char* path, int sync_directory) {
    const int code = next_change(SQLITE_IOERR_DELETE);
    return code != SQLITE_OK ? code : g_disk.real->xDelete(g_disk.real, path, sync_directory);
}
int do_open(sqlite3_vfs* /*vfs*/, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    const int code = g_disk.real->xOpen(g_disk.real, path, real_file(file), flags, out_flags);
    // SQLite closes a file that failed to open if it has methods.
    file->pMethods = real_file(file)->pMethods != nullptr ? &g_disk.methods : nullptr;
    return code;
}

}  // namespace

FaultyDisk::FaultyDisk() {
    g_disk = State{};
    g_disk.real = sqlite3_vfs_find(nullptr);
    // Version 1 has no shared memory, which the exclusive mode does without.
    g_disk.methods = {.iVersion = 1,
                      .xClose = do_close,
                      .xRead = do_read,
                      .xWrite = do_write,
                      .xTruncate = do_truncate,
                      .xSync = do_sync,
                      .xFileSize = do_size,
                      .xLock = do_lock,
                      .xUnlock = do_unlock,
                      .xCheckReservedLock = do_check_lock,
                      .xFileControl = do_control,
                      .xSectorSize = do_sector_size,
                      .xDeviceCharacteristics = do_characteristics};
    g_disk.shim = *g_disk.real;
    g_disk.shim.zName = "faulty";
    g_disk.shim.pNext = nullptr;
    g_disk.shim.szOsFile = static_cast<int>(offsetof(File, real)) + g_disk.real->szOsFile;
    g_disk.shim.xOpen = do_open;
    g_disk.shim.xDelete = do_delete;
    sqlite3_vfs_register(&g_disk.shim, 1);
}

FaultyDisk::~FaultyDisk() {
    sqlite3_vfs_unregister(&g_disk.shim);
    sqlite3_vfs_register(g_disk.real, 1);
}

void FaultyDisk::fail_at(int count, Fault fault, bool for_ever) {
    g_disk.fail_at = g_disk.changes + count;
    g_disk.fault = fault;
    g_disk.for_ever = for_ever;
}

void FaultyDisk::heal() {
    g_disk.fail_at = 0;
}

int FaultyDisk::changes() const {
    return g_disk.changes;
}

bool FaultyDisk::has_unsynced() const {
    return !g_disk.unsynced.empty();
}

}  // namespace warren::store
