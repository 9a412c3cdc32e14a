//! `man`: the manual, made from the commands themselves: one page on stdout, or one file for each
//! command in a directory, `cache-mirror-mirrors-ping.1` and so on.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Command};
use clap_mangen::Man;
use serde_json::json;

use super::{Exit, print};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror man | man -l -
  cache-mirror man mirrors ping | man -l -
  cache-mirror man --dir ~/.local/share/man/man1";

/// Arguments of `man`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The command whose page to print [default: all of cache-mirror]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,
    /// Write a page for each command into this directory, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints one page, or writes all of them.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let mut all = super::tree().disable_help_subcommand(true);
    all.build();
    let mut pages = Vec::new();
    collect(&all, "cache-mirror", &mut pages);
    if let Some(dir) = &args.dir {
        return write(&pages, dir, is_json);
    }
    let wanted = std::iter::once("cache-mirror").chain(args.command.iter().map(String::as_str));
    let wanted = wanted.collect::<Vec<_>>().join("-");
    let found = pages.iter().find(|(name, _)| *name == wanted);
    let (name, command) = found.ok_or_else(|| {
        let asked = args.command.join(" ");
        Exit::Usage(format!("no command {asked:?}; see: cache-mirror --help"))
    })?;
    let page = page(name, command)?;
    if is_json { print::json(&json!({ "name": name, "page": page })) } else { print::line(page) }
}

/// Every command below this one, itself first.
fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Command)>) {
    pages.push((name.to_owned(), command.clone()));
    for sub in command.get_subcommands() {
        collect(sub, &format!("{name}-{}", sub.get_name()), pages);
    }
}

/// The page in roff. What help leads with stands behind the options, as manuals have it, and is not
/// filled: its columns mean something.
fn page(name: &str, command: &Command) -> Result<String, Exit> {
    let source = concat!("cache-mirror ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).section("1").source(source);
    let mut roff = Vec::new();
    let mut render = || {
        man.render_title(&mut roff)?;
        man.render_name_section(&mut roff)?;
        man.render_synopsis_section(&mut roff)?;
        man.render_description_section(&mut roff)?;
        man.render_options_section(&mut roff)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut roff)?;
        }
        std::io::Result::Ok(())
    };
    render().map_err(|error| Exit::Failed(format!("cannot render {name}: {error}")))?;
    let mut page = String::from_utf8_lossy(&roff).trim_end().to_owned();
    if let Some(examples) = command.get_before_help() {
        let examples = examples.to_string().replace('\\', "\\e").replace('-', "\\-");
        let lines = examples.lines().skip(1).collect::<Vec<_>>().join("\n");
        page.push_str(&format!("\n.SH EXAMPLES\n.nf\n{lines}\n.fi"));
    }
    Ok(page)
}

fn write(pages: &[(String, Command)], dir: &Path, is_json: bool) -> Result<(), Exit> {
    let cannot = |error: std::io::Error| {
        Exit::Failed(format!("cannot write to {}: {error}; see --dir", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(cannot)?;
    let mut written = Vec::new();
    for (name, command) in pages {
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, page(name, command)? + "\n").map_err(cannot)?;
        written.push(path.display().to_string());
    }
    match is_json {
        true => print::json(&json!({ "written": written })),
        false => written.iter().try_for_each(print::line),
    }
}
