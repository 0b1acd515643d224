//! How a token is shown where there are headers.

/// The token in the value of `Authorization`: what stands behind `Bearer` (RFC 6750, section 2.1).
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_behind_bearer() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(good), Some("abc"), "{good}");
        }
        for bad in ["abc", "Basic abc", "Bearer", "", "Bearerabc"] {
            assert_eq!(bearer(bad), None, "{bad}");
        }
    }
}
