#pragma once

#include <fmt/format.h>

#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>

namespace warren::base {

// A number of one kind: explicit both ways, ordered, hashable, printable, and not mixed up with a number of another
// kind.
template <typename Tag, std::integral T>
struct Strong {
    using Value = T;
    T value{};

    constexpr Strong() = default;
    constexpr explicit Strong(T v) : value(v) {}
    constexpr auto operator<=>(const Strong&) const = default;
};

}  // namespace warren::base

template <typename Tag, typename T>
struct std::hash<warren::base::Strong<Tag, T>> {
    std::size_t operator()(const warren::base::Strong<Tag, T>& s) const noexcept { return std::hash<T>{}(s.value); }
};

template <typename Tag, typename T>
struct fmt::formatter<warren::base::Strong<Tag, T>> : fmt::formatter<T> {
    template <typename Context>
    auto format(const warren::base::Strong<Tag, T>& s, Context& context) const {
        return fmt::formatter<T>::format(s.value, context);
    }
};
