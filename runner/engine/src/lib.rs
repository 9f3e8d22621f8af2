//! The engine of the reference runner: it reads a payload and walks through it, under docs/runner-contract.md.
//! What a task does to the host is the business of `runner-modules`.

mod actions;
pub mod embed;
#[cfg(not(feature = "mutants"))]
mod honest;
mod looping;
mod mask;
#[cfg(feature = "mutants")]
#[path = "../mutants/mod.rs"]
mod mutants;
mod part;
pub mod payload;
mod record;
mod run;
mod scope;
mod tags;
mod task;
mod template;

#[cfg(not(feature = "mutants"))]
use honest as conduct;
#[cfg(feature = "mutants")]
use mutants as conduct;

pub use actions::survey;
pub use part::Part;
pub use payload::Payload;
pub use run::{Options, run};
pub use tags::TagFilter;
