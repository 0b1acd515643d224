//! Requests to AWS, signed as AWS wants them (Signature Version 4).

use chrono::DateTime;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::domain::{Secret, Timestamp};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, and for what.
pub struct Credentials {
    /// The key's name.
    pub id: String,
    /// The key.
    pub secret: Secret,
    /// `eu-central-1`.
    pub region: String,
    /// `sns`.
    pub service: &'static str,
}

/// What is signed: a POST without a query.
pub struct Request<'a> {
    /// As the header says it.
    pub host: &'a str,
    /// `/`.
    pub path: &'a str,
    /// As the header says it.
    pub content_type: &'a str,
    /// All of it.
    pub body: &'a [u8],
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Request<'_> {
    /// The headers that make AWS believe it, without `Host`.
    pub fn signed(&self, by: &Credentials, now: Timestamp) -> [(&'static str, String); 3] {
        let time = DateTime::from_timestamp_micros(now.as_micros()).unwrap_or_default();
        let (at, day) = (time.format("%Y%m%dT%H%M%SZ").to_string(), time.format("%Y%m%d").to_string());
        let Self { host, path, content_type, body } = self;
        let names = "content-type;host;x-amz-date";
        let canonical = format!(
            "POST\n{path}\n\ncontent-type:{content_type}\nhost:{host}\nx-amz-date:{at}\n\n{names}\n{}",
            hex(&Sha256::digest(body))
        );
        let scope = format!("{day}/{}/{}/aws4_request", by.region, by.service);
        let to_sign = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = keyed(format!("AWS4{}", by.secret.expose()).as_bytes(), &day);
        for part in [by.region.as_str(), by.service, "aws4_request"] {
            key = keyed(&key, part);
        }
        let signature = hex(&keyed(&key, &to_sign));
        let authorization =
            format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", by.id);
        [("content-type", (*content_type).to_owned()), ("x-amz-date", at), ("authorization", authorization)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's own test suite, `post-x-www-form-urlencoded`.
    #[test]
    fn it_signs_as_aws_shows() {
        let by = Credentials {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1".to_owned(),
            service: "service",
        };
        let request = Request {
            host: "example.amazonaws.com",
            path: "/",
            content_type: "application/x-www-form-urlencoded",
            body: b"Param1=value1",
        };
        let [_, at, authorization] = request.signed(&by, Timestamp::from_micros(1_440_938_160_000_000));
        assert_eq!(at.1, "20150830T123600Z");
        assert!(
            authorization
                .1
                .ends_with("Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
            "{}",
            authorization.1
        );
    }
}
