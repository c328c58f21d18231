#include "proto/access.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "proto/bootstrap.pb.h"
#include "proto/control.pb.h"
#include "proto/local.pb.h"
#include "proto/session.pb.h"

namespace warren::proto {
namespace {

// Every method of every service, as gRPC names it.
std::vector<std::string> all_methods() {
    // Named, so that they are linked.
    const std::vector files{v1::GetRootsRequest::descriptor()->file(), v1::FromAgent::descriptor()->file(),
                            v1::TokenShowRequest::descriptor()->file(), v1::StatusRequest::descriptor()->file()};
    std::vector<std::string> methods;
    for (const auto* file : files) {
        for (int s = 0; s < file->service_count(); ++s) {
            const auto* service = file->service(s);
            for (int m = 0; m < service->method_count(); ++m) {
                methods.push_back("/" + service->full_name() + "/" + service->method(m)->name());
            }
        }
    }
    return methods;
}

std::size_t count_in_sources(const std::string& what) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(WARREN_PROTO_SOURCES)) {
        if (entry.path().extension() == ".proto") {
            std::ifstream in(entry.path());
            for (std::string line; std::getline(in, line);) {
                count += line.starts_with(what) ? 1U : 0U;
            }
        }
    }
    return count;
}

TEST(Access, NoMethodIsOverlooked) {
    EXPECT_EQ(all_methods().size(), count_in_sources("  rpc "));
}

// Served on a host's own socket only, where the kernel's file permissions decide.
bool is_local(const std::string& method) {
    return method.starts_with("/warren.v1.Local/");
}

TEST(Access, EveryMethodNamesItsRoles) {
    for (const auto& method : all_methods()) {
        EXPECT_FALSE(allowed_roles(method).empty()) << method;
        EXPECT_FALSE(allowed_roles(method).contains(v1::ROLE_UNSPECIFIED)) << method;
    }
}

TEST(Access, MethodsOfTheLocalSocketAreForNoCertificate) {
    ASSERT_GT(std::ranges::count_if(all_methods(), is_local), 10);
    for (const auto& method : all_methods()) {
        EXPECT_EQ(allowed_roles(method) == std::set{v1::ROLE_LOCAL}, is_local(method)) << method;
        EXPECT_EQ(allowed_roles(method).contains(v1::ROLE_LOCAL), is_local(method)) << method;
    }
}

TEST(Access, OnlyBootstrapCallsAreForAnyone) {
    const std::set<std::string> for_anyone{"/warren.v1.Bootstrap/GetRoots", "/warren.v1.Bootstrap/IssueCertificate",
                                           "/warren.v1.Bootstrap/GetChallenge", "/warren.v1.Bootstrap/Readmit"};
    for (const auto& method : all_methods()) {
        EXPECT_EQ(allowed_roles(method).contains(v1::ROLE_ANYONE), for_anyone.contains(method)) << method;
    }
}

TEST(Access, WorkersMayOpenSessionsAndLeaveAndNothingElse) {
    for (const auto& method : all_methods()) {
        const bool own = method == "/warren.v1.Sessions/Open" || method == "/warren.v1.Sessions/Leave";
        EXPECT_EQ(allowed_roles(method).contains(v1::ROLE_WORKER), own) << method;
    }
}

// A stolen certificate of an operator must not make more of its kind, nor take away that of who could stop it.
TEST(Access, OperatorsMayDoAllThatManagersMayButDecideWhoIsWho) {
    const std::set<std::string> for_managers{"/warren.v1.Control/CertIssue", "/warren.v1.Control/CertRevoke",
                                             "/warren.v1.Control/CaRotate"};
    for (const auto& method : all_methods()) {
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
