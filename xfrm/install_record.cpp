#include "xfrm/install_record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <iterator>

#include "base/files.h"
#include "base/text.h"

namespace warren::xfrm {
namespace {

constexpr std::string_view kHeader = "warren sa-record 2";
constexpr std::size_t kSlack = 1000;  // useless lines that are not worth a rewrite
constexpr std::size_t kLimit = std::size_t{256} << 20U;

// I: handed to the kernel, R: refused by it, S: spent, though not placed there by us, H: handed to the kernel and
// acknowledged; A: all inbound ones so far are acknowledged; F: a floor. The fields:
//   I out <network> <epoch> <sender> <its membership> <receiver> <its membership> <source> <destination> <spi>
//   A <network> <membership>
//   F <network> <membership> <epoch>
char kind_of(const Installed& it) {
    return !it.placed ? 'S' : it.acknowledged ? 'H' : 'I';
}

std::string line_of(char kind, const Installed& it) {
    return fmt::format("{} {} {} {} {} {:016x} {} {:016x} {} {} {:08x}\n", kind, name(it.direction),
                       it.identity.network, it.identity.epoch, it.identity.sender, it.identity.sender_membership.value,
                       it.identity.receiver, it.identity.receiver_membership.value, it.location.source,
                       it.location.destination, it.location.spi.value);
}

std::string line_of(const Floor& floor) {
    return fmt::format("F {} {:016x} {}\n", floor.network, floor.self.value, floor.epoch);
}

// Reads the fields of one line; the first bad one makes all later ones bad.
class Fields {
  public:
    explicit Fields(std::string_view line) : fields_(base::split(line, ' ')) {}

    [[nodiscard]] bool complete() const { return good_ && next_ == fields_.size(); }

    std::string_view word() {
        if (next_ >= fields_.size()) {
            good_ = false;
            return {};
        }
        return fields_[next_++];
    }
    template <typename Number>
    Number number(int radix) {
        const std::string_view text = word();
        Number value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
        good_ = good_ && error == std::errc{} && end == text.data() + text.size();
        return value;
    }
    template <typename IdType>
    IdType id() {
        return keep(base::parse_id<IdType>("id", word()));
    }
    base::IpAddress address() { return keep(base::parse_ip("address", word())); }
    Direction direction() {
        const std::string_view text = word();
        good_ = good_ && (text == name(Direction::kIn) || text == name(Direction::kOut));
        return text == name(Direction::kOut) ? Direction::kOut : Direction::kIn;
    }

  private:
    template <typename T>
    T keep(base::Result<T>&& parsed) {
        good_ = good_ && parsed.has_value();
        return parsed ? *parsed : T{};
    }

    std::vector<std::string_view> fields_;
    std::size_t next_ = 0;
    bool good_ = true;
};

Installed installed_of(Fields& fields) {
    Installed it;
    it.direction = fields.direction();
    it.identity.network = fields.id<base::NetworkId>();
    it.identity.epoch = base::Epoch{fields.number<std::uint32_t>(10)};
    it.identity.sender = fields.id<base::NodeId>();
    it.identity.sender_membership = base::MembershipId{fields.number<std::uint64_t>(16)};
    it.identity.receiver = fields.id<base::NodeId>();
    it.identity.receiver_membership = base::MembershipId{fields.number<std::uint64_t>(16)};
    it.location.source = fields.address();
    it.location.destination = fields.address();
    it.location.spi = Spi{fields.number<std::uint32_t>(16)};
    return it;
}

Floor floor_of(Fields& fields) {
    Floor floor;
    floor.network = fields.id<base::NetworkId>();
    floor.self = base::MembershipId{fields.number<std::uint64_t>(16)};
    floor.epoch = base::Epoch{fields.number<std::uint32_t>(10)};
    return floor;
}

// One write(2), repeated only where the kernel took less than all.
base::Status write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const ssize_t written = ::write(fd, content.data(), content.size());
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return base::fail_errno("write", errno);
        }
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

}  // namespace

base::Result<InstallRecord> InstallRecord::open(const std::filesystem::path& path) {
    InstallRecord record(path);
    auto content = base::read_file(path, kLimit);
    if (!content && content.error().sys_errno() != ENOENT) {
        return base::fail_in("open the install record", std::move(content));
    }
    if (content) {
        WARREN_TRY(record.replay(*content).map_error(
            [&](base::Error&& error) { return std::move(error).in(fmt::format("install record {}", path.string())); }));
    }
    WARREN_TRY(record.rewrite());
    return record;
}

