//! In production the server refuses to start with a secret that is missing, is an example's, or is too short.

use crate::support::{BACKEND_TOKEN, JWT_SECRET, run_command};

const PRODUCTION: (&str, &str) = ("CARILLON_ENV", "production");
const SERVE: [&str; 5] = ["serve", "--host", "127.0.0.1", "--port", "0"];

/// What the server says as it refuses to start.
fn refusal(variables: &[(&str, &str)]) -> String {
    let output = run_command(&SERVE, variables);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "it started and stopped with success: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn missing_secrets_are_named() {
    let both = refusal(&[PRODUCTION]);
    assert!(both.contains("JWT_SECRET_KEY"), "{both}");
    let no_token = refusal(&[PRODUCTION, ("JWT_SECRET_KEY", JWT_SECRET)]);
    assert!(no_token.contains("BACKEND_SERVICE_TOKEN"), "{no_token}");
    assert!(!no_token.contains(JWT_SECRET), "a secret is in the message");
    let no_key = refusal(&[PRODUCTION, ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)]);
    assert!(no_key.contains("JWT_SECRET_KEY"), "{no_key}");
}

#[test]
fn the_previous_secret_is_no_weaker() {
    let good = [PRODUCTION, ("JWT_SECRET_KEY", JWT_SECRET), ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)];
    for previous in ["secret", "short"] {
        let said = refusal(&[&good[..], &[("CARILLON_AUTH_JWT_SECRET_PREVIOUS", previous)]].concat());
        assert!(said.contains("auth.jwt_secret_previous"), "{said}");
    }
}

#[test]
fn the_examples_secrets_are_refused() {
    for name in ["JWT_SECRET_KEY", "SECRET_KEY", "JWT_SECRET"] {
        for example in ["your-secret-key-here", "production-secret-key", "", "secret", "short"] {
            let said = refusal(&[PRODUCTION, (name, example), ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)]);
            assert!(said.contains("JWT_SECRET_KEY") || said.contains(name), "{name}={example}: {said}");
        }
    }
    for example in ["backend-service-token-here", "secure-backend-token", "", "token"] {
        let said = refusal(&[PRODUCTION, ("JWT_SECRET_KEY", JWT_SECRET), ("BACKEND_SERVICE_TOKEN", example)]);
        assert!(said.contains("BACKEND_SERVICE_TOKEN"), "{example}: {said}");
    }
}
