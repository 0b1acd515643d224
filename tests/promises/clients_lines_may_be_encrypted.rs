//! Lines of clients may be encrypted: stock clients that trust the authority connect by https and wss, beside plain ones or
//! alone. A new certificate is shown without a restart; what cannot be used leaves the old one, and is told.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    Authority, BACKEND_TOKEN, Clients, JWT_SECRET, Kind, Library, METRICS_TOKEN, PendingList, Route, Server,
    backend_hello, booking, certificates, eventually, facilitator_hello, get_with, in_seconds, quiet_port,
    run_command, run_command_in, user_token,
};

/// A folder whose files a server shows.
struct Shown(tempfile::TempDir);

impl Shown {
    fn new(authority: &Authority) -> Self {
        let shown = Self(tempfile::tempdir().expect("a folder"));
        shown.renew(authority);
        shown
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn renew(&self, authority: &Authority) {
        let identity = authority.vouch_for("IP:127.0.0.1");
        std::fs::copy(identity.certificate, self.path("tls.crt")).expect("a file");
        std::fs::copy(identity.key, self.path("tls.key")).expect("a file");
    }
}

/// Asks by https, trusting nobody but this authority.
fn curl(root: &Path, url: &str, more: &[&str]) -> Result<String, String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10", "--cacert"])
        .arg(root)
        .args(more)
        .arg(url)
        .output()
        .expect("curl");
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// What somebody sends to somebody who is here, and to the same on return, by each way stock clients have.
fn serves(url: &str, root: &Path) {
    let clients = Clients::at(url);
    let trust = json!({"ca": std::fs::read_to_string(root).expect("a certificate")});
    let by = |library, route| Kind { library, route };
    let back_end = clients.open_with(by(Library::Npm48, Route::WebSocket), &[backend_hello()], trust.clone());
    back_end.hear("backend_auth_success");
    for (index, route) in [Route::Polling, Route::WebSocket, Route::Upgrade].into_iter().enumerate() {
        let id = index as u64 + 2;
        for (number, library) in [(1, Library::Npm48), (2, Library::Npm41)] {
            let page = clients.open_with(by(library, route), &[facilitator_hello(id)], trust.clone());
            page.hear("facilitator_auth_success");
            let receipt = back_end.call("booking_notification", booking(number, id));
            assert!(receipt["delivered_at"].is_string(), "{receipt}");
            let heard = page.hear("new_booking_notification");
            assert_eq!(heard["notification_id"], receipt["notification_id"]);
            page.call(
                "mark_notification_read",
                json!({"facilitator_id": id, "notification_id": receipt["notification_id"]}),
            );
            page.disconnect();
        }
        eventually("nobody is here", || {
            let stats: Value = serde_json::from_str(&curl(root, &format!("{url}/stats"), &[]).ok()?).ok()?;
            (stats["online_facilitators"] == 0).then_some(())
        });
        back_end.call("booking_notification", booking(7, id));
        let page = clients.open_with(by(Library::Npm48, route), &[facilitator_hello(id)], trust.clone());
        assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [7]);
        page.disconnect();
    }
    let mut options = trust.clone();
    options["path"] = json!(format!("/ws/notify?token={}", user_token(2)));
    let raw = clients.open_with(by(Library::Ws, Route::WebSocket), &[], options);
    raw.next_change("connected");
    let authorization = format!("Authorization: Bearer {}", user_token(2));
    let listed = curl(root, &format!("{url}/api/v1/notifications"), &["--header", &authorization]);
    assert!(listed.expect("a list").contains("\"notifications\""));
}

/// Whether this authority vouches for what is shown.
fn is_vouched_for(authority: &Authority, url: &str) -> bool {
    curl(&authority.file(), &format!("{url}/health"), &[]).is_ok()
}

