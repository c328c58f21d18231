#include "dns/message.h"

#include <algorithm>
#include <string_view>

namespace warren::dns {

namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestLabel = 63;
constexpr std::uint16_t kInternet = 1;
constexpr std::size_t kLeastUdp = 512;
constexpr std::size_t kMostUdp = 1232;
// Of the header's second word.
constexpr std::uint16_t kResponse = 0x8000;
constexpr std::uint16_t kAuthoritative = 0x0400;
constexpr std::uint16_t kTruncated = 0x0200;
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kRecursionAvailable = 0x0080;
constexpr unsigned kOpcodeShift = 11;

class Reader {
  public:
    explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

    [[nodiscard]] std::size_t at() const { return at_; }
    [[nodiscard]] std::optional<std::uint8_t> byte() {
        return at_ < bytes_.size() ? std::optional(bytes_[at_++]) : std::nullopt;
    }
    [[nodiscard]] std::optional<std::uint16_t> half() {
        if (bytes_.size() - at_ < 2) {
            return std::nullopt;
        }
        at_ += 2;
        return static_cast<std::uint16_t>(bytes_[at_ - 2] << 8U | bytes_[at_ - 1]);
    }
    [[nodiscard]] bool skip(std::size_t count) {
        if (bytes_.size() - at_ < count) {
            return false;
        }
        at_ += count;
        return true;
    }
    // A query has nothing before its names that they could point to: a pointer is refused.
    [[nodiscard]] std::optional<std::string> name() {
        std::string name;
        const auto begin = at_;
        while (const auto length = byte()) {
            if (*length == 0) {
                return name;
            }
            if (*length > kLongestLabel || bytes_.size() - at_ < *length || at_ + *length - begin >= kLongestName) {
                return std::nullopt;
            }
            if (!name.empty()) {
                name += '.';
            }
            for (const auto c : bytes_.subspan(at_, *length)) {
                if (c == '.' || c == '\\') {
                    name += '\\';
                }
                name += static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
            }
            at_ += *length;
        }
        return std::nullopt;
    }

  private:
    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
};

bool read_question(Reader& reader, std::span<const std::uint8_t> bytes, Query& query) {
    Question question;
    const auto begin = reader.at();
    auto name = reader.name();
    const auto type = reader.half();
    const auto kind = reader.half();
    if (!name || !type || !kind) {
        return false;
    }
    question.name = *std::move(name);
    question.type = static_cast<Type>(*type);
    question.internet = *kind == kInternet;
    const auto wire = bytes.subspan(begin, reader.at() - begin);
    question.wire.assign(wire.begin(), wire.end());
    query.question = std::move(question);
    return true;
}

// Of a query's additional records only OPT says anything.
bool read_additional(Reader& reader, Query& query) {
    const auto name = reader.name();
    const auto type = reader.half();
    const auto size = reader.half();
    const auto extended = reader.byte();
    const auto version = reader.byte();
    const auto flags = reader.half();
    const auto length = reader.half();
    if (!name || !type || !size || !extended || !version || !flags || !length || !reader.skip(*length)) {
        return false;
    }
    if (static_cast<Type>(*type) == Type::kOpt) {
        if (query.edns || !name->empty()) {  // RFC 6891 section 6.1.1
            return false;
        }
        query.edns = Query::Edns{.size = *size, .version = *version};
    }
    return true;
}

void put_half(std::vector<std::uint8_t>& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8U));
    out.push_back(static_cast<std::uint8_t>(value));
}
void put_word(std::vector<std::uint8_t>& out, std::uint32_t value) {
    put_half(out, value >> 16U);
    put_half(out, value & 0xffffU);
}

// Names of ours: labels without dots in them.
void put_name(std::vector<std::uint8_t>& out, std::string_view name) {
    while (!name.empty()) {
        const auto label = name.substr(0, name.find('.'));
        out.push_back(static_cast<std::uint8_t>(label.size()));
        out.insert(out.end(), label.begin(), label.end());
        name.remove_prefix(std::min(name.size(), label.size() + 1));
    }
    out.push_back(0);
}

// What the asker asked for is named by a pointer to the question.
void put_owner(std::vector<std::uint8_t>& out, const Query& query, const std::string& name) {
    constexpr std::uint16_t kPointer = 0xc000;
    if (query.question && query.question->name == name) {
        put_half(out, kPointer | kHeader);
    } else {
        put_name(out, name);
    }
}

// A record's data as it goes, and what type it is of.
struct Data {
    std::vector<std::uint8_t> bytes;

