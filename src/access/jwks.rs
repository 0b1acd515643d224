//! JSON Web Key Sets: which of their keys are taken, and fetching a set by its URL again and again.
//!
//! Promises: whoever checks a token never waits for the network; a set that cannot be fetched leaves the keys there are;
//! no shared secret is ever taken from a set; nobody can make this server ask more often than [`PAUSE`] allows.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::header::ACCEPT;
use reqwest::{Client, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::refusal::TokenError;
use super::settings::Settings;

/// Longer answers are not read.
const LARGEST_SET: usize = 1_000_000;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests, whoever asks for them.
const PAUSE: Duration = Duration::from_secs(10);

/// One key, and the id by which a token may ask for it.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) key: DecodingKey,
}

/// What a text holds.
#[derive(Default)]
pub(super) struct Set {
    /// Those that tokens can be checked with.
    pub(super) keys: Vec<Key>,
    /// The others: id, and why they are passed over.
    pub(super) passed_over: Vec<(Option<String>, String)>,
    /// Where all of it was read.
    text: Vec<u8>,
}

impl Set {
    /// Keys that come from elsewhere.
    pub(super) fn of(keys: Vec<Key>) -> Arc<Self> {
        Arc::new(Self { keys, ..Self::default() })
    }

    /// Reads a set for tokens of `algorithm`. A key that is not understood harms only itself (RFC 7517, section 5).
    pub(super) fn read(text: Vec<u8>, algorithm: Algorithm) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Given {
            keys: Vec<Value>,
        }
        let given: Given = serde_json::from_slice(&text)?;
        let mut set = Self { text, ..Self::default() };
        for jwk in given.keys {
            let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            match usable(jwk, algorithm) {
                Ok(key) => set.keys.push(Key { id, key }),
                Err(why) => set.passed_over.push((id, why)),
            }
        }
        Ok(set)
    }
}

/// The key, if it is meant for tokens of `algorithm`, and can only check them.
fn usable(jwk: Value, algorithm: Algorithm) -> Result<DecodingKey, String> {
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|why| why.to_string())?;
    let fits = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => return Err("it is a shared secret".to_owned()),
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(key) => matches!(
            (&key.curve, algorithm),
            (EllipticCurve::P256, Algorithm::ES256) | (EllipticCurve::P384, Algorithm::ES384)
        ),
        // Its curve says it all; `alg` has had two spellings (RFC 9864).
        AlgorithmParameters::OctetKeyPair(key) => {
            key.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        _ => false,
    };
    if !fits {
        return Err(format!("its `kty` or `crv` is not for {algorithm:?}"));
    }
    let common = &jwk.common;
    let is_pair = matches!(jwk.algorithm, AlgorithmParameters::OctetKeyPair(_));
    if common.key_algorithm.is_some_and(|alg| !is_pair && Algorithm::try_from(alg) != Ok(algorithm)) {
        return Err(format!("its `alg` is not {algorithm:?}"));
    }
    if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return Err("its `use` is not sig".to_owned());
    }
    if common.key_operations.as_ref().is_some_and(|allowed| !allowed.contains(&KeyOperations::Verify)) {
        return Err("its `key_ops` do not allow verify".to_owned());
    }
    DecodingKey::from_jwk(&jwk).map_err(|why| why.to_string())
}

/// Why a set is not there.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it does not answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answers {0}{more}", more = if .0.is_redirection() { "; redirects are not followed" } else { "" })]
    Status(reqwest::StatusCode),
    #[error("its answer has more than {LARGEST_SET} bytes")]
    Large,
    #[error("its answer is no key set")]
    NoSet(#[from] serde_json::Error),
}

/// An error with everything below it, in one line.
fn told(fault: &dyn Error) -> String {
    let mut text = fault.to_string();
    let mut below = fault.source();
    while let Some(fault) = below {
        text = format!("{text}: {fault}");
        below = fault.source();
    }
    text
}

/// The set behind a URL, as it was last fetched.
pub(super) struct Remote {
    url: Url,
    algorithm: Algorithm,
    every: Duration,
    client: Client,
    /// Held only to copy or to swap the pointer.
    set: RwLock<Arc<Set>>,
    /// Told when a token needs a key that is not here.
    missed: Notify,
}

