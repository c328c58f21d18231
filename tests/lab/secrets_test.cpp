#include <gmock/gmock.h>
#include <google/protobuf/stubs/strutil.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <set>
#include <sstream>

#include "base/text.h"
#include "manager/records.h"
#include "manager/vault.h"
#include "store/sqlite_store.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// Whether anything that the daemons write has a key in it.
namespace warren::lab {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

// The ways in which a key could be written down, each with a name that does not show it.
class Known {
  public:
    void add(const std::string& name, const std::string& raw) {
        forms_.emplace(raw, name);
        add_text(name, raw);
    }
    // Where a few bytes mean little, as of a salt: only as text.
    void add_text(const std::string& name, const std::string& raw) {
        const std::span bytes(reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size());
        auto hex = base::to_hex(bytes);
        forms_.emplace(hex, name + " in hex");
        std::ranges::transform(hex, hex.begin(), [](unsigned char c) { return std::toupper(c); });
        forms_.emplace(hex, name + " in hex");
        forms_.emplace(base::to_base32(bytes), name + " in base32");
        // As protobuf prints bytes. Base64 goes by three: its end depends on what comes behind.
        std::string base64;
        google::protobuf::Base64Escape(raw, &base64);
        forms_.emplace(base64.substr(0, raw.size() / 3 * 4), name + " in base64");
        forms_.emplace(google::protobuf::CEscape(raw), name + " escaped");
    }
    void add_form(const std::string& name, const std::string& text) { forms_.emplace(text, name); }
    [[nodiscard]] std::string found_in(const std::string& text) const {
        std::string names;
        for (const auto& [form, name] : forms_) {
            names += text.find(form) != std::string::npos ? name + "; " : "";
        }
        return names;
    }
    [[nodiscard]] std::size_t size() const { return forms_.size(); }

  private:
    std::map<std::string, std::string> forms_;
};

// What the kernel has: "aead rfc4106(gcm(aes)) 0x<key><salt> 128".
void add_kernel_keys(Known& known, const Host& host) {
    std::istringstream text(host.must({"ip", "xfrm", "state"}));
    for (std::string word; text >> word;) {
        if (!word.starts_with("rfc4106") && !word.starts_with("rfc7539")) {
            continue;
        }
        text >> word;
        const auto bytes = base::from_hex(word.substr(2));
        ASSERT_TRUE(bytes) << "ip xfrm state is not as this test knows it";
        const std::string raw(bytes->begin(), bytes->end());
        known.add("an SA's key of " + host.name(), raw.substr(0, 16));
        known.add_text("an SA's salt of " + host.name(), raw.substr(raw.size() - 4));
    }
}

std::string raw(std::span<const std::uint8_t> bytes) {
    return {bytes.begin(), bytes.end()};
}

// What the manager has sealed, opened with its own key.
void add_sealed(Known& known, const Host& manager, const fs::path& scratch) {
    const auto directory = manager.state_dir() / "cluster" / "manager";
    auto kek = keymgr::load_kek(directory / "kek").value();
    known.add("the KEK", raw(kek.reveal()));
    fs::create_directories(scratch);
    fs::permissions(scratch, fs::perms::owner_all);
    for (const auto* name : {"store.db", "store.db-wal"}) {  // the daemon has them locked
        if (fs::exists(directory / name)) {
            fs::copy_file(directory / name, scratch / name, fs::copy_options::overwrite_existing);
        }
    }
    const auto store = store::SqliteStore::open(scratch / "store.db", {}).value();
    const manager::Vault vault(std::move(kek));
    v1::ClusterRecord cluster;
    ASSERT_TRUE(cluster.ParseFromString(store->get(manager::key::kCluster).value()->value));
    const auto id = manager::id_of<base::ClusterId>(cluster.id());
    const auto ca = vault.open_authority(id, cluster.sealed_ca_key()).value();
    // SEC 1: the private number is 32 bytes behind "04 20" in the key's DER.
    const auto der = raw(ca.der()->reveal());
    const auto at = der.find(std::string("\x04\x20"));
    ASSERT_NE(at, std::string::npos);
    known.add("the CA's key", der.substr(at + 2, 32));
    const auto networks = store->range(manager::key::kKeys).value();
    ASSERT_FALSE(networks.items.empty());
    for (const auto& item : networks.items) {
        v1::KeyStateRecord keys;
        ASSERT_TRUE(keys.ParseFromString(item.value));
        const auto network =
            base::parse_id<base::NetworkId>("key", item.key.substr(manager::key::kKeys.size())).value();
        for (const auto& epoch : keys.epochs()) {
            if (!epoch.sealed_secret().empty()) {
                known.add("an epoch's secret",
                          raw(vault.open_epoch(network, base::Epoch{epoch.number()}, epoch.sealed_secret())->reveal()));
            }
        }
    }
    fs::remove_all(scratch);
}

// The second line of the private key: enough of it to be nothing else.
void add_node_key(Known& known, const Host& host) {
    std::istringstream pem(file_content(host.state_dir() / "cluster" / "certs" / "node.pem"));
    std::string line;
    std::getline(pem, line);
    std::getline(pem, line);
    ASSERT_GT(line.size(), 40U);
    // The beginning is the same in all keys of the kind.
    known.add_form("the key of " + host.name(), line.substr(line.size() - 24));
}

const std::vector<Argv>& commands() {
    static const std::vector<Argv> all{{"status"},
                                       {"cluster", "info"},
                                       {"node", "ls"},
                                       {"node", "inspect", "h1"},
                                       {"network", "ls"},
                                       {"network", "inspect", "net1"},
                                       {"endpoint", "ls"},
                                       {"key", "ls"},
                                       {"key", "status"},
                                       {"key", "history", "net1"},
                                       {"events", "--since", "1h"},
                                       {"ca", "show"},
                                       {"cert", "ls"},
                                       {"cert", "show"},
                                       {"token", "show", "worker"}};
    return all;
}

const std::set<fs::path> kKeyFiles{"kek", "node.pem"};

void expect_clean_files(const Known& known, const Host& host, const std::set<fs::path>& but = kKeyFiles) {
    EXPECT_EQ(known.found_in(host.log_text()), "") << "the log of " << host.name();
    for (const auto& directory : {host.state_dir(), host.run_dir()}) {
        for (const auto& entry : fs::recursive_directory_iterator(directory)) {
            const auto name = entry.path().filename();
            // Below netns/ are namespaces, whose names say that they are files.
            const bool pinned = entry.path().parent_path() == host.run_dir() / "netns";
            if (entry.is_regular_file() && !pinned && !but.contains(name)) {
                EXPECT_EQ(known.found_in(file_content(entry.path())), "") << entry.path();
            }
        }
    }
}

void expect_clean_output(const Known& known, const Host& host) {
    for (const auto& command : commands()) {
        for (const auto* format : {"json", "table"}) {
            Argv args{"--format", format};
            args.insert(args.end(), command.begin(), command.end());
            const auto output = host.warren(args);
            EXPECT_EQ(known.found_in(output.out + output.err), "")
                << format << " " << command[0] << " on " << host.name();
        }
    }
}

// Two hosts with an encrypted network in its second epoch, and all keys of it.
struct Scene {
    std::unique_ptr<Lab> lab = cluster_of(2);
    std::vector<Container> containers;
    Known known;

