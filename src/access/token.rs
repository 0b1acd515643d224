//! JSON Web Tokens and the back end's static token.
//!
//! The algorithm is fixed by configuration, never taken from the token (RFC 8725, section 3.1).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::jwks::{Key, Remote, Set};
use super::known::{Fingerprint, Known};
use super::refusal::TokenError;
use super::settings::Settings;
use crate::domain::{BACKEND, Clock as _, Recipient, SystemClock, Tenant, Timestamp, UserId, is_name};

/// Longer texts are not looked at.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose user or service it is.
    pub tenant: Tenant,
    /// The user (`sub`, else `user_id`); a service may have none.
    pub user: Option<UserId>,
    /// The claim `facilitator_id`, which also proves a facilitator.
    pub facilitator: Option<UserId>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it may send notifications to others within its tenant.
    pub can_send: bool,
    /// Whether it may send to everybody who fits: a topic, a role, the whole tenant.
    pub can_broadcast: bool,
    /// Whether it may change templates.
    pub can_write_templates: bool,
    /// Whether it may say who is told what becomes of notifications.
    pub can_manage_webhooks: bool,
    /// Whether all that is kept of anybody of its tenant is its business: to hand it out, and to forget it.
    pub can_manage_privacy: bool,
    /// When it ends; the static back-end token does not.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// The recipient `claimed` by somebody who shows this token, if the token proves it.
    pub fn recipient(&self, claimed: &UserId) -> Option<Recipient> {
        let proves = self.user.as_ref() == Some(claimed) || self.facilitator.as_ref() == Some(claimed);
        proves.then(|| Recipient { tenant: self.tenant.clone(), user: claimed.clone() })
    }

    /// `user`, of the same tenant.
    pub fn person(&self, user: UserId) -> Recipient {
        Recipient { tenant: self.tenant.clone(), user }
    }

    /// By what name it is written down.
    pub fn name(&self) -> &str {
        self.user.as_ref().map_or(BACKEND, UserId::as_str)
    }

    /// Whether this user or named service has sent what is of this `sender`.
    pub fn is_sender(&self, sender: Option<&str>) -> bool {
        self.user.as_ref().is_some_and(|user| sender == Some(user.as_str()))
    }

    /// Whether it is an administrator's.
    pub fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }

    /// Whose inbox it opens, if anybody's.
    pub fn inbox(&self) -> Option<Recipient> {
        self.user.as_ref().or(self.facilitator.as_ref()).and_then(|user| self.recipient(user))
    }
}

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// An unknown or missing algorithm.
    #[error(
        "auth.jwt_algorithm is `{0}`; use HS256, HS384, HS512, RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA"
    )]
    Algorithm(String),
    /// The key does not fit the algorithm.
    #[error("auth.{setting} cannot be used with {algorithm}: {fault}")]
    Key {
        /// Which setting.
        setting: &'static str,
        /// The configured algorithm.
        algorithm: String,
        /// What the library says of it.
        fault: String,
    },
    /// Nothing to check tokens with.
    #[error(
        "{0} needs a public key: set auth.jwt_public_key (PEM text or file), auth.jwt_jwks_file or auth.jwt_jwks_url"
    )]
    NoPublicKey(String),
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    r#type: Value,
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    facilitator_id: Value,
    #[serde(default)]
    tenant_id: Value,
    #[serde(default)]
    role: Value,
    #[serde(default)]
    roles: Value,
    #[serde(default)]
    scope: Value,
    #[serde(default)]
    scopes: Value,
}

/// Where the keys are.
enum Keys {
    /// Read at start.
    Fixed(Arc<Set>),
    /// Fetched again and again.
    Remote(Remote),
}

/// Every key tokens are checked with.
pub struct Keyring {
    keys: Keys,
    validation: Validation,
    backend: Vec<Fingerprint>,
    known: Known,
}

