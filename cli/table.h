#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/text.h"

namespace warren::cli {

// One value to show. Made printable on the way in; an empty one is shown as "-", so that columns can be cut by scripts.
struct Cell {
    std::string text;
    Tone tone = Tone::kPlain;

    template <std::convertible_to<std::string_view> Text>
    Cell(const Text& shown, Tone how = Tone::kPlain)  // NOLINT: a text is a plain cell
        : text(printable(shown)), tone(how) {}
    Cell(std::integral auto number) : text(fmt::format("{}", number)) {}  // NOLINT: so is a number
};

// A table as Docker shows them: a header in capitals, columns as wide as their widest cell, three spaces between them,
// nothing behind the last one. Without rows there is still the header.
class Table {
  public:
    explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

    // One cell per column of the header.
    void row(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
    [[nodiscard]] bool empty() const { return rows_.empty(); }
    [[nodiscard]] std::string text(const View& view) const;

  private:
    std::vector<std::string> header_;
    std::vector<std::vector<Cell>> rows_;
};

// What is known of one thing, a line each: "Name:  value", the values aligned. A line without a key continues the one
// before it.
class Block {
  public:
    void line(std::string key, Cell value) { lines_.emplace_back(std::move(key), std::move(value)); }
    [[nodiscard]] std::string text(const View& view) const;

  private:
    std::vector<std::pair<std::string, Cell>> lines_;
};

}  // namespace warren::cli
