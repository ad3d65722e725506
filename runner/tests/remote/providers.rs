//! fal, Replicate and OpenAI: what is sent, what is charged, what is never sent twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hosted::{FAL, Hosts, OPENAI, REPLICATE};
use crate::stand_in::{Fault, open, pixels, png, recipe, status};

const CREATES: [(&str, &str); 3] = [("fal", FAL), ("replicate", REPLICATE), ("openai", OPENAI)];

#[tokio::test]
async fn fal_queues_waits_and_downloads() {
    let hosts = Hosts::start().await;
    let client = hosts
        .client_with("fal", json!({"input": {"output_format": "png"}}), json!({"jobs": 2}))
        .await;
    let mut recipes: Vec<_> = (1..4).map(recipe).collect();
    recipes[0].settings = serde_json::from_value(json!({"steps": 9, "guidance": 3.5})).unwrap();
    for (seed, item) in (1..4).zip(client.images(recipes).await) {
        let made = item.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, seed)));
        assert_eq!(made.cost_usd, Some(0.05), "two units of flux/dev");
    }
    let sent = hosts.ledger.seen(FAL);
    assert_eq!(sent.len(), 3);
    assert_eq!(
        sent.iter().find(|s| s.body["seed"] == 1).unwrap().body,
        json!({"prompt": "a cat, 1", "seed": 1, "num_inference_steps": 9, "guidance_scale": 3.5,
            "output_format": "png"})
    );
    assert!(sent.iter().all(|s| s.headers["authorization"] == "Key k3y-of-the-team"));
}

#[tokio::test]
async fn replicate_creates_waits_and_downloads() {
    let hosts = Hosts::start().await;
    let client = hosts
        .client_with(
            "replicate",
            json!({"price_per_second": 0.001}),
            json!({"image_timeout_s": 60.0}),
        )
        .await;
    let mut one = recipe(7);
    one.settings = serde_json::from_value(json!({"guidance": 3.5})).unwrap();
    let made = client.images(vec![one]).await.remove(0).result.unwrap();
    assert_eq!(made.picture.pixels, pixels(&png(64, 64, 7)));
    assert_eq!(made.cost_usd, Some(0.0025));
    let sent = hosts.ledger.seen(REPLICATE).remove(0);
    assert_eq!(sent.body, json!({"input": {"prompt": "a cat, 7", "seed": 7, "guidance": 3.5}}));
    assert_eq!(sent.headers["authorization"], "Bearer k3y-of-the-team");
    assert_eq!(sent.headers["prefer"], "wait=5");
    assert_eq!(sent.headers["cancel-after"], "61s");
    assert_eq!(client.remote.described()["versions"]["replicate_version"], "v42");
    assert_eq!(client.waits.all().len(), 2, "two polls after the first answer");
}

#[tokio::test]
async fn a_pinned_version_of_replicate_is_asked_for_by_its_id() {
    let hosts = Hosts::start().await;
    let client = hosts.client_with("replicate", json!({}), json!({"model": "acme/sdxl:v41"})).await;
    client.image(7).await.result.unwrap();
    assert_eq!(hosts.ledger.seen("POST /v1/predictions")[0].body["version"], "v41");
    let notes = client.remote.described()["notes"].to_string();
    assert!(notes.contains("inputs are not known"), "{notes}");
}

#[tokio::test]
async fn openai_is_unseeded_and_says_so() {
    let hosts = Hosts::start().await;
    let client = hosts.client_with("openai", json!({"input": {"quality": "low"}}), json!({})).await;
    let made = client.image(7).await.result.unwrap();
    assert_eq!(made.cost_usd, Some(0.0005 + 0.1248));
    assert_eq!(client.remote.described()["seeds"], "unseeded");
    let sent = hosts.ledger.seen(OPENAI).remove(0);
    assert_eq!(
        sent.body,
        json!({"model": "gpt-image-2", "n": 1, "prompt": "a cat, 7", "quality": "low"})
    );
    assert_eq!(sent.headers["authorization"], "Bearer k3y-of-the-team");
}