impl Keyring {
    /// Reads the keys that `settings` name.
    ///
    /// # Errors
    /// When the algorithm is unknown or a key does not fit it.
    pub fn new(settings: &Settings) -> Result<Self, KeyringError> {
        let algorithm = algorithm(&settings.jwt_algorithm)?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = settings.jwt_leeway_seconds;
        validation.validate_nbf = true;
        validation.validate_aud = !settings.jwt_audience.is_empty();
        if validation.validate_aud {
            validation.set_audience(&[&settings.jwt_audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if !settings.jwt_issuer.is_empty() {
            validation.set_issuer(&[&settings.jwt_issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        let backend = settings
            .backend_token
            .expose()
            .split(',')
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .map(fingerprint)
            .collect();
        Ok(Self { keys: keys(settings, algorithm)?, validation, backend, known: Known::default() })
    }

    /// Fetches the keys, if they come by URL. Without them [`TokenError::NoKeys`] is all that tokens get.
    pub async fn fetch(&self) {
        if let Keys::Remote(remote) = &self.keys {
            remote.fetch().await;
        }
    }

    /// How many keys their URL has now, or why not; nothing, if they do not come by URL.
    pub async fn ask(&self) -> Option<Result<usize, String>> {
        match &self.keys {
            Keys::Remote(remote) => Some(remote.ask().await),
            Keys::Fixed(_) => None,
        }
    }

    /// Fetches them again for as long as it is polled; ends at once if they do not come by URL.
    pub async fn refresh(self: Arc<Self>) {
        if let Keys::Remote(remote) = &self.keys {
            remote.refresh().await;
        }
    }

    fn set(&self) -> Arc<Set> {
        match &self.keys {
            Keys::Fixed(set) => set.clone(),
            Keys::Remote(remote) => remote.set(),
        }
    }

    /// The principal of a JWT.
    ///
    /// # Errors
    /// [`TokenError`] says why it is refused.
    pub fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        self.verify_by(&self.set(), token)
    }

    fn verify_by(&self, set: &Set, token: &str) -> Result<Principal, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        let mut refusal = TokenError::Invalid;
        for key in &set.keys {
            if key.id.is_some() && header.kid.is_some() && key.id != header.kid {
                continue;
            }
            match decode::<Claims>(token, &key.key, &self.validation) {
                Ok(token) => {
                    let mut principal = principal(&token.claims)?;
                    // A live socket ends when a new one would be refused, not before.
                    let leeway = i64::try_from(self.validation.leeway).unwrap_or(0);
                    principal.expires_at = principal.expires_at.map(|at| at.plus_seconds(leeway));
                    return Ok(principal);
                }
                Err(fault) => match fault.kind() {
                    ErrorKind::ExpiredSignature => refusal = TokenError::Expired,
                    ErrorKind::ImmatureSignature => refusal = TokenError::Early,
                    ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => refusal = TokenError::Endless,
                    ErrorKind::MissingRequiredClaim(_)
                    | ErrorKind::InvalidIssuer
                    | ErrorKind::InvalidAudience => refusal = TokenError::Elsewhere,
                    _ => {}
                },
            }
        }
        let lacking = match (&self.keys, refusal) {
            (Keys::Remote(remote), TokenError::Invalid) => remote.lacks(set, header.kid.as_ref(), header.alg),
            _ => None,
        };
        Err(lacking.unwrap_or(refusal))
    }

    /// The principal of a back end: the static token, or a JWT that allows sending.
    ///
    /// # Errors
    /// [`TokenError`] says why it is refused.
    pub fn verify_sender(&self, token: &str) -> Result<Principal, TokenError> {
        let principal = self.verify_caller(token)?;
        if principal.can_send { Ok(principal) } else { Err(TokenError::NoPermission) }
    }

    /// The principal of anybody: the static token, or a JWT.
    ///
    /// # Errors
    /// [`TokenError`] says why it is refused.
    pub fn verify_caller(&self, token: &str) -> Result<Principal, TokenError> {
        let shown = fingerprint(token);
        let matches = self.backend.iter().fold(0, |found, known| found | known.ct_eq(&shown).unwrap_u8());
        if matches == 0 || token.is_empty() {
            let set = self.set();
            if let Some(principal) = self.known.find(&set, &shown, SystemClock.now()) {
                return Ok(principal);
            }
            return self.verify_by(&set, token).inspect(|principal| self.known.keep(&set, shown, principal));
        }
        Ok(Principal {
            tenant: Tenant::default(),
            user: None,
            facilitator: None,
            roles: Vec::new(),
            can_send: true,
            can_broadcast: true,
            can_write_templates: false,
            can_manage_webhooks: false,
            can_manage_privacy: false,
            expires_at: None,
        })
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token.as_bytes()).into()
}

pub(super) fn algorithm(name: &str) -> Result<Algorithm, KeyringError> {
    name.parse().map_err(|_| KeyringError::Algorithm(name.to_owned()))
}

fn keys(settings: &Settings, algorithm: Algorithm) -> Result<Keys, KeyringError> {
    let fault = |setting, fault: &dyn fmt::Display| KeyringError::Key {
        setting,
        algorithm: settings.jwt_algorithm.clone(),
        fault: fault.to_string(),
    };
    if !settings.jwt_jwks_url.is_empty() {
        let remote = Remote::new(settings, algorithm);
        return remote.map(Keys::Remote).map_err(|why| fault("jwt_jwks_url", &why));
    }
    if matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        let secrets = [&settings.jwt_secret, &settings.jwt_secret_previous]
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .map(|secret| Key { id: None, key: DecodingKey::from_secret(secret.expose().as_bytes()) })
            .collect();
        return Ok(Keys::Fixed(Set::of(secrets)));
    }
    if !settings.jwt_jwks_file.is_empty() {
        let setting = "jwt_jwks_file";
        let text = std::fs::read(&settings.jwt_jwks_file).map_err(|why| fault(setting, &why))?;
        let set = Set::read(text, algorithm).map_err(|why| fault(setting, &why))?;
        for (id, why) in &set.passed_over {
            tracing::warn!(id, why, "a key of auth.jwt_jwks_file is passed over");
        }
        return Ok(Keys::Fixed(Arc::new(set)));
    }
    if settings.jwt_public_key.is_empty() {
        return Err(KeyringError::NoPublicKey(settings.jwt_algorithm.clone()));
    }
    let setting = "jwt_public_key";
    let pem = if settings.jwt_public_key.contains("-----BEGIN") {
        settings.jwt_public_key.clone().into_bytes()
    } else {
        std::fs::read(Path::new(&settings.jwt_public_key)).map_err(|why| fault(setting, &why))?
    };
    let key = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(&pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(&pem),
        _ => DecodingKey::from_rsa_pem(&pem),
    };
    let key = key.map_err(|why| fault(setting, &why))?;
    Ok(Keys::Fixed(Set::of(vec![Key { id: None, key }])))
}

/// `2` and `"2"` are the same user; anything but a text or a whole number names nobody.
fn user(claim: &Value) -> Result<Option<UserId>, TokenError> {
    let text = match claim {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return Err(TokenError::Subject),
    };
    UserId::new(&text).map(Some).map_err(|_| TokenError::Subject)
}

/// Words of a claim that may be a list or one text with spaces.
fn words(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn principal(claims: &Claims) -> Result<Principal, TokenError> {
    // flask-jwt-extended signs both kinds with one key; a refresh token only buys access tokens.
    if claims.r#type == "refresh" {
        return Err(TokenError::Refresh);
    }
    let tenant = match user(&claims.tenant_id).map_err(|_| TokenError::Tenant)? {
        Some(tenant) => Tenant::new(tenant.as_str()).map_err(|_| TokenError::Tenant)?,
        None => Tenant::default(),
    };
    let user_id = match user(&claims.sub)? {
        Some(sub) => Some(sub),
        None => user(&claims.user_id)?,
    };
    let facilitator = user(&claims.facilitator_id)?;
    let mut scopes = words(&claims.scope);
    scopes.extend(words(&claims.scopes));
    let mut roles = words(&claims.roles);
    roles.extend(words(&claims.role));
    let can_broadcast = scopes.contains(&"notifications:broadcast") || roles.contains(&"admin");
    let can_write_templates = scopes.contains(&"templates:write") || roles.contains(&"admin");
    let can_manage_webhooks = scopes.contains(&"webhooks:write") || roles.contains(&"admin");
    let can_manage_privacy = scopes.contains(&"privacy:manage") || roles.contains(&"admin");
    let can_send = can_broadcast || scopes.contains(&"notifications:send") || roles.contains(&"service");
    // Nobody can send to others.
    let roles = roles.into_iter().filter(|role| is_name(role)).map(str::to_owned).collect();
    if user_id.is_none() && facilitator.is_none() && !can_send && !can_manage_privacy {
        return Err(TokenError::Subject);
    }
    // The library has checked that `exp` is a time to come.
    let seconds = claims.exp.as_f64().ok_or(TokenError::Invalid)?;
    let expires_at = Timestamp::from_micros((seconds * 1e6) as i64);
    let expires_at = Some(expires_at);
    let user = user_id;
    Ok(Principal {
        tenant,
        user,
        facilitator,
        roles,
        can_send,
        can_broadcast,
        can_write_templates,
        can_manage_webhooks,
        can_manage_privacy,
        expires_at,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::access::Mint;
    use crate::domain::Secret;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";
    const LATER: i64 = 4_102_444_800;

    fn settings() -> Settings {
        Settings {
            jwt_secret: Secret::new(SECRET),
            backend_token: Secret::new("old-token-of-the-back-end, new-token-of-the-back-end"),
            ..Settings::default()
        }
    }

    fn ring() -> Keyring {
        Keyring::new(&settings()).unwrap()
    }

    fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn verify(claims: &Value) -> Result<Principal, TokenError> {
        ring().verify(&sign(Algorithm::HS256, SECRET, claims))
    }

    #[test]
    fn numbers_and_texts_name_the_same_user() {
        let text = verify(&json!({"sub": "2", "type": "access", "exp": LATER})).unwrap();
        let number = verify(&json!({"sub": 2, "exp": LATER})).unwrap();
        assert_eq!(text.user, number.user);
        let two = UserId::new("2").unwrap();
        assert!(text.recipient(&two).is_some());
        assert!(text.recipient(&UserId::new("3").unwrap()).is_none());
        let by_claim = verify(&json!({"sub": "u9", "facilitator_id": 2, "exp": LATER})).unwrap();
        assert!(by_claim.recipient(&two).is_some());
    }

    #[test]
    fn odd_claims_are_refused() {
        for claims in [
            json!({"sub": "", "exp": LATER}),
            json!({"sub": ["2"], "exp": LATER}),
            json!({"sub": {"id": 2}, "exp": LATER}),
            json!({"sub": true, "exp": LATER}),
            json!({"sub": 2.5, "exp": LATER}),
            json!({"sub": "a\u{0}b", "exp": LATER}),
            json!({"sub": "x".repeat(129), "exp": LATER}),
            json!({"sub": "2", "tenant_id": "a\nb", "exp": LATER}),
            json!({"exp": LATER}),
        ] {
            // The library refuses some of them before we see them.
            let refusal = verify(&claims).unwrap_err();
            assert!(
                matches!(refusal, TokenError::Subject | TokenError::Tenant | TokenError::Invalid),
                "{claims}: {refusal}"
            );
        }
        assert_eq!(verify(&json!({"sub": "2"})), Err(TokenError::Endless));
        assert_eq!(verify(&json!({"sub": "2", "exp": "soon"})), Err(TokenError::Endless));
        let refresh = json!({"sub": "2", "type": "refresh", "exp": LATER});
        assert_eq!(verify(&refresh), Err(TokenError::Refresh));
        assert_eq!(verify(&json!({"sub": "2", "exp": 1})), Err(TokenError::Expired));
        assert_eq!(verify(&json!({"sub": "2", "exp": LATER, "nbf": LATER - 9})), Err(TokenError::Early));
    }

    #[test]
    fn forged_tokens_are_refused() {
        let claims = json!({"sub": "2", "exp": LATER});
        let good = sign(Algorithm::HS256, SECRET, &claims);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let none = "eyJhbGciOiJub25lIn0";
        let body = signed.split_once('.').unwrap().1;
        for token in [
            sign(Algorithm::HS256, "another secret", &claims),
            sign(Algorithm::HS512, SECRET, &claims),
            format!("{signed}."),
            format!("{none}.{body}."),
            format!("{none}.{body}.{signature}"),
            format!("{good}x"),
            "not.a.token".to_owned(),
            "x".repeat(10_000),
        ] {
            assert_eq!(ring().verify(&token), Err(TokenError::Invalid), "{token:.40}");
        }
        assert_eq!(ring().verify(""), Err(TokenError::Missing));
    }

    #[test]
    fn two_back_end_tokens_are_valid_while_rotating() {
        for token in ["old-token-of-the-back-end", "new-token-of-the-back-end"] {
            assert!(ring().verify_sender(token).unwrap().can_send);
        }
        assert!(ring().verify_sender("old-token-of-the-back-en").is_err());
        assert!(ring().verify_sender("old-token-of-the-back-end, new-token-of-the-back-end").is_err());
    }

    #[test]
    fn a_sender_needs_the_scope_or_role() {
        let sender = |claims| ring().verify_sender(&sign(Algorithm::HS256, SECRET, &claims));
        assert!(sender(json!({"sub": "api", "scope": "a notifications:send", "exp": LATER})).is_ok());
        assert!(sender(json!({"role": "service", "exp": LATER})).is_ok());
        assert!(sender(json!({"roles": ["admin"], "exp": LATER})).is_ok());
        assert_eq!(sender(json!({"sub": "2", "exp": LATER})), Err(TokenError::NoPermission));
    }

    #[test]
    fn issuer_and_audience_are_checked_when_set() {
        let settings =
            Settings { jwt_issuer: "school".to_owned(), jwt_audience: "carillon".to_owned(), ..settings() };
        let ring = Keyring::new(&settings).unwrap();
        let verify = |claims| ring.verify(&sign(Algorithm::HS256, SECRET, &claims));
        assert!(verify(json!({"sub": "2", "exp": LATER, "iss": "school", "aud": "carillon"})).is_ok());
        for claims in [
            json!({"sub": "2", "exp": LATER}),
            json!({"sub": "2", "exp": LATER, "iss": "school"}),
            json!({"sub": "2", "exp": LATER, "iss": "other", "aud": "carillon"}),
            json!({"sub": "2", "exp": LATER, "iss": "school", "aud": "other"}),
        ] {
            assert_eq!(verify(claims), Err(TokenError::Elsewhere));
        }
        let minted = Mint { sub: "2".to_owned(), exp: LATER, ..Mint::default() };
        assert!(ring.verify(&minted.sign(&settings).unwrap()).is_ok());
    }

    #[test]
    fn public_keys_are_required_by_their_algorithms() {
        let settings = Settings { jwt_algorithm: "RS256".to_owned(), ..settings() };
        assert!(matches!(Keyring::new(&settings), Err(KeyringError::NoPublicKey(_))));
        let settings = Settings { jwt_algorithm: "none".to_owned(), ..settings };
        assert!(matches!(Keyring::new(&settings), Err(KeyringError::Algorithm(_))));
    }

    #[test]
    fn keys_by_url_need_their_settings() {
        let good = Settings {
            jwt_algorithm: "ES256".to_owned(),
            jwt_jwks_url: "http://127.0.0.1:1/keys".to_owned(),
            ..settings()
        };
        let fault = |settings: Settings| Keyring::new(&settings).err().unwrap().to_string();
        let ring = Keyring::new(&good).unwrap();
        let forged = sign(Algorithm::HS256, SECRET, &json!({"sub": "2", "exp": LATER}));
        assert_eq!(ring.verify(&forged), Err(TokenError::Invalid));
        assert_eq!(ring.verify("not.a.token"), Err(TokenError::Invalid));
        assert_eq!(ring.verify("eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), Err(TokenError::NoKeys));
        let shared = Settings { jwt_algorithm: "HS256".to_owned(), ..good.clone() };
        assert!(fault(shared).contains("jwt_jwks_url"));
        let twice = Settings { jwt_jwks_file: "keys.json".to_owned(), ..good.clone() };
        assert!(fault(twice).contains("jwt_jwks_file"));
        let often = Settings { jwt_jwks_refresh_seconds: 9, ..good.clone() };
        assert!(fault(often).contains("at least 10"));
        let open = Settings { jwt_jwks_url: "http://id.example.com/keys".to_owned(), ..good };
        assert!(fault(open).contains("https://"));
    }
}
