#pragma once

#include <google/protobuf/message.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/lab/process.h"

// Hosts, containers and daemons for tests of the whole. A host is a network namespace with an address on one underlay
// bridge and a real warrend; a container is a network namespace. scripts/lab-run gives each test a kernel (or
// namespaces) of its own, so names are fixed: hosts h1, h2, … with 192.0.2.1, 192.0.2.2, … or 2001:db8::1, …; the
// bridge is `underlay`.
//
// Whatever fails while things are set up throws std::runtime_error, which ends the test with that message.
namespace warren::lab {

// A network namespace that plays a container.
class Container {
  public:
    explicit Container(std::string name);  // makes the namespace, with loopback up
    Container(Container&&) noexcept = default;
    Container& operator=(Container&&) = delete;
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;
    ~Container();

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] Where where() const { return {.netns = name_}; }
    // The address and the MAC of its first interface but loopback.
    [[nodiscard]] std::string ip() const;
    [[nodiscard]] std::string mac() const;
    [[nodiscard]] std::string interface() const;
    Output run(const Argv& argv) const { return lab::run(argv, where()); }
    // True when every one of `count` pings, 50 ms apart, was answered within a second.
    [[nodiscard]] bool ping(const std::string& address, int count = 1) const;

  private:
    std::string name_;
};

// What hosts have addresses of.
enum class Underlay : std::uint8_t { kIpv4, kIpv6 };

// A host: its namespace and its daemon.
class Host {
  public:
    Host(unsigned number, std::filesystem::path artefacts, Underlay underlay);
    Host(Host&&) noexcept = default;
    Host& operator=(Host&&) = delete;
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host();

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] Where where() const { return {.netns = name_}; }
    [[nodiscard]] std::filesystem::path run_dir() const { return directory_ / "run"; }
    [[nodiscard]] std::filesystem::path clock() const { return directory_ / "clock"; }
    [[nodiscard]] std::filesystem::path state_dir() const { return directory_ / "state"; }
    [[nodiscard]] std::filesystem::path log() const { return artefacts_ / (name_ + ".log"); }

    // What the daemon has said so far.
    [[nodiscard]] std::string log_text() const;
    // How often its log says so.
    [[nodiscard]] std::size_t times_logged(const std::string& what) const;

    // Variables for the environment of its daemons from the next start on, NAME=VALUE.
    void set_environment(Argv variables) { environment_ = std::move(variables); }
    // Returns once the daemon answers on its socket. A second start appends to the same log.
    void start_daemon(const Argv& extra = {});
    // The same with its wall clock wrong by so much.
    void start_daemon_at_other_time(std::chrono::seconds shift);
    // Sets the clock of a daemon that was started so: from now on it is wrong by so much.
    void set_clock(std::chrono::seconds shift) const;
    // The same, to die of SIGKILL at this point (base/fault_point.h).
    void start_daemon_to_die_at(const std::string& fault_point);
    // Ends it with this signal and waits for the end.
    Output kill_daemon(int signal);
    void stop_daemon();
    // Stops it where it is and lets it go on: SIGSTOP, SIGCONT.
    void freeze_daemon();
    void thaw_daemon();
    [[nodiscard]] bool daemon_running();
    // Ends the daemon and takes away all that a reboot takes: IPsec, firewall, networks, the run directory. Its next
    // start is that of another boot.
    void crash();
    // The host's sessions with managers break, and there is no way to them, until they are let through again. Its other
    // traffic goes on.
    void cut_off_from_managers() const;
    void let_through_to_managers() const;
    [[nodiscard]] pid_t daemon_pid() const { return daemon_->pid(); }

    // The programs under test, for a test that starts them in its own way.
    [[nodiscard]] static Argv daemon_program();
    [[nodiscard]] static Argv warren_program();
    [[nodiscard]] Argv warren_command(const Argv& args) const;

    // The real `warren` against this host's daemon.
    [[nodiscard]] Output warren(const Argv& args) const;
    // The same for steps that have to work: throws with warren's words when they do not.
    std::string warren_ok(const Argv& args) const;
    // `warren --format json`, parsed.
    template <typename Message>
    [[nodiscard]] Message ask(const Argv& args) const {
        Message message;
        parse_json(json_of(args), message);
        return message;
    }
    // The same for a command that prints an object per line.
    template <typename Message>
    [[nodiscard]] std::vector<Message> ask_all(const Argv& args) const {
        std::vector<Message> messages;
        std::istringstream lines(json_of(args));
        for (std::string line; std::getline(lines, line);) {
            parse_json(line, messages.emplace_back());
        }
        return messages;
    }
    // Any program in the host's namespace.
    Output run(const Argv& argv) const { return lab::run(argv, where()); }
    std::string must(const Argv& argv) const { return lab::must(argv, where()); }

    // Connects the container to a network of this host's cluster, as an endpoint of the container's name.
    void connect(const std::string& network, const Container& container, const Argv& extra = {}) const;

  private:
    void launch(const Argv& argv);
    [[nodiscard]] Argv as_of_this_boot(Argv argv) const;
    void unpin_networks() const;
    void end_holders() const;
    [[nodiscard]] std::string json_of(const Argv& args) const;
    static void parse_json(const std::string& text, google::protobuf::Message& message);
    [[nodiscard]] Argv daemon_command() const;

    std::string name_;
    std::string address_;
    std::filesystem::path directory_;
    std::filesystem::path artefacts_;
    Argv environment_;
    std::unique_ptr<Process> daemon_;
    unsigned boot_ = 1;
};

