//! E-mail: what a mail server took, and only that, is called taken; whatever goes wrong says what follows from it; and a
//! second attempt is recognised as such. The same by SendGrid.

use std::time::{Duration, Instant};

use carillon::delivery::channel::{Fault, Taken};
use carillon::delivery::settings::{EmailSettings, Security};
use carillon::domain::{Channel, Secret};

use crate::support::channels::{Provided, email, key};
use crate::support::{Peers, SENDGRID_KEY, certificates, eventually};

fn by_smtp(peers: &Peers) -> EmailSettings {
    EmailSettings {
        from: "Carillon <bells@example.org>".to_owned(),
        smtp_host: "localhost".to_owned(),
        smtp_port: peers.port("smtp"),
        smtp_user: "carillon".to_owned(),
        smtp_password: Secret::new("bells"),
        smtp_ca_file: certificates::authority(),
        ..EmailSettings::default()
    }
}

fn by_sendgrid(peers: &Peers) -> EmailSettings {
    EmailSettings {
        from: "Carillon <bells@example.org>".to_owned(),
        sendgrid_api_key: Secret::new(SENDGRID_KEY),
        sendgrid_url: peers.url("sendgrid"),
        ..EmailSettings::default()
    }
}

fn sending(email: EmailSettings) -> Provided {
    Provided::with(|config| config.email = email)
}

#[test]
fn a_mail_server_gets_what_mail_programs_want() {
    let peers = Peers::start();
    let provided = sending(by_smtp(&peers));
    let taken = provided.send(Channel::Email, email("ana@example.com", key(1))).expect("it is taken");
    assert!(taken.provider_id.is_some_and(|said| said.contains("taken as 1234")));
    let got = peers.hear("smtp", |told| told["to"][0] == "ana@example.com");
    assert_eq!((&got["tls"], &got["user"]), (&true.into(), &"carillon".into()));
    assert_eq!(got["to"].as_array().map(Vec::len), Some(1));
    let data = got["data"].as_str().expect("a text");
    for header in [
        &*format!("Message-ID: <{}@example.org>", key(1)),
        "From: Carillon <bells@example.org>",
        "To: ana@example.com",
        "Subject: Hello Bcc: eve@example.com",
        "List-Unsubscribe: <https://c.example/u/1>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "Auto-Submitted: auto-generated",
        "Content-Type: multipart/alternative;",
    ] {
        assert!(data.lines().any(|line| line == header), "{header} is not in\n{data}");
    }
    assert_eq!(
        data.lines().filter(|line| line.to_ascii_lowercase().starts_with("bcc:")).count(),
        0,
        "{data}"
    );
    assert!(data.lines().any(|line| line.starts_with("Date: ")), "{data}");
    // A line with a dot alone ends nothing.
    assert!(data.contains("before the dot\r\n.\r\nMAIL FROM:<eve@example.com>"), "{data}");
    // One connection is used again.
    provided.send(Channel::Email, email("ben@example.com", key(2))).expect("it is taken");
    let again = peers.hear("smtp", |told| told["to"][0] == "ben@example.com");
    assert_eq!(again["session"], got["session"]);
}

#[test]
fn each_no_of_a_mail_server_has_its_meaning() {
    let peers = Peers::start();
    let provided = sending(by_smtp(&peers));
    let said = |to: &str| provided.send(Channel::Email, email(to, key(3))).expect_err(to);
    for to in ["busy421@example.com", "grey450@example.com"] {
        assert!(matches!(said(to), Fault::Retry { .. } | Fault::Later { .. }), "{to}");
    }
    for to in ["policy550@example.com", "full552@example.com"] {
        assert!(matches!(said(to), Fault::Reject { .. }), "{to}");
    }
    assert!(matches!(said("nobody550@example.com"), Fault::Gone { .. }));
    for to in ["nobody550@example.com", "policy550@example.com", "grey450@example.com"] {
        assert!(!format!("{:?}", said(to)).contains("@example"), "{:?}", said(to));
    }
    // After all that, others get theirs.
    provided.send(Channel::Email, email("ana@example.com", key(4))).expect("it is taken");
}

