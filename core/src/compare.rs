//! Base against head: pairs by test, prompt and seed, and what they decide.
