//! Names are resolved once, the answer is judged, and the connection goes where the judgement was
//! about: a name that says something else the second time (DNS rebinding) gains nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::address::{AddressError, Origin, judge, shown};

/// What the names of this run stand for.
#[derive(Debug, Default, Clone)]
pub struct Names(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Names {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        let name = name.to_ascii_lowercase();
        let known = self.lock().get(&name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
        // Of two that asked at once, the first has pinned it.
        Ok(self.lock().entry(name).or_insert(found).clone())
    }

    /// After a failed connection the next attempt may ask anew; what it learns is judged anew.
    pub fn forget(&self, name: &str) {
        self.lock().remove(&name.to_ascii_lowercase());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<SocketAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        // Only what was judged. A name that another attempt has just forgotten fails this one, and
        // the next judges it anew.
        let judged = self.lock().get(&name.as_str().to_ascii_lowercase()).cloned();
        Box::pin(std::future::ready(match judged {
            Some(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
            None => Err("its addresses were not judged yet".into()),
        }))
    }
}

/// Decides before every request whether its address may be visited.
#[derive(Debug, Clone)]
pub struct Guard {
    pub names: Names,
    /// What a person named as the back end.
    pub own: Origin,
    pub allow_private: bool,
}

impl Guard {
    pub fn new(own: Origin, allow_private: bool) -> Self {
        Self { names: Names::default(), own, allow_private }
    }

    pub fn is_own(&self, url: &Url) -> bool {
        Origin::of(url).is_ok_and(|origin| origin == self.own)
    }

    /// Every address of the host must be one that may be visited.
    pub async fn admit(&self, url: &Url) -> Result<(), AddressError> {
        let origin = Origin::of(url)?;
        let is_own = origin == self.own;
        let addresses: Vec<IpAddr> = match origin.host() {
            Host::Ipv4(ip) => vec![IpAddr::V4(*ip)],
            Host::Ipv6(ip) => vec![IpAddr::V6(*ip)],
            Host::Domain(name) => match self.names.addresses(name).await {
                Ok(addresses) if !addresses.is_empty() => {
                    addresses.iter().map(SocketAddr::ip).collect()
                }
                _ => return Err(AddressError::Unknown(shown(url))),
            },
        };
        addresses.into_iter().try_for_each(|ip| judge(url, ip, is_own, self.allow_private))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(own: &str) -> Guard {
        Guard::new(Origin::of(&Url::parse(own).unwrap()).unwrap(), false)
    }

    #[tokio::test]
    async fn a_name_counts_as_the_address_it_stands_for() {
        let guard = guard("http://localhost:8188");
        let admit = async |url: &str| guard.admit(&Url::parse(url).unwrap()).await;
        assert_eq!(admit("http://localhost:8188/view").await, Ok(()));
        let other = admit("http://localhost:22/").await.unwrap_err();
        assert!(matches!(other, AddressError::Inside { .. }), "{other}");
        assert!(admit("http://[::ffff:127.0.0.1]:8188/").await.is_err());
        assert!(admit("http://169.254.169.254/latest/meta-data").await.is_err());
        assert!(admit("http://0x7f000001:8188/").await.is_err(), "another way to write loopback");
    }

    #[tokio::test]
    async fn a_name_that_changes_its_mind_is_not_asked_again() {
        let names = Names::default();
        let pinned: SocketAddr = "8.8.8.8:0".parse().unwrap();
        names.lock().insert("images.example".into(), vec![pinned]);
        assert_eq!(names.addresses("Images.Example").await.unwrap(), [pinned]);
        let connected = |name: &str| names.resolve(name.parse().unwrap());
        assert_eq!(connected("images.example").await.unwrap().next(), Some(pinned));
        names.forget("images.example");
        assert!(connected("images.example").await.is_err(), "nobody judged what it says now");
        assert!(connected("localhost").await.is_err());
    }
}
