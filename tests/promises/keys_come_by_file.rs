//! Tokens that somebody else signs are checked by their public key, or by their key set, from a file.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Clients, Server, in_seconds, run_command};

/// A private key that only these promises use, and its public half.
struct Pair {
    algorithm: Algorithm,
    name: &'static str,
    private: EncodingKey,
    public: &'static str,
}

fn pairs() -> [Pair; 3] {
    macro_rules! pair {
        ($name:literal, $algorithm:ident, $read:ident) => {
            Pair {
                algorithm: Algorithm::$algorithm,
                name: $name,
                private: EncodingKey::$read(include_bytes!(concat!("support/keys/", $name, ".key")))
                    .expect("a key"),
                public: include_str!(concat!("support/keys/", $name, ".pub")),
            }
        };
    }
    [
        pair!("es256", ES256, from_ec_pem),
        pair!("eddsa", EdDSA, from_ed_pem),
        pair!("rs256", RS256, from_rsa_pem),
    ]
}

impl Pair {
    fn setting(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// Facilitator 2's token.
    fn token(&self) -> String {
        let header = Header { kid: Some(self.name.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, &json!({"sub": "2", "exp": in_seconds(3600)}), &self.private).expect("a token")
    }

    fn set(&self) -> String {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("its public half");
        jwk.common.key_id = Some(self.name.to_owned());
        json!({"keys": [jwk]}).to_string()
    }
}

/// What a page with this token is told.
fn answer(server: &Server, token: &str) -> Value {
    let page = Clients::of(server).stranger();
    page.call("facilitator_connect", json!({"facilitator_id": 2, "token": token}))
}

#[test]
fn a_public_key_opens_to_its_own_tokens_only() {
    let home = tempfile::tempdir().expect("a folder");
    let pairs = pairs();
    for (pair, other) in pairs.iter().zip(pairs.iter().cycle().skip(1)) {
        let file = home.path().join(pair.name);
        std::fs::write(&file, pair.public).expect("a file");
        for key in [pair.public, file.to_str().expect("a path")] {
            let algorithm = pair.setting();
            let server = Server::with(&[("auth.jwt_algorithm", &algorithm), ("auth.jwt_public_key", key)]);
            assert_eq!(answer(&server, &pair.token())["status"], "authenticated", "{key}");
            assert_eq!(answer(&server, &other.token())["error"], "Invalid token", "{key}");
        }
    }
}

#[test]
fn a_key_set_opens_to_its_own_tokens_only() {
    let home = tempfile::tempdir().expect("a folder");
    let pairs = pairs();
    for (pair, other) in pairs.iter().zip(pairs.iter().cycle().skip(1)) {
        let file = home.path().join(pair.name);
        std::fs::write(&file, pair.set()).expect("a file");
        let file = file.to_str().expect("a path");
        let server = Server::with(&[("auth.jwt_algorithm", &pair.setting()), ("auth.jwt_jwks_file", file)]);
        assert_eq!(answer(&server, &pair.token())["status"], "authenticated", "{}", pair.name);
        assert_eq!(answer(&server, &other.token())["error"], "Invalid token", "{}", pair.name);
    }
}

#[test]
fn what_is_no_key_is_told_at_the_start() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("keys");
    std::fs::write(&file, "no keys").expect("a file");
    let (damaged, missing) = (file.to_str().expect("a path"), "/no/such/file");
    for (algorithm, setting, value) in [
        ("ES256", "jwt_public_key", damaged),
        ("EdDSA", "jwt_public_key", damaged),
        ("RS256", "jwt_public_key", damaged),
        ("ES256", "jwt_public_key", missing),
        ("ES256", "jwt_jwks_file", damaged),
        ("ES256", "jwt_jwks_file", missing),
    ] {
        let variable = format!("CARILLON_AUTH_{}", setting.to_uppercase());
        let output = run_command(
            &["serve", "--host", "127.0.0.1", "--port", "0"],
            &[("JWT_ALGORITHM", algorithm), (&variable, value)],
        );
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.contains(setting), "{setting} {value}: {words}");
    }
}
