#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "netlink/kernel_socket.h"
#include "netlink/namespace.h"
#include "overlay/announcement.h"
#include "overlay/desired.h"
#include "overlay/familiar.h"

// Brings the links of one namespace to what is desired: looks, diffs, does, and looks again.
namespace warren::overlay {

// What one bring() did and could not do.
struct Outcome {
    std::size_t changes = 0;       // operations that the kernel took; 0 and no error = everything was right already
    std::size_t of_endpoints = 0;  // of these: of local endpoints' links, which what is in the container can undo

    // What failed with the network as a whole (bridge, VXLAN, remote endpoints), in context.
    std::vector<base::Error> errors;
    // What failed with one local endpoint ("endpoint web: namespace /run/netns/web: ..."); the others went on.
    std::map<base::EndpointId, base::Error> endpoint_errors;
    // The names of the local endpoints' interfaces in their containers, of all that exist.
    std::map<base::EndpointId, std::string> ifnames;
    // The addresses that neighbours have otherwise, or may: of endpoints that came or changed.
    std::set<Appeared> appeared;
    std::vector<netlink::Link> links;  // of the namespace, as seen last

    [[nodiscard]] bool complete() const { return errors.empty() && endpoint_errors.empty(); }
};

struct Subject {
    std::string what;  // for errors: "network blue"
    Desired want;
    std::map<base::EndpointId, std::string> names;  // of the pairs, for errors
    std::string passing_name;                       // that a VXLAN device has for a moment, and no other link ever
    base::UdpPort port;                             // of the VXLAN devices
};

struct OpenNamespace {
    netlink::Namespace ns;
    netlink::Socket socket;
};
[[nodiscard]] base::Result<OpenNamespace> open_namespace(base::Result<netlink::Namespace> ns);

// `home` has bridges and VXLAN devices; the latter are made through `host`, in whose namespace their sockets stay. Into
// containers that are familiar it does not look.
[[nodiscard]] Outcome bring(netlink::Socket& host, OpenNamespace& home, const Subject& subject, Familiar& familiar);

}  // namespace warren::overlay
