//! What tokens are checked by, as it is set.

use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// Settings of `[auth]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Secret of HS256/384/512 tokens.
    pub jwt_secret: Secret,
    /// The secret before the present one: its tokens stay valid while you rotate.
    pub jwt_secret_previous: Secret,
    /// Secrets of the links by which people end messages, between commas: the first signs, the others are still believed. The
    /// secrets above and the back end's tokens are believed behind them, and sign if there is none.
    pub link_secrets: Secret,
    /// `HS256`, `HS384`, `HS512`, `RS256`, `RS384`, `RS512`, `PS256`, `ES256`, `ES384` or `EdDSA`.
    pub jwt_algorithm: String,
    /// Public key for the other algorithms: PEM text, or the path of a PEM file.
    pub jwt_public_key: String,
    /// Path of a JSON Web Key Set, instead of one public key.
    pub jwt_jwks_file: String,
    /// Its URL, instead of a file.
    pub jwt_jwks_url: String,
    /// Seconds between two fetches of `jwt_jwks_url`.
    pub jwt_jwks_refresh_seconds: u64,
    /// Required `iss`, if set.
    pub jwt_issuer: String,
    /// Required `aud`, if set.
    pub jwt_audience: String,
    /// Seconds by which clocks may differ.
    pub jwt_leeway_seconds: u64,
    /// The booking back end's token; two, separated by a comma, while you rotate.
    pub backend_token: Secret,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jwt_secret: Secret::default(),
            jwt_secret_previous: Secret::default(),
            link_secrets: Secret::default(),
            jwt_algorithm: "HS256".to_owned(),
            jwt_public_key: String::new(),
            jwt_jwks_file: String::new(),
            jwt_jwks_url: String::new(),
            jwt_jwks_refresh_seconds: 300,
            jwt_issuer: String::new(),
            jwt_audience: String::new(),
            jwt_leeway_seconds: 5,
            backend_token: Secret::default(),
        }
    }
}
