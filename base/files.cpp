#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace warren::base {

namespace {

Status write_all(int fd, std::string_view content, const std::filesystem::path& path) {
    while (!content.empty()) {
        const ssize_t wrote = ::write(fd, content.data(), content.size());
        if (wrote < 0) {
            if (errno == EINTR) {
                continue;
            }
            return fail_errno(fmt::format("write {}", path.native()), errno);
        }
        content.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return {};
}

Status sync_directory(const std::filesystem::path& directory) {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) {
        return fail_errno(fmt::format("sync directory {}", directory.native()), errno);
    }
    return {};
}

Status write_and_sync(const std::filesystem::path& path, std::string_view content, mode_t mode) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd || ::fchmod(fd.get(), mode) != 0) {
        return fail_errno(fmt::format("create {}", path.native()), errno);
    }
    WARREN_TRY(write_all(fd.get(), content, path));
    if (::fsync(fd.get()) != 0) {
        return fail_errno(fmt::format("sync {}", path.native()), errno);
    }
    return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return fail_errno(fmt::format("open {}", path.native()), errno);
    }
    std::string content;
    std::array<char, 16384> chunk{};
    while (true) {
        const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(fmt::format("read {}", path.native()), errno);
        }
        if (got == 0) {
            return content;
        }
        content.append(chunk.data(), static_cast<std::size_t>(got));
        if (content.size() > limit) {
            return fail(Code::kInternal, "read {}: larger than {} bytes", path.native(), limit);
        }
    }
}

Status write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode) {
    std::filesystem::path temp = path;
    temp += ".tmp";
    // One left by a crash: nobody else writes this name, so it is ours to remove.
    ::unlink(temp.c_str());
    if (auto written = write_and_sync(temp, content, mode); !written) {
        ::unlink(temp.c_str());
        return written;
    }
    if (::rename(temp.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temp.c_str());
        return fail_errno(fmt::format("rename to {}", path.native()), error);
    }
    return sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

namespace {

// Nothing where there is no file.
Result<UniqueFd> open_to_overwrite(const std::filesystem::path& path) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno != ENOENT) {
        return fail_errno(fmt::format("overwrite {}", path.native()), errno);
    }
    return fd;
}

Status overwrite(int fd, const std::filesystem::path& path) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) {
        return fail_errno(fmt::format("overwrite {}", path.native()), errno);
    }
    WARREN_TRY(write_all(fd, std::string(static_cast<std::size_t>(info.st_size), '\0'), path));
    if (::fsync(fd) != 0) {
        return fail_errno(fmt::format("sync {}", path.native()), errno);
    }
    return {};
}

}  // namespace

Status overwrite_file(const std::filesystem::path& path) {
    WARREN_TRY_ASSIGN(const UniqueFd fd, open_to_overwrite(path));
    return fd ? overwrite(fd.get(), path) : Status();
}

Status replace_secret_file(const std::filesystem::path& path, std::string_view content) {
    WARREN_TRY_ASSIGN(const UniqueFd before, open_to_overwrite(path));
    WARREN_TRY(write_file_atomic(path, content, 0600));
    return before ? overwrite(before.get(), path) : Status();
}

Status wipe_file(const std::filesystem::path& path) {
    WARREN_TRY(overwrite_file(path));
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return fail_errno(fmt::format("remove {}", path.native()), errno);
    }
    return sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

Status make_directory(const std::filesystem::path& path, mode_t mode) {
    std::error_code error;
    if (path.has_parent_path()) {
        std::filesystem::create_directories(path.parent_path(), error);
        if (error) {
            return fail_errno(fmt::format("create directory {}", path.parent_path().native()), error.value());
        }
    }
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
        return fail_errno(fmt::format("create directory {}", path.native()), errno);
    }
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd || ::fchmod(fd.get(), mode) != 0) {
        return fail_errno(fmt::format("directory {}", path.native()), errno);
    }
    return {};
}

Result<UniqueFd> lock_file(const std::filesystem::path& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        return fail_errno(fmt::format("open {}", path.native()), errno);
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return fail(Code::kConflict, "{} is locked by another process", path.native());
        }
        return fail_errno(fmt::format("lock {}", path.native()), errno);
    }
    return fd;
}

}  // namespace warren::base