    Scene() {
        auto& manager = lab->host(1);
        manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
        containers = containers_on_all(*lab, "net1");
        add_kernel_keys(known, manager);
        add_kernel_keys(known, lab->host(2));
        manager.warren_ok({"key", "rotate", "net1"});
        for (const auto& host : lab->hosts()) {
            add_kernel_keys(known, *host);
            add_node_key(known, *host);
        }
        add_sealed(known, manager, lab->artefacts() / "store-copy");
    }
};

TEST(Secrets, AreInNoLogNoFileAndNoAnswer) {
    Scene scene;
    ASSERT_GT(scene.known.size(), 20U);
    for (const auto& host : scene.lab->hosts()) {
        EXPECT_NE(scene.known.found_in(file_content(host->state_dir() / "cluster" / "certs" / "node.pem")), "")
            << "the scan does not see a key where there is one";
        host->warren_ok({"cert", "renew"});
        expect_clean_output(scene.known, *host);
        expect_clean_files(scene.known, *host);
    }
    EXPECT_NE(scene.known.found_in(file_content(scene.lab->host(1).state_dir() / "cluster" / "manager" / "kek")), "");
}

TEST(Secrets, AreNotOnTheDiskOfALockedManager) {
    Scene scene;
    auto& manager = scene.lab->host(1);
    manager.warren_ok({"cluster", "lock"});
    manager.stop_daemon();
    expect_clean_files(scene.known, manager, {});
}

// Starts the daemon where a dump would be seen and unlimited, lets it work, and aborts it. The dump, if there is one.
fs::path dump_of(Lab& lab, Host& host, const Argv& extra) {
    const auto directory = lab.artefacts() / (extra.empty() ? "dump" : "forced-dump");
    fs::create_directories(directory);
    host.stop_daemon();
    host.set_environment({"-C", directory.string(), "prlimit", "--core=unlimited:unlimited"});
    host.start_daemon(extra);
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(host); }));
    if (lab.hosts().size() > 1) {
        lab.host(1).warren_ok({"key", "rotate", "net1"});
    }
    EXPECT_EQ(host.kill_daemon(SIGABRT).code, 128 + SIGABRT);
    host.set_environment({});
    host.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(host); }));
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (entry.path().filename().string().starts_with("core")) {
            return entry.path();
        }
    }
    return {};
}

TEST(Secrets, AreInNoCoreDump) {
    Scene scene;
    auto& manager = scene.lab->host(1);
    EXPECT_EQ(dump_of(*scene.lab, manager, {}), fs::path()) << "the daemon has dumped core";
    EXPECT_EQ(dump_of(*scene.lab, scene.lab->host(2), {}), fs::path()) << "the daemon has dumped core";
    if (file_content("/proc/sys/kernel/core_pattern") != "core\n") {
        GTEST_SKIP() << "core_pattern is not 'core': dumps go elsewhere, and where to is not this test's to change";
    }
    // One that was asked for has not the pages that secrets live in.
    const auto dump = dump_of(*scene.lab, manager, {"--core-dumps"});
    ASSERT_NE(dump, fs::path()) << "the test would not see a dump";
    Known longest_lived;
    auto kek = keymgr::load_kek(manager.state_dir() / "cluster" / "manager" / "kek").value();
    longest_lived.add("the KEK", raw(kek.reveal()));
    const auto text = file_content(dump);
    EXPECT_NE(text.find(scene.lab->host(2).name()), std::string::npos) << "not a dump of this daemon";
    EXPECT_EQ(longest_lived.found_in(text), "");
    std::cout << "[ note     ] in a dump that was forced: " << scene.known.found_in(text) << "\n";
    fs::remove(dump);
}

}  // namespace
}  // namespace warren::lab
