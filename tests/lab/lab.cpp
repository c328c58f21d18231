#include "tests/lab/lab.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "base/fault_point.h"

namespace warren::lab {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

// `status` and `doctor` print their findings and end with this when one is bad.
constexpr int kDegraded = 4;

// The environment goes first, so that a test program of one build can drive the programs of another.
std::string program(const char* variable, const char* built) {
    const char* given = std::getenv(variable);
    return given != nullptr ? given : built;
}

bool answers(const fs::path& socket_path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.native().size() >= sizeof(address.sun_path)) {
        throw std::runtime_error(socket_path.string() + ": too long for a socket");
    }
    std::memcpy(address.sun_path, socket_path.c_str(), socket_path.native().size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // The two types of address share their first member, which says which it is.
    const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    return connected;
}

// Field `index` of the words of a text.
std::string word(const std::string& text, size_t index) {
    std::istringstream words(text);
    std::string found;
    for (size_t i = 0; i <= index; ++i) {
        if (!(words >> found)) {
            throw std::runtime_error(fmt::format("no word {} in: {}", index, text));
        }
    }
    return found;
}

void save(const fs::path& file, const Argv& argv, const Where& where) {
    const auto output = run(argv, where);
    std::ofstream(file) << output.out << output.err;
}

void save_host(const fs::path& directory, const Host& host) {
    const auto file = [&](const char* what) { return directory / fmt::format("{}.{}", host.name(), what); };
    save(file("xfrm-state"), {"ip", "-s", "xfrm", "state", "list", "nokeys"}, host.where());
    save(file("xfrm-policy"), {"ip", "-s", "xfrm", "policy"}, host.where());
    save(file("xfrm-stat"), {"cat", "/proc/net/xfrm_stat"}, host.where());
    save(file("links"), {"ip", "-d", "-s", "address"}, host.where());
    save(file("nft"), {"nft", "list", "ruleset"}, host.where());
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(host.run_dir() / "netns", none)) {
        const auto inside = [&](const Argv& argv) {
            Argv whole{"nsenter", "--net=" + entry.path().string()};
            whole.insert(whole.end(), argv.begin(), argv.end());
            return whole;
        };
        const auto id = entry.path().filename().string().substr(0, 8);
        save(file(("network-" + id + ".links").c_str()), inside({"ip", "-d", "-s", "address"}), {});
        save(file(("network-" + id + ".fdb").c_str()), inside({"bridge", "fdb"}), {});
        save(file(("network-" + id + ".neighbours").c_str()), inside({"ip", "neighbour"}), {});
    }
}

// Tests read what they find there, so nothing of an earlier run may be left. The kernel's log is today's: lab-run has
// it open.
void empty_but_for_kernel_log(const fs::path& directory) {
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (entry.path().filename() != "kernel.log") {
            fs::remove_all(entry.path());
        }
    }
}

}  // namespace

Container::Container(std::string name) : name_(std::move(name)) {
    must({"ip", "netns", "add", name_});
    must({"ip", "link", "set", "lo", "up"}, where());
}

Container::~Container() {
    if (!name_.empty()) {
        lab::run({"ip", "netns", "delete", name_});
    }
}

std::string Container::interface() const {
    const auto links = must({"ip", "-o", "link", "show", "type", "veth"}, where());
    const auto name = word(links, 1);  // 7: eth0@if8: <…
    return name.substr(0, name.find_first_of("@:"));
}

std::string Container::ip() const {
    const auto cidr = word(must({"ip", "-4", "-o", "address", "show", "dev", interface()}, where()), 3);
    return cidr.substr(0, cidr.find('/'));
}

std::string Container::mac() const {
    const auto link = must({"ip", "-o", "link", "show", "dev", interface()}, where());
    return word(link.substr(link.find("link/ether")), 1);
}

bool Container::ping(const std::string& address, int count) const {
    return run({"ping", "-n", "-q", "-c", std::to_string(count), "-i", "0.05", "-W", "1", address})
               .out.find(" 0% packet loss") != std::string::npos;
}

