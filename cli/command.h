#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cli/exit.h"
#include "proto/control.pb.h"
#include "proto/local.pb.h"

namespace warren::cli {

// What a command line asks for, one type per command: the request as the daemon takes it, and how to show the reply.
struct PrintHelp {
    std::string text;
    Exit exit = Exit::kDone;  // kUsage when nobody asked for help but there was nothing to do
};
struct ShowVersion {};

struct ClusterInit {
    v1::ClusterInitRequest request;
};
struct ClusterJoin {
    v1::ClusterJoinRequest request;
};
struct ClusterInfo {
    v1::ClusterInfoRequest request;
};
struct ClusterLeave {
    v1::ClusterLeaveRequest request;
};
struct ClusterLock {
    bool quiet = false;  // the key alone
};
struct ClusterUnlock {
    std::string key_file;  // empty: asked for, or read from standard input
    bool permanently = false;
};
struct KekRotate {
    v1::KekRotateRequest request;
};
struct TokenShow {
    v1::TokenShowRequest request;
    bool quiet = false;  // the token alone
};
struct TokenRotate {
    v1::TokenRotateRequest request;
    bool quiet = false;  // the token alone
};

struct CertIssue {
    v1::CertIssueRequest request;
    std::string directory;  // where key and certificate go
};
struct CertList {
    v1::CertListRequest request;
};
struct CertRevoke {
    v1::CertRevokeRequest request;
};

struct NodeList {
    v1::NodeListRequest request;
    bool quiet = false;  // ids alone
};
struct NodeInspect {
    v1::NodeInspectRequest request;
};

struct NodeRemove {
    v1::NodeRemoveRequest request;
};

struct NetworkCreate {
    v1::NetworkCreateRequest request;
};
struct NetworkList {
    v1::NetworkListRequest request;
    google::protobuf::RepeatedPtrField<std::string> filters;  // K=V
    bool quiet = false;                                       // ids alone
};
struct NetworkPrune {
    bool force = false;  // else only says what it would remove
};
struct NetworkInspect {
    v1::NetworkInspectRequest request;
    bool verbose = false;  // in tables; JSON has all of it
};
struct NetworkUpdate {
    v1::NetworkUpdateRequest request;
};
struct NetworkVerify {
    v1::NetworkVerifyRequest request;
};
struct NetworkRemove {
    std::vector<std::string> networks;  // a failure does not keep the rest
};
struct NetworkConnect {
    v1::NetworkConnectRequest request;
};
struct NetworkDisconnect {
    v1::NetworkDisconnectRequest request;
};
struct EndpointList {
    v1::EndpointListRequest request;
};
struct EndpointInspect {
    std::string endpoint;  // name, id or unique prefix of an id
};

struct KeyList {
    v1::KeyListRequest request;
};
struct KeyStatus {
    v1::KeyStatusRequest request;
};
struct KeyHistory {
    v1::KeyHistoryRequest request;
};
struct KeyRotate {
    v1::KeyRotateRequest request;
    bool abort = false;  // take it back instead
    bool all = false;    // every encrypted network, so many at a time
    std::uint32_t at_once = 4;
};

struct Events {
    v1::EventsRequest request;
};

struct CaShow {
    v1::CaShowRequest request;
};
struct CaRotate {
    std::string external_root;  // a file
    bool detach = false;
};

struct CertShow {
    v1::CertShowRequest request;
};
struct CertRenew {
    v1::CertRenewRequest request;
};

struct Doctor {
    v1::DoctorRequest request;
};
struct Status {
    v1::StatusRequest request;
};

using Command =
    std::variant<PrintHelp, ShowVersion, ClusterInit, ClusterJoin, ClusterInfo, ClusterLeave, ClusterLock,
                 ClusterUnlock, KekRotate, TokenShow, TokenRotate, CertIssue, CertList, CertRevoke, NodeList,
                 NodeInspect, NodeRemove, NetworkCreate, NetworkList, NetworkInspect, NetworkUpdate, NetworkVerify,
                 NetworkRemove, NetworkPrune, NetworkConnect, NetworkDisconnect, EndpointList, EndpointInspect, KeyList,
                 KeyStatus, KeyHistory, KeyRotate, CaShow, CaRotate, CertShow, CertRenew, Events, Doctor, Status>;

enum class Format : std::uint8_t { kTable, kJson };

// Whom the program talks to: the daemon of its host, or a manager from anywhere.
struct Destination {
    std::string socket;        // path of the daemon's socket; empty: there is a manager
    std::string manager;       // IP:PORT
    std::string certificates;  // directory of the certificate to show to it

    bool operator==(const Destination&) const = default;
};

// One run of the program.
struct Invocation {
    Command command;
    Format format = Format::kTable;
    bool no_color = false;
    Destination destination;
};

}  // namespace warren::cli
