#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace warren::base {

// The whole file, at most `limit` bytes (more is an error: what we read is ours and small).
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = 16U << 20U);

// Replaces or makes a file so that after a crash there is the old content or the new, never a torn one: temp file in
// the same directory, fsync, rename, fsync of the directory. `mode` holds from the first byte on.
[[nodiscard]] Status write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode);

// Writes zeros over the whole file and waits until they are on the disk; nothing where there is no file.
[[nodiscard]] Status overwrite_file(const std::filesystem::path& path);

// The same as write_file_atomic(); what was there before is overwritten once the new content is in its place.
[[nodiscard]] Status replace_secret_file(const std::filesystem::path& path, std::string_view content);

// Overwrites the file and removes it, for good even if the machine dies; nothing where there is none.
[[nodiscard]] Status wipe_file(const std::filesystem::path& path);

// Makes the directory (and its parents, 0755) with exactly `mode`; an existing one must be a directory of ours and gets
// the mode.
[[nodiscard]] Status make_directory(const std::filesystem::path& path, mode_t mode);

// Takes an exclusive lock on `path` (made if missing) for as long as the descriptor lives; kConflict when another
// process has it.
[[nodiscard]] Result<UniqueFd> lock_file(const std::filesystem::path& path);

}  // namespace warren::base