Host::Host(unsigned number, fs::path artefacts, Underlay underlay)
    : name_(fmt::format("h{}", number)),
      address_(fmt::format("{}{}", underlay == Underlay::kIpv4 ? "192.0.2." : "2001:db8::", number)),
      directory_(fs::path("/run/lab") / name_),
      artefacts_(std::move(artefacts)) {
    const auto port = fmt::format("port{}", number);
    lab::must({"ip", "netns", "add", name_});
    lab::must({"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name_});
    lab::must({"ip", "link", "set", port, "master", kUnderlay, "up"});
    const bool v4 = underlay == Underlay::kIpv4;
    must({"ip", "address", "add", address_ + (v4 ? "/24" : "/64"), "dev", "eth0", "nodad"});
    must({"ip", "link", "set", "eth0", "up"});
    must({"ip", "link", "set", "lo", "up"});
    fs::create_directories(run_dir());
    fs::create_directories(state_dir());
}

Host::~Host() {
    if (name_.empty()) {
        return;
    }
    daemon_.reset();
    end_holders();
    unpin_networks();
    lab::run({"ip", "netns", "delete", name_});
    std::error_code none;
    fs::remove_all(directory_, none);
}

// They outlive a daemon, as they are meant to.
void Host::end_holders() const {
    lab::run({"pkill", "-KILL", "-f", "^warren-hold " + run_dir().string()});
}

// The daemon pins a namespace per network; a killed one leaves them.
void Host::unpin_networks() const {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(run_dir() / "netns", none)) {
        lab::run({"umount", entry.path().string()});
    }
    lab::run({"umount", (run_dir() / "netns").string()});
}

void Host::crash() {
    kill_daemon(SIGKILL);
    end_holders();
    unpin_networks();
    fs::remove_all(run_dir());
    must({"ip", "xfrm", "state", "flush"});
    must({"ip", "xfrm", "policy", "flush"});
    must({"nft", "flush", "ruleset"});
    ++boot_;
    std::ofstream(directory_ / "boot_id") << fmt::format("00000000-0000-4000-8000-{:012}\n", boot_);
}

// After a crash the daemon reads another boot id than the kernel's.
Argv Host::as_of_this_boot(Argv argv) const {
    if (boot_ == 1) {
        return argv;
    }
    Argv whole{"unshare",
               "--mount",
               "--propagation",
               "unchanged",
               "bash",
               "-c",
               "mount --make-rprivate /proc && mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"",
               (directory_ / "boot_id").string()};
    whole.insert(whole.end(), argv.begin(), argv.end());
    return whole;
}

// A reset from the host to itself ends the session there; one that answers the manager may pass.
void Host::cut_off_from_managers() const {
    must({"nft",
          "table inet cut { chain out { type filter hook output priority 0; "
          "tcp dport 7443 tcp flags & rst == 0 reject with tcp reset; }; }"});
}

void Host::let_through_to_managers() const {
    must({"nft", "delete", "table", "inet", "cut"});
}

Argv Host::daemon_program() {
    return {program("WARREN_LAB_WARREND", WARREN_BUILT_WARREND)};
}

Argv Host::daemon_command() const {
    Argv argv;
    if (!environment_.empty()) {
        argv.emplace_back("env");
        argv.insert(argv.end(), environment_.begin(), environment_.end());
    }
    const auto program = daemon_program();
    argv.insert(argv.end(), program.begin(), program.end());
    for (const std::string& arg : {std::string("--state-dir"), state_dir().string(), std::string("--run-dir"),
                                   run_dir().string(), std::string("--log-level"), std::string("debug")}) {
        argv.push_back(arg);
    }
    return argv;
}

void Host::start_daemon(const Argv& extra) {
    Argv argv = daemon_command();
    argv.insert(argv.end(), extra.begin(), extra.end());
    launch(as_of_this_boot(std::move(argv)));
}

void Host::start_daemon_at_other_time(seconds shift) {
    set_clock(shift);
    Argv argv{"env", "LD_PRELOAD=" WARREN_BUILT_CLOCK_SHIFT, "WARREN_LAB_CLOCK=" + clock().string()};
    const auto command = daemon_command();
    argv.insert(argv.end(), command.begin(), command.end());
    launch(argv);
}

// In place: a daemon has it mapped.
void Host::set_clock(seconds shift) const {
    std::fstream file(clock(), std::ios::binary | std::ios::in | std::ios::out);
    if (!file) {
        file.open(clock(), std::ios::binary | std::ios::out);
    }
    const std::int64_t count = shift.count();
    file.write(reinterpret_cast<const char*>(&count), sizeof count);
}

void Host::start_daemon_to_die_at(const std::string& fault_point) {
    Argv argv{"env", fmt::format("{}={}", base::kFaultVariable, fault_point)};
    const auto command = daemon_command();
    argv.insert(argv.end(), command.begin(), command.end());
    launch(argv);
}

void Host::launch(const Argv& argv) {
    daemon_ = std::make_unique<Process>(argv, Where{.netns = name_, .out_file = log()});
    const auto socket_path = run_dir() / "warren.sock";
    const bool up = eventually(seconds(60), [&] { return !daemon_->running() || answers(socket_path); });
    if (!up || !daemon_->running()) {
        throw std::runtime_error(fmt::format("{}: warrend did not come up; see {}", name_, log().string()));
    }
}

Output Host::kill_daemon(int signal) {
    daemon_->signal(signal);
    auto output = daemon_->wait(seconds(15));
    daemon_.reset();
    return output;
}

void Host::stop_daemon() {
    const auto output = kill_daemon(SIGTERM);
    if (!output.ok()) {
        throw std::runtime_error(fmt::format("{}: warrend ended with {}; see {}", name_, output.code, log().string()));
    }
}

std::string Host::log_text() const {
    return file_content(log());
}

std::size_t Host::times_logged(const std::string& what) const {
    const auto text = log_text();
    std::size_t times = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
        ++times;
    }
    return times;
}