#[test]
fn stock_clients_connect_by_tls_beside_plain_ones() {
    let authority = Authority::new();
    let shown = Shown::new(&authority);
    let port = quiet_port();
    let server = Server::with(&[
        ("server.tls_certificate", &shown.path("tls.crt")),
        ("server.tls_key", &shown.path("tls.key")),
        ("server.tls_port", &port.to_string()),
    ]);
    let url = format!("https://127.0.0.1:{port}");
    serves(&url, &authority.file());
    assert_eq!(server.get("/health/live").status, 200, "plain HTTP is there as before");

    for (version, is_spoken) in [("1.2", true), ("1.3", true), ("1.1", false)] {
        let only = [format!("--tlsv{version}"), "--tls-max".to_owned(), version.to_owned()];
        let only: Vec<&str> = only.iter().map(String::as_str).collect();
        let answered = curl(&authority.file(), &format!("{url}/health/live"), &only);
        assert_eq!(answered.is_ok(), is_spoken, "TLS {version}: {answered:?}");
    }
    let plain = curl(&authority.file(), &format!("http://127.0.0.1:{port}/health/live"), &[]);
    assert!(plain.is_err(), "plain HTTP on the port for TLS: {plain:?}");
    assert!(!is_vouched_for(&Authority::new(), &url), "another authority vouches for it");
}

/// A certificate that ends under a server that runs on is told of then, too; one that has ended takes no good one's place.
#[test]
fn a_certificate_that_ends_is_told_of() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).display().to_string();
    let ends = |after: Duration| certificates::lasting(home.path(), SystemTime::now() + after).0;
    let show = |from: String| std::fs::rename(from, path("tls.crt")).expect("a file");
    show(ends(Duration::from_secs(8)));
    let server = Server::with(&[
        ("server.tls_certificate", &path("tls.crt")),
        ("server.tls_key", &certificates::localhost_key().display().to_string()),
        ("server.tls_port", &quiet_port().to_string()),
    ]);
    server.wait_for_line("it says that the end is near", |line| line.contains("expires in 0 days"));
    server.wait_for_line("it says that it is over", |line| line.contains("has expired, 0 days ago"));
    show(ends(Duration::from_secs(90 * 24 * 60 * 60)));
    server.signal(Signal::SIGHUP);
    server.wait_for_line("a new one is shown", |line| line.contains("a new TLS certificate is shown"));
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let expires = || {
        let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
        let name = "carillon_tls_certificate_expires_timestamp_seconds ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a metric").parse::<i64>().expect("a number")
    };
    let in_days = || (expires() - in_seconds(0)) / (24 * 60 * 60);
    eventually("the new end is told", || (in_days() >= 89).then_some(()));
    show(ends(Duration::ZERO));
    server.signal(Signal::SIGHUP);
    server.wait_for_line("it is not shown", |line| line.contains("the new one has expired"));
    assert!(in_days() >= 89);
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let shown = Shown::new(&old);
    let port = quiet_port();
    let server = Server::with(&[
        ("server.tls_certificate", &shown.path("tls.crt")),
        ("server.tls_key", &shown.path("tls.key")),
        ("server.tls_port", &port.to_string()),
    ]);
    let url = format!("https://127.0.0.1:{port}");
    let clients = Clients::at(&url);
    let trust = json!({"ca": std::fs::read_to_string(old.file()).expect("a certificate")});
    let page = clients.open_with(Kind::WEBSOCKET, &[facilitator_hello(2)], trust);
    page.hear("facilitator_auth_success");

    // A key that is not the certificate's, and half a file: the old one stays, and that is told.
    let identity = new.vouch_for("IP:127.0.0.1");
    std::fs::copy(&identity.key, shown.path("tls.key")).expect("a file");
    server.signal(Signal::SIGHUP);
    server.wait_for_line("the server tells why", |line| line.contains("still the one before"));
    assert!(is_vouched_for(&old, &url));
    std::fs::write(shown.path("tls.crt"), "-----BEGIN CERTIFICATE-----\nMIIB").expect("a file");
    server.signal(Signal::SIGHUP);
    server.wait_for_line("the server tells which file", |line| line.contains("holds no certificate in PEM"));
    assert!(is_vouched_for(&old, &url));

    std::fs::copy(&identity.certificate, shown.path("tls.crt")).expect("a file");
    server.signal(Signal::SIGHUP);
    eventually("the new certificate is shown", || is_vouched_for(&new, &url).then_some(()));
    assert!(!is_vouched_for(&old, &url));

    // By itself, too.
    shown.renew(&old);
    let since = Instant::now();
    eventually("the files are looked at now and then", || is_vouched_for(&old, &url).then_some(()));
    assert!(since.elapsed() < Duration::from_secs(15));

    let back_end = Clients::of(&server).backend();
    back_end.call("booking_notification", booking(1, 2));
    page.hear("new_booking_notification");
    assert_eq!(page.changes("disconnected"), 0, "who was here before has noticed nothing");
    assert!(!server.log().iter().any(|line| line.contains("PRIVATE KEY-----\n")), "a key in the log");
}

