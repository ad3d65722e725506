//! `difftest recipe …`, and the recipe's mappings for the generators in Python.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use difftest_core::png_text;
use difftest_core::recipe::{self, Recipe, RecipeError, diffusers, onnx};
use difftest_core::scheduler;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::cli::fail;

/// Larger files are not read: no image of a recipe's sides is.
const MAX_FILE: u64 = 1 << 30;

#[derive(Args)]
pub struct RecipeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say how an image was made, from what difftest, A1111, Forge or ComfyUI wrote into the file
    Show {
        /// A PNG file
        image: PathBuf,
        #[arg(long)]
        json: bool,
    },
    /// List every scheduler, and what each back end calls it
    Schedulers {
        #[arg(long)]
        json: bool,
    },
}

/// Runs it; answers the exit code.
pub fn run(args: RecipeArgs) -> i32 {
    let page = match args.command {
        Command::Show { image, json } => match show(&image, json) {
            Ok(page) => page,
            Err(why) => return fail(&format!("{}: {why}", image.display())),
        },
        Command::Schedulers { json: true } => pretty(&described()),
        Command::Schedulers { json: false } => recipe::schedulers(),
    };
    // A reader that closes early, such as `head`, is no error.
    drop(std::io::stdout().write_all(page.as_bytes()));
    0
}

fn show(image: &Path, json: bool) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(image).map_err(|e| e.to_string())?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("it is larger than a gigabyte".to_owned());
    }
    let texts = png_text::read(&bytes).map_err(|e| e.to_string())?;
    let reading = recipe::read(&texts).ok_or_else(|| {
        let keywords: Vec<&str> = texts.iter().map(|t| t.keyword.as_str()).collect();
        let has = match keywords.as_slice() {
            [] => "it has no text at all".to_owned(),
            keywords => format!("its texts are {}", keywords.join(", ")),
        };
        format!(
            "it carries no recipe; {has}. Programs that edit or resize images often drop it, and \
             so do most web pages"
        )
    })?;
    Ok(if json { pretty(&json!(reading)) } else { reading.shown(&image.to_string_lossy()) })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn described() -> Value {
    scheduler::all().iter().map(scheduler::Scheduler::describe).collect()
}

fn wrong(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn recipe_of(json: &str) -> PyResult<Recipe> {
    let value: Value = serde_json::from_str(json).map_err(wrong)?;
    Recipe::from_value(&value).map_err(wrong)
}

/// Every scheduler of the registry as JSON: a list of id, name, parameters, suits, diffusers,
/// a1111, comfyui.
#[pyfunction]
pub fn schedulers() -> String {
    described().to_string()
}

/// The recipe as JSON, checked, its scheduler by the canonical id.
#[pyfunction]
pub fn check_recipe(json: &str) -> PyResult<String> {
    Ok(json!(recipe_of(json)?).to_string())
}

/// A recipe as a diffusers pipeline takes it: `call`, `seed`, `scheduler`, `loras`.
#[pyfunction]
pub fn recipe_to_diffusers(json: &str) -> PyResult<String> {
    let call = diffusers::call(&recipe_of(json)?).map_err(wrong)?;
    Ok(json!(call).to_string())
}

/// A recipe as keyword arguments of an embedded ONNX model.
#[pyfunction]
pub fn recipe_to_onnx(json: &str) -> PyResult<String> {
    Ok(Value::Object(onnx::arguments(&recipe_of(json)?).map_err(wrong)?).to_string())
}

/// What a diffusers pipeline calls each field of a recipe, as a JSON object.
#[pyfunction]
pub fn diffusers_names() -> String {
    let names = diffusers::NAMES.iter().map(|(field, name)| (*field, Value::from(*name)));
    names.collect::<Value>().to_string()
}

/// A scheduler by any name as `id`, `class` and `config` of diffusers.
#[pyfunction]
pub fn diffusers_scheduler(name: &str) -> PyResult<String> {
    let found = scheduler::known(name, scheduler::BackEnd::Diffusers)
        .map_err(RecipeError::from)
        .map_err(wrong)?;
    let names = found.diffusers();
    Ok(json!({
        "id": found.id,
        "class": names.as_ref().map(|n| n.class),
        "config": names.as_ref().map(|n| &n.config),
    })
    .to_string())
}

/// What a PNG file says of its making, as `difftest recipe show --json` has it.
#[pyfunction]
pub fn read_recipe(png: &[u8]) -> PyResult<Option<String>> {
    let texts = png_text::read(png).map_err(wrong)?;
    Ok(recipe::read(&texts).map(|reading| json!(reading).to_string()))
}

/// The PNG file with this recipe in its text, for difftest and for A1111.
#[pyfunction]
pub fn with_recipe(png: &[u8], json: &str, model: &str) -> PyResult<Vec<u8>> {
    let size = png_text::size(png).map_err(wrong)?;
    png_text::with_text(png, &recipe::texts(&recipe_of(json)?, model, size)).map_err(wrong)
}