void Host::freeze_daemon() {
    daemon_->signal(SIGSTOP);
}
void Host::thaw_daemon() {
    daemon_->signal(SIGCONT);
}
bool Host::daemon_running() {
    return daemon_ && daemon_->running();
}

Argv Host::warren_program() {
    return {program("WARREN_LAB_WARREN", WARREN_BUILT_WARREN)};
}

Argv Host::warren_command(const Argv& args) const {
    auto argv = warren_program();
    argv.insert(argv.end(), {"--host", "unix://" + (run_dir() / "warren.sock").string()});
    argv.insert(argv.end(), args.begin(), args.end());
    return argv;
}

Output Host::warren(const Argv& args) const {
    return run(warren_command(args));
}
std::string Host::warren_ok(const Argv& args) const {
    return must(warren_command(args));
}

std::string Host::json_of(const Argv& args) const {
    Argv with_format{"--format", "json"};
    with_format.insert(with_format.end(), args.begin(), args.end());
    const auto output = warren(with_format);
    if (!output.ok() && output.code != kDegraded) {
        throw std::runtime_error(
            fmt::format("{}: warren {}: exit code {}: {}", name_, fmt::join(args, " "), output.code, output.err));
    }
    return output.out;
}

void Host::parse_json(const std::string& text, google::protobuf::Message& message) {
    const auto parsed = google::protobuf::util::JsonStringToMessage(text, &message);
    if (!parsed.ok()) {
        throw std::runtime_error(fmt::format("not a {}: {}: {}", message.GetTypeName(), parsed.ToString(), text));
    }
}

void Host::connect(const std::string& network, const Container& container, const Argv& extra) const {
    Argv args{"network", "connect", network, "--netns", container.name(), "--name", container.name()};
    args.insert(args.end(), extra.begin(), extra.end());
    warren_ok(args);
}

fs::path artefact_directory() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    auto name = fmt::format("{}.{}", test->test_suite_name(), test->name());
    std::replace(name.begin(), name.end(), '/', '_');
    const char* out = std::getenv("WARREN_LAB_OUT");
    const fs::path base = out != nullptr ? out : "/tmp";
    return base.filename().string().ends_with(name) ? base : base / name;
}