base::Status InstallRecord::replay(std::string_view content) {
    std::size_t number = 0;
    while (!content.empty()) {
        const std::size_t end = content.find('\n');
        if (end == std::string_view::npos) {
            return {};  // torn by a crash: what it would have announced was not done
        }
        const std::string_view line = content.substr(0, end);
        content.remove_prefix(end + 1);
        ++number;
        const bool good = number == 1 ? line == kHeader : replay_line(line);
        if (!good) {
            return base::fail(base::Code::kInternal,
                              "line {} is damaged: without it, keys could be used twice; remove the file and let this "
                              "node leave and join its encrypted networks, or reboot",
                              number);
        }
    }
    return {};
}

bool InstallRecord::replay_line(std::string_view line) {
    Fields fields(line);
    const std::string_view kind = fields.word();
    if (kind == "F") {
        const Floor floor = floor_of(fields);
        if (fields.complete()) {
            history_.raise(floor);
        }
        return fields.complete();
    }
    if (kind == "A") {
        const auto network = fields.id<base::NetworkId>();
        const base::MembershipId self{fields.number<std::uint64_t>(16)};
        if (fields.complete()) {
            history_.acknowledge(network, self);
        }
        return fields.complete();
    }
    Installed installed = installed_of(fields);
    installed.placed = kind != "S";
    installed.acknowledged = kind == "H";
    if (!fields.complete() || (kind != "I" && kind != "R" && kind != "S" && kind != "H")) {
        return false;
    }
    if (kind == "R") {
        history_.revoke(installed);
    } else {
        history_.add(installed);
    }
    return true;
}

base::Status InstallRecord::add(std::span<const Installed> installed) {
    std::string lines;
    for (const Installed& it : installed) {
        lines += line_of(kind_of(it), it);
    }
    WARREN_TRY(append(lines, installed.size()));
    for (const Installed& it : installed) {
        history_.add(it);
    }
    return {};
}

base::Status InstallRecord::revoke(std::span<const Installed> installed) {
    std::string lines;
    for (const Installed& it : installed) {
        lines += line_of('R', it);
    }
    WARREN_TRY(append(lines, installed.size()));
    for (const Installed& it : installed) {
        history_.revoke(it);
    }
    return {};
}

base::Status InstallRecord::acknowledge(const base::NetworkId& network, base::MembershipId self) {
    if (!history_.unacknowledged(network, self)) {
        return {};
    }
    WARREN_TRY(append(fmt::format("A {} {:016x}\n", network, self.value), 1));
    history_.acknowledge(network, self);
    return {};
}

base::Status InstallRecord::raise(std::span<const Floor> floors) {
    std::string lines;
    for (const Floor& floor : floors) {
        lines += line_of(floor);
    }
    WARREN_TRY(append(lines, floors.size()));
    for (const Floor& floor : floors) {
        history_.raise(floor);
    }
    return lines_ > 2 * history_.size() + kSlack ? rewrite() : base::Status{};
}

base::Status InstallRecord::append(const std::string& lines, std::size_t count) {
    if (count == 0) {
        return {};
    }
    if (!fd_) {
        WARREN_TRY(rewrite());
    }
    if (auto written = write_all(fd_.get(), lines); !written) {
        // Half a batch must not stay: later lines would be glued to it.
        if (::ftruncate(fd_.get(), static_cast<off_t>(bytes_)) != 0) {
            fd_.reset();
        }
        return base::fail_in(fmt::format("install record {}", path_.string()), std::move(written));
    }
    lines_ += count;
    bytes_ += lines.size();
    return {};
}

base::Status InstallRecord::rewrite() {
    std::string content(kHeader);
    content += '\n';
    for (const Floor& floor : history_.floors()) {
        content += line_of(floor);
    }
    for (const Installed& it : history_.entries()) {
        content += line_of(kind_of(it), it);
    }
    WARREN_TRY(base::write_file_atomic(path_, content, 0600));
    base::UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) {
        return base::fail_errno(fmt::format("open {}", path_.string()), errno);
    }
    fd_ = std::move(fd);
    lines_ = history_.size();
    bytes_ = content.size();
    return {};
}

}  // namespace warren::xfrm
