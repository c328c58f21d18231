#pragma once

#include <memory>

namespace warren::base {

// Deleter for the handles of C libraries: `using SslCtx = Handle<SSL_CTX, &SSL_CTX_free>;`
template <auto FreeFunction>
struct Free {
    template <typename T>
    void operator()(T* pointer) const noexcept {
        FreeFunction(pointer);
    }
};
template <typename T, auto FreeFunction>
using Handle = std::unique_ptr<T, Free<FreeFunction>>;

}  // namespace warren::base
