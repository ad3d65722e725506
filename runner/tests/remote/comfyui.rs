//! ComfyUI: over its WebSocket, over HTTP, and called off.

use serde_json::{Value, json};

use crate::comfyui_server::{Comfy, Mood, PROMPT};
use crate::stand_in::{Fault, eventually, open, pixels, png, recipe, status};

#[tokio::test]
async fn images_come_over_the_socket_and_the_queue() {
    let comfy = Comfy::start(Mood::Works).await;
    let client = comfy.client_with(json!({}), json!({"jobs": 2})).await;
    let items = client.images((1..5).map(recipe).collect()).await;
    for (seed, item) in (1..5).zip(items) {
        assert_eq!(item.result.unwrap().picture.pixels, pixels(&png(64, 64, seed)));
        assert_eq!(item.retries, 0);
    }
    assert_eq!((comfy.ledger.count(PROMPT), comfy.ledger.count("GET /ws")), (4, 4));
    assert!(client.waits.all().is_empty(), "nothing was polled for");
    let body = &comfy.ledger.seen(PROMPT)[0].body;
    assert_eq!(body["prompt"]["1"]["inputs"]["ckpt_name"], "v1-5.safetensors");
    assert_eq!(client.remote.described()["versions"]["comfyui_version"], "0.3.60");
    assert_eq!(client.remote.described()["versions"]["python_version"], "3.12.3");
}

#[tokio::test]
async fn the_recipe_is_put_into_the_workflow() {
    let comfy = Comfy::start(Mood::Works).await;
    let client = comfy.client().await;
    let mut one = recipe(7);
    one.negative_prompt = Some("dogs".into());
    one.settings = serde_json::from_value(
        json!({"width": 48, "height": 32, "steps": 9, "guidance": 6.5, "scheduler": "dpmpp_2m_karras"}),
    )
    .unwrap();
    client.images(vec![one]).await.remove(0).result.unwrap();
    let nodes = &comfy.ledger.seen(PROMPT)[0].body["prompt"];
    assert_eq!(nodes["2"]["inputs"]["text"], "a cat, 7");
    assert_eq!(nodes["3"]["inputs"]["text"], "dogs");
    assert_eq!(nodes["4"]["inputs"], json!({"width": 48, "height": 32, "batch_size": 1}));
    let sampler = &nodes["5"]["inputs"];
    assert_eq!(
        (&sampler["seed"], &sampler["steps"], &sampler["cfg"]),
        (&json!(7), &json!(9), &json!(6.5))
    );
    assert_eq!(
        (&sampler["sampler_name"], &sampler["scheduler"]),
        (&json!("dpmpp_2m"), &json!("karras"))
    );
}

#[tokio::test]
async fn without_a_socket_the_history_is_asked() {
    let comfy = Comfy::start(Mood::Works).await;
    comfy.ledger.fault("GET /ws", status(404));
    let client = comfy.client().await;
    assert_eq!(client.image(1).await.result.unwrap().picture.pixels, pixels(&png(64, 64, 1)));
    assert_eq!(comfy.ledger.count(PROMPT), 1);
    assert!(!client.waits.all().is_empty());
}

#[tokio::test]
async fn a_socket_that_ends_midway_or_says_nothing_loses_no_image() {
    for mood in [Mood::HangsUp, Mood::Silent] {
        let comfy = Comfy::start(mood).await;
        let client = comfy.client().await;
        let made = client.image(1).await.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, 1)), "{mood:?}");
        assert_eq!(comfy.ledger.count(PROMPT), 1, "{mood:?}");
    }
}

#[tokio::test]
async fn a_failure_names_the_node_over_the_socket_and_over_http() {
    for over_http in [false, true] {
        let comfy = Comfy::start(Mood::Fails).await;
        if over_http {
            comfy.ledger.fault("GET /ws", status(500));
            comfy.ledger.faults("GET /ws", &status(500), 9);
        }
        let failure =
            comfy.client_with(json!({"max_retries": 0}), json!({})).await.failure(1).await;
        assert_eq!(
            failure,
            "ComfyUI failed at node 5 (KSampler): torch.OutOfMemoryError: Allocation on device 0 failed"
        );
        assert_eq!(comfy.ledger.count(PROMPT), 1);
        assert_eq!(comfy.ledger.count("POST /interrupt"), 0, "it has ended already");
    }
}

#[tokio::test]
async fn a_running_image_past_its_time_is_interrupted() {
    let comfy = Comfy::start(Mood::Stuck).await;
    let client = comfy.client_with(json!({}), json!({"image_timeout_s": 0.4})).await;
    let failure = client.failure(1).await;
    assert!(failure.contains("(step 3 of 20 at node 5)"), "{failure}");
    let interrupts = comfy.ledger.seen("POST /interrupt");
    assert_eq!(interrupts.len(), 1);
    assert_eq!(interrupts[0].body["prompt_id"], "prompt-1");
}

#[tokio::test]
async fn a_waiting_image_is_deleted_and_another_s_left_to_run() {
    let comfy = Comfy::start(Mood::Busy).await;
    let client = comfy.client_with(json!({}), json!({"image_timeout_s": 0.4})).await;
    let failure = client.failure(1).await;
    assert!(failure.contains("(in ComfyUI's queue)"), "{failure}");
    assert_eq!(comfy.ledger.seen("POST /queue")[0].body, json!({"delete": ["prompt-1"]}));
    assert_eq!(comfy.ledger.count("POST /interrupt"), 0);
    assert_eq!(comfy.queue.lock().unwrap().1.len(), 0);
}