impl Remote {
    /// Asks nobody yet. The error completes the sentence "auth.jwt_jwks_url cannot be used".
    pub(super) fn new(settings: &Settings, algorithm: Algorithm) -> Result<Self, String> {
        if matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err("a shared secret never comes by URL; name the keys' algorithm in auth.jwt_algorithm"
                .to_owned());
        }
        if !settings.jwt_jwks_file.is_empty() || !settings.jwt_public_key.is_empty() {
            return Err("auth.jwt_jwks_file or auth.jwt_public_key is set too; keep one of them".to_owned());
        }
        let every = Duration::from_secs(settings.jwt_jwks_refresh_seconds);
        if every < PAUSE {
            let (seconds, least) = (every.as_secs(), PAUSE.as_secs());
            return Err(format!("auth.jwt_jwks_refresh_seconds is {seconds}; it must be at least {least}"));
        }
        let url = address(&settings.jwt_jwks_url)?;
        let client = client(&url)?;
        Ok(Self { url, algorithm, every, client, set: RwLock::default(), missed: Notify::new() })
    }

    /// The keys there are now.
    pub(super) fn set(&self) -> Arc<Set> {
        self.set.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// A token of `algorithm` was refused by `set`, in which it asked for the key `id`. Whether that is because the key
    /// is not here, so that it is worth another request; if so, that is asked for.
    pub(super) fn lacks(&self, set: &Set, id: Option<&String>, algorithm: Algorithm) -> Option<TokenError> {
        let refusal = if set.keys.is_empty() {
            TokenError::NoKeys
        } else if id.is_some() && set.keys.iter().all(|key| key.id.as_ref() != id) {
            TokenError::UnknownKey
        } else {
            return None;
        };
        if algorithm != self.algorithm {
            return None;
        }
        self.missed.notify_one();
        Some(refusal)
    }

    /// How many keys there are at its URL now.
    pub(super) async fn ask(&self) -> Result<usize, String> {
        let set = self.download(&Set::default()).await.map_err(|why| told(&why))?;
        Ok(set.map_or(0, |set| set.keys.len()))
    }

    /// Fetches the set once. What goes wrong is logged, and changes nothing.
    pub(super) async fn fetch(&self) {
        let before = self.set();
        let set = match self.download(&before).await {
            Ok(None) => return,
            Ok(Some(set)) => set,
            Err(why) => {
                let why = told(&why);
                if before.keys.is_empty() {
                    tracing::warn!(
                        why,
                        "there are no keys from auth.jwt_jwks_url yet; until there are, JSON Web Tokens are refused"
                    );
                } else {
                    tracing::warn!(
                        why,
                        "keys could not be fetched from auth.jwt_jwks_url; those there are stay"
                    );
                }
                return;
            }
        };
        for (id, why) in &set.passed_over {
            tracing::info!(id, why, "a key of auth.jwt_jwks_url is passed over");
        }
        if set.keys.is_empty() {
            tracing::warn!(
                "auth.jwt_jwks_url has no key for auth.jwt_algorithm; until it has, JSON Web Tokens are refused"
            );
        } else {
            tracing::info!(keys = set.keys.len(), "keys fetched from auth.jwt_jwks_url");
        }
        *self.set.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(set);
    }

    /// Fetches the set for as long as it is polled: when it is time, and sooner when a token needs it.
    pub(super) async fn refresh(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            if !self.set().keys.is_empty() {
                let rest = self.every.saturating_sub(PAUSE);
                tokio::time::timeout(rest, self.missed.notified()).await.ok();
            }
            self.fetch().await;
        }
    }

    /// The set, unless it is as it was.
    async fn download(&self, before: &Set) -> Result<Option<Set>, Fault> {
        let unreachable = |fault: reqwest::Error| Fault::Unreachable(fault.without_url());
        let request =
            self.client.get(self.url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
        let mut answer = request.send().await.map_err(unreachable)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(Fault::Status(answer.status()));
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            if text.len() + part.len() > LARGEST_SET {
                return Err(Fault::Large);
            }
            text.extend_from_slice(&part);
        }
        if text == before.text {
            return Ok(None);
        }
        Ok(Some(Set::read(text, self.algorithm)?))
    }
}

/// Who asks `url`, and trusts nobody else.
fn client(url: &Url) -> Result<Client, String> {
    let is_named = url.scheme() == "https";
    let mut roots = RootCertStore::empty();
    if is_named {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "this machine has no root certificates to verify the server with; install them (package \
                 ca-certificates), or name a file of them in SSL_CERT_FILE"
                    .to_owned(),
            );
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("carillon/", env!("CARGO_PKG_VERSION")));
    let client = if is_named {
        client.https_only(true)
    } else {
        // `localhost` is what `address` took it for, whatever the resolver and the environment say.
        let here = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        client.no_proxy().resolve_to_addrs("localhost", &here.map(|address| SocketAddr::new(address, 0)))
    };
    client.build().map_err(|fault| told(&fault))
}

