//! The engine of the reference runner: it reads a payload and walks through it, under docs/runner-contract.md.
//! What a task does to the host is the business of `runner-modules`.

mod actions;
pub mod embed;
mod looping;
mod mask;
mod part;
pub mod payload;
mod record;
mod run;
mod scope;
mod tags;
mod task;
mod template;

pub use actions::survey;
pub use part::Part;
pub use payload::Payload;
pub use run::{Options, run};
pub use tags::TagFilter;
