#include "cli/lock.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ostream>

#include "base/files.h"
#include "base/secret.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/render.h"
#include "cli/run.h"

namespace warren::cli {

namespace {

constexpr std::size_t kLargestKey = 4096;

std::string without_blanks(std::string text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    text.erase(text.find_last_not_of(kBlanks) + 1);
    return text.substr(std::min(text.find_first_not_of(kBlanks), text.size()));
}

// While it lives, what is typed is not shown.
class Unseen {
  public:
    Unseen() {
        if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
            termios unseen = before_;
            unseen.c_lflag &= ~static_cast<tcflag_t>(ECHO);
            changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen) == 0;
        }
    }
    ~Unseen() {
        if (changed_) {
            ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
        }
    }
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;

  private:
    termios before_{};
    bool changed_ = false;
};

// One line. Ctrl-C ends it, after what is typed is shown again.
base::Result<std::string> read_line() {
    const InterruptWatch watch;
    std::string line;
    std::array<char, kLargestKey> chunk{};
    while (line.size() <= kLargestKey && line.find('\n') == std::string::npos) {
        pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
        ::poll(&input, 1, -1);  // unlike a read it ends with a signal
        if (watch.interrupted()) {
            return base::fail(base::Code::kAborted, "interrupted; nothing was done");
        }
        const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
        if (got < 0) {
            return base::fail_errno("standard input", errno);
        }
        if (got == 0) {
            break;
        }
        line.append(chunk.data(), static_cast<std::size_t>(got));
    }
    return line.substr(0, line.find('\n'));
}

base::Result<std::string> read_key(const std::string& file, const Terminal& terminal) {
    if (!file.empty()) {
        auto text = base::read_file(file, kLargestKey);
        if (!text) {
            return base::fail(base::Code::kInvalid, "--unlock-key-file: {}", text.error().message());
        }
        return without_blanks(*std::move(text));
    }
    if (::isatty(STDIN_FILENO) == 0) {
        WARREN_TRY_ASSIGN(auto line, read_line());
        return without_blanks(std::move(line));
    }
    terminal.err << "Unlock key: " << std::flush;
    base::Result<std::string> line;
    {
        const Unseen unseen;
        line = read_line();
    }
    terminal.err << "\n" << std::flush;
    return line ? base::Result<std::string>(without_blanks(*std::move(line))) : line;
}

}  // namespace

Exit lock_cluster(const LockCalls& calls, const ClusterLock& command, Format format, const Terminal& terminal) {
    const auto offer = calls.lock({});
    if (!offer) {
        return refuse(terminal, offer.error());
    }
    if (format == Format::kJson) {
        terminal.out << to_json(*offer, JsonStyle::kLine);
    } else {
        terminal.out << (command.quiet ? printable(offer->unlock_key()) + "\n" : render_unlock_key(*offer));
    }
    if (!terminal.out.flush()) {
        return refuse(terminal, {base::Code::kInternal, "the unlock key could not be written: nothing was locked"});
    }
    v1::ClusterLockRequest request;
    request.set_unlock_key(offer->unlock_key());
    const auto locked = calls.lock(request);
    if (!locked) {
        return refuse(terminal,
                      {locked.error().code(),
                       locked.error().message() +
                           "; keep this key and any former one until 'warren cluster lock' has succeeded: either "
                           "may be the right one"});
    }
    if (format == Format::kJson) {
        terminal.out << to_json(*locked, JsonStyle::kLine) << std::flush;
    } else if (!command.quiet) {
        terminal.out << render_locked() << std::flush;
    }
    return Exit::kDone;
}

Exit unlock_cluster(const LockCalls& calls, const ClusterUnlock& command, Format format, const Terminal& terminal) {
    auto key = read_key(command.key_file, terminal);
    if (!key) {
        return refuse(terminal, key.error());
    }
    v1::ClusterUnlockRequest request;
    request.set_unlock_key(*key);
    request.set_permanently(command.permanently);
    base::wipe(*key);
    const auto reply = calls.unlock(request);
    base::wipe(*request.mutable_unlock_key());
    if (!reply) {
        return refuse(terminal, reply.error());
    }
    terminal.out << (format == Format::kJson ? to_json(*reply, JsonStyle::kIndented)
                                             : render_unlocked(*reply, command.permanently))
                 << std::flush;
    return Exit::kDone;
}

}  // namespace warren::cli
