//! Signing tokens, where the secret is shared.

use std::fmt;

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use super::settings::Settings;
use super::token::{self, KeyringError};

/// A token to be made, by the command line and the demo page.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Mint {
    /// The user or service.
    pub sub: String,
    /// Its tenant, if not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Its roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Its scopes, separated by spaces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Issued at, in seconds since 1970.
    pub iat: i64,
    /// Expires at, in seconds since 1970.
    pub exp: i64,
    /// Issuer, if one is required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub iss: String,
    /// Audience, if one is required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub aud: String,
}

impl Mint {
    /// Signs the token with the shared secret of `settings`.
    ///
    /// # Errors
    /// When tokens are signed by somebody else's private key, or there is no secret.
    pub fn sign(mut self, settings: &Settings) -> Result<String, KeyringError> {
        let algorithm = token::algorithm(&settings.jwt_algorithm)?;
        let fault = |fault: &dyn fmt::Display| KeyringError::Key {
            setting: "jwt_secret",
            algorithm: settings.jwt_algorithm.clone(),
            fault: fault.to_string(),
        };
        if settings.jwt_secret.is_empty() {
            return Err(fault(&"there is no secret; tokens can only be minted with one"));
        }
        self.iss.clone_from(&settings.jwt_issuer);
        self.aud.clone_from(&settings.jwt_audience);
        let key = EncodingKey::from_secret(settings.jwt_secret.expose().as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), &self, &key).map_err(|why| fault(&why))
    }
}
