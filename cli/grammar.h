#pragma once

#include <google/protobuf/repeated_field.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/parse.h"

// How the commands are declared to CLI11. Inside cli/ only: whoever includes this pays for CLI11's headers.
namespace warren::cli {

struct CommandHelp {
    const char* name;
    const char* description;
    const char* example;
};

// A command that has commands of its own.
CLI::App& add_group(CLI::App& root, const CommandHelp& help);

// A command, declared in terms of the value that it becomes.
class Syntax {
  public:
    Syntax(CLI::App& group, const CommandHelp& help);

    // "--ip", "IP": an option that takes one value, at most once.
    CLI::Option* text(const char* names, const char* value, std::string& target, const char* description);
    // The same, as often as one likes.
    void texts(const char* names, const char* value, google::protobuf::RepeatedPtrField<std::string>& target,
               const char* description);
    void number(const char* names, const char* value, std::uint32_t max, std::function<void(std::uint32_t)> set,
                const char* description);
    void flag(const char* names, std::function<void()> set, const char* description);
    // Arguments without dashes, in this order.
    CLI::Option* argument(const char* name, std::string& target, const char* description);
    void optional_argument(const char* name, std::string& target, const char* description);
    void arguments(const char* name, std::vector<std::string>& target, const char* description);

    // What no single option can check: the error's text, or none.
    void check(std::function<std::string()> rule);
    void finally(std::function<void()> action);

  private:
    CLI::App* app_;
    std::shared_ptr<std::vector<std::function<std::string()>>> rules_;
    std::shared_ptr<std::vector<std::function<void()>>> actions_;
};

// Declares one command: `declare(syntax, value)` binds options to the fields of `value`, which becomes `chosen` when
// the command line names this command. The value lives as long as `group`.
template <typename Value, typename Declare>
void add_command(CLI::App& group, Command& chosen, const CommandHelp& help, Declare declare) {
    auto value = std::make_shared<Value>();
    Syntax syntax(group, help);
    declare(syntax, *value);
    syntax.finally([value, &chosen] { chosen = std::move(*value); });
}

// The groups, each in a file of its own.
void add_cluster_commands(CLI::App& root, Command& chosen);
void add_token_commands(CLI::App& root, Command& chosen);
void add_cert_commands(CLI::App& root, Command& chosen);
void add_node_commands(CLI::App& root, Command& chosen);
void add_network_commands(CLI::App& root, Command& chosen, const Environment& environment);
void add_endpoint_commands(CLI::App& root, Command& chosen);
void add_key_commands(CLI::App& root, Command& chosen);
void add_events_command(CLI::App& root, Command& chosen);
void add_ca_commands(CLI::App& root, Command& chosen);
void add_status_command(CLI::App& root, Command& chosen);

// What the value of a flag must be, if it has one; CLI11 takes numbers and some words, too, and names no rule.
[[nodiscard]] std::string true_or_false(const std::string& value);

// The text of --help.
class HelpText : public CLI::Formatter {
  public:
    std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};
// "warren network create"
[[nodiscard]] std::string full_name(const CLI::App& app);

}  // namespace warren::cli
