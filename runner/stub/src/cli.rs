//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
Runs the plan that this binary carries, on this host.

Usage: runner [OPTIONS]

  --host NAME       the host of the plan that this is (needed where the binary is for several)
  --tags A,B        run only tasks with one of these tags
  --skip-tags A,B   run no task with one of these tags
  --check           say what would change, change nothing
  --diff            show what changes in files
  --state           also write what each task leaves to later ones, unmasked
  --records FILE    write every line into this file too, before it is written to stdout; it must not exist
  --part            run the part that a frame on stdin names, from the state that it brings
  --verify          check the payload, run nothing
  --honours         the modules, arguments and keywords that this runner honours, as JSON
  --version, --help

Writes one JSON line before and after each task and a report at the end.
Exit status: 0, 1 when a task failed, 2 when it could not start.
";

#[derive(Debug, Default)]
pub(crate) struct Invocation {
    pub(crate) host: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) skip_tags: Vec<String>,
    pub(crate) check: bool,
    pub(crate) diff: bool,
    pub(crate) state: bool,
    pub(crate) records: Option<PathBuf>,
    pub(crate) part: bool,
    pub(crate) verify: bool,
}

#[derive(Debug)]
pub(crate) enum Command {
    Run(Invocation),
    Honours,
    Version,
    Help,
}

pub(crate) fn parse() -> Result<Command, String> {
    read(lexopt::Parser::from_env()).map_err(|error| format!("{error} (see --help)"))
}

fn read(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut run = Invocation::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => run.host = Some(parser.value()?.string()?),
            Long("tags") | Short('t') => run.tags.extend(list(&parser.value()?.string()?)),
            Long("skip-tags") => run.skip_tags.extend(list(&parser.value()?.string()?)),
            Long("check") | Short('C') => run.check = true,
            Long("diff") | Short('D') => run.diff = true,
            Long("state") => run.state = true,
            Long("records") => run.records = Some(parser.value()?.into()),
            Long("part") => run.part = true,
            Long("verify") => run.verify = true,
            Long("honours") => return Ok(Command::Honours),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Run(run))
}

fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, lexopt::Error> {
        read(lexopt::Parser::from_args(words))
    }

    #[test]
    fn options() {
        let Ok(Command::Run(run)) =
            parsed(&["--host=a", "--tags", "x,y", "--tags", "z", "--skip-tags", "q", "--check", "--records=/r"])
        else {
            panic!("not a run");
        };
        assert_eq!((run.host.as_deref(), run.tags.len(), run.skip_tags.len()), (Some("a"), 3, 1));
        assert!(run.check && !run.diff && run.records.is_some());
        assert!(parsed(&["--nonsense"]).is_err() && parsed(&["--host"]).is_err() && parsed(&["word"]).is_err());
        assert!(matches!(parsed(&["--version"]), Ok(Command::Version)));
    }
}
