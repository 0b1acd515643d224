//! Text messages: Twilio and SNS get what they want, signed; a number that said STOP is left alone; and nothing goes to
//! countries that nobody allowed. What Twilio says later is believed only if Twilio says it.

use carillon::delivery::channel::{Fate, Fault};
use carillon::delivery::settings::{SmsProvider, SmsSettings};
use carillon::domain::Clock as _;
use carillon::domain::{Channel, Secret, SystemClock};

use crate::support::channels::{Provided, key, sms};
use crate::support::{Peers, TWILIO_SID, TWILIO_TOKEN};

fn by_twilio(peers: &Peers) -> SmsSettings {
    SmsSettings {
        twilio_account_sid: TWILIO_SID.to_owned(),
        twilio_auth_token: Secret::new(TWILIO_TOKEN),
        twilio_from: "+14155550100".to_owned(),
        twilio_url: peers.url("twilio"),
        ..SmsSettings::default()
    }
}

fn by_sns(peers: &Peers) -> SmsSettings {
    SmsSettings {
        provider: SmsProvider::Sns,
        countries: vec!["US".to_owned()],
        sns_region: "eu-central-1".to_owned(),
        sns_access_key_id: "AKIDEXAMPLE".to_owned(),
        sns_secret_access_key: Secret::new("aws-secret"),
        sns_sender_id: "Carillon".to_owned(),
        sns_url: peers.url("sns"),
        ..SmsSettings::default()
    }
}

fn sending(sms: SmsSettings) -> Provided {
    Provided::with(|config| {
        config.sms = sms;
        config.delivery.timeout_ms = 2_000;
        config.delivery.public_url = "https://notify.example.com".to_owned();
    })
}

#[test]
fn twilio_gets_what_it_wants_and_is_understood() {
    let peers = Peers::start();
    let provided = sending(by_twilio(&peers));
    let mut parcel = sms("+14155550123", "Sarah & Tom: 5 > 4? Γειά", key(1));
    parcel.expires_at = Some(SystemClock.now().plus_seconds(590));
    let taken = provided.send(Channel::Sms, parcel).expect("it is taken");
    assert!(taken.provider_id.is_some_and(|id| id.starts_with("SM")));
    let got = peers.hear("twilio", |told| told["to"] == "+14155550123");
    assert_eq!(
        (&got["form"]["From"], &got["form"]["Body"]),
        (&"+14155550100".into(), &"Sarah & Tom: 5 > 4? Γειά".into())
    );
    assert!(got["form"]["ValidityPeriod"].as_str().is_some_and(|left| left.starts_with('5')), "{got}");

    let said = |to: &str| provided.send(Channel::Sms, sms(to, "x", key(2))).expect_err(to);
    assert!(matches!(said("+14155550131"), Fault::Gone { .. }), "STOP");
    assert!(matches!(said("+14155550132"), Fault::Reject { .. }));
    assert!(matches!(said("+14155550133"), Fault::Retry { after: Some(after), .. } if after.as_secs() == 11));
    assert!(matches!(said("+14155550134"), Fault::Unsure { .. }), "it hangs, and may have taken it");
    assert!(matches!(said("+14155550135"), Fault::Retry { .. }));
    for to in ["+14155550131", "+14155550132", "+14155550133"] {
        assert!(!said(to).to_string().contains("415"), "{:?}", said(to));
    }
    let long = sms("+14155550123", &"x".repeat(5_000), key(3));
    provided.send(Channel::Sms, long).expect("it is cut");
    // Who is not reached has taken nothing.
    let nowhere = SmsSettings { twilio_url: "http://127.0.0.1:1".to_owned(), ..by_twilio(&peers) };
    let said = sending(nowhere).send(Channel::Sms, sms("+14155550123", "x", key(4)));
    assert!(matches!(said, Err(Fault::Retry { .. })), "{said:?}");
    let stranger = SmsSettings { twilio_auth_token: Secret::new("other"), ..by_twilio(&peers) };
    let said = sending(stranger).send(Channel::Sms, sms("+14155550123", "x", key(4)));
    assert!(matches!(said, Err(Fault::Retry { .. })), "{said:?}");
}

