#include "proto/access.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "proto/bootstrap.pb.h"
#include "proto/control.pb.h"
#include "proto/session.pb.h"

namespace warren::proto {
namespace {

// Every method of a service that a manager's TCP port serves, as gRPC names it.
std::vector<std::string> methods_on_tcp() {
    std::vector<std::string> methods;
    for (const auto* file : {v1::GetRootsRequest::descriptor()->file(), v1::FromAgent::descriptor()->file(),
                             v1::TokenShowRequest::descriptor()->file()}) {
        for (int s = 0; s < file->service_count(); ++s) {
            const auto* service = file->service(s);
            for (int m = 0; m < service->method_count(); ++m) {
                methods.push_back("/" + service->full_name() + "/" + service->method(m)->name());
            }
        }
    }
    return methods;
}

TEST(Access, EveryMethodOnTcpNamesItsRoles) {
    ASSERT_GT(methods_on_tcp().size(), 10U);
    for (const auto& method : methods_on_tcp()) {
        EXPECT_FALSE(allowed_roles(method).empty()) << method;
        EXPECT_FALSE(allowed_roles(method).contains(v1::ROLE_UNSPECIFIED)) << method;
    }
}

TEST(Access, OnlyBootstrapCallsAreForAnyone) {
    const std::set<std::string> for_anyone{"/warren.v1.Bootstrap/GetRoots", "/warren.v1.Bootstrap/IssueCertificate",
                                           "/warren.v1.Bootstrap/GetChallenge", "/warren.v1.Bootstrap/Readmit"};
    for (const auto& method : methods_on_tcp()) {
        EXPECT_EQ(allowed_roles(method).contains(v1::ROLE_ANYONE), for_anyone.contains(method)) << method;
    }
}

TEST(Access, WorkersMayOpenSessionsAndLeaveAndNothingElse) {
    for (const auto& method : methods_on_tcp()) {
        const bool own = method == "/warren.v1.Sessions/Open" || method == "/warren.v1.Sessions/Leave";
        EXPECT_EQ(allowed_roles(method).contains(v1::ROLE_WORKER), own) << method;
    }
}

// A stolen certificate of an operator must not make more of its kind, nor take away that of who could stop it.
TEST(Access, OperatorsMayDoAllThatManagersMayButDecideWhoIsWho) {
    const std::set<std::string> for_managers{"/warren.v1.Control/CertIssue", "/warren.v1.Control/CertRevoke",
                                             "/warren.v1.Control/CaRotate"};
    for (const auto& method : methods_on_tcp()) {
        const bool only_manager = for_managers.contains(method);
        const bool control = method.starts_with("/warren.v1.Control/");
        EXPECT_EQ(allowed_roles(method).contains(v1::ROLE_OPERATOR), control && !only_manager) << method;
    }
}

TEST(Access, UnknownMethodsAreForNobody) {
    EXPECT_TRUE(allowed_roles("/warren.v1.Control/NoSuchMethod").empty());
    EXPECT_TRUE(allowed_roles("").empty());
    EXPECT_TRUE(allowed_roles("/").empty());
}

}  // namespace
}  // namespace warren::proto
