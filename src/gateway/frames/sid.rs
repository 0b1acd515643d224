//! What a session is called.

/// The letters of a session's name: each stands for six random bits.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A session's name, which nobody can guess.
#[derive(Clone, Copy)]
pub struct Sid([u8; 16]);

impl Sid {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new() -> Result<Self, String> {
        let mut sid = [0; 16];
        getrandom::fill(&mut sid).map_err(|fault| fault.to_string())?;
        Ok(Self(sid.map(|byte| LETTERS[usize::from(byte & 63)])))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