#[tokio::test]
async fn a_prompt_whose_answer_was_lost_is_found_and_not_queued_twice() {
    for mood in [Mood::Works, Mood::Silent] {
        let comfy = Comfy::start(mood).await;
        comfy.ledger.fault(PROMPT, Fault::LoseAnswer);
        let made = comfy.client().await.image(1).await.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, 1)));
        assert_eq!(comfy.ledger.count(PROMPT), 1);
    }
}

#[tokio::test]
async fn a_prompt_that_was_surely_not_queued_is_queued_again() {
    let comfy = Comfy::start(Mood::Works).await;
    comfy.ledger.fault(PROMPT, status(503));
    comfy.ledger.fault(PROMPT, status(500));
    let item = comfy.client().await.image(1).await;
    assert!(item.result.is_ok());
    assert_eq!((item.retries, comfy.ledger.count(PROMPT)), (2, 3));
}

#[tokio::test]
async fn a_server_that_was_restarted_is_not_waited_for() {
    let comfy = Comfy::start(Mood::Forgets).await;
    comfy.ledger.fault("GET /ws", status(404));
    let failure = comfy.client().await.failure(1).await;
    assert!(failure.contains("was it restarted"), "{failure}");
}

#[tokio::test]
async fn a_stop_calls_off_all_that_were_begun() {
    use futures::StreamExt as _;

    let comfy = Comfy::start(Mood::Busy).await;
    let client = comfy.client_with(json!({}), json!({"jobs": 3})).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let images = client.remote.images((0..9).map(recipe).collect(), &stop);
    let waiting = tokio::spawn(images.collect::<Vec<_>>());
    eventually("three wait", || comfy.queue.lock().unwrap().1.len() == 3).await;
    stop.cancel();
    assert_eq!(waiting.await.unwrap().len(), 9);
    assert_eq!(comfy.queue.lock().unwrap().1.len(), 0);
    assert_eq!(comfy.ledger.count(PROMPT), 3);
}

#[tokio::test]
async fn a_refused_workflow_says_which_node_and_why() {
    let comfy = Comfy::start(Mood::Works).await;
    let folder = tempfile::tempdir().unwrap();
    let built_in = include_str!("../../src/remote/comfyui/default_workflow.json");
    let mut workflow: Value = serde_json::from_str(built_in).unwrap();
    workflow["1"]["inputs"]["ckpt_name"] = json!("gone.safetensors");
    std::fs::write(folder.path().join("w.json"), workflow.to_string()).unwrap();
    let client =
        comfy.client_with(json!({"workflow": "w.json"}), json!({"root": folder.path()})).await;
    let failure = client.failure(1).await;
    let expected = "answered 400: node 1 (CheckpointLoaderSimple): Value not in list: ckpt_name: \
        'gone.safetensors' not in ['v1-5.safetensors']";
    assert!(failure.ends_with(expected), "{failure}");
    assert_eq!(comfy.ledger.count(PROMPT), 1, "a refusal is not repeated");
}

#[tokio::test]
async fn a_workflow_that_is_refused_in_part_is_not_half_trusted() {
    let comfy = Comfy::start(Mood::Busy).await;
    let body = json!({"prompt_id": "p", "number": 1, "node_errors": {"9": {"class_type": "SaveImage",
        "errors": [{"message": "Required input is missing", "details": "images"}]}}});
    let headers = vec![("content-type", "application/json".into())];
    comfy.ledger.fault(PROMPT, Fault::Answer(200, headers, body.to_string().into_bytes()));
    let failure = comfy.client().await.failure(1).await;
    let expected =
        "refused a part of the workflow: node 9 (SaveImage): Required input is missing: images";
    assert!(failure.ends_with(expected), "{failure}");
    assert!(comfy.ledger.count("GET /queue") >= 1, "what was queued of it is looked for");
}

#[tokio::test]
async fn the_workflow_s_content_is_part_of_the_fingerprint() {
    let comfy = Comfy::start(Mood::Works).await;
    let folder = tempfile::tempdir().unwrap();
    let built_in = include_str!("../../src/remote/comfyui/default_workflow.json");
    let of = async |text: String| {
        std::fs::write(folder.path().join("w.json"), text).unwrap();
        let request = json!({"root": folder.path()});
        comfy.client_with(json!({"workflow": "w.json"}), request).await.remote.fingerprint()
    };
    let one = of(built_in.to_owned()).await;
    assert_eq!(one, of(built_in.replace('\n', " ")).await, "blanks decide nothing");
    assert_ne!(one, of(built_in.replace("\"steps\": 20", "\"steps\": 21")).await);
}

#[tokio::test]
async fn a_checkpoint_that_the_server_lacks_ends_the_run_before_it_begins() {
    let comfy = Comfy::start(Mood::Works).await;
    let request =
        json!({"generator": "comfyui", "model": "v1-6.safetensors", "options": {"url": comfy.url}});
    let message = open(request).await.err().unwrap().to_string();
    assert!(message.ends_with("did you mean `v1-5.safetensors`?"), "{message}");
    let unnamed = open(json!({"generator": "comfyui", "options": {"url": comfy.url}})).await;
    let message = unnamed.err().unwrap().to_string();
    assert!(
        message.contains("name the checkpoint") && message.contains("sd_xl_base_1.0"),
        "{message}"
    );
}