#[test]
fn only_twilio_tells_what_became_of_it() {
    let peers = Peers::start();
    let provided = sending(by_twilio(&peers));
    provided.send(Channel::Sms, sms("+14155550123", "x", key(5))).expect("it is taken");
    let got = peers.hear("twilio", |told| told["to"] == "+14155550123");
    let url = got["form"]["StatusCallback"].as_str().expect("an address");
    let name = url.strip_prefix("https://notify.example.com/callbacks/twilio/").expect("our address");
    let params = got["says"]["params"].as_object().expect("a form");
    let mut form: Vec<(String, String)> = params
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
        .collect();
    let signature = got["says"]["signature"].as_str().expect("a signature");
    let callbacks = provided.channels.callbacks.clone().expect("callbacks");
    let report = callbacks.read(name, &form, signature).expect("it is Twilio's");
    assert_eq!((report.key, report.fate), (key(5), Fate::Delivered));
    for (name, signature) in [(name, ""), (name, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), ("x.y", signature)] {
        assert_eq!(callbacks.read(name, &form, signature), None);
    }
    let status = form.iter_mut().find(|(name, _)| name == "MessageStatus").expect("a status");
    status.1 = "failed".to_owned();
    assert_eq!(callbacks.read(name, &form, signature), None, "it is not what was signed");
}

#[test]
fn sns_believes_our_signature() {
    let peers = Peers::start();
    let provided = sending(by_sns(&peers));
    let taken =
        provided.send(Channel::Sms, sms("+14155550123", "Hello & Γειά", key(6))).expect("it is taken");
    assert_eq!(taken.provider_id.as_deref(), Some("567910cd-659e-55d4-8ccb-5aaf14679dc0"));
    let got = peers.hear("sns", |told| told["to"] == "+14155550123");
    assert_eq!(
        (&got["text"], &got["attributes"]["AWS.SNS.SMS.SMSType"]),
        (&"Hello & Γειά".into(), &"Transactional".into())
    );
    assert_eq!(got["attributes"]["AWS.SNS.SMS.SenderID"], "Carillon");
    let said = |to: &str| provided.send(Channel::Sms, sms(to, "x", key(7))).expect_err(to);
    assert!(matches!(said("+14155550131"), Fault::Gone { .. }), "STOP");
    assert!(matches!(said("+14155550133"), Fault::Retry { .. }));
    assert!(matches!(said("+14155550134"), Fault::Unsure { .. }), "it hangs, and may have taken it");
    assert!(matches!(said("+14155550135"), Fault::Retry { .. }));
    let stranger = SmsSettings { sns_secret_access_key: Secret::new("other"), ..by_sns(&peers) };
    let said = sending(stranger).send(Channel::Sms, sms("+14155550123", "x", key(8)));
    assert!(matches!(said, Err(Fault::Retry { .. })), "{said:?}");
}

#[test]
fn nothing_goes_to_numbers_that_cost_more() {
    let peers = Peers::start();
    let anywhere = sending(SmsSettings { countries: vec!["*".to_owned()], ..by_twilio(&peers) });
    for to in ["+19005550123", "+447012345678"] {
        let said = anywhere.send(Channel::Sms, sms(to, "x", key(12)));
        assert!(matches!(said, Err(Fault::Unfit { .. })), "{to}: {said:?}");
    }
    assert!(peers.told("twilio").is_empty());
}

#[test]
fn nothing_goes_to_other_countries() {
    let peers = Peers::start();
    // Where the sender is, if nothing is said; Canada has the same code.
    let home = sending(by_twilio(&peers));
    for to in ["+16045550123", "+302101234567", "+447400123456"] {
        let said = home.send(Channel::Sms, sms(to, "x", key(9)));
        assert!(matches!(said, Err(Fault::Unfit { .. })), "{to}: {said:?}");
    }
    assert!(peers.told("twilio").is_empty());
    let greek = sending(SmsSettings { countries: vec!["gr".to_owned()], ..by_twilio(&peers) });
    greek.send(Channel::Sms, sms("+302101234567", "x", key(10))).expect("it is taken");
    assert!(greek.send(Channel::Sms, sms("+14155550123", "x", key(11))).is_err());
    // Who names nobody is told so at the start.
    let unsaid = [
        SmsSettings { twilio_from: "MG0123".to_owned(), ..by_twilio(&peers) },
        SmsSettings { countries: Vec::new(), ..by_sns(&peers) },
    ];
    for settings in unsaid {
        let said = Provided::try_with(|config| config.sms = settings).err().expect("a refusal");
        assert!(said.contains("sms.countries"), "{said}");
    }
}