/// The URL, if nobody on the way can change what it answers.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| format!("it is no URL: {why}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it may not hold a user name or a password".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err(
            "it must begin with https://; http:// is only for this machine itself, as in http://127.0.0.1"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    /// The public key of RFC 7517, appendix A.1.
    fn elliptic(changes: &Value) -> Value {
        changed(
            json!({
                "kty": "EC",
                "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            }),
            changes,
        )
    }

    fn changed(mut jwk: Value, changes: &Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    fn taken(jwk: &Value, algorithm: Algorithm) -> bool {
        let set = Set::read(json!({"keys": [jwk]}).to_string().into_bytes(), algorithm).unwrap();
        assert_eq!(set.keys.len() + set.passed_over.len(), 1);
        set.keys.len() == 1
    }

    #[test]
    fn keys_of_the_configured_algorithm_are_taken() {
        for changes in [
            json!({}),
            json!({"kid": "1", "use": "sig", "alg": "ES256", "key_ops": ["verify"]}),
            json!({"unheard_of": {"a": 1}}),
        ] {
            assert!(taken(&elliptic(&changes), Algorithm::ES256), "{changes}");
        }
        let rsa = json!({"kty": "RSA", "n": "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri", "e": "AQAB"});
        assert!(taken(&rsa, Algorithm::RS256) && taken(&rsa, Algorithm::PS256));
        let edwards =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        for alg in [json!({}), json!({"alg": "EdDSA"}), json!({"alg": "Ed25519"})] {
            assert!(taken(&changed(edwards.clone(), &alg), Algorithm::EdDSA), "{alg}");
        }
    }

    #[test]
    fn other_keys_are_passed_over() {
        for changes in [
            json!({"use": "enc"}),
            json!({"use": "other"}),
            json!({"key_ops": ["deriveKey"]}),
            json!({"alg": "ES384"}),
            json!({"alg": "ECDH-ES"}),
            json!({"crv": "P-384"}),
            json!({"crv": "secp256k1"}),
            json!({"kty": "XYZ"}),
            json!({"kid": 7}),
            json!({"x": "?"}),
        ] {
            assert!(!taken(&elliptic(&changes), Algorithm::ES256), "{changes}");
        }
        for algorithm in [Algorithm::RS256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::HS256] {
            assert!(!taken(&elliptic(&json!({})), algorithm), "{algorithm:?}");
        }
        let secret = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "use": "sig"});
        for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
            assert!(!taken(&secret, algorithm), "{algorithm:?}");
        }
        assert!(!taken(&json!("no object"), Algorithm::ES256));
        for text in ["", "[]", "{}", "{\"keys\": 1}", "<html>"] {
            assert!(Set::read(text.into(), Algorithm::ES256).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_not_here_is_asked_for() {
        let settings = Settings { jwt_jwks_url: "http://127.0.0.1:1/keys".to_owned(), ..Settings::default() };
        let remote = Remote::new(&settings, Algorithm::ES256).unwrap();
        let text = json!({"keys": [elliptic(&json!({"kid": "a"}))]}).to_string();
        let set = Set::read(text.into_bytes(), Algorithm::ES256).unwrap();
        let (known, unknown) = ("a".to_owned(), "b".to_owned());
        let lacks = |set: &Set, id: Option<&String>, algorithm| remote.lacks(set, id, algorithm);
        assert_eq!(lacks(&Set::default(), None, Algorithm::ES256), Some(TokenError::NoKeys));
        assert_eq!(lacks(&set, Some(&unknown), Algorithm::ES256), Some(TokenError::UnknownKey));
        assert_eq!(lacks(&set, Some(&known), Algorithm::ES256), None);
        assert_eq!(lacks(&set, None, Algorithm::ES256), None);
        assert_eq!(lacks(&set, Some(&unknown), Algorithm::HS256), None);
    }

    #[test]
    fn only_urls_that_cannot_be_tampered_with_are_taken() {
        for text in [
            "https://id.example.com/.well-known/jwks.json",
            "https://10.0.0.7:8443/keys?tenant=1",
            "http://127.0.0.1:8080/keys",
            "http://127.9.9.9/keys",
            "http://[::1]:8080/keys",
            "http://localhost:8080/keys",
            "http://LOCALHOST/keys",
        ] {
            assert!(address(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "keys.json",
            "/etc/keys.json",
            "file:///etc/keys.json",
            "ftp://id.example.com/keys",
            "data:application/json,{}",
            "https://",
            "http://id.example.com/keys",
            "http://10.0.0.7/keys",
            "http://0.0.0.0/keys",
            "http://[::]/keys",
            "http://169.254.169.254/keys",
            "http://localhost.example.com/keys",
            "http://127.0.0.1.example.com/keys",
            "http://127.0.0.1@id.example.com/keys",
            "http://id.example.com#@127.0.0.1/keys",
            "http://id.example.com\\@127.0.0.1/keys",
            "https://user:password@id.example.com/keys",
            "https://user@id.example.com/keys",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
