use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use difftest_core::ids::ImageSha;
use difftest_core::protocol::{MAX_IMAGE_BYTES, MAX_IMAGE_SIDE};

use crate::door::{Answer, Door, PUBLIC_URL, door, png, signer};

const DAY: u64 = 24 * 3600;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn get(door: &Door, path: &str) -> Answer {
    door.send(Request::get(path).body(Body::empty()).unwrap()).await
}

/// The path of a link, as the App behind its public address sees it.
fn path(url: &str) -> String {
    url.strip_prefix(PUBLIC_URL).unwrap().to_owned()
}

#[tokio::test]
async fn an_image_is_taken_once_and_shown_under_its_link() {
    let door = door().await;
    let claim = door.leased().await;
    let bytes = png(32, 32);
    let sha = ImageSha::of(&bytes);
    let what = format!("images/{sha}");
    let put = async || door.call_job(&claim, Method::PUT, &what, bytes.clone()).await.status;
    assert_eq!(put().await, StatusCode::CREATED);
    assert_eq!(put().await, StatusCode::OK);
    assert_eq!(door.store.job_images(claim.job).await.unwrap(), std::slice::from_ref(&sha));

    let shown = get(&door, &path(&signer().url(&sha, now()))).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert_eq!(shown.body, bytes);
    assert_eq!(shown.headers["content-type"], "image/png");
    assert_eq!(shown.headers["x-content-type-options"], "nosniff");
    assert_eq!(shown.headers["content-security-policy"], "default-src 'none'; sandbox");
    let cached = shown.headers["cache-control"].to_str().unwrap();
    assert!(cached.starts_with("public, max-age=") && cached.ends_with("immutable"), "{cached}");
}

#[tokio::test]
async fn what_is_not_the_named_png_is_refused() {
    let door = door().await;
    let claim = door.leased().await;
    let image = png(8, 8);
    let svg = &b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"[..];
    let wide = png(MAX_IMAGE_SIDE + 1, 1);
    let named = |bytes: &[u8]| ImageSha::of(bytes).to_string();
    for (name, bytes, why) in [
        (named(b"another"), &image[..], "SHA-256"),
        (named(svg), svg, "not a PNG"),
        (named(b""), b"", "not a PNG"),
        (named(&image[..30]), &image[..30], "not a PNG"),
        (named(&wide), &wide[..], "pixels"),
        (named(&image).to_uppercase(), &image[..], "lower-case"),
        ("..%2f..%2fapp.db".into(), &image[..], "SHA-256"),
    ] {
        let what = format!("images/{name}");
        let answer = door.call_job(&claim, Method::PUT, &what, bytes.to_vec()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(said.contains(why), "{said}");
    }
    assert!(door.store.job_images(claim.job).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_image_that_is_too_large_is_not_read() {
    let door = door().await;
    let claim = door.leased().await;
    let what = format!("images/{}", ImageSha::of(b"x"));
    // Said in its header, or not.
    let large = vec![0; MAX_IMAGE_BYTES + 1];
    let told = door.call_job(&claim, Method::PUT, &what, large.clone()).await;
    assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE);
    let pieces = futures::stream::iter(
        large.chunks(1 << 20).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
    );
    let streamed = door.call_job(&claim, Method::PUT, &what, Body::from_stream(pieces)).await;
    assert_eq!(streamed.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_link_that_was_not_made_here_or_has_ended_shows_nothing() {
    let door = door().await;
    let bytes = png(8, 8);
    let sha = ImageSha::of(&bytes);
    door.store.put_image(&sha, bytes).await.unwrap();
    let good = path(&signer().url(&sha, now()));
    assert_eq!(get(&door, &good).await.status, StatusCode::OK);

    let forged = good.replace("exp=1", "exp=2");
    assert_ne!(forged, good);
    let ended = path(&signer().url(&sha, now() - 400 * DAY));
    let other = path(&signer().url(&ImageSha::of(b"other"), now()));
    let moved = format!("/images/{sha}.png?{}", other.split_once('?').unwrap().1);
    let bare = format!("/images/{sha}.png");
    for link in [&forged, &ended, &moved, &bare, &format!("{bare}?exp=x&sig=y")] {
        let answer = get(&door, link).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{link}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    // A right to an image that is gone.
    assert_eq!(get(&door, &other).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_name_leads_out_of_the_image_folder() {
    let door = door().await;
    for name in [
        "..%2f..%2fapp.db",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2e%2e/%2e%2e/app.db",
        "../app.db",
        "..%5c..%5capp.db",
        "%00.png",
        "app.db",
        "image-links.key",
    ] {
        let answer = get(&door, &format!("/images/{name}?exp=9999999999&sig=00")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
}