Lab::Lab(unsigned hosts, Underlay underlay) : artefacts_(artefact_directory()), underlay_(underlay) {
    fs::create_directories(artefacts_);
    empty_but_for_kernel_log(artefacts_);
    must({"ip", "link", "add", kUnderlay, "type", "bridge"});
    must({"ip", "link", "set", kUnderlay, "up"});
    for (unsigned i = 0; i < hosts; ++i) {
        add_host();
    }
}

Host& Lab::add_host() {
    hosts_.push_back(std::make_unique<Host>(static_cast<unsigned>(hosts_.size() + 1), artefacts_, underlay_));
    return *hosts_.back();
}

Lab::~Lab() {
    // A test that an exception ends has not failed yet when this runs.
    if (testing::Test::HasFailure() || std::uncaught_exceptions() > 0) {
        leave_artefacts();
    }
    hosts_.clear();
    run({"ip", "link", "delete", kUnderlay});
}

void Lab::leave_artefacts() {
    for (const auto& host : hosts_) {
        save_host(artefacts_, *host);
    }
    save(artefacts_ / "underlay.links", {"ip", "-d", "-s", "address"}, {});
    save(artefacts_ / "underlay.fdb", {"bridge", "fdb"}, {});
    std::cerr << "logs, captures and the kernel's state: " << artefacts_.string() << "\n";
}

void form_cluster(Lab& lab, const Argv& init) {
    for (const auto& host : lab.hosts()) {
        host->start_daemon();
    }
    auto& manager = lab.host(1);
    Argv command{"cluster",     "init",         "--data-addr",      manager.address(),
                 "--node-name", manager.name(), "--rotation-grace", "1s"};
    command.insert(command.end(), init.begin(), init.end());
    manager.warren_ok(command);
    for (const auto& host : lab.hosts()) {
        if (host.get() == &manager) {
            continue;
        }
        if (const auto joined = join(lab, *host); !joined.ok()) {
            throw std::runtime_error(fmt::format("{} does not join: {}", host->name(), joined.err));
        }
    }
}

Output join(Lab& lab, const Host& host) {
    auto token = lab.host(1).warren_ok({"token", "show", "worker", "-q"});
    token.erase(token.find_last_not_of(" \n") + 1);
    return host.warren({"cluster", "join", "--token", token, "--data-addr", host.address(), "--node-name", host.name(),
                        lab.host(1).address()});
}

std::unique_ptr<Lab> cluster_of(unsigned hosts, const Argv& init, Underlay underlay) {
    auto lab = std::make_unique<Lab>(hosts, underlay);
    form_cluster(*lab, init);
    return lab;
}

std::unique_ptr<Lab> short_lived(unsigned hosts, const std::string& lifetime, const Argv& settings) {
    auto lab = std::make_unique<Lab>(hosts);
    for (const auto& host : lab->hosts()) {
        host->set_environment({"WARREN_TEST_SHORTEST_LEAF=1s"});
    }
    Argv all{"--leaf-lifetime", lifetime};
    all.insert(all.end(), settings.begin(), settings.end());
    form_cluster(*lab, all);
    return lab;
}

std::vector<Container> containers_on_all(Lab& lab, const std::string& network, const std::string& prefix) {
    std::vector<Container> containers;
    for (const auto& host : lab.hosts()) {
        auto& container = containers.emplace_back(fmt::format("{}{}", prefix, containers.size() + 1));
        host->connect(network, container);
    }
    if (const auto missing = unreachable_pairs(containers); !missing.empty()) {
        throw std::runtime_error("no answer: " + missing);
    }
    return containers;
}

std::string unreachable_pairs(const std::vector<Container>& containers, milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    std::string missing;
    for (const auto& from : containers) {
        for (const auto& to : containers) {
            const auto left = std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
            if (&from != &to && !eventually(left, [&, address = to.ip()] { return from.ping(address); })) {
                missing += fmt::format("{} -> {} ", from.name(), to.name());
            }
        }
    }
    return missing;
}

}  // namespace warren::lab
