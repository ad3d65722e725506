//! Whom we do not trust: a server's answers, its redirects, its bodies.

use std::time::Duration;

use serde_json::{Value, json};

use crate::custom::{FILE, GENERATE, Own};
use crate::stand_in::{Client, Fault, open, page, pixels, png, redirect};

/// A back end that answers with a link to its own image; its key is in a header.
async fn linking(options: Value) -> (Own, Client) {
    let own = Own::start().await;
    own.answers_link();
    let mut all = json!({"response": "data[0].url", "api_key": "k3y-of-the-team",
        "headers": {"Authorization": "Bearer {api_key}"}});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let client = own.client(all).await;
    (own, client)
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let other = Own::start().await;
    let (own, client) = linking(json!({})).await;
    own.ledger.fault(FILE, redirect(&format!("{}/files/1.png?signature=s3cret", other.url)));
    let failure = client.failure(1).await;
    assert!(
        failure.contains("redirects to") && failure.contains("loopback address 127.0.0.1"),
        "{failure}"
    );
    assert!(!failure.contains("s3cret"), "{failure}");
    assert_eq!(other.ledger.count(FILE), 0, "nobody was there");
}

#[tokio::test]
async fn neither_metadata_nor_another_way_to_write_it_is_visited() {
    for to in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0x7f.1:1/",
        "http://localhost:1/",
        "http://0.0.0.0:1/",
    ] {
        let (own, client) = linking(json!({})).await;
        own.ledger.fault(FILE, redirect(to));
        let failure = client.failure(1).await;
        assert!(
            failure.contains("is not followed") && failure.contains("allow_private"),
            "{to}: {failure}"
        );
    }
    for to in ["file:///etc/passwd", "ftp://example.com/x", "http://user:pass@example.com/"] {
        let (own, client) = linking(json!({})).await;
        own.ledger.fault(FILE, redirect(to));
        let failure = client.failure(1).await;
        assert!(
            failure.contains("is not followed") && !failure.contains("pass@"),
            "{to}: {failure}"
        );
    }
}

#[tokio::test]
async fn a_link_to_a_private_address_is_refused_unless_allowed() {
    let other = Own::start().await;
    let link = json!({"data": [{"url": format!("{}/files/1.png", other.url)}]});
    let (own, client) = linking(json!({})).await;
    own.answers(link.clone());
    let failure = client.failure(1).await;
    assert!(failure.contains("loopback address 127.0.0.1"), "{failure}");
    assert_eq!(other.ledger.count(FILE), 0);

    let (own, client) = linking(json!({"allow_private": true})).await;
    own.answers(link);
    assert_eq!(client.image(1).await.result.unwrap().picture.pixels, pixels(&png(64, 64, 1)));
    assert_eq!(other.ledger.count(FILE), 1);
}

#[tokio::test]
async fn the_key_never_follows_to_another_host() {
    let other = Own::start().await;
    let (own, client) = linking(json!({"allow_private": true})).await;
    own.ledger.fault(FILE, redirect(&format!("{}/files/1.png", other.url)));
    client.image(1).await.result.unwrap();
    assert_eq!(own.ledger.seen(FILE)[0].headers["authorization"], "Bearer k3y-of-the-team");
    let there = other.ledger.seen(FILE).remove(0);
    assert!(there.headers.get("authorization").is_none(), "{:?}", there.headers);
}

#[tokio::test]
async fn a_redirect_within_the_back_end_is_followed_and_ends_somewhere() {
    let (own, client) = linking(json!({})).await;
    own.ledger.fault(FILE, redirect("/files/1.png?again"));
    client.image(1).await.result.unwrap();
    assert_eq!(own.ledger.count(FILE), 2);

    let (own, client) = linking(json!({})).await;
    own.ledger.faults(FILE, &redirect("/files/1.png"), 99);
    let failure = client.failure(1).await;
    assert!(failure.contains("there were 5 redirects before it"), "{failure}");
    assert_eq!(own.ledger.count(FILE), 6);
}

#[tokio::test]
async fn a_request_that_costs_is_not_sent_on() {
    let (own, client) = linking(json!({})).await;
    own.ledger.fault(GENERATE, redirect("/generate"));
    let failure = client.failure(1).await;
    assert!(failure.contains("name that address"), "{failure}");
    assert_eq!(own.ledger.count(GENERATE), 1);
}

#[tokio::test]
async fn the_metadata_address_is_no_back_end_of_one_s_own() {
    let request = json!({"generator": "a1111", "options": {"url": "http://169.254.169.254", "max_retries": 0}});
    let message = open(request).await.err().unwrap().to_string();
    assert!(message.contains("link-local address 169.254.169.254"), "{message}");
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let (own, client) = linking(json!({})).await;
    own.ledger.fault(FILE, Fault::Endless);
    let failure = client.failure(1).await;
    assert!(failure.contains("answered with more than 67108864 bytes"), "{failure}");
    assert_eq!(own.ledger.count(FILE), 1, "and is not asked for again");
}

#[tokio::test]
async fn a_body_that_stalls_ends_with_the_image_s_time() {
    let own = Own::start().await;
    own.answers_link();
    let mut request = own.request(json!({"response": "data[0].url"}));
    request["image_timeout_s"] = json!(0.4);
    let client = open(request).await.unwrap();
    own.ledger.fault(FILE, Fault::SlowImage);
    let started = std::time::Instant::now();
    let failure = client.failure(1).await;
    assert!(failure.contains("no image after 0.4 s (downloading the image)"), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn what_is_called_an_image_has_to_be_one() {
    let (own, client) = linking(json!({})).await;
    own.ledger.fault(FILE, page("<html><title>Sign in</title>"));
    let failure = client.failure(1).await;
    assert!(failure.contains("text/html instead of an image: Sign in"), "{failure}");
    own.ledger.fault(FILE, Fault::ContentType("application/json"));
    assert!(client.failure(1).await.contains("application/json instead of an image"));
    let called_png =
        |body: &[u8]| Fault::Answer(200, vec![("content-type", "image/png".into())], body.to_vec());
    own.ledger.fault(FILE, called_png(b"<html>Sign in"));
    assert!(client.failure(1).await.contains("it begins with `<html>Sign in`"));
    let whole = png(64, 64, 1);
    own.ledger.fault(FILE, called_png(&whole[..whole.len() - 20]));
    assert!(client.failure(1).await.contains("is cut short"));
    // Storage that does not know what it keeps.
    own.ledger.fault(FILE, Fault::ContentType("application/octet-stream"));
    assert!(client.image(1).await.result.is_ok());
}

#[tokio::test]
async fn a_download_that_breaks_off_is_begun_again() {
    let (own, client) = linking(json!({})).await;
    own.ledger.fault(FILE, Fault::LoseAnswer);
    let item = client.image(1).await;
    assert_eq!((item.result.is_ok(), item.retries, own.ledger.count(GENERATE)), (true, 1, 1));
}