// The underlay and its hosts. Made anew in each test; its end kills and removes everything, and after a failure leaves
// in `artefacts()` what is needed to understand it.
class Lab {
  public:
    explicit Lab(unsigned hosts, Underlay underlay = Underlay::kIpv4);
    Lab(const Lab&) = delete;
    Lab& operator=(const Lab&) = delete;
    ~Lab();

    // Numbers start at 1, as in the hosts' names.
    [[nodiscard]] Host& host(unsigned number) { return *hosts_.at(number - 1); }
    [[nodiscard]] std::vector<std::unique_ptr<Host>>& hosts() { return hosts_; }
    // One more host on the underlay, without a daemon.
    Host& add_host();
    // The directory of this test's logs and captures.
    [[nodiscard]] const std::filesystem::path& artefacts() const { return artefacts_; }

  private:
    void leave_artefacts();

    std::filesystem::path artefacts_;
    Underlay underlay_;
    std::vector<std::unique_ptr<Host>> hosts_;
};

inline constexpr const char* kUnderlay = "underlay";

// Where this test's logs go: $WARREN_LAB_OUT if that is named after the test, else a directory below it.
std::filesystem::path artefact_directory();

// Starts the daemons of all hosts and makes them one cluster, h1 its manager. Epochs retire after a grace of 1 s.
// `init` is more for `cluster init`.
void form_cluster(Lab& lab, const Argv& init = {});
// Makes a host whose daemon runs part of that cluster; what the command says.
Output join(Lab& lab, const Host& host);
// As many hosts as that, formed into a cluster.
std::unique_ptr<Lab> cluster_of(unsigned hosts, const Argv& init = {}, Underlay underlay = Underlay::kIpv4);

// A cluster whose certificates live for so long; nobody but a test may have less than an hour.
std::unique_ptr<Lab> short_lived(unsigned hosts, const std::string& lifetime, const Argv& settings = {});

// A container on each host of the cluster, c1 on h1 and so on, connected to the network. Waits until all pairs talk.
std::vector<Container> containers_on_all(Lab& lab, const std::string& network, const std::string& prefix = "c");
// Pings every ordered pair until each was answered once, within the deadline; the text names those that were not.
std::string unreachable_pairs(const std::vector<Container>& containers,
                              std::chrono::milliseconds deadline = std::chrono::seconds(10));

}  // namespace warren::lab