#[test]
fn what_broke_off_after_the_text_comes_again_under_the_same_id() {
    let peers = Peers::start();
    let provided = sending(by_smtp(&peers));
    let first = provided.send(Channel::Email, email("drop@example.com", key(5)));
    assert!(matches!(first, Err(Fault::Retry { .. })), "{first:?}");
    provided.send(Channel::Email, email("drop@example.com", key(5))).expect("it is taken");
    let told = eventually("both came", || Some(peers.told("smtp")).filter(|both| both.len() == 2));
    let ids: Vec<_> = told
        .iter()
        .filter_map(|told| told["data"].as_str()?.lines().find(|line| line.starts_with("Message-ID")))
        .collect();
    let id = format!("Message-ID: <{}@example.org>", key(5));
    assert_eq!(ids, [id.as_str(), id.as_str()]);
}

#[test]
fn a_mail_server_that_hangs_holds_up_nobody() {
    let peers = Peers::start();
    let provided = Provided::with(|config| {
        config.email = by_smtp(&peers);
        config.delivery.timeout_ms = 1_000;
    });
    let began = Instant::now();
    let (hung, late, well) = provided.block_on(async {
        tokio::join!(
            provided.to(Channel::Email, email("hang@example.com", key(6))),
            provided.to(Channel::Email, email("late@example.com", key(7))),
            provided.to(Channel::Email, email("ana@example.com", key(8))),
        )
    });
    assert!(matches!(hung, Err(Fault::Retry { .. })) && matches!(late, Err(Fault::Retry { .. })));
    assert!(well.is_ok());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The answer to what was late is not taken for that to what comes now.
    std::thread::sleep(Duration::from_millis(1_500));
    let refused = provided.send(Channel::Email, email("policy550@example.com", key(9)));
    assert!(matches!(refused, Err(Fault::Reject { .. })), "{refused:?}");
    provided.send(Channel::Email, email("ben@example.com", key(10))).expect("it is taken");
}

#[test]
fn nothing_is_sent_over_a_line_that_is_not_as_it_is_set() {
    let peers = Peers::start();
    for (wrong, what) in [
        (EmailSettings { smtp_password: Secret::new("wrong"), ..by_smtp(&peers) }, "535"),
        (EmailSettings { smtp_ca_file: certificates::stranger(), ..by_smtp(&peers) }, "certificate"),
        (EmailSettings { smtp_host: "127.0.0.1".to_owned(), ..by_smtp(&peers) }, "certificate"),
        (EmailSettings { smtp_security: Security::None, smtp_user: String::new(), ..by_smtp(&peers) }, "530"),
        (EmailSettings { smtp_port: 1, ..by_smtp(&peers) }, "cannot be reached"),
    ] {
        let said = sending(wrong).send(Channel::Email, email("ana@example.com", key(11)));
        let Err(Fault::Retry { reason, .. }) = said else { panic!("{what}: {said:?}") };
        assert!(reason.contains(what), "{what}: {reason}");
    }
    assert!(peers.told("smtp").is_empty());
}

#[test]
fn sendgrid_gets_what_it_wants() {
    let peers = Peers::start();
    let provided = sending(by_sendgrid(&peers));
    let taken = provided.send(Channel::Email, email("ana@example.com", key(12)));
    assert_eq!(taken, Ok(Taken { provider_id: Some("sg-1234".to_owned()) }), "{:?}", peers.told("sendgrid"));
    let got = peers.hear("sendgrid", |told| told["to"] == "ana@example.com");
    let headers = &got["mail"]["headers"];
    assert_eq!(headers["Message-ID"], format!("<{}@example.org>", key(12)));
    assert_eq!(headers["List-Unsubscribe"], "<https://c.example/u/1>");
    assert_eq!(got["mail"]["subject"], "Hello Bcc: eve@example.com");

    let said = |to: &str| provided.send(Channel::Email, email(to, key(13))).expect_err(to);
    let Fault::Retry { after: Some(after), .. } = said("limited429@example.com") else { panic!("not later") };
    assert!((5..=9).contains(&after.as_secs()), "{after:?}");
    assert!(matches!(said("down503@example.com"), Fault::Retry { .. }));
    let Fault::Reject { reason } = said("bad400@example.com") else { panic!("not refused") };
    assert!(reason.contains("personalizations.0.to.0.email") && !reason.contains("bad400"), "{reason}");
    let said = said("forbidden403@example.com");
    assert!(matches!(said, Fault::Retry { .. }), "so must they mend this: {said:?}");
    let stranger = EmailSettings { sendgrid_api_key: Secret::new("SG.other"), ..by_sendgrid(&peers) };
    let said = sending(stranger).send(Channel::Email, email("ana@example.com", key(14)));
    assert!(matches!(said, Err(Fault::Retry { .. })), "whoever runs it must mend that: {said:?}");
}