#[tokio::test]
async fn what_may_have_been_charged_is_never_asked_again() {
    for (provider, create) in CREATES {
        for fault in [status(500), status(502), status(504), Fault::LoseAnswer] {
            let hosts = Hosts::start().await;
            hosts.ledger.fault(create, fault.clone());
            let item = hosts.client(provider).await.image(1).await;
            let failure = item.result.unwrap_err().to_string();
            assert!(
                failure.ends_with("may have been made and charged"),
                "{provider} {fault:?}: {failure}"
            );
            assert_eq!((hosts.ledger.count(create), item.retries), (1, 0), "{provider} {fault:?}");
        }
    }
}

#[tokio::test]
async fn what_surely_began_nothing_is_asked_again() {
    for (provider, create) in CREATES {
        let hosts = Hosts::start().await;
        hosts.ledger.fault(create, Fault::Answer(429, vec![("retry-after", "3".into())], vec![]));
        hosts.ledger.fault(create, status(503));
        let client = hosts.client(provider).await;
        let item = client.image(1).await;
        assert!(item.result.is_ok(), "{provider}");
        assert_eq!((hosts.ledger.count(create), item.retries), (3, 2), "{provider}");
        assert_eq!(client.waits.all()[0], Duration::from_secs(3));
    }
}

#[tokio::test]
async fn polling_survives_what_passes() {
    for (provider, create, poll) in
        [("fal", FAL, "GET /fal-ai/flux/requests"), ("replicate", REPLICATE, "GET /v1/predictions")]
    {
        let hosts = Hosts::start().await;
        for fault in [status(502), Fault::LoseAnswer, status(429), Fault::Hang] {
            hosts.ledger.fault(poll, fault);
        }
        let item = hosts.client(provider).await.image(1).await;
        assert_eq!(item.result.unwrap().picture.pixels, pixels(&png(64, 64, 1)), "{provider}");
        assert_eq!((hosts.ledger.count(create), item.retries), (1, 4), "{provider}");
    }
}

#[tokio::test]
async fn an_empty_purse_is_not_waited_for() {
    let hosts = Hosts::start().await;
    let body = json!({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}});
    hosts.ledger.fault(OPENAI, Fault::Answer(429, vec![], body.to_string().into_bytes()));
    let client = hosts.client("openai").await;
    let failure = client.failure(1).await;
    assert!(failure.contains("exceeded your current quota"), "{failure}");
    assert_eq!(hosts.ledger.count(OPENAI), 1);
}

#[tokio::test]
async fn what_is_given_up_is_cancelled_there() {
    for (provider, cancel) in [
        ("fal", "PUT /fal-ai/flux/requests/job1/cancel"),
        ("replicate", "POST /v1/predictions/job1/cancel"),
    ] {
        let hosts = Hosts::start().await;
        *hosts.looks.lock().unwrap() = None;
        let client = hosts.client_with(provider, json!({}), json!({"image_timeout_s": 0.4})).await;
        let failure = client.failure(1).await;
        assert!(failure.contains("being made"), "{provider}: {failure}");
        assert_eq!(hosts.ledger.count(cancel), 1, "{provider}");
        let key = &hosts.ledger.seen(cancel)[0].headers["authorization"];
        assert!(key.to_str().unwrap().ends_with("k3y-of-the-team"));
    }
}

#[tokio::test]
async fn what_has_ended_is_not_cancelled() {
    let hosts = Hosts::start().await;
    hosts.twist(
        json!({"status": "failed", "error": "CUDA out of memory\nTraceback", "output": null}),
    );
    let failure = hosts.client("replicate").await.failure(1).await;
    assert_eq!(failure, "Replicate's prediction failed: CUDA out of memory Traceback");
    assert_eq!(hosts.ledger.count("POST /v1/predictions/job1/cancel"), 0);

    let hosts = Hosts::start().await;
    hosts.twist(json!({"error": "the runner went away"}));
    let failure = hosts.client("fal").await.failure(1).await;
    assert_eq!(failure, "fal could not make the image: the runner went away (runner_disconnected)");
    assert_eq!(hosts.ledger.count("PUT /fal-ai/flux/requests/job1/cancel"), 0);
}

