#include "proto/status.h"

#include <fmt/format.h>

namespace warren::proto {

namespace {

using base::Code;

grpc::StatusCode status_code(Code code) {
    switch (code) {
        case Code::kInvalid:
            return grpc::StatusCode::INVALID_ARGUMENT;
        case Code::kNotFound:
            return grpc::StatusCode::NOT_FOUND;
        case Code::kConflict:
            return grpc::StatusCode::ALREADY_EXISTS;
        case Code::kDenied:
            return grpc::StatusCode::PERMISSION_DENIED;
        case Code::kPrecondition:
        case Code::kUnavailable:
            return grpc::StatusCode::FAILED_PRECONDITION;
        case Code::kExhausted:
            return grpc::StatusCode::RESOURCE_EXHAUSTED;
        case Code::kAborted:
            return grpc::StatusCode::ABORTED;
        case Code::kInternal:
            return grpc::StatusCode::INTERNAL;
    }
    return grpc::StatusCode::INTERNAL;
}

}  // namespace

grpc::Status to_grpc(const base::Error& error) {
    return {status_code(error.code()), error.message()};
}

base::Error from_grpc(const grpc::Status& status) {
    const auto code = [&] {
        switch (status.error_code()) {
            case grpc::StatusCode::INVALID_ARGUMENT:
                return Code::kInvalid;
            case grpc::StatusCode::NOT_FOUND:
                return Code::kNotFound;
            case grpc::StatusCode::ALREADY_EXISTS:
                return Code::kConflict;
            case grpc::StatusCode::PERMISSION_DENIED:
            case grpc::StatusCode::UNAUTHENTICATED:
                return Code::kDenied;
            case grpc::StatusCode::FAILED_PRECONDITION:
                return Code::kPrecondition;
            case grpc::StatusCode::RESOURCE_EXHAUSTED:
                return Code::kExhausted;
            case grpc::StatusCode::ABORTED:
            case grpc::StatusCode::CANCELLED:
                return Code::kAborted;
            case grpc::StatusCode::UNAVAILABLE:
            case grpc::StatusCode::DEADLINE_EXCEEDED:
                return Code::kUnavailable;
            case grpc::StatusCode::OK:
            case grpc::StatusCode::UNKNOWN:
            case grpc::StatusCode::OUT_OF_RANGE:
            case grpc::StatusCode::UNIMPLEMENTED:
            case grpc::StatusCode::INTERNAL:
            case grpc::StatusCode::DATA_LOSS:
            case grpc::StatusCode::DO_NOT_USE:
                return Code::kInternal;
        }
        return Code::kInternal;
    }();
    // gRPC's own errors can come without a word.
    return {code, status.error_message().empty()
                      ? fmt::format("the call failed with gRPC status {}", static_cast<int>(status.error_code()))
                      : plain_reason(status.error_message())};
}

std::string plain_reason(std::string_view text) {
    constexpr std::string_view kAll = "failed to connect to all addresses; last error: ";
    if (!text.starts_with(kAll)) {
        return std::string(text);
    }
    text.remove_prefix(kAll.size());
    const auto drop_through = [&](std::string_view mark) {
        const auto at = text.find(mark);
        text.remove_prefix(at == std::string_view::npos ? 0 : at + mark.size());
    };
    drop_through(": ");  // gRPC's word for the code
    drop_through(": ");  // the address
    if (text.starts_with("Failed to connect to remote host: ")) {
        drop_through(": ");
    }
    return std::string(text);
}

}  // namespace warren::proto
