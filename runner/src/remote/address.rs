//! Which addresses an answer may send us to (design, section 10).
//!
//! A server that we asked for an image may answer with the address of one, or with a redirect.
//! Were it followed anywhere, a back end, or who can speak for it, could read what only this
//! machine reaches: a cloud's metadata, a router, a database (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// What an address is that is not the public internet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    Loopback,
    Private,
    /// Also where clouds serve their metadata, 169.254.169.254.
    LinkLocal,
    /// Unspecified, multicast, documentation, reserved: nothing that serves images is there.
    Special,
}

impl Inside {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Special => "special-purpose",
        }
    }

    /// Whether a person may name such an address as the back end's own without more ado: a ComfyUI
    /// on this machine or in this network is usual, one at a cloud's metadata address is not.
    pub fn is_usual_for_a_back_end(self) -> bool {
        matches!(self, Self::Loopback | Self::Private)
    }
}

/// None for an address of the public internet. After the IANA registries of special-purpose
/// addresses (RFC 6890 and its updates); an IPv4 address inside an IPv6 one counts as itself.
pub fn inside(ip: IpAddr) -> Option<Inside> {
    match ip {
        IpAddr::V4(v4) => inside_v4(v4),
        IpAddr::V6(v6) => inside_v6(v6),
    }
}

fn inside_v4(ip: Ipv4Addr) -> Option<Inside> {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (127, ..) => Some(Inside::Loopback),
        // 100.64/10 is shared between a provider's customers (RFC 6598).
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Some(Inside::Private),
        (169, 254, _) => Some(Inside::LinkLocal),
        (0, ..) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) => Some(Inside::Special),
        (198, 51, 100) | (203, 0, 113) | (224.., ..) => Some(Inside::Special),
        _ => None,
    }
}

fn inside_v6(ip: Ipv6Addr) -> Option<Inside> {
    let s = ip.segments();
    let low_v4 = || Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Inside::Loopback),
        [0, 0, 0, 0, 0, 0xffff, ..] => inside_v4(low_v4()),
        // Translated to IPv4 on the way (RFC 6052); the local-use prefix may go anywhere.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => inside_v4(low_v4()),
        [0x64, 0xff9b, ..] => Some(Inside::Private),
        // 6to4 carries its IPv4 router in the second and third segment (RFC 3056).
        [0x2002, high, low, ..] => {
            inside_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Inside::Private),
        [0xfe80..=0xfebf, ..] => Some(Inside::LinkLocal),
        // Only 2000::/3 is given out; of it, Teredo, benchmarks, ORCHID and documentation are not.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => Some(Inside::Special),
        [0x2000..=0x3ffe, ..] => None,
        _ => Some(Inside::Special),
    }
}

/// Why an address is not visited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("`{0}` is not an address of HTTP; write http://HOST:PORT or https://HOST")]
    NotHttp(String),
    #[error("{0} has a user name or a password in it; give them as `api_key`")]
    Credentials(String),
    #[error(
        "{url} is not visited: {host} is at the {kind} address {ip} (if it is yours, set \
         `allow_private = true` in [options])"
    )]
    Inside { url: String, host: String, ip: IpAddr, kind: &'static str },
    #[error("{0} has no address: the name is not known here")]
    Unknown(String),
}

/// The scheme, host and port of a URL: what may see the key, and what a person has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: Host<String>,
    port: u16,
}

impl Origin {
    pub fn of(url: &Url) -> Result<Self, AddressError> {
        let not_http = || AddressError::NotHttp(shown(url));
        if !matches!(url.scheme(), "http" | "https") {
            return Err(not_http());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credentials(shown(url)));
        }
        Ok(Self {
            scheme: url.scheme().into(),
            host: url.host().ok_or_else(not_http)?.to_owned(),
            port: url.port_or_known_default().ok_or_else(not_http)?,
        })
    }

    pub fn host(&self) -> &Host<String> {
        &self.host
    }
}

/// A URL without what may be secret in it: signed links carry their key in the query.
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or(String::new(), |p| format!(":{p}"));
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

/// Refuses an address that lies inside, where its place does not allow that.
pub fn judge(url: &Url, ip: IpAddr, is_own: bool, allow_private: bool) -> Result<(), AddressError> {
    match inside(ip) {
        Some(kind) if !(allow_private || is_own && kind.is_usual_for_a_back_end()) => {
            Err(AddressError::Inside {
                url: shown(url),
                host: url.host_str().unwrap_or_default().into(),
                ip,
                kind: kind.as_str(),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_outside() {
        let kind = |ip: &str| inside(ip.parse().unwrap());
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "2002:7f00:1::"] {
            assert_eq!(kind(ip), Some(Inside::Loopback), "{ip}");
        }
        let private = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"];
        for ip in private.into_iter().chain(["fd00::1", "fec0::1", "64:ff9b::10.0.0.1"]) {
            assert_eq!(kind(ip), Some(Inside::Private), "{ip}");
        }
        for ip in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"] {
            assert_eq!(kind(ip), Some(Inside::LinkLocal), "{ip}");
        }
        let special = ["0.0.0.0", "0.1.2.3", "192.0.2.1", "198.18.0.1", "224.0.0.1"];
        let special =
            special.into_iter().chain(["255.255.255.255", "::", "ff02::1", "::127.0.0.1"]);
        for ip in special.chain(["2001:db8::1", "2001::1", "100::1", "3fff::1"]) {
            assert_eq!(kind(ip), Some(Inside::Special), "{ip}");
        }
        let public = ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "192.0.1.1"];
        for ip in public.into_iter().chain(["2606:4700::1111", "64:ff9b::8.8.8.8"]) {
            assert_eq!(kind(ip), None, "{ip}");
        }
    }

    #[test]
    fn the_back_end_may_be_near_but_not_at_the_metadata_address() {
        let url = Url::parse("http://host/latest?signature=abc").unwrap();
        let judged =
            |ip: &str, own: bool, allowed: bool| judge(&url, ip.parse().unwrap(), own, allowed);
        assert_eq!(judged("127.0.0.1", true, false), Ok(()));
        assert_eq!(judged("8.8.8.8", false, false), Ok(()));
        assert_eq!(judged("10.0.0.1", false, true), Ok(()));
        assert!(judged("169.254.169.254", true, false).is_err());
        let refused = judged("127.0.0.1", false, false).unwrap_err().to_string();
        assert!(refused.contains("http://host/latest?…") && !refused.contains("abc"), "{refused}");
        assert!(refused.contains("loopback address 127.0.0.1"), "{refused}");
        assert!(refused.contains("allow_private = true"), "{refused}");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&Url::parse(text).unwrap());
        assert_eq!(origin("https://a.example/x"), origin("https://a.example:443/y?z"));
        assert_ne!(origin("http://a.example"), origin("https://a.example"));
        assert_ne!(origin("http://127.0.0.1:1"), origin("http://127.0.0.1:2"));
        assert!(matches!(origin("file:///etc/passwd"), Err(AddressError::NotHttp(_))));
        assert!(matches!(origin("http://u:p@a.example"), Err(AddressError::Credentials(_))));
    }
}