#[tokio::test]
async fn an_image_that_is_not_the_recipe_s_is_not_passed_over() {
    for (twist, expected) in [
        (json!({"seed": 99}), "with the seed 99 instead of 1"),
        (json!({"has_nsfw_concepts": [true]}), "safety checker"),
        (json!({"images": []}), "without an image; its answer has"),
    ] {
        let hosts = Hosts::start().await;
        hosts.twist(twist);
        let failure = hosts.client("fal").await.failure(1).await;
        assert!(failure.contains(expected), "{failure}");
    }
    let hosts = Hosts::start().await;
    let client = hosts.client("fal").await;
    let mut one = recipe(1);
    (one.settings.width, one.settings.height) = (Some(60), Some(60));
    let failure = client.images(vec![one]).await.remove(0).result.unwrap_err().to_string();
    assert!(failure.contains("asks for 60x60"), "{failure}");
}

#[tokio::test]
async fn a_setting_that_the_model_lacks_ends_the_run_before_it_begins() {
    let hosts = Hosts::start().await;
    let message = async |provider: &str, options: Value, recipe: Value| {
        let request = hosts.request(provider, options, json!({"recipe": recipe}));
        open(request).await.err().unwrap().to_string()
    };
    let said = message("fal", json!({}), json!({"scheduler": "euler"})).await;
    assert!(said.contains("`scheduler`") && said.contains("[options.input]"), "{said}");
    let said = message("fal", json!({"names": {"steps": "n_steps"}}), json!({"steps": 9})).await;
    assert!(said.contains("fal-ai/flux/dev has no input `n_steps`"), "{said}");
    let said = message("replicate", json!({"input": {"guidence": 1}}), json!({})).await;
    assert!(said.contains("no input `guidence`; did you mean `guidance`?"), "{said}");
    let said = message("openai", json!({}), json!({"steps": 9})).await;
    assert!(said.contains("`steps`") && said.contains("openai"), "{said}");
    let said = message("openai", json!({"names": {"steps": "s"}}), json!({})).await;
    assert!(said.contains("`names`") && said.contains("means nothing"), "{said}");
    for (_, create) in CREATES {
        assert_eq!(hosts.ledger.count(create), 0);
    }
}

#[tokio::test]
async fn a_wrong_key_ends_the_run_before_it_begins() {
    for (provider, greeting) in
        [("replicate", "GET /v1/models/acme/sdxl"), ("openai", "GET /v1/models/gpt-image-2")]
    {
        let hosts = Hosts::start().await;
        let body = b"{\"error\":{\"message\":\"Incorrect API key provided: k3y-of-the-team\"}}";
        hosts.ledger.fault(greeting, Fault::Answer(401, vec![], body.to_vec()));
        let request = hosts.request(provider, json!({}), json!({}));
        let message = open(request).await.err().unwrap().to_string();
        assert!(message.contains("does not accept the API key"), "{message}");
        assert!(message.contains("DIFFTEST_API_KEY"), "{message}");
        assert!(!message.contains("k3y-of-the-team"), "{message}");
    }
}

#[tokio::test]
async fn what_is_missing_is_asked_for() {
    let message = async |options: Value, model: &str| {
        let request = json!({"generator": "api", "model": model, "options": options});
        open(request).await.err().unwrap().to_string()
    };
    let no_key = message(json!({"provider": "fal"}), "fal-ai/flux/dev").await;
    assert!(no_key.contains("DIFFTEST_API_KEY or FAL_KEY"), "{no_key}");
    let no_model = message(json!({"provider": "openai", "api_key": "k"}), "shapes").await;
    assert!(no_model.contains("name the model") && no_model.contains("gpt-image-2"), "{no_model}");
    let no_owner = message(json!({"provider": "replicate", "api_key": "k"}), "sdxl").await;
    assert!(no_owner.contains("OWNER/NAME"), "{no_owner}");
    let odd = message(json!({"provider": "fal", "api_key": "k\ney"}), "fal-ai/flux/dev").await;
    assert!(odd.contains("characters that no key has") && !odd.contains("k\ney"), "{odd}");
}
