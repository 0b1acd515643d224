//! A connection to one Redis, or to a cluster.

use std::time::Duration;

use redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo as _, ProtocolVersion, RedisError,
    RedisResult, TlsCertificates, Value,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Settings;

/// Rooms in one SUBSCRIBE.
const ROOMS: usize = 1_000;
/// How long Redis may take to connect, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// One Redis, or a cluster.
pub enum Server {
    /// One.
    Single(Box<Client>),
    /// A cluster, by some of its nodes, and who vouches for them.
    Cluster(Vec<String>, Option<TlsCertificates>),
}

impl Server {
    /// Reads the address, and the file of certificates.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, RedisError> {
        let urls: Vec<&str> = settings.url.expose().split(',').map(str::trim).collect();
        let roots = match settings.ca_file.as_str() {
            "" => None,
            _ if !urls.iter().all(|url| url.starts_with("rediss://")) => {
                return Err(wrong_file("it is for TLS: redis.url must begin with rediss://".to_owned()));
            }
            file => Some(TlsCertificates { client_tls: None, root_cert: Some(roots(file)?) }),
        };
        if settings.cluster || urls.len() > 1 {
            return Ok(Self::Cluster(urls.into_iter().map(str::to_owned).collect(), roots));
        }
        let info = urls.first().copied().unwrap_or_default().into_connection_info()?;
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(resp3);
        let client = match roots {
            Some(roots) => Client::build_with_tls(info, roots),
            None => Client::open(info),
        };
        Ok(Self::Single(Box::new(client?)))
    }

    /// A new connection, whose subscriptions end in `pushes`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn connect(&self, pushes: impl AsyncPushSender) -> RedisResult<Link> {
        match self {
            Self::Single(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_push_sender(pushes)
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(Some(PATIENCE));
                Ok(Link::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            Self::Cluster(urls, roots) => {
                let builder = ClusterClientBuilder::new(urls.clone());
                let builder = match roots {
                    Some(roots) => builder.certs(roots.clone()),
                    None => builder,
                };
                let client = builder
                    .use_protocol(ProtocolVersion::RESP3)
                    .push_sender(pushes)
                    .connection_timeout(PATIENCE)
                    .response_timeout(PATIENCE)
                    .retries(1) // a channel that has moved is asked for where it is now
                    .build()?;
                let connected = tokio::time::timeout(PATIENCE, client.get_async_connection()).await;
                let away = || RedisError::from((redis::ErrorKind::Io, "the cluster does not answer"));
                Ok(Link::Cluster(connected.map_err(|_| away())??))
            }
        }
    }
}

fn wrong_file(why: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "redis.ca_file", why))
}

/// The certificates in a PEM file.
fn roots(file: &str) -> Result<Vec<u8>, RedisError> {
    let wrong = |fault: &dyn std::fmt::Display| wrong_file(format!("{file} ({fault})"));
    let text = std::fs::read(file).map_err(|fault| wrong(&fault))?;
    let mut found = CertificateDer::pem_slice_iter(&text).peekable();
    if found.peek().is_none() {
        return Err(wrong(&"there is no certificate in it"));
    }
    found.try_for_each(|certificate| certificate.map(drop)).map_err(|fault| wrong(&fault))?;
    Ok(text)
}

/// A live connection; copies share it.
#[derive(Clone)]
pub enum Link {
    /// To one.
    Single(MultiplexedConnection),
    /// To a cluster: channels are sharded.
    Cluster(ClusterConnection),
}

impl Link {
    /// Hears `channels` from now on.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        for some in channels.chunks(ROOMS) {
            match self {
                Self::Single(connection) => connection.subscribe(some).await?,
                Self::Cluster(connection) => {
                    let all = some.iter().map(|channel| {
                        let mut connection = connection.clone();
                        async move { connection.ssubscribe(channel).await }
                    });
                    futures_util::future::try_join_all(all).await?;
                }
            }
        }
        Ok(())
    }

    /// Hears them no longer.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn unsubscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        for some in channels.chunks(ROOMS) {
            match self {
                Self::Single(connection) => connection.unsubscribe(some).await?,
                Self::Cluster(connection) => {
                    let all = some.iter().map(|channel| {
                        let mut connection = connection.clone();
                        async move { connection.sunsubscribe(channel).await }
                    });
                    futures_util::future::try_join_all(all).await?;
                }
            }
        }
        Ok(())
    }

    /// Publishes all; returns how many heard each.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn publish(&mut self, messages: &[(String, &[u8])]) -> RedisResult<Vec<usize>> {
        match self {
            Self::Single(connection) => {
                let mut pipe = redis::Pipeline::with_capacity(messages.len());
                for (channel, message) in messages {
                    pipe.cmd("PUBLISH").arg(channel).arg(*message);
                }
                pipe.query_async(connection).await
            }
            Self::Cluster(connection) => {
                let all = messages.iter().map(|(channel, message)| {
                    let mut connection = connection.clone();
                    async move {
                        redis::cmd("SPUBLISH").arg(channel).arg(*message).query_async(&mut connection).await
                    }
                });
                futures_util::future::try_join_all(all).await
            }
        }
    }

    /// Hears a channel that others publish to: on a cluster, too, one that is not sharded.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn listen(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }

    /// Hears it no longer.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn ignore(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.unsubscribe(channel).await,
            Self::Cluster(connection) => connection.unsubscribe(channel).await,
        }
    }

    /// The answer to a command.
    ///
    /// # Errors
    /// When the line is broken, or Redis refuses it.
    pub async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command).await?,
            Self::Cluster(connection) => connection.req_packed_command(command).await?,
        }
        .extract_error()
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&mut self) -> RedisResult<()> {
        self.ask(&redis::cmd("PING")).await.map(drop)
    }
}
