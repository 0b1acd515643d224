//! How a token is shown where there are headers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The token in the value of `Authorization`: what stands behind `Bearer` (RFC 6750, section 2.1).
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether it looks like a JSON Web Token: three parts, of which the first is an object that names an algorithm.
pub fn is_shaped_as_token(token: &str) -> bool {
    let mut parts = token.trim().split('.');
    let (Some(head), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let head = URL_SAFE_NO_PAD.decode(head).unwrap_or_default();
    serde_json::from_slice::<Value>(&head).is_ok_and(|head| head.get("alg").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_behind_bearer() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(good), Some("abc"), "{good}");
        }
        assert!(is_shaped_as_token("eyJhbGciOiJub25lIn0.e30."));
        for bad in ["", "abc", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30"] {
            assert!(!is_shaped_as_token(bad), "{bad}");
        }
        for bad in ["abc", "Basic abc", "Bearer", "", "Bearerabc"] {
            assert_eq!(bearer(bad), None, "{bad}");
        }
    }
}
