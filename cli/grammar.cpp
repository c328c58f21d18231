#include "cli/grammar.h"

#include <fmt/format.h>

#include <optional>

#include "base/text.h"

namespace warren::cli {

namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

// "  left      right" for each row, the right side aligned with that of the whole help text.
void append_rows(std::string& text, std::string_view title, const Rows& rows) {
    constexpr std::size_t kWidth = 26;
    if (rows.empty()) {
        return;
    }
    text += fmt::format("\n{}:\n", title);
    for (const auto& [left, right] : rows) {
        if (left.size() > kWidth) {
            text += fmt::format("  {}\n  {:{}}  {}\n", left, "", kWidth, right);
        } else {
            text += fmt::format("  {:{}}  {}\n", left, kWidth, right);
        }
    }
}

Rows option_rows(const CLI::App& app) {
    Rows rows;
    for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->nonpositional(); })) {
        const std::string value = option->get_option_text();
        rows.emplace_back(option->get_name(false, true) + (value.empty() ? "" : " " + value),
                          option->get_description() + (option->get_required() ? "; required" : ""));
    }
    return rows;
}

std::string argument_usage(const CLI::Option& option) {
    std::string usage = option.get_option_text();
    if (option.get_expected_max() > 1) {
        usage += "...";
    }
    return option.get_required() ? usage : "[" + usage + "]";
}

}  // namespace

std::string full_name(const CLI::App& app) {
    return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

std::string HelpText::make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const {
    std::string text = app->get_description() + "\n\nUsage: " + full_name(*app) + " [OPTIONS]";
    Rows arguments;
    for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
        text += " " + argument_usage(*option);
        arguments.emplace_back(option->get_option_text(), option->get_description());
    }
    Rows commands;
    for (const CLI::App* command : app->get_subcommands(std::function<bool(const CLI::App*)>{})) {
        commands.emplace_back(command->get_name(), command->get_description());
    }
    text += commands.empty() ? "\n" : " COMMAND\n";
    append_rows(text, "Arguments", arguments);
    append_rows(text, "Commands", commands);
    append_rows(text, "Options", option_rows(*app));
    if (app->get_parent() != nullptr) {
        text += "\nThe options of 'warren --help' are taken here too.\n";
    }
    if (!app->get_footer().empty()) {
        text += "\n" + app->get_footer() + "\n";
    }
    return text;
}

namespace {

CLI::App* add_app(CLI::App& parent, const CommandHelp& help) {
    CLI::App* app = parent.add_subcommand(help.name, help.description);
    // Lets --format and --host stand anywhere.
    app->fallthrough();
    app->footer(fmt::format("Example:\n  {}", help.example));
    return app;
}

}  // namespace

std::string true_or_false(const std::string& value) {
    return value == "true" || value == "false" ? std::string() : "'" + value + "': must be true or false, or left out";
}

CLI::App& add_group(CLI::App& root, const CommandHelp& help) {
    return *add_app(root, help);
}

Syntax::Syntax(CLI::App& group, const CommandHelp& help)
    : app_(add_app(group, help)),
      rules_(std::make_shared<std::vector<std::function<std::string()>>>()),
      actions_(std::make_shared<std::vector<std::function<void()>>>()) {
    app_->final_callback([rules = rules_, actions = actions_] {
        for (const auto& rule : *rules) {
            if (std::string broken = rule(); !broken.empty()) {
                throw CLI::ValidationError(broken);
            }
        }
        for (const auto& action : *actions) {
            action();
        }
    });
}

CLI::Option* Syntax::text(const char* names, const char* value, std::string& target, const char* description) {
    CLI::Option* option = app_->add_option(names, target, description);
    option->option_text(value);
    return option;
}

void Syntax::texts(const char* names, const char* value, google::protobuf::RepeatedPtrField<std::string>& target,
                   const char* description) {
    app_->add_option_function<std::vector<std::string>>(
            names, [&target](const std::vector<std::string>& values) { target.Assign(values.begin(), values.end()); },
            description)
        ->allow_extra_args(false)
        ->option_text(value);
}

void Syntax::number(const char* names, const char* value, std::uint32_t max, std::function<void(std::uint32_t)> set,
                    const char* description) {
    app_->add_option_function<std::string>(
            names,
            [set = std::move(set), max, names](const std::string& given) {
                const std::optional<std::uint64_t> number = base::parse_unsigned(given, max);
                if (!number) {
                    throw CLI::ValidationError(
                        fmt::format("{} '{}': must be a number from 0 to {}", names, given, max));
                }
                set(static_cast<std::uint32_t>(*number));
            },
            description)
        ->option_text(value);
}

void Syntax::flag(const char* names, std::function<void()> set, const char* description) {
    app_->add_flag_callback(names, std::move(set), description)->check(true_or_false);
}

CLI::Option* Syntax::argument(const char* name, std::string& target, const char* description) {
    // CLI11 has narrower ideas of a name than we have ("MANAGER[:PORT]"): it gets a plain one.
    const std::string plain(std::string_view(name).substr(0, std::string_view(name).find('[')));
    CLI::Option* option = app_->add_option(plain, target, description);
    option->option_text(name)->required();
    return option;
}

void Syntax::optional_argument(const char* name, std::string& target, const char* description) {
    argument(name, target, description)->required(false);
}

void Syntax::arguments(const char* name, std::vector<std::string>& target, const char* description) {
    app_->add_option(name, target, description)->option_text(name)->required();
}

void Syntax::check(std::function<std::string()> rule) {
    rules_->push_back(std::move(rule));
}

void Syntax::finally(std::function<void()> action) {
    actions_->push_back(std::move(action));
}

}  // namespace warren::cli