    Type operator()(const base::IpAddress& ip) {
        const auto raw = ip.raw();
        bytes.assign(raw.begin(), raw.end());
        return ip.family == base::Family::kIpv4 ? Type::kA : Type::kAaaa;
    }
    Type operator()(const std::string& name) {
        put_name(bytes, name);
        return Type::kPtr;
    }
    Type operator()(const ServiceLocation& service) {
        put_half(bytes, 0);  // priority
        put_half(bytes, 0);  // weight
        put_half(bytes, service.port);
        put_name(bytes, service.target);  // RFC 2782: whole, no pointer
        return Type::kSrv;
    }
};

void put_record(std::vector<std::uint8_t>& out, const Query& query, const Record& record) {
    put_owner(out, query, record.name);
    Data data;
    put_half(out, static_cast<std::uint16_t>(std::visit(data, record.data)));
    put_half(out, kInternet);
    put_word(out, static_cast<std::uint32_t>(record.ttl.count()));
    put_half(out, data.bytes.size());
    out.insert(out.end(), data.bytes.begin(), data.bytes.end());
}

// As many of them, in their order, as leave the message within `limit`; how many.
std::size_t put_records(std::vector<std::uint8_t>& out, const Query& query, const std::vector<Record>& records,
                        std::size_t limit) {
    std::size_t count = 0;
    for (auto end = out.size(); count < records.size(); ++count, end = out.size()) {
        put_record(out, query, records[count]);
        if (out.size() > limit) {
            out.resize(end);
            break;
        }
    }
    return count;
}

void put_opt(std::vector<std::uint8_t>& out, Rcode rcode) {
    out.push_back(0);
    put_half(out, static_cast<std::uint16_t>(Type::kOpt));
    put_half(out, kMostUdp);
    out.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(rcode) >> 4U));
    out.push_back(0);  // version
    put_half(out, 0);
    put_half(out, 0);
}

std::uint16_t flags_of(const Query& query, const Answer& answer, bool truncated) {
    unsigned flags =
        kResponse | static_cast<unsigned>(query.opcode) << kOpcodeShift | (static_cast<unsigned>(answer.rcode) & 0xfU);
    flags |= answer.authoritative ? kAuthoritative : 0U;
    flags |= truncated || answer.cut ? kTruncated : 0U;
    flags |= answer.recursive ? kRecursionAvailable : 0U;
    flags |= query.recursion_desired ? kRecursionDesired : 0U;
    return static_cast<std::uint16_t>(flags);
}

}  // namespace

std::optional<Query> parse_query(std::span<const std::uint8_t> bytes) {
    Reader reader(bytes);
    const auto id = reader.half();
    const auto flags = reader.half();
    const auto questions = reader.half();
    const auto answers = reader.half();
    const auto authorities = reader.half();
    const auto additional = reader.half();
    if (!additional || (*flags & kResponse) != 0) {
        return std::nullopt;
    }
    Query query;
    query.id = *id;
    query.opcode = static_cast<std::uint8_t>(*flags >> kOpcodeShift & 0xfU);
    query.recursion_desired = (*flags & kRecursionDesired) != 0;
    if (query.opcode != 0) {
        return query;  // whatever is in it
    }
    query.malformed = *questions != 1 || *answers != 0 || *authorities != 0 || !read_question(reader, bytes, query);
    for (unsigned i = 0; i < *additional && !query.malformed; ++i) {
        query.malformed = !read_additional(reader, query);
    }
    return query;
}

std::vector<std::uint8_t> encode(const Query& query, const Answer& answer, std::size_t limit) {
    std::vector<std::uint8_t> opt;
    if (query.edns) {
        put_opt(opt, answer.rcode);
    }
    std::vector<std::uint8_t> out(kHeader);
    if (query.question) {
        out.insert(out.end(), query.question->wire.begin(), query.question->wire.end());
    }
    const auto count = put_records(out, query, answer.records, limit - opt.size());
    const bool whole = count == answer.records.size();
    const auto additional = whole ? put_records(out, query, answer.additional, limit - opt.size()) : 0;
    out.insert(out.end(), opt.begin(), opt.end());
    std::vector<std::uint8_t> header;
    put_half(header, query.id);
    put_half(header, flags_of(query, answer, !whole));
    put_half(header, query.question ? 1 : 0);
    put_half(header, count);
    put_half(header, 0);
    put_half(header, additional + (query.edns ? 1 : 0));
    std::ranges::copy(header, out.begin());
    return out;
}

std::vector<std::uint8_t> with_length(std::span<const std::uint8_t> message) {
    std::vector<std::uint8_t> out;
    out.reserve(kLength + message.size());
    put_half(out, message.size());
    out.insert(out.end(), message.begin(), message.end());
    return out;
}

std::size_t read_length(std::span<const std::uint8_t> bytes) {
    return static_cast<std::size_t>(bytes[0] << 8U | bytes[1]);
}

std::size_t udp_limit(const Query& query) {
    return query.edns ? std::clamp<std::size_t>(query.edns->size, kLeastUdp, kMostUdp) : kLeastUdp;
}

}  // namespace warren::dns