#[test]
fn tls_alone_is_enough() {
    let authority = Authority::new();
    let shown = Shown::new(&authority);
    let home = tempfile::tempdir().expect("a folder");
    let port = quiet_port().to_string();
    let (certificate, key) = (shown.path("tls.crt"), shown.path("tls.key"));
    let variables = [
        ("CARILLON_ENV", "production"),
        ("JWT_SECRET_KEY", JWT_SECRET),
        ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN),
        ("CARILLON_METRICS_TOKEN", METRICS_TOKEN),
        ("HOST", "127.0.0.1"),
        ("PORT", &port),
        ("CARILLON_SERVER_TLS_CERTIFICATE", &certificate),
        ("CARILLON_SERVER_TLS_KEY", &key),
    ];
    let child = crate::support::program()
        .current_dir(home.path())
        .arg("serve")
        .envs(variables)
        .stdout(std::process::Stdio::null())
        .spawn();
    let _server = Stopped(child.expect("the server to start"));
    let url = format!("https://127.0.0.1:{port}");
    eventually("it answers", || is_vouched_for(&authority, &url).then_some(()));
    serves(&url, &authority.file());
    // Health checks of containers find it, too.
    let output = run_command_in(home.path(), &["health"], &variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = run_command_in(home.path(), &["deliveries", "failed"], &variables);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Nothing has failed"), "{output:?}");
}

/// A server that does not outlive its test.
struct Stopped(std::process::Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn whoever_does_not_greet_is_dropped() {
    let authority = Authority::new();
    let shown = Shown::new(&authority);
    let port = quiet_port();
    let _server = Server::with(&[
        ("server.tls_certificate", &shown.path("tls.crt")),
        ("server.tls_key", &shown.path("tls.key")),
        ("server.tls_port", &port.to_string()),
    ]);
    let mut silent = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).expect("a line");
    silent.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    let since = Instant::now();
    let read = silent.read(&mut [0; 16]);
    assert!(matches!(read, Ok(0)), "{read:?}");
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let (ours, anothers) = (Authority::new(), Authority::new());
    let shown = Shown::new(&ours);
    let foreign = anothers.vouch_for("IP:127.0.0.1").key.display().to_string();
    let (certificate, key) = (shown.path("tls.crt"), shown.path("tls.key"));
    let empty = shown.path("empty.pem");
    std::fs::write(&empty, "nothing").expect("a file");
    let wrong = [
        (certificate.as_str(), "", "5443", "server.tls_certificate"),
        ("", key.as_str(), "5443", "server.tls_key"),
        ("", "", "5443", "server.tls_port"),
        (certificate.as_str(), key.as_str(), "5001", "as server.port is"),
        ("/no/such/file", key.as_str(), "5443", "cannot read /no/such/file"),
        (empty.as_str(), key.as_str(), "5443", "holds no certificate in PEM"),
        (certificate.as_str(), empty.as_str(), "5443", "holds no private key in PEM"),
        (certificate.as_str(), certificate.as_str(), "5443", "holds no private key in PEM"),
        (certificate.as_str(), foreign.as_str(), "5443", "cannot be used together"),
    ];
    for (certificate, key, port, why) in wrong {
        let variables = [
            ("PORT", "5001"),
            ("HOST", "127.0.0.1"),
            ("CARILLON_SERVER_TLS_CERTIFICATE", certificate),
            ("CARILLON_SERVER_TLS_KEY", key),
            ("CARILLON_SERVER_TLS_PORT", port),
        ];
        let output = run_command(&["serve"], &variables);
        let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
        assert!(!output.status.success() && said.contains(why), "{why}: {said}");
        assert!(!said.contains("panicked") && !said.contains("MI"), "{said}");
    }
}
