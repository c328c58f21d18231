#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/sqlite_connection.h"
#include "store/sqlite_store.h"

// How a store file comes to be, and what is checked before it is trusted. Internal to the room.
namespace warren::store::sqlite {

struct StoreFile {
    base::UniqueFd lock;
    std::unique_ptr<Connection> connection;  // nobody else's from here on, synchronous, of our schema, whole
};

[[nodiscard]] base::Result<StoreFile> open_file(const std::filesystem::path& path, OpenMode mode,
                                                std::uint64_t max_bytes);

}  // namespace warren::store::sqlite
