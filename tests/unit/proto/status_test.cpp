#include "proto/status.h"

#include <gtest/gtest.h>

namespace warren::proto {
namespace {

using base::Code;

TEST(Status, CodesComeBackAsTheyWent) {
    for (const auto code : {Code::kInvalid, Code::kNotFound, Code::kConflict, Code::kDenied, Code::kPrecondition,
                            Code::kExhausted, Code::kAborted, Code::kInternal}) {
        const auto back = from_grpc(to_grpc(base::Error(code, "why")));
        EXPECT_EQ(back.code(), code) << base::name(code);
        EXPECT_EQ(back.message(), "why");
    }
}

TEST(Status, UnavailableIsGrpcsAlone) {
    EXPECT_NE(to_grpc(base::Error(Code::kUnavailable, "x")).error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(from_grpc({grpc::StatusCode::UNAVAILABLE, "x"}).code(), Code::kUnavailable);
}

TEST(Status, AnErrorWithoutAWordGetsSome) {
    EXPECT_NE(from_grpc({grpc::StatusCode::UNKNOWN, ""}).message(), "");
}

TEST(Status, OfAnUnreachablePeerOnlyTheReasonIsTold) {
    const std::string all = "failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:99: ";
    EXPECT_EQ(plain_reason(all + "Failed to connect to remote host: Connection refused"), "Connection refused");
    EXPECT_EQ(plain_reason(all + "Ssl handshake failed: verify failed"), "Ssl handshake failed: verify failed");
    EXPECT_EQ(plain_reason("Deadline Exceeded"), "Deadline Exceeded");
    EXPECT_EQ(from_grpc({grpc::StatusCode::UNAVAILABLE, all + "reset"}).message(), "reset");
}

}  // namespace
}  // namespace warren::proto
