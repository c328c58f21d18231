#include "cli/table.h"

#include <algorithm>
#include <cassert>

namespace warren::cli {

namespace {

constexpr std::size_t kGap = 3;

std::string_view shown(std::string_view text) {
    return text.empty() ? "-" : text;
}

void append_padded(std::string& out, std::string_view text, Tone tone, std::size_t width, const View& view) {
    out += paint(text, tone, view.colour);
    out.append(width - columns(text), ' ');
}

}  // namespace

std::string Table::text(const View& view) const {
    std::vector<std::size_t> widths;
    widths.reserve(header_.size());
    for (const std::string& title : header_) {
        widths.push_back(columns(title));
    }
    for (const std::vector<Cell>& row : rows_) {
        assert(row.size() == widths.size());
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], columns(shown(row[i].text)));
        }
    }
    const auto padded = [&](std::size_t column, std::string_view text) {
        return column + 1 == widths.size() ? columns(text) : widths[column] + kGap;
    };

    std::string out;
    for (std::size_t i = 0; i < header_.size(); ++i) {
        append_padded(out, header_[i], Tone::kPlain, padded(i, header_[i]), view);
    }
    out += '\n';
    for (const std::vector<Cell>& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string_view cell = shown(row[i].text);
            append_padded(out, cell, row[i].tone, padded(i, cell), view);
        }
        out += '\n';
    }
    return out;
}

std::string Block::text(const View& view) const {
    std::size_t width = 0;
    for (const auto& [key, value] : lines_) {
        width = std::max(width, columns(key));
    }
    std::string out;
    for (const auto& [key, value] : lines_) {
        append_padded(out, key.empty() ? key : key + ":", Tone::kPlain, width + 1 + kGap - 1, view);
        out += paint(shown(value.text), value.tone, view.colour) + "\n";
    }
    return out;
}

}  // namespace warren::cli
