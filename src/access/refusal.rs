//! Why a token is refused.

/// Why a token is refused. Says nothing that helps to guess a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("no token was given")]
    Missing,
    /// Not a token of ours: malformed, wrongly signed, wrong algorithm.
    #[error("the token is malformed, or not signed with this server's key (send it bare, without `Bearer `)")]
    Invalid,
    /// Nothing to check it with yet.
    #[error(
        "this server has not got the keys yet that tokens are checked with; send the token again in some seconds"
    )]
    NoKeys,
    /// It asks for a key that is not in the set, or not yet.
    #[error(
        "the token names a key (`kid`) that this server does not have; if the key is new, send it again in some seconds"
    )]
    UnknownKey,
    /// Rightly signed, for some other service.
    #[error("the token has another issuer or audience than this server's settings demand")]
    Elsewhere,
    /// Ours, but without `exp`.
    #[error("the token never expires; tokens need the claim `exp`")]
    Endless,
    /// Ours, but one that only buys others.
    #[error("this is a refresh token; send an access token")]
    Refresh,
    /// Its time is over.
    #[error("the token has expired; get a new one and send it again")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; compare the clocks of the two machines")]
    Early,
    /// It names nobody this server can address.
    #[error("the token names no usable user (`sub`, else `user_id`: 1 to 128 bytes, no control characters)")]
    Subject,
    /// It names no tenant, though it says that it does.
    #[error(
        "the token's `tenant_id` is no usable name (a text of 1 to 128 bytes, no control characters); leave it out for the default tenant"
    )]
    Tenant,
    /// It is good, but for somebody else.
    #[error("the token belongs to somebody else")]
    SomebodyElse,
    /// It is good, but does not allow sending.
    #[error("the token does not allow sending; it needs the scope notifications:send")]
    NoPermission,
}

impl TokenError {
    /// Its name, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::NoKeys => "keys_unavailable",
            Self::UnknownKey => "unknown_key",
            Self::Elsewhere => "elsewhere",
            Self::Endless => "endless",
            Self::Refresh => "refresh_token",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Subject => "no_user",
            Self::Tenant => "no_tenant",
            Self::SomebodyElse => "somebody_else",
            Self::NoPermission => "no_permission",
        }
    }
}
