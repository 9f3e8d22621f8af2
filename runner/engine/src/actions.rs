//! What Ansible's action plugins do on the controller: they need expressions, not the host.

use minijinja::value::Value;
use runner_modules::{Args, Failure, Fields, ModuleResult, Outcome};
use serde_json::{Value as Json, json};

use crate::template::{Syntax, Templates, explain, is_template, to_json};

/// Whether an argument holds bare expressions, which must not be filled in as templates are.
#[must_use]
pub(crate) fn is_expression(module: &str, argument: &str) -> bool {
    matches!((module, argument), ("assert", "that") | ("debug", "var"))
}

/// Whether an argument is the text of a template, which the module itself renders.
#[must_use]
pub(crate) fn is_template_text(module: &str, argument: &str) -> bool {
    module == "template" && argument == "content"
}

/// Runs an action. None where the module is no action.
pub(crate) fn run(module: &str, args: &Args, templates: &Templates, scope: &Value) -> Option<ModuleResult> {
    Some(match module {
        "debug" => debug(args, templates, scope),
        "assert" => assert(args, templates, scope),
        "fail" => fail(args),
        "set_fact" => set_fact(args),
        _ => return None,
    })
}

fn debug(args: &Args, templates: &Templates, scope: &Value) -> ModuleResult {
    let (message, var) = (args.value("msg"), args.text("var"));
    let verbosity = args.integer("verbosity", 0)?;
    if message.is_some() && var.is_some() {
        return Err(Failure::new("'msg' and 'var' are incompatible options"));
    }
    if verbosity > 0 {
        return Ok(Outcome::new(false).with("skipped", true).with("skipped_reason", "Verbosity threshold not met."));
    }
    let Some(var) = var else {
        return Ok(Outcome::new(false).with("msg", message.cloned().unwrap_or_else(|| "Hello world!".into())));
    };
    let bare = var.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
    // As Ansible: an undefined variable is told, not a failure.
    let value = match templates.expression(bare, scope) {
        Ok(value) => to_json(&value).unwrap_or_else(|error| error.to_string().into()),
        Err(error) if error.kind() == minijinja::ErrorKind::UndefinedError => "VARIABLE IS NOT DEFINED!".into(),
        Err(error) => return Err(Failure::new(explain(&error))),
    };
    Ok(Outcome::new(false).with(&var, value))
}

fn assert(args: &Args, templates: &Templates, scope: &Value) -> ModuleResult {
    let that = match args.value("that") {
        Some(Json::Array(conditions)) => conditions.clone(),
        Some(condition) => vec![condition.clone()],
        None => Vec::new(),
    };
    let words = |name: &str, default: &str| args.value(name).cloned().unwrap_or_else(|| default.into());
    let (failed, passed) = (words("fail_msg", "Assertion failed"), words("success_msg", "All assertions passed"));
    let quiet = args.flag("quiet", false)?;
    for condition in that {
        let holds = templates.condition(&condition, scope).map_err(|error| Failure::new(explain(&error)))?;
        if !holds {
            let mut outcome = Outcome::new(false).with("failed", true).with("evaluated_to", false);
            if !quiet {
                outcome.set("assertion", condition);
            }
            outcome.set("msg", failed);
            return Ok(outcome);
        }
    }
    Ok(Outcome::new(false).with("msg", passed))
}

fn fail(args: &Args) -> ModuleResult {
    let words = args.value("msg").cloned().unwrap_or_else(|| "Failed as requested from task".into());
    Ok(Outcome::new(false).with("failed", true).with("msg", words))
}

fn set_fact(args: &Args) -> ModuleResult {
    let cacheable = args.flag("cacheable", false)?;
    let mut facts: Fields = args.all().clone();
    facts.shift_remove("cacheable");
    if facts.is_empty() {
        return Err(Failure::new("No key/value pairs provided, at least one is required for this action to succeed"));
    }
    for name in facts.keys() {
        let valid = !name.is_empty()
            && !name.starts_with(|letter: char| letter.is_ascii_digit())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !valid {
            return Err(Failure::new(format!(
                "The variable name '{name}' is not valid. Variables must start with a letter or underscore character, and contain only letters, numbers and underscores."
            )));
        }
    }
    Ok(Outcome::new(false).with("ansible_facts", facts).with("_ansible_facts_cacheable", cacheable))
}

/// Renders a template task's text; the rest of the task is a copy.
pub(crate) fn render(args: &Fields, templates: &Templates, scope: &Value) -> Result<Fields, Failure> {
    let read = Args::new("template", args.clone())?;
    let options = TemplateArgs::read(&read)?;
    let Some(text) = options.content else {
        return Err(Failure::new(format!(
            "src '{}' is not in this binary: put the template beside the plan, or in its templates/ folder",
            options.src.unwrap_or_default()
        )));
    };
    let name = options.src.clone().unwrap_or_else(|| "template".to_owned());
    let rendered = if is_template(&text) || options.syntax.variable.0 != "{{" {
        templates.render_with(&options.syntax, &name, &text, scope).map_err(|error| Failure::new(explain(&error)))?
    } else {
        text
    };
    let rendered = if options.newline == "\n" { rendered } else { rendered.replace('\n', &options.newline) };
    let mut copy = options.copy;
    copy.insert("content".to_owned(), rendered.into());
    Ok(copy)
}

struct TemplateArgs {
    src: Option<String>,
    content: Option<String>,
    newline: String,
    syntax: Syntax,
    /// What is copy's own.
    copy: Fields,
}

impl TemplateArgs {
    fn read(args: &Args) -> Result<Self, Failure> {
        let default = Syntax::default();
        let pair = |open: &str, close: &str, default: &(String, String)| {
            (
                args.text(open).unwrap_or_else(|| default.0.clone()),
                args.text(close).unwrap_or_else(|| default.1.clone()),
            )
        };
        let newline = match args.text("newline_sequence").as_deref() {
            None | Some("\n" | "\\n") => "\n",
            Some("\r" | "\\r") => "\r",
            Some(_) => "\r\n",
        };
        let mut copy = Fields::new();
        for name in
            ["src", "_original_basename", "dest", "backup", "force", "validate", "mode", "owner", "group", "follow"]
        {
            if let Some(value) = args.value(name) {
                copy.insert(name.to_owned(), value.clone());
            }
        }
        Ok(Self {
            src: args.text("src"),
            content: args.text("content"),
            newline: newline.to_owned(),
            syntax: Syntax {
                block: pair("block_start_string", "block_end_string", &default.block),
                variable: pair("variable_start_string", "variable_end_string", &default.variable),
                comment: pair("comment_start_string", "comment_end_string", &default.comment),
                trim_blocks: args.flag("trim_blocks", true)?,
                lstrip_blocks: args.flag("lstrip_blocks", false)?,
            },
            copy,
        })
    }
}

/// Asks for every argument that an action takes: the test that honours.json and the code agree.
#[must_use]
pub fn survey(module: &str) -> Option<std::collections::BTreeSet<String>> {
    let args = Args::survey();
    if module == "template" {
        let _ = TemplateArgs::read(&args);
    } else {
        run(module, &args, &Templates::new(Default::default()), &Value::from(json!(null).is_null()))?.ok();
    }
    Some(args.asked())
}
