#include "proto/access.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>

namespace warren::proto {

std::set<v1::Role> allowed_roles(std::string_view method_path) {
    // "/package.Service/Method" names the method "package.Service.Method".
    std::string name(method_path.substr(std::min<std::size_t>(method_path.size(), 1)));
    std::replace(name.begin(), name.end(), '/', '.');
    const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
    std::set<v1::Role> roles;
    if (method != nullptr) {
        for (int i = 0; i < method->options().ExtensionSize(v1::allow); ++i) {
            roles.insert(method->options().GetExtension(v1::allow, i));
        }
    }
    return roles;
}

}  // namespace warren::proto
