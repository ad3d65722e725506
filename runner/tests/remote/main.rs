//! The HTTP back ends against stand-ins that speak each provider's documented protocol.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod a1111;
mod comfyui;
mod comfyui_server;
mod custom;
mod hosted;
mod page;
mod providers;
mod safety;
mod stand_in;
